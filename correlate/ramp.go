package correlate

import (
	"fmt"
	"slices"

	"github.com/triaged-dev/triaged/triage"
)

// rampBack moves earliest back where the symptom's series show that the trouble had begun before the rule's interval:
// an unbroken run of bad samples that reaches into it. A run that climbs is a ramp; one that goes back as far as the
// series do was already degraded.
func (m *ranking) rampBack() {
	o := &m.onset
	if m.beyondThreshold() {
		o.already = true
		return
	}
	for _, p := range m.symptom {
		r := p.badRun(o.earliest, o.latest)
		if r.n < 3 || r.from >= o.earliest {
			continue
		}
		if r.whole {
			o.already = true
			continue
		}
		if r.climbs {
			o.shape, o.rampFrom = triage.ShapeRamp, r.from
			o.earliest = min(o.earliest, max(r.began, o.earliest-m.lookback, r.from-rampMost))
		} else {
			o.earliest = max(r.from-p.step, o.earliest-m.lookback)
		}
		o.basis += fmt.Sprintf("; %s was bad for %d samples before that", p.src.Metric, r.n)
		break
	}
	if o.shape == triage.ShapeRamp {
		m.watchRamps()
	}
}

// rampMost is how long before it stands out a ramp may have begun.
const rampMost = ms(2 * 3600_000)

// watchRamps has every series compared as it was before with how it was when the alert was on: a slow climb begins nowhere.
func (m *ranking) watchRamps() {
	for _, p := range m.symptom {
		p.ramp, p.cache = true, nil
	}
	for _, name := range m.names {
		for _, group := range m.services[name].signals {
			for _, p := range group {
				p.ramp, p.cache = true, nil
			}
		}
	}
}

// beyondThreshold reports whether a series of the alert itself was on the firing side for as long as it reaches back.
func (m *ranking) beyondThreshold() bool {
	sy := m.in.Symptom
	if sy == nil || sy.Threshold == nil || sy.BadDirection == "" || len(sy.Series) == 0 {
		return false
	}
	return slices.ContainsFunc(m.symptom, func(p *prepared) bool {
		if len(p.raw) < 20 || p.from[0] > m.onset.earliest-m.lookback/2 {
			return false
		}
		return !slices.ContainsFunc(p.raw, func(v float64) bool {
			return v == v && (sy.BadDirection == "higher" && v <= *sy.Threshold || sy.BadDirection == "lower" && v >= *sy.Threshold)
		})
	})
}

// run is an unbroken series of bad samples.
type run struct {
	from   ms
	n      int
	whole  bool // as far back as the series or its baseline reaches
	climbs bool
	began  ms // where a climb, drawn straight back, leaves the range
}

// badRun finds the run of samples beyond three robust standard deviations that ends at or after earliest. The range is that
// of the older half, or where that is bad itself, of the oldest samples.
func (p *prepared) badRun(earliest, latest ms) run {
	end := p.firstAfter(latest)
	start := p.firstAfter(earliest)
	if start >= len(p.bad) || start < 8 {
		return run{}
	}
	half := start / 2
	r := p.runAgainst(max(0, half-beforeMax), half, start, end)
	for oldest := min(beforeMax, half/2); (r.n == 0 || r.whole) && oldest >= 8; oldest /= 2 {
		if old := p.runAgainst(0, oldest, start, end); old.n > 0 && !old.whole {
			return old
		}
	}
	return r
}

// runAgainst is badRun against the range of the samples lo to hi.
func (p *prepared) runAgainst(lo, hi, start, end int) run {
	var buf [beforeMax]float64
	med, mad, n := medianMAD(p.bad[lo:hi], buf[:0])
	loc, spread := p.baseline(med, mad, n)
	if p.refLoc == p.refLoc { // quiet days know what is usual even where the whole series is not
		loc, spread, hi = p.refLoc, max(p.refSpr, p.floor), 0
	}
	if loc != loc {
		return run{}
	}
	bad := func(i int) bool { return p.bad[i]-loc > float64(3*spread) }
	i := min(end, len(p.bad), max(p.state, start+1)) - 1
	if !bad(i) && !(i > start && bad(i-1) && p.bad[i] != p.bad[i]) { // over by then: another episode
		return run{}
	}
	r, last, first := run{}, i+1, i
	for ; i >= 0; i-- {
		v := p.bad[i]
		if v != v {
			continue
		}
		if !bad(i) {
			break
		}
		first, r.n, r.from = i, r.n+1, p.from[i]
	}
	r.whole = i < hi || i < 0
	r.climb(p.bad[first:last], loc, spread, p.step)
	return r
}

// climb says whether the samples of the run rise from third to third, each by more than a spread of the range, and where the
// line through them leaves the range.
func (r *run) climb(v []float64, loc, spread float64, step ms) {
	third := len(v) / 3
	if third < 2 {
		return
	}
	var level [3]float64
	for k := range level {
		level[k], _, _ = medianMAD(v[k*third:(k+1)*third], make([]float64, 0, third))
	}
	r.climbs = level[1]-level[0] > spread && level[2]-level[1] > spread/2 && level[2]-level[0] > float64(0.25*(level[2]-loc))
	// What grows by as much each minute grows slower in logarithms: the first stretch is the truer one to draw back.
	if slope := max(level[1]-level[0], (level[2]-level[0])/2) / float64(third); r.climbs && slope > 0 {
		r.began = r.from + ms(float64(third)/2*float64(step)) - ms((level[0]-loc)/slope*float64(step)) - step
	}
}
