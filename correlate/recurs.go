package correlate

import (
	"fmt"
	"time"
)

// recursMost is how many earlier episodes count at most: an alert that flaps all day still fires for a reason now and then.
const recursMost = 15

// clearsAlone is within what time an alert must have cleared for nobody to have had to mend anything.
const clearsAlone = 30 * time.Minute

// recurs adds what earlier episodes say: trouble that has come and gone by itself so many times does so again. What the
// series show of the last hours and what the alert did over two weeks are the same trouble, so the stronger counts.
func (m *ranking) recurs(n *none) {
	if m.w.NoneRecurs == 0 {
		return
	}
	fired, cleared := m.firings()
	bumps := 0
	for _, p := range m.symptom {
		bumps = max(bumps, p.bumps(m.onset.earliest))
	}
	if bumps < 3 {
		bumps = 0 // one or two may be anything
	}
	count := min(max(bumps, cleared), recursMost)
	if count == 0 {
		return
	}
	text := fmt.Sprintf("the same came and went %d times in the hours before", bumps)
	if cleared >= bumps {
		text = fmt.Sprintf("this alert fired %s in 14 d, %d of them cleared by themselves within %s", plural(fired, "time"), cleared, span1(ms(clearsAlone.Milliseconds())))
	}
	n.add(m, "recurs", float64(m.w.NoneRecurs*ln(float64(1+count))), text)
}

// firings counts earlier firings of the alert, and those among them that cleared soon. Firings that touch each other are one.
func (m *ranking) firings() (fired, cleared int) {
	seen := make(map[time.Time]bool, len(m.in.Earlier))
	for i := range m.in.Earlier {
		a := &m.in.Earlier[i]
		if seen[a.StartsAt] || !m.alert.StartsAt.IsZero() && !a.StartsAt.Before(m.alert.StartsAt) {
			continue
		}
		seen[a.StartsAt] = true
		fired++
		if d := a.EndsAt.Sub(a.StartsAt); !a.EndsAt.IsZero() && !a.EndsAt.After(m.at) && d <= clearsAlone {
			cleared++
		}
	}
	return fired, cleared
}

// bumps counts the episodes before t that were at least half as bad as what came after it, and that had ended by then.
func (p *prepared) bumps(t ms) int {
	k := p.firstAfter(t)
	if k < 10 || k >= len(p.bad) {
		return 0
	}
	end := min(len(p.bad), max(p.state, k+1))
	med, mad, n := medianMAD(p.bad[:k], make([]float64, 0, k))
	loc, spread := p.baseline(med, mad, n)
	worst := loc
	for _, v := range p.bad[k:end] {
		if v == v {
			worst = max(worst, v)
		}
	}
	bar := loc + max(float64(4*spread), float64(0.5*(worst-loc)))
	if loc != loc || worst < bar {
		return 0
	}
	count, in := 0, true // what is bad from the first sample on did not begin here
	for _, v := range p.bad[:k] {
		switch {
		case v != v:
		case v >= bar && !in:
			count, in = count+1, true
		case v < loc+float64(0.5*(bar-loc)):
			in = false
		}
	}
	if in && count > 0 {
		count-- // still on: this is the trouble itself
	}
	return count
}
