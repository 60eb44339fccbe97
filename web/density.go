package web

import (
	"context"
	"fmt"
	"html/template"
	"slices"
	"time"

	"github.com/triaged-dev/triaged/triage"
)

const (
	crowded     = 150 // changes above which a timeline counts instead of naming
	timelineBin = 4.0 // CSS pixels of one bar of a crowded timeline
	densityHigh = 46
	densityBins = 96 // of 15 minutes each, over 24 h
)

// timeline draws changes on an axis: each by name while they can be told apart, else counted in bars by kind.
func timeline(found []triage.Change, from, to time.Time, width float64) *scene {
	a := axis{From: from, To: to}
	if len(found) <= crowded {
		for _, c := range found {
			a.Marks = append(a.Marks, newMark(c))
		}
		slices.SortStableFunc(a.Marks, func(x, y mark) int { return x.From.Compare(y.From) })
	}
	narrow := width < 600
	s := &scene{W: width, X0: 76, X1: width - 12, T0: from, T1: to}
	if narrow {
		s.X0 = 62
	}
	body := &scene{W: s.W, X0: s.X0, X1: s.X1, T0: from, T1: to}
	y := 6.0
	if len(found) <= crowded {
		y = a.drawLanes(body, y, false)
	} else {
		y = drawCounts(body, found, y)
	}
	if len(found) == 0 {
		body.label("muted", "Nothing changed here, as far as I was told.", s.X0+8, y+16, "")
		y += 30
	}
	a.drawBackground(s, 0, y, narrow)
	s.add(body.shapes...)
	s.H = y + axisFoot
	return s
}

// drawCounts draws one row of bars for each kind; a bar's height says how many began within its pixels.
func drawCounts(s *scene, found []triage.Change, y float64) float64 {
	const high = 26
	counts := make(map[triage.Kind]map[int]int)
	most := 1
	for _, c := range found {
		x := s.x(c.OccurredAt())
		if x < s.X0 || x > s.X1 {
			continue
		}
		if counts[c.Kind] == nil {
			counts[c.Kind] = make(map[int]int)
		}
		bin := int((x - s.X0) / timelineBin)
		counts[c.Kind][bin]++
		most = max(most, counts[c.Kind][bin])
	}
	for _, k := range triage.Kinds() {
		if len(counts[k]) == 0 {
			continue
		}
		s.line("rule", point{s.X0, y + high}, point{s.X1, y + high})
		s.label("lane", string(k), s.X0-8, y+high-6, "end")
		outline := []point{{s.X0, y + high}}
		for bin := range int((s.X1-s.X0)/timelineBin) + 1 {
			h, n := 0.0, counts[k][bin]
			if n > 0 {
				h = max(2, float64(n)/float64(most)*(high-4))
			}
			x := s.X0 + float64(bin)*timelineBin
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

// density counts the changes of 24 hours around the stretch that is shown, in bars that lead to their quarter of an hour.
func (w *Web) density(ctx context.Context, v *changesView, q triage.ChangeQuery) (template.HTML, error) {
	to := w.now().UTC()
	if q.To.Before(to.Add(-densitySpan)) {
		to = q.To.Add(densitySpan / 2)
	}
	const bin = densitySpan / densityBins
	to = to.Truncate(bin).Add(bin)
	from := to.Add(-densitySpan)
	q.From, q.To = from, to
	found, _, err := w.findAll(ctx, q)
	if err != nil {
		return "", err
	}
	counts := make([]int, densityBins)
	most := 1
	for _, c := range found {
		if i := int(c.OccurredAt().Sub(from) / bin); i >= 0 && i < densityBins {
			counts[i]++
			most = max(most, counts[i])
		}
	}
	s := &scene{W: fullWidth, H: densityHigh + axisFoot, X0: 12, X1: fullWidth - 12, T0: from, T1: to}
	x0, x1 := max(s.X0, s.x(v.From)), min(s.X1, s.x(v.To))
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
		s.add(shape{kind: shapeBox, class: "density", pts: []point{{x, densityHigh - h}, {x + step - 1, densityHigh}}, title: fmt.Sprintf("%s from %s UTC", plural(n, "change", "changes"), at.Format("15:04"))})
	}
	s.line("frame", point{s.X0, densityHigh}, point{s.X1, densityHigh})
	return s.svg("axis density-axis", fmt.Sprintf("Density: %s in 24 hours", plural(len(found), "change", "changes"))), nil
}
