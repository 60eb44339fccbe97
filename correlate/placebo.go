package correlate

import (
	"fmt"
	"time"

	"github.com/triaged-dev/triaged/triage"
)

// The learned null. How often such a shift follows an innocent change here is asked of the installation: after changes that no
// incident followed, and at quiet times, the same signals of the same service were measured as they are measured now. The shipped
// share of services that shift for reasons of their own (origin.noise) stands in for placeboPrior such occasions, so that a few say
// little and forty say nearly all: P = (origin.noise · prior + as large) / (prior + occasions), the mean of a Beta posterior.
const (
	placeboPrior = 25.0
	placeboAlike = 2.0 / 3 // a shift of two thirds is as large, as well as either is measured
	placeboTold  = 5       // from so many occasions on the sentence says so
)

// placeboFirst and placeboSpan end the first minute after a change and the minutes after it.
const (
	placeboFirst = ms(60_000)
	placeboSpan  = ms(300_000)
)

// placeboKey is what occasions are told apart by.
type placeboKey struct {
	service string
	signal  triage.Signal
	after   triage.PlaceboAfter
	minute  triage.PlaceboMinutes
}

func (m *ranking) loadPlacebo() {
	if len(m.in.Placebo) == 0 {
		return
	}
	m.placebo = make(map[placeboKey]*triage.Placebo, len(m.in.Placebo))
	for i := range m.in.Placebo {
		p := &m.in.Placebo[i]
		m.placebo[placeboKey{p.Service, p.Signal, p.After, p.Minute}] = p
	}
}

// learned is what occasions here say of a shift: how many there were, and in how many it shifted as much.
type learned struct {
	n, alike int
	signal   triage.Signal
	after    triage.PlaceboAfter
	minute   triage.PlaceboMinutes
}

// share is how often a service does so, where prior is how often services do.
func (l learned) share(prior float64) float64 {
	return (float64(placeboPrior*prior) + float64(l.alike)) / (placeboPrior + float64(l.n))
}

// learnedAt compares the service's clearest shift at t with the occasions of its kind: after the change c of it, else after the last
// change of it before t, else at quiet times.
func (m *ranking) learnedAt(name string, t ms, c *candidate) learned {
	s := m.services[name]
	if m.placebo == nil || s == nil {
		return learned{}
	}
	if c == nil {
		c = m.lastChange(name, t)
	}
	key := placeboKey{service: name, after: triage.PlaceboQuiet}
	if c != nil {
		key.after, key.minute = PlaceboAfterOf(c.ch.Kind), triage.PlaceboLater
		if t < c.act.last+placeboFirst {
			key.minute = triage.PlaceboFirst
		}
	}
	signal, z := m.clearest(s, t)
	key.signal = signal
	p := m.placebo[key]
	if p == nil || z <= 0 {
		return learned{}
	}
	return learned{n: len(p.Shifts), alike: p.AtLeast(float64(placeboAlike * z)), signal: signal, after: key.after, minute: key.minute}
}

// PlaceboAfterOf says what a change of the kind is an occasion of.
func PlaceboAfterOf(k triage.Kind) triage.PlaceboAfter {
	if restarts(k) {
		return triage.PlaceboDeploy
	}
	return triage.PlaceboOther
}

// lastChange is the latest change of the service that acted in the five minutes before t, nil where there is none.
func (m *ranking) lastChange(name string, t ms) *candidate {
	var last *candidate
	for _, c := range m.candidates {
		if c.ch.Service == name && c.act.first <= t && t < c.act.last+placeboSpan && (last == nil || c.act.first > last.act.first) {
			last = c
		}
	}
	return last
}

