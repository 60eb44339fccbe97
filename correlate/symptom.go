package correlate

import (
	"fmt"
	"math"
	"slices"

	"github.com/triaged-dev/triaged/triage"
	"github.com/triaged-dev/triaged/triage/say"
)

// symptomSummary says what the alert's own series did, in a sentence for the headline.
func (m *ranking) symptomSummary() triage.SymptomSummary {
	out := triage.SymptomSummary{Service: m.scope.Service}
	since := m.abs(m.onset.best)
	paged := ""
	if !m.alert.StartsAt.IsZero() {
		paged = fmt.Sprintf(" (paged %s)", say.Minute(m.alert.StartsAt))
	}
	name := m.alert.Name()
	if name == "" {
		name = "trouble"
	}
	p, sh := m.clearestSymptom()
	if p == nil {
		out.Sentence = fmt.Sprintf("%s on %s since about %s UTC%s", name, orUnknown(m.scope.Service), clock(since), paged)
		return out
	}
	out.Signal, out.Metric, out.Unit, out.Better = p.signal, p.src.Metric, p.src.Measured(), p.better()
	before, now := sh.before, sh.after
	if last := p.lastSeen(); last == last {
		now = last
	}
	out.Before, out.Now, out.Trend = &before, &now, p.trend()
	peak := now
	if worst, ok := p.worstSince(m.onset.best); ok && float64(p.dir)*(worst-now) > 0 {
		peak = worst
	}
	out.Peak = &peak
	what := measure(p)
	if m.scope.Service != "" {
		what = m.scope.Service + " " + what
	}
	out.Sentence = fmt.Sprintf("%s %s → %s since %s UTC%s", what, quantity(p, before), quantity(p, peak), clock(since), paged)
	if math.Abs(peak-before) > 2*math.Abs(now-before) { // going back: the headline keeps how bad it was
		out.Sentence += ", now " + quantity(p, now)
	}
	return out
}

// worstSince is the worst raw value since the onset, ok where there is one and the series has a bad side.
func (p *prepared) worstSince(t ms) (worst float64, ok bool) {
	if p.twoWay {
		return 0, false
	}
	bad := math.Inf(-1)
	for i := p.firstAfter(t); i < len(p.bad) && i < len(p.raw); i++ {
		if v := p.bad[i]; v == v && p.raw[i] == p.raw[i] && v > bad {
			bad, worst, ok = v, p.raw[i], true
		}
	}
	return worst, ok
}

// clearestSymptom is the symptom's series that shifted most at the onset, nil where none was observed.
func (m *ranking) clearestSymptom() (*prepared, shift) {
	var best *prepared
	var bestShift shift
	for _, p := range m.symptom {
		// The series may only show it one sample after the onset: look at the onset and at its latest.
		for _, t := range [...]ms{m.onset.best, m.onset.latest - p.step} {
			sh := p.shiftAt(p.firstAfter(t), &m.w)
			if sh.observed && (best == nil || sh.log > bestShift.log+1e-9) {
				best, bestShift = p, sh
			}
		}
	}
	return best, bestShift
}

// lastSeen is the latest raw value that is no gap.
func (p *prepared) lastSeen() float64 {
	for _, v := range slices.Backward(p.raw) {
		if v == v {
			return v
		}
	}
	return math.NaN()
}

// trend compares the last sample with the one two before it, against half a robust deviation of the series.
func (p *prepared) trend() string {
	var last [3]float64
	n := 0
	for i := len(p.bad) - 1; i >= 0 && n < 3; i-- {
		if v := p.bad[i]; v == v {
			last[n] = v
			n++
		}
	}
	if n < 3 {
		return ""
	}
	usual, mad, _ := medianMAD(p.bad, make([]float64, 0, len(p.bad)))
	// A wobble of a sixth of the whole rise is noise of the new level, however quiet the old one was.
	bar := max(mad/2, p.floor, math.Abs(last[0]-usual)/6)
	d := float64(p.dir * (last[0] - last[2]))
	switch {
	case d > bar:
		return "rising"
	case d < -bar:
		return "falling"
	}
	return "steady"
}
