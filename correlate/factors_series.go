package correlate

import (
	"fmt"

	"github.com/triaged-dev/triaged/triage"
	"github.com/triaged-dev/triaged/triage/say"
)

// ownFactor: what the changed service's own series did from the change on. Positive is direct evidence; three samples that
// had shifted alike before it began are a veto.
func (m *ranking) ownFactor(c *candidate) finding {
	if c.ch.Service == "" {
		return finding{}
	}
	c.own = m.ownShiftOf(c)
	o := &c.own
	if o.observed && o.best == nil && o.anomaly != nil {
		a := o.anomaly.src
		n := m.ownNats(c)
		return finding{nats: n, direct: n > 1, of: c.ch.Service, say: func() string {
			return fmt.Sprintf("%s of %s left its range at %s: %s → %s",
				a.Series, c.ch.Service, clock(a.Onset.Best), say.Quantity(a.From, a.Measured()), say.Quantity(a.To, a.Measured()))
		}}
	}
	if !o.observed || o.best == nil {
		return finding{}
	}
	if o.earlier >= 3 && o.shift.after >= 0 {
		return finding{
			nats: m.w.OwnVeto, veto: true, about: o.best, before: o.shift.before, after: o.shift.after,
			say: func() string {
				return fmt.Sprintf("%s of %s had been bad for %s before it began", measure(o.best), c.ch.Service, plural(o.earlier, "sample"))
			},
		}
	}
	n := m.ownNats(c)
	f := finding{nats: n, about: o.best, before: o.shift.before, after: o.shift.after, say: func() string { return m.ownSentence(c) }}
	f.direct = n > 1 && o.shift.z > 3 && !o.shift.small
	if c.ch.Service == m.scope.Service { // it shifts whatever the cause: that speaks for its change where nothing it calls did
		f.direct = false
		if o.ratio > 3 && o.shift.z > 3 {
			f.nats = sinceIt
		}
		if m.calleesStill(c.ch.Service) && (o.shift.z > 3 && !o.shift.small || m.symptomClear()) {
			f.nats, f.direct = sinceIt, true
		}
	}
	return f
}

// sinceIt is what it says for a change of the alerting service that the service shifted since: next to nothing, for it shifts
// whatever the cause, but more than timing alone.
const sinceIt = 0.002

// symptomClear reports whether the alert's own series left their range at the onset, so clearly that no noise does it.
func (m *ranking) symptomClear() bool {
	p, sh := m.clearestSymptom()
	return p != nil && sh.z > 3 && !sh.small
}

// calleesStill reports whether all that a service calls, as far as is known, is measured and did not shift with the symptom. A
// sample that began before the onset shows no stillness: what died in its course looks well in it.
func (m *ranking) calleesStill(name string) bool {
	callees := m.in.Topology.Callees(name)
	for _, callee := range callees {
		s := m.services[callee]
		if s == nil || m.ratioAtOnset(callee) >= 1 || !s.seenWhole(m.onset.best) {
			return false
		}
	}
	return len(callees) > 0
}

// seenWhole reports whether any of the service's series has a sample that lies after t as a whole.
func (s *service) seenWhole(t ms) bool {
	for _, group := range s.signals {
		for _, p := range group {
			for k := p.firstAfter(t); k < len(p.bad); k++ {
				if p.from[k] >= t && p.bad[k] == p.bad[k] {
					return true
				}
			}
		}
	}
	return false
}

// ownNats is what the shift of the changed service says for an origin there.
func (m *ranking) ownNats(c *candidate) float64 {
	base := m.ownBase(c.ch.Service)
	if base < 1 && m.placebo != nil && m.up[c.ch.Service] == 0 { // as often as such a shift follows an innocent change here
		l := m.learnedAt(c.ch.Service, c.own.at, c)
		c.own.learned = l
		base = m.suffers(c.ch.Service, max(l.share(m.w.OriginNoise), m.unplacedBase(c.ch.Service)))
	}
	return explained(c.own.ratio, max(m.w.OriginShows, base), base)
}

// cascadeFactor: the shifts of callers that a fault here would explain; for a change that reaches everything, all shifts.
func (m *ranking) cascadeFactor(c *candidate) finding {
	if len(m.names) == 0 {
		return finding{}
	}
	if c.place == placeGlobal || c.place == placeNoService {
		log, shifted, seen := m.breadth()
		if seen == 0 {
			return finding{}
		}
		return finding{nats: log, direct: witnessed(shifted, seen), say: func() string {
			return fmt.Sprintf("services that shifted with the symptom: %d of %d watched", shifted, seen)
		}}
	}
	log, shifted, seen := m.cascadeCached(c.ch.Service)
	if seen == 0 {
		return finding{}
	}
	r := 1.0
	if c.own.observed {
		r = c.own.ratio
	}
	return finding{nats: believed(log, r), of: c.ch.Service, direct: !c.own.observed && witnessed(shifted, seen), say: func() string {
		return fmt.Sprintf("callers of %s that shifted with the symptom: %d of %d", c.ch.Service, shifted, seen)
	}}
}

// witnessed reports whether what a change reaches was seen to move: three services at least, and most of those watched. It
// stands for a measurement of the changed thing where that has none of its own.
func witnessed(shifted, seen int) bool { return shifted >= 3 && 2*shifted > seen }

// measure names what a series measures, for a sentence.
func measure(p *prepared) string { return say.Measure(p.signal, p.better(), p.src.Metric) }

// better is which way the series is good, as it is read.
func (p *prepared) better() triage.Better {
	if p.dir < 0 {
		return triage.BetterHigher
	}
	return p.src.Better
}
