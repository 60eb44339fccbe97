package web

import (
	"math"
	"slices"
	"strconv"
	"time"

	"github.com/triaged-dev/triaged/triage"
	"github.com/triaged-dev/triaged/triage/say"
)

// Measures of the picture, in CSS pixels.
const (
	wideWidth   = 920  // beside the card
	fullWidth   = 1290 // across the page
	narrowWidth = 420
	flagRow     = 15
	symptomHigh = 132
	ownHigh     = 58
	panelGap    = 28 // above each panel, for its title
	laneRow     = 22
	axisFoot    = 22
)

// draw lays the axis out at a width. Narrow pictures have the lane names above the lanes instead of beside them.
func (a axis) draw(width float64) *scene {
	narrow := width < 600
	s := &scene{W: width, X0: 62, X1: width - 12, T0: a.From, T1: a.To}
	if narrow {
		s.X0 = 40
	}
	y := a.drawHead(s, 0)
	top := y
	rows := a.placeFlags(s)
	y += float64(rows)*flagRow + 6
	plotTop := y
	body := &scene{W: s.W, X0: s.X0, X1: s.X1, T0: s.T0, T1: s.T1, Top: plotTop}
	for i, p := range a.Panels {
		h := float64(ownHigh)
		if i == 0 {
			h = symptomHigh
		}
		y += panelGap
		p.draw(body, y, h, narrow)
		y += h
	}
	if len(a.Panels) == 0 {
		y += panelGap
		body.label("muted", "No series is stored with this report.", s.X0+8, y, "")
		y += 14
	}
	y = a.drawLanes(body, y+12, narrow)
	a.drawBackground(s, plotTop, y, narrow)
	rowOf := a.flagRows(s)
	for i, f := range a.Flags { // behind everything that is written
		s.line("flag-"+f.Class, point{s.x(f.At), top + float64(rowOf[i])*flagRow + 2}, point{s.x(f.At), y})
	}
	s.add(body.shapes...)
	a.drawFlags(s, top)
	s.H = y + axisFoot
	return s
}

func (a axis) drawHead(s *scene, y float64) float64 {
	for i, l := range a.Head {
		class := "head2"
		y += 22
		if i == 0 {
			class, y = "head", y+6
		}
		s.label(class, l, 14, y, "")
	}
	if len(a.Head) > 0 {
		y += 14
	}
	return y
}

// drawBackground is the onset, the round times and the frame, behind everything.
func (a axis) drawBackground(s *scene, top, bottom float64, narrow bool) {
	n := 10
	if narrow {
		n = 5
	}
	for _, t := range timeTicks(a.From, a.To, n) {
		x := s.x(t)
		s.line("grid", point{x, top}, point{x, bottom})
		s.clockLabel("tick", t, tickLayout(a.From, a.To), x, bottom+15, "middle")
	}
	if !a.Onset.Best.IsZero() {
		x0, x1 := s.x(a.Onset.Earliest), s.x(a.Onset.Latest)
		if x1-x0 < 3 {
			x0, x1 = x0-1.5, x1+1.5
		}
		sh := shape{kind: shapeBox, class: "onset", pts: []point{{max(x0, s.X0), top}, {min(x1, s.X1), bottom}}}
		sh.title = "The trouble began between " + a.Onset.Earliest.UTC().Format("15:04:05") + " and " + a.Onset.Latest.UTC().Format("15:04:05") + " UTC"
		s.add(sh)
	}
	s.line("frame", point{s.X0, bottom}, point{s.X1, bottom})
}

// flagRows are where the labels of the flags go, so that none covers another.
func (a axis) placeFlags(s *scene) int {
	rows := 1
	for _, r := range a.flagRows(s) {
		rows = max(rows, r+1)
	}
	return rows
}

func (a axis) flagRows(s *scene) []int {
	ends := []float64{}
	out := make([]int, len(a.Flags))
	for i, f := range a.Flags {
		x, w := s.x(f.At), textWidth(f.Label)+58
		if x+w > s.X1 { // it is written to the left of its line
			x -= w
		}
		row := slices.IndexFunc(ends, func(end float64) bool { return end+6 <= x })
		if row < 0 {
			row, ends = len(ends), append(ends, 0)
		}
		ends[row], out[i] = x+w, row
	}
	return out
}

// drawFlags writes what the flags are.
func (a axis) drawFlags(s *scene, top float64) {
	rows := a.flagRows(s)
	for i, f := range a.Flags {
		x, y := s.x(f.At), top+float64(rows[i])*flagRow+11
		tx, anchor, w := x+4, "", textWidth(f.Label)+58
		if x+w > s.X1 {
			tx, anchor = x-4, "end"
		}
		if anchor == "" {
			s.label("flag-text flag-text-"+f.Class, f.Label, tx, y, anchor)
			s.clockLabel("tick", f.At, "s", tx+textWidth(f.Label)+5, y, "")
		} else {
			s.clockLabel("tick", f.At, "s", tx, y, "end")
			s.label("flag-text flag-text-"+f.Class, f.Label, tx-52, y, "end")
		}
	}
}

