package web

import (
	"context"
	"fmt"
	"html/template"
	"slices"
	"time"

	"github.com/triaged-dev/triaged/triage"
	"github.com/triaged-dev/triaged/triage/say"
)

const (
	timelineBins = 240 // bars of a timeline that counts instead of naming
	densityHigh  = 46
	densityBins  = 96 // of 15 minutes each, over 24 h
)

// stretch is what a timeline shows: changes by name, or where Counts is set how many there were of each kind.
type stretch struct {
	From, To time.Time
	Changes  []triage.Change
	Counts   map[string][]int // by kind, in timelineBins bars
}

// draw draws the changes on an axis: each by name while they can be told apart, else counted in bars by kind.
func (l stretch) draw(width float64) *scene {
	a := axis{From: l.From, To: l.To}
	narrow := width < 600
	s := &scene{W: width, X0: 76, X1: width - 12, T0: l.From, T1: l.To}
	if narrow {
		s.X0 = 62
	}
	body := &scene{W: s.W, X0: s.X0, X1: s.X1, T0: l.From, T1: l.To}
	const top = 6.0
	y := top
	if l.Counts == nil {
		for _, c := range l.Changes {
			a.Marks = append(a.Marks, newMark(c))
		}
		slices.SortStableFunc(a.Marks, func(x, y mark) int { return x.From.Compare(y.From) })
		y = a.drawLanes(body, y, false)
	} else {
		y = drawCounts(body, l.Counts, y)
	}
	if y == top { // no lane and no row
		body.label("muted", "Nothing changed here, as far as I was told.", s.X0+8, y+16, "")
		y += 30
	}
	a.drawBackground(s, 0, y, narrow)
	s.add(body.shapes...)
	s.H = y + axisFoot
	return s
}

// drawCounts draws one row of bars for each kind; a bar's height says how many began within it.
func drawCounts(s *scene, counts map[string][]int, y float64) float64 {
	const high = 26
	most := 1
	for _, row := range counts {
		most = max(most, slices.Max(row))
	}
	for _, k := range triage.Kinds() {
		row := counts[string(k)]
		if len(row) == 0 {
			continue
		}
		s.line("rule", point{s.X0, y + high}, point{s.X1, y + high})
		s.label("lane", string(k), s.X0-8, y+high-6, "end")
		outline := []point{{s.X0, y + high}}
		for bin, n := range row {
			h := 0.0
			if n > 0 {
				h = max(2, float64(n)/float64(most)*(high-4))
			}
			x := s.X0 + float64(bin)*(s.X1-s.X0)/float64(len(row))
			if last := outline[len(outline)-1]; last.y != y+high-h { // one corner down or up; stretches of equal height are one
				outline = append(outline, point{x, last.y}, point{x, y + high - h})
			}
		}
		outline = append(outline, point{s.X1, outline[len(outline)-1].y}, point{s.X1, y + high})
		s.add(shape{kind: shapeArea, class: "bar-other", pts: outline})
		y += high + 6
	}
	return y
}

// sum adds counts up.
func sum(counts []int) (n int) {
	for _, c := range counts {
		n += c
	}
	return n
}

// density counts the changes of 24 hours around the stretch that is shown, in bars that lead to their quarter of an hour.
func (w *Web) density(ctx context.Context, shownFrom, shownTo time.Time, q triage.ChangeQuery) (template.HTML, error) {
	to := w.now().UTC()
	if q.To.Before(to.Add(-densitySpan)) {
		to = q.To.Add(densitySpan / 2)
	}
	const bin = densitySpan / densityBins
	to = to.Truncate(bin).Add(bin)
	from := to.Add(-densitySpan)
	q.From, q.To = from, to
	found, err := w.opts.Store.CountChanges(ctx, q, densityBins, triage.CountAll)
	if err != nil {
		return "", fmt.Errorf("count changes: %w", err)
	}
	counts, most := found[""], 1
	for _, n := range counts {
		most = max(most, n)
	}
	s := &scene{W: fullWidth, H: densityHigh + axisFoot, X0: 12, X1: fullWidth - 12, T0: from, T1: to}
	x0, x1 := max(s.X0, s.x(shownFrom)), min(s.X1, s.x(shownTo))
	if x1 > x0 {
		s.box("density-now", x0, 0, x1, densityHigh, 0)
	}
	for _, t := range timeTicks(from, to, 10) {
		s.clockLabel("tick", t, "m", s.x(t), densityHigh+15, "middle")
	}
	step := (s.X1 - s.X0) / densityBins
	for i, n := range counts {
		if n == 0 {
			continue
		}
		h := max(3, float64(n)/float64(most)*(densityHigh-6))
		x := s.X0 + float64(i)*step
		at := from.Add(time.Duration(i) * bin)
		s.add(shape{kind: shapeBox, class: "density", pts: []point{{x, densityHigh - h}, {x + step - 1, densityHigh}}, title: fmt.Sprintf("%s from %s UTC", say.Plural(n, "change", "changes"), at.Format("15:04"))})
	}
	s.line("frame", point{s.X0, densityHigh}, point{s.X1, densityHigh})
	return s.svg("axis density-axis", fmt.Sprintf("Density: %s in 24 hours", say.Plural(sum(counts), "change", "changes"))), nil
}