// clearest is the signal on which the service shifted most at t, weighed by the share of faults that show there, and by how many
// deviations.
func (m *ranking) clearest(s *service, t ms) (signal triage.Signal, z float64) {
	top := 0.0
	for i, group := range s.signals {
		for _, p := range group {
			if k := p.firstAfter(t); !p.part && k < len(p.bad) {
				if l := exp(p.logSplit(k, &m.w)) * m.share(i); l > top {
					top, signal, z = l, p.signal, p.shiftAt(k, &m.w).z
				}
			}
		}
	}
	return signal, z
}

// words says what was learned, "" where too little was.
func (l learned) words(name string) string {
	if l.n < placeboTold {
		return ""
	}
	what := map[triage.PlaceboAfter]string{triage.PlaceboDeploy: "rollout", triage.PlaceboOther: "change"}[l.after]
	if what == "" {
		if l.alike == 0 {
			return fmt.Sprintf("it never did so at %s of its quiet times", plural(l.n, "look"))
		}
		return fmt.Sprintf("it did as much at %d of %s of its quiet times", l.alike, plural(l.n, "look"))
	}
	when := "in the minutes after"
	if l.minute == triage.PlaceboFirst {
		when = "in its first minute"
	}
	if l.alike == 0 {
		return fmt.Sprintf("none of the last %s of %s that nothing followed moved %s so much %s", plural(l.n, what), name, l.signal, when)
	}
	return fmt.Sprintf("%d of the last %s of %s that nothing followed moved %s as much %s", l.alike, plural(l.n, what), name, l.signal, when)
}

// MeasurePlacebo says how far each signal of the service shifted on one occasion when nothing was wrong: after the change, or where
// change is nil at the time t. Series reach from well before t to until, no more than six minutes after; what was not measured is
// absent. Nothing of it looks at a clock.
func MeasurePlacebo(series []triage.Series, name string, change *triage.Change, t, until time.Time) []triage.Placebo {
	in := Input{At: until, Series: series, Scope: triage.Scope{Service: name}}
	if change != nil {
		in.Changes = []triage.Change{*change}
	}
	m := &ranking{in: in, cfg: DefaultConfig(), w: DefaultWeights(), at: until, services: make(map[string]*service), scope: in.Scope}
	m.loadSeries()
	s := m.services[name]
	if s == nil {
		return nil
	}
	var out []triage.Placebo
	measure := func(after triage.PlaceboAfter, minute triage.PlaceboMinutes, from, to ms) {
		for _, group := range s.signals {
			best, signal := -1.0, triage.Signal("")
			for _, p := range group {
				if z, ok := p.mostIn(from, to, &m.w); ok && !p.part && z > best {
					best, signal = z, p.signal
				}
			}
			if best >= 0 {
				out = append(out, triage.Placebo{Service: name, Signal: signal, After: after, Minute: minute, Shifts: []float64{best}})
			}
		}
	}
	if change == nil {
		measure(triage.PlaceboQuiet, "", m.rel(t), m.rel(t))
		return out
	}
	act, after := m.actingOf(&in.Changes[0]), PlaceboAfterOf(change.Kind)
	measure(after, triage.PlaceboFirst, act.first, act.last+placeboFirst-1)
	measure(after, triage.PlaceboLater, act.last+placeboFirst, act.last+placeboSpan)
	return out
}

// placeboSeen is how long after its beginning a shift is looked at: a page comes about then, and what is over later was on.
const placeboSeen = ms(60_000)

// mostIn is the largest shift that begins from from to to, in deviations, seen a minute later; 0 where none was for the worse, or none
// that could be felt.
func (p *prepared) mostIn(from, to ms, w *Weights) (z float64, ok bool) {
	first, span := p.firstAfter(from), max(1, int(placeboSeen/p.step))
	for k := first; k < len(p.bad) && (p.from[k] <= to || k == first); k++ {
		then := *p // as it was then
		then.bad = p.bad[:min(len(p.bad), k+span)]
		if sh := then.shiftAt(k, w); sh.observed {
			ok = true
			if !sh.small {
				z = max(z, sh.z)
			}
		}
	}
	return z, ok
}
