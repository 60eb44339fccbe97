package correlate

import (
	"cmp"
	"fmt"
	"math"
	"net/url"
	"slices"
	"strings"

	"github.com/triaged-dev/triaged/triage"
)

// Two hypotheses, one experiment. Where two or three explanations stand, some looks tell them apart and some only feel busy. Each
// look or reversible act that could be made now is given what every hypothesis predicts of it; what it is worth is the
// uncertainty that it is expected to take away, in bits, for each minute that it costs.
//
// Worked example: flag .45, deploy .40, none .15: 1.46 bits are unknown. "Only requests with the flag fail" is .85 likely under
// the flag and .05 under the others. Seen (.41) it leaves .41 bits, not seen (.59) 1.26: on average .54 bits are gained in a minute.
// Setting the flag back separates as well, and takes ten.

// Where a hypothesis stands, and from what gain on an experiment is worth a sentence.
const (
	standsFrom = 0.10
	mostStand  = 3
	leastBits  = 0.05
)

// What is predicted: a thing that its cause would show, and that another would show by chance. They are judgements, kept in one
// place; the order of experiments hardly moves with them.
const (
	splitShows, splitChance   = 0.85, 0.05 // only what has the change fails
	unsaidShows               = 0.50       // the same of a flag that does not say for how many it is on
	ownShows, ownChance       = 0.90, 0.10 // the changed service itself moved; others' victims .5
	placeShows, placeChance   = 0.90, 0.10 // only where it was rolled out fails
	minuteShows, minuteChance = 0.70, 0.35 // the first bad minute is nearer to it
	pauseShows, pauseChance   = 0.60, 0.25 // it stops getting worse once the rollout is paused
	undoShows, undoChance     = 0.85, 0.05 // it ends once the change is back
	vendorShows, vendorChance = 0.30, 0.03 // the vendor says that it is in trouble
)

// What an experiment costs in minutes of somebody tired.
const (
	costLook  = 1.0
	costTool  = 2.0
	costPause = 4.0
	costUndo  = 10.0
)

// hypothesis is one explanation that stands: a change, or something unseen.
type hypothesis struct {
	c *candidate // nil: something unseen
	p float64    // among those that stand
}

func (h hypothesis) id() string {
	if h.c == nil {
		return "none"
	}
	return string(h.c.ch.ID)
}

func (h hypothesis) name() string {
	if h.c == nil {
		return "something I cannot see"
	}
	return label(h.c.ch)
}

// standing are the explanations that stand, the likeliest first.
func (m *ranking) standing() []hypothesis {
	rest := int64(million)
	var out []hypothesis
	for _, c := range m.candidates {
		rest -= c.micros
		if float64(c.micros) >= standsFrom*million && len(out) < mostStand && !c.veto {
			out = append(out, hypothesis{c: c, p: float64(c.micros)})
		}
	}
	if float64(rest) >= standsFrom*million {
		i := 0
		for i < len(out) && out[i].p >= float64(rest) {
			i++
		}
		out = slices.Insert(out, i, hypothesis{p: float64(rest)})
		out = out[:min(len(out), mostStand)]
	}
	sum := 0.0
	for _, h := range out {
		sum += h.p
	}
	for i := range out {
		out[i].p /= sum
	}
	return out
}

// probe is an experiment with what each hypothesis predicts: the chance that it is seen.
type probe struct {
	triage.Experiment
	do    string // "compare requests with and without flag new-pricing"
	see   string // "only those with it fail"
	sees  []float64
	worth float64
}

// experiment is the look, or act if acts, worth most for what it costs; nil where fewer than two explanations stand or nothing parts
// them. Where no change leads, nothing is changed to find out.
func (m *ranking) experiment(acts bool) *triage.Experiment {
	hs := m.standing()
	if len(hs) < 2 {
		return nil
	}
	var best *probe
	for _, p := range m.probes(hs) {
		gain := expectedBits(hs, p.sees)
		p.ExpectedBits = math.Round(gain*1000) / 1000
		p.worth = gain / p.CostMinutes
		yes, _ := after(hs, p.sees, true)
		no, _ := after(hs, p.sees, false)
		if p.Act && !acts || gain < leastBits || yes.id() == no.id() { // whatever is seen, the same is done next
			continue
		}
		if best == nil || p.worth > best.worth+1e-9 || p.worth > best.worth-1e-9 && cmp.Or(cmp.Compare(p.CostMinutes, best.CostMinutes), cmp.Compare(p.do, best.do)) < 0 {
			best = &p
		}
	}
	if best == nil {
		return nil
	}
	e := best.Experiment
	for _, h := range hs {
		e.Separates = append(e.Separates, h.id())
	}
	yes, py := after(hs, best.sees, true)
	no, pn := after(hs, best.sees, false)
	e.Readings = []triage.Reading{
		{See: best.see, Then: yes.id(), Probability: math.Round(py*100) / 100},
		{See: "not so", Then: no.id(), Probability: math.Round(pn*100) / 100},
	}
	e.What = fmt.Sprintf("%s: if %s, it is likelier %s; if not, %s", best.do, best.see, yes.name(), no.name())
	return &e
}

