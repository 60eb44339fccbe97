package correlate

import (
	"fmt"
	"time"

	"github.com/triaged-dev/triaged/triage"
	"github.com/triaged-dev/triaged/triage/say"
)

// clock is a time of day for people; every sentence is in UTC and says so once.
func clock(t time.Time) string { return say.Clock(t) }

// span1 writes a duration the way people say it, without its sign.
func span1(d ms) string { return say.Span(d.duration()) }

// quantity writes a raw value of a series.
func quantity(p *prepared, v float64) string { return say.Quantity(v, p.src.Measured()) }

func number(v float64) string { return say.Number(v) }

func plural(n int, noun string) string { return say.Count(n, noun) }

func orUnknown(s string) string {
	if s == "" {
		return "the alerting service"
	}
	return s
}

// timingSentence says when the change began and how that lies to the onset.
func (m *ranking) timingSentence(c *candidate) string {
	start := m.abs(c.act.start)
	verb := "began at " + clock(start)
	if !c.act.known {
		verb = fmt.Sprintf("ended at %s, its start was not reported", clock(m.abs(c.act.last)))
	}
	at := c.act.start
	if n := len(c.ch.Steps); n > 0 {
		if step, ok := m.lastStep(c); ok {
			at = m.rel(step.At)
			verb += fmt.Sprintf(", reached %s at %s", stepWord(step), clock(step.At))
		}
	}
	if !c.act.known {
		at = c.act.last
	}
	d := m.onset.best - at
	switch {
	case d < -1000:
		return fmt.Sprintf("%s, %s after the likeliest onset but inside its uncertainty", verb, span1(d))
	default:
		return fmt.Sprintf("%s, %s before the onset", verb, span1(d))
	}
}

// lastStep is the last step before the onset's latest.
func (m *ranking) lastStep(c *candidate) (triage.Step, bool) {
	var out triage.Step
	found := false
	for _, s := range sortedSteps(c.ch.Steps) {
		if m.rel(s.At) <= m.onset.latest {
			out, found = s, true
		}
	}
	return out, found
}

func stepWord(s triage.Step) string {
	w := say.Number(s.Percent) + " %"
	if s.Percent == 0 {
		w = "a stage"
	}
	if s.Region != "" {
		w += " of " + s.Region
	}
	return w
}

// ownSentence says what the changed service's clearest series did.
func (m *ranking) ownSentence(c *candidate) string {
	o := &c.own
	p, sh := o.best, o.shift
	few := ""
	switch sh.nAfter {
	case 1:
		few = ", one sample"
	case 2:
		few = ", two samples"
	}
	if sh.usedRef {
		few += ", against quiet days"
	}
	if sh.small {
		few += ", too little to be felt at the symptom"
	}
	if sh.z > 2 {
		if here := o.learned.words(c.ch.Service); here != "" {
			few += "; " + here
		}
		return fmt.Sprintf("%s of %s %s → %s from %s%s", measure(p), c.ch.Service, quantity(p, sh.before), quantity(p, sh.after), clock(m.abs(p.from[p.firstAfter(o.at)])), few)
	}
	not := "did not shift after it"
	if sh.nAfter == 1 { // the next one may show it
		not = "has not shifted yet"
	}
	return fmt.Sprintf("%s %s: %s %s → %s%s", c.ch.Service, not, measure(p), quantity(p, sh.before), quantity(p, sh.after), few)
}
