package correlate

import (
	"fmt"
	"math"
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
		r := p.badRun(o.earliest, o.latest, &m.w)
		if r.n < 3 || r.from >= o.earliest {
			continue
		}
		if r.whole {
			o.already = true
			continue
		}
		o.earliest = max(r.from-p.step, o.earliest-m.lookback)
		if r.climbs {
			o.shape = triage.ShapeRamp
		}
		o.basis += fmt.Sprintf("; %s was bad for %d samples before that", p.src.Metric, r.n)
		break
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
}

// badRun finds the run of samples beyond three robust standard deviations that ends at or after earliest.
func (p *prepared) badRun(earliest, latest ms, w *Weights) run {
	end := p.firstAfter(latest)
	start := p.firstAfter(earliest)
	if start >= len(p.bad) || start < 8 {
		return run{}
	}
	var buf [64]float64
	// The baseline is the older half: the run itself must not be in it.
	half := start / 2
	med, mad, n := medianMAD(p.bad[max(0, half-beforeMax):half], buf[:0])
	loc, spread := p.baseline(med, mad, n)
	ref := p.refLoc == p.refLoc
	if ref { // quiet days know what is usual even where the whole series is not
		loc, spread, half = p.refLoc, max(p.refSpr, p.floor), 0
	}
	if loc != loc {
		return run{}
	}
	bad := func(i int) bool { return p.bad[i]-loc > float64(3*spread) }
	i := min(end, len(p.bad), max(p.state, start+1)) - 1
	if !bad(i) && !(i > start && bad(i-1) && p.bad[i] != p.bad[i]) { // over by then: another episode
		return run{}
	}
	r := run{}
	ups, pairs, prev := 0, 0, math.NaN()
	for ; i >= 0; i-- {
		v := p.bad[i]
		if v != v {
			continue
		}
		if !bad(i) {
			break
		}
		if prev == prev {
			pairs++
			if prev > v {
				ups++
			}
		}
		prev = v
		r.n, r.from = r.n+1, p.from[i]
	}
	r.whole = i < half || i < 0
	r.climbs = pairs >= 3 && 10*ups >= 7*pairs
	return r
}
