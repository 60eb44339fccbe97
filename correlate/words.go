package correlate

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/triaged-dev/triaged/triage"
)

// clock is a time of day for people; every sentence is in UTC and says so once.
func clock(t time.Time) string { return t.UTC().Format("15:04:05") }

// span1 writes a duration the way people say it: 40 s, 5 min, 2 h 10 min, 3 d.
func span1(d ms) string {
	s := int64(math.Round(float64(max(d, -d)) / 1000))
	switch {
	case s < 90:
		return fmt.Sprintf("%d s", s)
	case s < 600 && s%60 != 0:
		return fmt.Sprintf("%d min %d s", s/60, s%60)
	case s < 5400:
		return fmt.Sprintf("%d min", (s+30)/60)
	case s < 48*3600 && s%3600 >= 60:
		return fmt.Sprintf("%d h %d min", s/3600, s%3600/60)
	case s < 48*3600:
		return fmt.Sprintf("%d h", s/3600)
	}
	return fmt.Sprintf("%d d", s/86400)
}

// number writes a figure with two or three digits that count.
func number(v float64) string {
	a := math.Abs(v)
	switch {
	case v != v:
		return "?"
	case a >= 1e6 || a < 1e-3 && a > 0:
		return strconv.FormatFloat(v, 'g', 2, 64)
	case a >= 100:
		return strconv.FormatFloat(math.Round(v), 'f', -1, 64)
	case a >= 10:
		return strconv.FormatFloat(math.Round(v*10)/10, 'f', -1, 64)
	case a >= 1:
		return strconv.FormatFloat(math.Round(v*100)/100, 'f', -1, 64)
	}
	return strconv.FormatFloat(v, 'g', 2, 64)
}

// quantity writes a raw value in a unit a reader knows where the metric's name gives one away, else as a number.
func quantity(p *prepared, v float64) string {
	if v != v {
		return "?"
	}
	name := p.src.Metric
	switch {
	case p.signal == triage.SignalErrors && p.ratio && p.floor == floorRatio:
		return percentage(v)
	case p.signal == triage.SignalLatency && strings.Contains(name, "seconds"):
		if v < 1 {
			return number(v*1000) + " ms"
		}
		return number(v) + " s"
	case strings.Contains(name, "percent"):
		return number(v) + " %"
	}
	return number(v)
}

func percentage(v float64) string {
	x := v * 100
	if x > 99 && x < 100 || x > 0 && x < 1 {
		return strconv.FormatFloat(math.Round(x*100)/100, 'f', -1, 64) + " %"
	}
	return strconv.FormatFloat(math.Round(x*10)/10, 'f', -1, 64) + " %"
}

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

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
	w := number(s.Percent) + " %"
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
		return fmt.Sprintf("%s of %s %s → %s from %s%s", measure(p), c.ch.Service, quantity(p, sh.before), quantity(p, sh.after), clock(m.abs(p.from[p.firstAfter(o.at)])), few)
	}
	not := "did not shift after it"
	if sh.nAfter == 1 { // the next one may show it
		not = "has not shifted yet"
	}
	return fmt.Sprintf("%s %s: %s %s → %s%s", c.ch.Service, not, measure(p), quantity(p, sh.before), quantity(p, sh.after), few)
}
