package web

import (
	"html"
	"html/template"
	"strconv"
	"strings"
	"time"
)

// scene is a drawing as a list of shapes. It is drawn twice with the same look: as SVG, styled by the style sheet, and as
// PNG, styled by the table in png.go. Coordinates are CSS pixels from the top left; later shapes lie above earlier ones.
type scene struct {
	W, H   float64
	X0, X1 float64   // where the time axis begins and ends
	T0, T1 time.Time // what stands there
	Top    float64   // where the plots begin, below flags and headings
	shapes []shape
}

// shape is one mark. Its class names a style that both the style sheet and the PNG know.
type shape struct {
	kind   shapeKind
	class  string
	pts    []point // line, area: its corners; box: top left and bottom right; dot, text: where it is
	r      float64 // dot: radius; box: of its corners
	text   string
	anchor string    // text: "" is start, else middle or end
	title  string    // shown on hover, in the SVG
	mark   string    // groups the shapes of one suspect: "1"; the script lights them together
	at     time.Time // text that is a time of day, so that the script can show it in local time
	layout string    // of at
}

type shapeKind int

const (
	shapeLine shapeKind = iota
	shapeArea
	shapeBox
	shapeDot
	shapeText
)

type point struct{ x, y float64 }

func (s *scene) add(shapes ...shape) { s.shapes = append(s.shapes, shapes...) }

func (s *scene) line(class string, pts ...point) {
	s.add(shape{kind: shapeLine, class: class, pts: pts})
}

func (s *scene) box(class string, x0, y0, x1, y1, r float64) {
	s.add(shape{kind: shapeBox, class: class, pts: []point{{x0, y0}, {x1, y1}}, r: r})
}

func (s *scene) label(class, text string, x, y float64, anchor string) {
	s.add(shape{kind: shapeText, class: class, text: text, pts: []point{{x, y}}, anchor: anchor})
}

// clockLabel writes a time of day.
func (s *scene) clockLabel(class string, at time.Time, layout string, x, y float64, anchor string) {
	s.add(shape{
		kind: shapeText, class: class, text: at.UTC().Format(layouts[layout]), pts: []point{{x, y}}, anchor: anchor, at: at, layout: layout,
	})
}

// x places a time; times outside are placed outside.
func (s *scene) x(t time.Time) float64 {
	return s.X0 + (s.X1-s.X0)*float64(t.Sub(s.T0))/float64(max(s.T1.Sub(s.T0), 1))
}

// svg writes the scene. label is what a screen reader says instead of it. Everything that is not a number is escaped.
func (s *scene) svg(class, label string) template.HTML {
	var b strings.Builder
	b.Grow(64 * len(s.shapes))
	b.WriteString(`<svg class="` + html.EscapeString(class) + `" role="img" aria-label="` + html.EscapeString(label) + `" viewBox="0 0 ` + num(s.W) + " " + num(s.H) + `" width="` + num(s.W) + `" height="` + num(s.H) + `"`)
	if !s.T0.IsZero() {
		b.WriteString(` data-x0="` + num(s.X0) + `" data-x1="` + num(s.X1) + `" data-t0="` + strconv.FormatInt(s.T0.Unix(), 10) + `" data-t1="` + strconv.FormatInt(s.T1.Unix(), 10) + `"`)
	}
	b.WriteByte('>')
	for _, sh := range s.shapes {
		sh.writeSVG(&b)
	}
	b.WriteString("</svg>")
	return template.HTML(b.String())
}

func (sh shape) writeSVG(b *strings.Builder) {
	attrs := ` class="` + html.EscapeString(sh.class) + `"`
	if sh.mark != "" {
		attrs += ` data-mark="` + html.EscapeString(sh.mark) + `"`
	}
	var name, inner string
	switch sh.kind {
	case shapeLine, shapeArea:
		name = "polyline"
		if sh.kind == shapeArea {
			name = "polygon"
		}
		var p strings.Builder
		for i, pt := range sh.pts {
			if i > 0 {
				p.WriteByte(' ')
			}
			p.WriteString(num(pt.x) + "," + num(pt.y))
		}
		attrs += ` points="` + p.String() + `"`
	case shapeBox:
		name = "rect"
		a, z := sh.pts[0], sh.pts[1]
		attrs += ` x="` + num(a.x) + `" y="` + num(a.y) + `" width="` + num(max(z.x-a.x, 0)) + `" height="` + num(max(z.y-a.y, 0)) + `"`
		if sh.r > 0 {
			attrs += ` rx="` + num(sh.r) + `"`
		}
	case shapeDot:
		name = "circle"
		attrs += ` cx="` + num(sh.pts[0].x) + `" cy="` + num(sh.pts[0].y) + `" r="` + num(sh.r) + `"`
	case shapeText:
		name = "text"
		attrs += ` x="` + num(sh.pts[0].x) + `" y="` + num(sh.pts[0].y) + `"`
		if sh.anchor != "" {
			attrs += ` text-anchor="` + sh.anchor + `"`
		}
		if !sh.at.IsZero() {
			attrs += ` data-t="` + strconv.FormatInt(sh.at.Unix(), 10) + `" data-f="` + sh.layout + `"`
		}
		inner = html.EscapeString(sh.text)
	}
	if sh.title != "" {
		inner = "<title>" + html.EscapeString(sh.title) + "</title>" + inner
	}
	b.WriteString("<" + name + attrs)
	if inner == "" {
		b.WriteString("/>")
		return
	}
	b.WriteString(">" + inner + "</" + name + ">")
}

// num prints a coordinate with at most one decimal.
func num(f float64) string {
	return strings.TrimSuffix(strconv.FormatFloat(f, 'f', 1, 64), ".0")
}

// textWidth is how wide a text in 11 px type may be, whichever of the usual fonts a reader has: the widths are DejaVu Sans's, the widest
// of them. It decides whether two labels would touch, so too much costs a label some room and too little costs both their meaning.
func textWidth(s string) float64 {
	w := 0.0
	for _, r := range s {
		switch {
		case strings.ContainsRune("il.,:;'|!·ftrj I()-/", r):
			w += 4.6
		case strings.ContainsRune("mwMW%→@…", r):
			w += 10.9
		case r >= 'A' && r <= 'Z':
			w += 8.2
		default:
			w += 7
		}
	}
	return w
}