// after is the hypothesis that leads once it was seen, or was not.
func after(hs []hypothesis, sees []float64, seen bool) (hypothesis, float64) {
	best, top, sum := hypothesis{}, -1.0, 0.0
	for i, h := range hs {
		q := sees[i]
		if !seen {
			q = 1 - q
		}
		p := float64(h.p * q)
		sum += p
		if p > top {
			best, top = h, p
		}
	}
	return best, top / sum
}

// expectedBits is the entropy that seeing the outcome is expected to take away.
func expectedBits(hs []hypothesis, sees []float64) float64 {
	before := make([]float64, len(hs))
	yes, no := make([]float64, len(hs)), make([]float64, len(hs))
	py := 0.0
	for i, h := range hs {
		before[i] = h.p
		yes[i] = float64(h.p * sees[i])
		no[i] = h.p - yes[i]
		py += yes[i]
	}
	return max(0, entropy(before)-float64(py*entropy(yes))-float64((1-py)*entropy(no)))
}

// entropy is that of weights, in bits.
func entropy(ws []float64) float64 {
	sum, out := 0.0, 0.0
	for _, w := range ws {
		sum += w
	}
	for _, w := range ws {
		if w > 0 && sum > 0 {
			out -= float64(w / sum * ln(w/sum) / math.Ln2)
		}
	}
	return out
}

// probes are the experiments that can be made now.
func (m *ranking) probes(hs []hypothesis) []probe {
	var out []probe
	add := func(of *candidate, cost float64, do, see string, sees func(h hypothesis) float64) *probe {
		p := probe{Experiment: triage.Experiment{CostMinutes: cost}, do: do, see: see}
		if of != nil {
			p.Target, p.URL = of.ch.ID, of.ch.URL
		}
		for _, h := range hs {
			p.sees = append(p.sees, sees(h))
		}
		out = append(out, p)
		return &out[len(out)-1]
	}
	for _, h := range hs {
		c := h.c
		if c == nil {
			continue
		}
		its := func(shows, chance float64) func(hypothesis) float64 {
			return func(o hypothesis) float64 {
				if o.c == c {
					return shows
				}
				return chance
			}
		}
		name := label(c.ch)
		parted := partial(c.ch) && contribution(c, "split") == 0
		unsaid := c.ch.Kind == triage.KindFlag && c.ch.RolloutPercent == nil && len(c.ch.Steps) == 0 // it may be on for some only
		switch {
		case unsaid && contribution(c, "split") == 0:
			add(c, costLook, "compare requests with and without "+name, "only those with it fail", its(unsaidShows, splitChance))
		case parted && c.ch.Kind == triage.KindFlag:
			add(c, costLook, "compare requests with and without "+name, "only those with it fail", its(splitShows, splitChance))
		case parted && slow(c.ch.Kind):
			if c.ch.Version != "" {
				add(c, costLook, "compare what runs "+c.ch.Version+" with what does not", "only what runs it fails", its(splitShows, splitChance))
			} else {
				add(c, costLook, "compare what "+name+" has reached with the rest", "only what it reached fails", its(splitShows, splitChance))
			}
		}
		if place := orDefault(c.ch.Region, c.ch.Cluster); place != "" && m.scope.Region == "" && m.scope.Cluster == "" && contribution(c, "split") == 0 {
			add(c, costLook, "compare "+place+" with the rest", "only "+place+" fails", func(o hypothesis) float64 {
				if o.c != nil && orDefault(o.c.ch.Region, o.c.ch.Cluster) == place {
					return placeShows
				}
				return placeChance
			})
		}
		if s := c.ch.Service; s != "" && s != m.scope.Service && !c.own.observed {
			add(c, costLook, fmt.Sprintf("look at errors and latency of %s", s), fmt.Sprintf("they moved at %s", clock(m.abs(c.act.start))), func(o hypothesis) float64 { return m.ownMoves(c, o) })
		}
		if running(c.ch, m.at) && c.ch.Kind != triage.KindFlag {
			add(c, costPause, "pause "+name, "it gets no worse", its(pauseShows, pauseChance)).Act = true
		}
		if k := c.ch.Kind; (k == triage.KindFlag || k == triage.KindConfig) && m.harm(c) == "" && m.undoOf(c.ch) == nil && !m.long(c) {
			add(c, costUndo, "set "+name+" back for a while", "it recovers", its(undoShows, undoChance)).Act = true
		}
	}
	m.restartProbe(hs, add)
	m.minuteProbe(hs, add)
	m.vendorProbe(hs, add)
	return out
}