// draw lays out one signal with its scale from y to y+h.
func (p panel) draw(s *scene, y, h float64, narrow bool) {
	lo, hi := p.scale(s.T0, s.T1)
	at := func(v float64) float64 { return y + h - h*(v-lo)/(hi-lo) }
	mids := 2
	if h < 80 {
		mids = 1
	}
	for i := range mids + 1 {
		v := lo + (hi-lo)*float64(i)/float64(mids)
		s.line("rule", point{s.X0, at(v)}, point{s.X1, at(v)})
		s.label("tick", say.Quantity(v, p.Unit), s.X0-6, at(v)+4, "end")
	}
	tx := s.X0
	for i, r := range p.Ranks {
		badge(s, r, tx+8, y-11, 7.5)
		tx += 19
		if i == len(p.Ranks)-1 {
			tx += 2
		}
	}
	s.label("panel-title", p.Title, tx, y-7, "")
	tx += 1.14*textWidth(p.Title) + 12
	for _, l := range p.Lines {
		if l.Label == "" || tx+textWidth(l.Label) > s.X1 {
			continue
		}
		s.label(p.lineClass(l)+"-text", l.Label, tx, y-7, "")
		tx += textWidth(l.Label) + 10
	}
	if !narrow && p.Metric != p.Title && tx+textWidth(p.Metric)+20 < s.X1 {
		s.label("metric", p.Metric, tx, y-7, "")
	}
	if p.Threshold != nil && *p.Threshold >= lo && *p.Threshold <= hi {
		ty := at(*p.Threshold)
		s.line("threshold", point{s.X0, ty}, point{s.X1, ty})
		s.label("threshold-text", "alert above "+say.Quantity(*p.Threshold, p.Unit), s.X0+6, ty-4, "")
	}
	for _, l := range slices.Backward(p.Lines) {
		for _, run := range runs(l.Series, s.T0, s.T1) {
			pts := make([]point, len(run))
			for i, q := range run {
				pts[i] = point{s.x(q.t), at(q.v)}
			}
			if !l.Muted && len(pts) > 1 {
				base := at(max(lo, min(hi, 0)))
				area := slices.Concat([]point{{pts[0].x, base}}, pts, []point{{pts[len(pts)-1].x, base}})
				s.add(shape{kind: shapeArea, class: p.lineClass(l) + "-area", pts: area})
			}
			s.line(p.lineClass(l), pts...)
		}
	}
}

func (p panel) lineClass(l plot) string {
	switch {
	case l.Muted:
		return "signal-muted"
	case len(p.Ranks) > 0:
		return "signal-" + strconv.Itoa(p.Ranks[0])
	}
	return "signal"
}

// scale is the range of the y axis: round, and from 0 where that does not flatten the lines.
func (p panel) scale(from, to time.Time) (lo, hi float64) {
	lo, hi = math.Inf(1), math.Inf(-1)
	for _, l := range p.Lines {
		for _, run := range runs(l.Series, from, to) {
			for _, q := range run {
				lo, hi = min(lo, q.v), max(hi, q.v)
			}
		}
	}
	if p.Threshold != nil && !math.IsInf(hi, -1) && *p.Threshold > lo && *p.Threshold < 3*hi {
		hi = max(hi, *p.Threshold*1.1)
	}
	switch {
	case math.IsInf(hi, -1):
		return 0, 1
	case lo >= 0 && (lo < 0.6*hi || hi == 0):
		if hi == 0 {
			return 0, 1
		}
		return 0, niceCeil(hi)
	}
	pad := max((hi-lo)*0.15, math.Abs(hi)*0.02, 1e-9)
	return lo - pad, hi + pad
}

// sample is one value of a series at its time.
type sample struct {
	t time.Time
	v float64
}

const maxSamples = 400 // drawn per series: more than pixels that could show them apart

// runs are the samples of a series within the time given, cut where values are missing, thinned to maxSamples by keeping
// the lowest and the highest of each stretch.
func runs(s triage.Series, from, to time.Time) [][]sample {
	var all []sample
	var out [][]sample
	flush := func() {
		if len(all) > 0 {
			out = append(out, thin(all, maxSamples))
			all = nil
		}
	}
	for i, v := range s.Values {
		t := s.Start.Add(time.Duration(i) * s.Step())
		switch {
		case t.Before(from) || t.After(to):
		case math.IsNaN(v) || math.IsInf(v, 0):
			flush()
		default:
			all = append(all, sample{t, v})
		}
	}
	flush()
	return out
}

func thin(all []sample, n int) []sample {
	if len(all) <= n {
		return all
	}
	var out []sample
	size := 2 * (len(all) + n - 1) / n
	for chunk := range slices.Chunk(all, size) {
		lo, hi := 0, 0
		for i, q := range chunk {
			if q.v < chunk[lo].v {
				lo = i
			}
			if q.v > chunk[hi].v {
				hi = i
			}
		}
		out = append(out, chunk[min(lo, hi)])
		if lo != hi {
			out = append(out, chunk[max(lo, hi)])
		}
	}
	return out
}

// badge is the number of a suspect in its colour.
func badge(s *scene, rank int, x, y, r float64) {
	n := strconv.Itoa(rank)
	s.add(
		shape{kind: shapeDot, class: "badge-" + n, pts: []point{{x, y}}, r: r, mark: n},
		shape{kind: shapeText, class: "badge-text", text: n, pts: []point{{x, y + 3.8}}, anchor: "middle", mark: n},
	)
}
