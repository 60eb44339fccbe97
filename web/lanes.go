package web

import (
	"cmp"
	"slices"
	"strconv"

	"github.com/triaged-dev/triaged/triage"
	"github.com/triaged-dev/triaged/triage/say"
)

const (
	barHigh     = 8
	maxLaneRows = 7 // rows of one kind with labels; what does not fit goes into one more row, without its label
)

// placed is a mark with its pixels.
type placed struct {
	mark
	x0, x1  float64 // of the bar
	lo, hi  float64 // of the whiskers
	lx      float64 // of the label
	anchor  string
	row     int
	labeled bool
}

// drawLanes lays the changes out, one lane for each kind there is, and returns where they end.
func (a axis) drawLanes(s *scene, y float64, narrow bool) float64 {
	for _, kind := range triage.Kinds() {
		var ms []mark
		for _, m := range a.Marks {
			if m.Change.Kind == kind {
				ms = append(ms, m)
			}
		}
		if len(ms) == 0 {
			continue
		}
		lane := pack(s, ms)
		rows := 1
		for _, p := range lane {
			rows = max(rows, p.row+1)
		}
		s.line("rule", point{s.X0, y}, point{s.X1, y})
		if narrow {
			s.label("lane", string(kind), 0, y+13, "")
		} else {
			s.label("lane", string(kind), s.X0-8, y+15, "end")
		}
		for _, p := range lane {
			p.draw(s, y+float64(p.row)*laneRow+laneRow/2)
		}
		y += float64(rows) * laneRow
	}
	return y
}

// pack packs the marks of one kind into rows so that neither bars nor labels touch. Suspects are placed first.
func pack(s *scene, ms []mark) []placed {
	type taken struct{ from, to float64 }
	rows := make([][]taken, maxLaneRows)
	overflow := maxLaneRows
	free := func(row int, from, to float64) bool {
		return !slices.ContainsFunc(rows[row], func(t taken) bool { return from < t.to+8 && t.from-8 < to })
	}
	out := make([]placed, 0, len(ms))
	for _, m := range ms {
		p := placed{mark: m, labeled: true}
		clamp := func(x float64) float64 { return max(s.X0, min(s.X1, x)) }
		p.x0, p.x1 = clamp(s.x(m.From)), clamp(s.x(m.To))
		p.lo, p.hi = clamp(s.x(m.Lo)), clamp(s.x(m.Hi))
		left, right := min(p.x0, p.lo)-3, max(p.x1, p.hi)+3
		if m.Rank > 0 {
			left, right = left-8, max(right, p.x0+9)
		}
		w := textWidth(m.Label) + 6
		from, to := left, right+w
		p.lx = right + 4
		if to > s.X1 {
			from, to = left-w, right
			p.lx, p.anchor = left-4, "end"
			if from < s.X0 {
				p.labeled = false
				from, to = left, right
			}
		}
		p.row = -1
		for r := range rows {
			if free(r, from, to) {
				p.row = r
				break
			}
		}
		if p.row < 0 {
			p.row, p.labeled = overflow, false
		} else {
			rows[p.row] = append(rows[p.row], taken{from, to})
		}
		out = append(out, p)
	}
	// The least important is drawn first, so that suspects lie on top.
	slices.SortStableFunc(out, func(x, y placed) int { return cmp.Compare(importance(y.mark), importance(x.mark)) })
	return out
}

func (p placed) style() string {
	switch {
	case p.Rank > 0:
		return strconv.Itoa(p.Rank)
	case p.Role == roleUndo:
		return "undo"
	case p.Role == roleDuring:
		return "during"
	}
	return "other"
}

func (p placed) draw(s *scene, y float64) {
	style, group := p.style(), ""
	if p.Rank > 0 {
		group = strconv.Itoa(p.Rank)
		s.add(shape{kind: shapeLine, class: "hair-" + style, pts: []point{{p.x0, s.Top}, {p.x0, y}}, mark: group})
	}
	title := say.Change(p.Change) + ", " + p.From.UTC().Format("15:04:05")
	if p.To.After(p.From) {
		title += "–" + p.To.UTC().Format("15:04:05")
	}
	title += " UTC"
	if p.hi-p.lo > 2 {
		title += ", its start is uncertain"
		s.add(
			shape{kind: shapeLine, class: "whisker-" + style, pts: []point{{p.lo, y}, {p.hi, y}}, mark: group, title: title},
			shape{kind: shapeLine, class: "whisker-" + style, pts: []point{{p.lo, y - 4}, {p.lo, y + 4}}, mark: group},
			shape{kind: shapeLine, class: "whisker-" + style, pts: []point{{p.hi, y - 4}, {p.hi, y + 4}}, mark: group},
		)
	}
	if p.x1-p.x0 < 4 {
		s.add(shape{kind: shapeArea, class: "bar-" + style, mark: group, title: title, pts: []point{{p.x0, y - 5.5}, {p.x0 + 5.5, y}, {p.x0, y + 5.5}, {p.x0 - 5.5, y}}})
	} else {
		s.add(shape{kind: shapeBox, class: "bar-" + style, mark: group, title: title, pts: []point{{p.x0, y - barHigh/2}, {p.x1, y + barHigh/2}}, r: 2})
	}
	if p.Rank > 0 {
		badge(s, p.Rank, p.x0, y, 7.5)
	}
	if p.labeled {
		s.add(shape{kind: shapeText, class: "mark-text mark-text-" + style, text: p.Label, pts: []point{{p.lx, y + 4}}, anchor: p.anchor, mark: group})
	}
}