type addProbe func(of *candidate, cost float64, do, see string, sees func(h hypothesis) float64) *probe

// partial reports whether some of what a change could reach has it and some has not.
func partial(ch *triage.Change) bool {
	if p := ch.RolloutPercent; p != nil {
		return *p > 0 && *p < 100
	}
	if n := len(ch.Steps); n > 0 {
		last := sortedSteps(ch.Steps)[n-1]
		return last.Percent > 0 && last.Percent < 100
	}
	return slow(ch.Kind) && ch.Status == triage.StatusStarted && ch.FinishedAt.IsZero()
}

// ownMoves is the chance that the changed service itself moved, under another hypothesis: high where it would be a victim, too.
func (m *ranking) ownMoves(c *candidate, o hypothesis) float64 {
	if o.c == c || o.c != nil && o.c.ch.Service == c.ch.Service {
		return ownShows
	}
	if o.c != nil {
		if _, victim := m.in.Topology.Downstream(c.ch.Service, max(m.cfg.MaxHops, 1))[o.c.ch.Service]; victim {
			return 0.5
		}
	}
	return ownChance
}

// restartProbe: a configuration reaches every instance, a rollout only the new ones.
func (m *ranking) restartProbe(hs []hypothesis, add addProbe) {
	for _, a := range hs {
		for _, b := range hs {
			if a.c == nil || b.c == nil || a.c.ch.Service == "" || a.c.ch.Service != b.c.ch.Service || !slow(a.c.ch.Kind) || b.c.ch.Kind != triage.KindConfig {
				continue
			}
			add(a.c, costTool, "compare instances of "+a.c.ch.Service+" that restarted with those that did not", "only those that restarted fail", func(o hypothesis) float64 {
				switch o.c {
				case a.c:
					return splitShows
				case b.c:
					return 0.15
				}
				return splitChance
			})
			return
		}
	}
}

// minuteProbe: where the onset is uncertain by more than what lies between two changes, the raw samples know it better.
func (m *ranking) minuteProbe(hs []hypothesis, add addProbe) {
	var cs []*candidate
	for _, h := range hs {
		if h.c != nil {
			cs = append(cs, h.c)
		}
	}
	if len(cs) < 2 {
		return
	}
	early, late := cs[0], cs[1]
	if early.act.start > late.act.start {
		early, late = late, early
	}
	if gap := late.act.start - early.act.start; gap < 60_000 || m.onset.latest-m.onset.earliest < 60_000 || late.act.start > m.onset.latest {
		return
	}
	p := add(nil, costLook, "zoom in on the first bad minute", fmt.Sprintf("it lies after %s", clock(m.abs(late.act.start))), func(o hypothesis) float64 {
		if o.c == late {
			return minuteShows
		}
		return minuteChance
	})
	p.URL = m.symptomLink()
}

// vendorProbe: what is not ours is asked about itself.
func (m *ranking) vendorProbe(hs []hypothesis, add addProbe) {
	if !slices.ContainsFunc(hs, func(h hypothesis) bool { return h.c == nil }) {
		return
	}
	var vendors []string
	for name := range m.down {
		if m.external(name) {
			vendors = append(vendors, name)
		}
	}
	if len(vendors) == 0 {
		return
	}
	slices.Sort(vendors)
	add(nil, costTool, "look at the status page of "+strings.Join(vendors[:min(len(vendors), 2)], " and "), "it reports trouble", func(o hypothesis) float64 {
		if o.c == nil {
			return vendorShows
		}
		return vendorChance
	})
}

// symptomLink is the alert's own series in the Prometheus that fired it, over the time around the onset; "" where it is not known.
func (m *ranking) symptomLink() string {
	base, _, ok := strings.Cut(m.alert.GeneratorURL, "/graph?")
	if !ok || m.in.Symptom == nil || m.in.Symptom.SeriesExpr == "" {
		return ""
	}
	end := m.abs(m.onset.latest + 5*60_000)
	q := url.Values{"g0.expr": {m.in.Symptom.SeriesExpr}, "g0.tab": {"0"}, "g0.range_input": {"30m"}, "g0.end_input": {end.UTC().Format("2006-01-02 15:04:05")}}
	if link := base + "/graph?" + q.Encode(); len(link) <= triage.MaxURL {
		return link
	}
	return ""
}

// separate says what would part the explanations that stand; "" where nothing in particular would.
func (m *ranking) separate(l *candidate, n *none) string {
	if e := m.experiment(n.micros < l.micros); e != nil {
		return e.What
	}
	if l.ch.Service != "" && !l.direct && !l.own.observed {
		return fmt.Sprintf("see whether errors or latency of %s moved at %s, with %s", l.ch.Service, clock(m.abs(l.act.start)), label(l.ch))
	}
	return ""
}
