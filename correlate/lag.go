package correlate

import (
	"slices"

	"github.com/triaged-dev/triaged/triage"
)

// acting is when a change began to act: a mixture of uniform intervals with weights that sum to 1. A step is a point.
type acting struct {
	parts []actingPart
	first ms // earliest time it may have acted
	start ms // earliest possible start
	known bool
	last  ms // latest possible start
}

type actingPart struct {
	from, to ms
	weight   float64
}

// promptOf is how long "as soon as it starts" lasts: a flag flips at once, processes take a while to restart or to read
// their configuration again.
func promptOf(k triage.Kind) ms {
	if k == triage.KindFlag {
		return 5_000
	}
	return 30_000
}

// atOnce is how long what acts at once takes.
const atOnce = ms(5_000)

// actingOf spreads a change over the times it may have begun to act: its steps where it has them, by how much each added;
// else evenly from start to finish; else from start over the usual duration of its kind. A source that saw only the end
// gives the interval before it. The uncertainty of the clock widens every part.
func (m *ranking) actingOf(c *triage.Change) acting {
	minutes := m.w.LagRolloutQuick
	if slow(c.Kind) {
		minutes = m.w.LagRolloutSlow
	}
	usual := ms(minutes * 60000)
	lo, hi, observed := c.StartInterval(usual.duration())
	a := acting{start: m.rel(lo), last: m.rel(hi), known: observed}
	u := seconds2ms(c.TimeUncertaintyS)
	if len(c.Steps) > 0 {
		prev := 0.0
		for _, s := range sortedSteps(c.Steps) {
			gain := s.Percent - prev
			if s.Percent == 0 || gain <= 0 || s.Region != "" {
				gain = 20 // a step without a percentage, or one of several regions
			}
			prev = max(prev, s.Percent)
			if t := m.rel(s.At); t <= 0 {
				a.parts = append(a.parts, actingPart{t - u, t + u, gain})
			}
		}
	}
	if len(a.parts) == 0 {
		from, to := a.start, a.last
		switch {
		case observed && !c.FinishedAt.IsZero():
			to = max(to, m.rel(c.FinishedAt))
		case observed:
			to = a.last + usual
		}
		a.parts = []actingPart{{from, to, 1}}
		if first := a.last + promptOf(c.Kind); observed && to > first {
			// Half of all harmful changes act as soon as they start (median lag from start to onset: 0 minutes).
			// Some do so at once: what is reloaded in place, or is told when it is already live.
			a.parts = []actingPart{{from, first, m.w.LagPrompt}, {from, to, 1 - m.w.LagPrompt}}
			if at := a.last + atOnce; at < first {
				a.parts = []actingPart{{from, at, m.w.LagPrompt / 2}, {from, first, m.w.LagPrompt / 2}, {from, to, 1 - m.w.LagPrompt}}
			}
		}
	}
	total := 0.0
	for _, p := range a.parts {
		total += p.weight
	}
	a.first = a.parts[0].from
	for i := range a.parts {
		a.parts[i].weight /= total
		a.first = min(a.first, a.parts[i].from)
	}
	if observed {
		a.first = min(a.first, a.start)
	}
	return a
}

func sortedSteps(steps []triage.Step) []triage.Step {
	return slices.SortedStableFunc(slices.Values(steps), func(a, b triage.Step) int { return a.At.Compare(b.At) })
}

// lagShare is the share of lags up to t from the moment a step acts (docs/ranking.md §3): an exponential, a middle and a
// fat tail (log-logistic, which has the log-normal's middle and a closed form) and a flat rest.
func (w *Weights) lagShare(t ms, tail float64) float64 {
	if t <= 0 {
		return 0
	}
	x := t.minutes()
	fast := 1 - tail - w.LagMidShare - w.LagFlat
	out := float64(fast * (1 - exp(-x/w.LagFast)))
	out += float64(w.LagMidShare / (1 + exp(float64(-1.7/w.LagTailSigma*(ln(x)-ln(w.LagMid))))))
	out += float64(tail / (1 + exp(float64(-1.7/w.LagTailSigma*(ln(x)-ln(w.LagTail))))))
	return out + float64(w.LagFlat*min(1, x/w.LagFlatEnd))
}

// lagTable holds lagShare on a grid, for both sorts of kinds: 35 000 numbers, made once per weights table.
type lagTable [2][lagSteps + 1]float64

const (
	lagStep  = ms(5_000)
	lagSteps = int(ms(24*3600*1000) / lagStep)
)

func (w *Weights) buildLags() {
	t := new(lagTable)
	for i := range t[0] {
		t[0][i] = w.lagShare(ms(i)*lagStep, w.LagTailQuick)
		t[1][i] = w.lagShare(ms(i)*lagStep, w.LagTailSlow)
	}
	w.lags = t
}

// lagCDF is lagShare by the table, straight between its points; past a day it stays where it is.
func (w *Weights) lagCDF(t ms, kind triage.Kind) float64 {
	if t <= 0 {
		return 0
	}
	row := &w.lags[0]
	if slow(kind) {
		row = &w.lags[1]
	}
	i := int(t / lagStep)
	if i >= lagSteps {
		return row[lagSteps]
	}
	part := float64(t-ms(i)*lagStep) / float64(lagStep)
	return row[i] + float64(part*(row[i+1]-row[i]))
}

// lagDensity is the density, per minute, of an onset within half of time o for a change that acts as given.
func (w *Weights) lagDensity(a *acting, o, half ms, kind triage.Kind) float64 {
	sum := 0.0
	for _, p := range a.parts {
		from, to := p.from-half, p.to+half
		d := (w.lagCDF(o-from, kind) - w.lagCDF(o-to, kind)) / (to - from).minutes()
		sum += float64(p.weight * d)
	}
	return sum
}

// timing is the density, per minute, of the onset given the change, with the onset integrated out.
func (m *ranking) timing(c *candidate) float64 {
	sum := 0.0
	for i, o := range m.onset.points {
		half := max(m.onset.blur, m.onset.halves[i])
		d := 0.0
		switch {
		case o >= c.act.start-half:
			if d = m.w.lagDensity(&c.act, o, half, c.ch.Kind); !c.far {
				d = max(d, m.w.LagFloor)
			}
		case o >= c.act.start-m.grace:
			d = m.w.LagGrace
		}
		sum += float64(m.onset.weights[i] * d)
	}
	return max(sum, 1e-9)
}
