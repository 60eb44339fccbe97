package web

import (
	"bytes"
	"cmp"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"image/png"
	"math"
	"strings"
	"sync"

	"golang.org/x/image/font"
	"golang.org/x/image/font/gofont/gobold"
	"golang.org/x/image/font/gofont/goregular"
	"golang.org/x/image/font/opentype"
	"golang.org/x/image/math/fixed"
	"golang.org/x/image/vector"

	"github.com/triaged-dev/triaged/triage"
)

// pngScale is the number of pixels for one CSS pixel: sharp in a chat on a good screen, and still a small file.
const pngScale = 1.5

// style is how a class of the style sheet's light theme looks in a picture.
type style struct {
	stroke, fill color.NRGBA
	width        float64   // of the stroke, CSS pixels
	dash         []float64 // CSS pixels on, off; nil: solid
	bold         bool
	size         float64 // of text, CSS pixels; 0: 11
}

// rgb reads 0xRRGGBB.
func rgb(v uint32, alpha float64) color.NRGBA {
	return color.NRGBA{R: uint8(v >> 16), G: uint8(v >> 8), B: uint8(v), A: uint8(255 * alpha)}
}

// styles are the classes that scenes use. A class that is missing here is an error, so that no mark is silently invisible.
func pngStyles() map[string]style {
	const ink, muted, line = 0x14202b, 0x56657a, 0xe3e8ee
	m := map[string]style{
		"grid":                {stroke: rgb(line, 1), width: 1},
		"rule":                {stroke: rgb(line, 1), width: 1},
		"frame":               {stroke: rgb(0xb6c0cc, 1), width: 1},
		"tick":                {fill: rgb(muted, 1)},
		"lane":                {fill: rgb(muted, 1)},
		"muted":               {fill: rgb(muted, 1)},
		"metric":              {fill: rgb(muted, 1), size: 10},
		"panel-title":         {fill: rgb(ink, 1), bold: true, size: 12},
		"onset":               {fill: rgb(0xf2b632, .30)},
		"threshold":           {stroke: rgb(muted, 1), width: 1, dash: []float64{4, 3}},
		"threshold-text":      {fill: rgb(muted, 1), size: 10},
		"signal":              {stroke: rgb(0x1565a8, 1), width: 1.8},
		"signal-area":         {fill: rgb(0x1565a8, .10)},
		"signal-text":         {fill: rgb(0x1565a8, 1), bold: true},
		"signal-muted":        {stroke: rgb(0x8a97a6, 1), width: 1.2},
		"signal-muted-text":   {fill: rgb(muted, 1)},
		"badge-text":          {fill: rgb(0xffffff, 1), bold: true},
		"flag-page":           {stroke: rgb(ink, 1), width: 1.2},
		"flag-onset":          {stroke: rgb(0x8a5a00, 1), width: 1, dash: []float64{2, 2}},
		"flag-undo":           {stroke: rgb(0x1d7a3e, 1), width: 1.2},
		"flag-recovered":      {stroke: rgb(0x1d7a3e, 1), width: 1.2},
		"flag-text-page":      {fill: rgb(ink, 1), bold: true},
		"flag-text-onset":     {fill: rgb(0x8a5a00, 1), bold: true},
		"flag-text-undo":      {fill: rgb(0x1d7a3e, 1), bold: true},
		"flag-text-recovered": {fill: rgb(0x1d7a3e, 1), bold: true},
		"head":                {fill: rgb(ink, 1), bold: true, size: 17},
		"head2":               {fill: rgb(ink, 1), size: 13},
	}
	for name, c := range map[string]uint32{"1": 0xc92a2a, "2": 0xa85b00, "3": 0x6741d9, "other": 0x8a97a6, "during": 0x8a97a6, "undo": 0x1d7a3e} {
		m["bar-"+name] = style{fill: rgb(c, 1)}
		m["whisker-"+name] = style{stroke: rgb(c, 1), width: 1.2}
		m["mark-text-"+name] = style{fill: rgb(c, 1), bold: true}
		m["badge-"+name] = style{fill: rgb(c, 1)}
		m["hair-"+name] = style{stroke: rgb(c, .8), width: 1, dash: []float64{2, 3}}
		m["signal-"+name] = style{stroke: rgb(c, 1), width: 1.6}
		m["signal-"+name+"-area"] = style{fill: rgb(c, .08)}
		m["signal-"+name+"-text"] = style{fill: rgb(c, 1)}
	}
	m["bar-during"] = style{fill: rgb(0xd3dae2, 1), stroke: rgb(0x8a97a6, 1), width: 1}
	m["mark-text-other"], m["mark-text-during"] = style{fill: rgb(muted, 1)}, style{fill: rgb(muted, 1)}
	return m
}

// painter draws scenes as PNG. Fonts are parsed once; faces are not safe for concurrent use, so each picture takes its own set.
type painter struct {
	regular, bold *opentype.Font
	styles        map[string]style
	faces         sync.Pool // of map[faceKey]font.Face
}

type faceKey struct {
	bold bool
	size float64
}

func newPainter() (*painter, error) {
	p := &painter{styles: pngStyles()}
	var err error
	if p.regular, err = opentype.Parse(goregular.TTF); err != nil {
		return nil, fmt.Errorf("parse embedded font: %w", err)
	}
	if p.bold, err = opentype.Parse(gobold.TTF); err != nil {
		return nil, fmt.Errorf("parse embedded font: %w", err)
	}
	p.faces.New = func() any { return make(map[faceKey]font.Face) }
	return p, nil
}

// png draws the scene on white.
func (p *painter) png(s *scene) ([]byte, error) {
	img := image.NewRGBA(image.Rect(0, 0, int(math.Ceil(s.W*pngScale)), int(math.Ceil(s.H*pngScale))))
	draw.Draw(img, img.Bounds(), image.White, image.Point{}, draw.Src)
	faces := p.faces.Get().(map[faceKey]font.Face)
	defer p.faces.Put(faces)
	for _, sh := range s.shapes {
		if err := p.paint(img, faces, sh); err != nil {
			return nil, err
		}
	}
	var b bytes.Buffer
	enc := png.Encoder{CompressionLevel: png.BestSpeed}
	if err := enc.Encode(&b, img); err != nil {
		return nil, fmt.Errorf("encode picture: %w", err)
	}
	return b.Bytes(), nil
}

func (p *painter) style(class string) (style, error) {
	// The last word of a class list is the most special one.
	words := strings.Fields(class)
	for i := len(words) - 1; i >= 0; i-- {
		if st, ok := p.styles[words[i]]; ok {
			return st, nil
		}
	}
	return style{}, fmt.Errorf("draw picture: class %q has no style", class)
}

func (p *painter) paint(img *image.RGBA, faces map[faceKey]font.Face, sh shape) error {
	st, err := p.style(sh.class)
	if err != nil {
		return err
	}
	switch sh.kind {
	case shapeText:
		return p.text(img, faces, st, sh)
	case shapeLine:
		strokePath(img, sh.pts, st)
	case shapeArea:
		fillPath(img, sh.pts, st.fill)
	case shapeBox:
		a, z := sh.pts[0], sh.pts[1]
		pts := []point{a, {z.x, a.y}, z, {a.x, z.y}}
		fillPath(img, pts, st.fill)
		if st.width > 0 {
			strokePath(img, append(pts, a), st)
		}
	case shapeDot:
		fillPath(img, circle(sh.pts[0], sh.r), st.fill)
	}
	return nil
}

func (p *painter) text(img *image.RGBA, faces map[faceKey]font.Face, st style, sh shape) error {
	key := faceKey{st.bold, cmp.Or(st.size, 11)}
	face := faces[key]
	if face == nil {
		f := p.regular
		if key.bold {
			f = p.bold
		}
		var err error
		if face, err = opentype.NewFace(f, &opentype.FaceOptions{Size: key.size * pngScale, DPI: 72}); err != nil {
			return fmt.Errorf("make font face: %w", err)
		}
		faces[key] = face
	}
	d := font.Drawer{Dst: img, Src: image.NewUniform(st.fill), Face: face}
	x := sh.pts[0].x * pngScale
	switch w := float64(d.MeasureString(sh.text)) / 64; sh.anchor {
	case "middle":
		x -= w / 2
	case "end":
		x -= w
	}
	d.Dot = fixed.Point26_6{X: fixed.Int26_6(x * 64), Y: fixed.Int26_6(sh.pts[0].y * pngScale * 64)}
	d.DrawString(sh.text)
	return nil
}

// fillPath fills a polygon given in CSS pixels.
func fillPath(img *image.RGBA, pts []point, c color.NRGBA) {
	if c.A == 0 || len(pts) < 3 {
		return
	}
	raster(img, c, [][]point{pts})
}

// strokePath draws a line as one quadrilateral per segment, with round joints.
func strokePath(img *image.RGBA, pts []point, st style) {
	if st.width == 0 || len(pts) < 2 {
		return
	}
	var quads [][]point
	for _, run := range dashes(pts, st.dash) {
		for i := 1; i < len(run); i++ {
			a, b := run[i-1], run[i]
			dx, dy := b.x-a.x, b.y-a.y
			l := math.Hypot(dx, dy)
			if l == 0 {
				continue
			}
			nx, ny := -dy/l*st.width/2, dx/l*st.width/2
			quads = append(quads, []point{{a.x + nx, a.y + ny}, {b.x + nx, b.y + ny}, {b.x - nx, b.y - ny}, {a.x - nx, a.y - ny}})
			if i > 1 && st.width > 1.3 {
				quads = append(quads, circle(a, st.width/2))
			}
		}
	}
	raster(img, st.stroke, quads)
}

// dashes cuts a path into the pieces that are drawn.
func dashes(pts []point, pattern []float64) [][]point {
	if len(pattern) == 0 {
		return [][]point{pts}
	}
	var out [][]point
	for i := 1; i < len(pts); i++ {
		a, b := pts[i-1], pts[i]
		l := math.Hypot(b.x-a.x, b.y-a.y)
		for at := 0.0; at < l; at += pattern[0] + pattern[1] {
			end := min(at+pattern[0], l)
			out = append(out, []point{{a.x + (b.x-a.x)*at/l, a.y + (b.y-a.y)*at/l}, {a.x + (b.x-a.x)*end/l, a.y + (b.y-a.y)*end/l}})
		}
	}
	return out
}

func circle(c point, r float64) []point {
	const n = 20
	out := make([]point, n)
	for i := range out {
		sin, cos := math.Sincos(2 * math.Pi * float64(i) / n)
		out[i] = point{c.x + r*cos, c.y + r*sin}
	}
	return out
}

// raster fills polygons, all turned the same way so that overlaps stay filled, within their own bounding box only.
func raster(img *image.RGBA, c color.NRGBA, polys [][]point) {
	lo, hi := point{math.Inf(1), math.Inf(1)}, point{math.Inf(-1), math.Inf(-1)}
	for _, p := range polys {
		for _, q := range p {
			lo, hi = point{min(lo.x, q.x), min(lo.y, q.y)}, point{max(hi.x, q.x), max(hi.y, q.y)}
		}
	}
	box := image.Rect(int(math.Floor(lo.x*pngScale)), int(math.Floor(lo.y*pngScale)), int(math.Ceil(hi.x*pngScale))+1, int(math.Ceil(hi.y*pngScale))+1).Intersect(img.Bounds())
	if box.Empty() {
		return
	}
	z := vector.NewRasterizer(box.Dx(), box.Dy())
	for _, p := range polys {
		if area(p) < 0 {
			p = reversed(p)
		}
		for i, q := range p {
			x, y := float32(q.x*pngScale-float64(box.Min.X)), float32(q.y*pngScale-float64(box.Min.Y))
			if i == 0 {
				z.MoveTo(x, y)
			} else {
				z.LineTo(x, y)
			}
		}
		z.ClosePath()
	}
	z.Draw(img, box, image.NewUniform(c), image.Point{})
}

func area(p []point) float64 {
	sum := 0.0
	for i, q := range p {
		n := p[(i+1)%len(p)]
		sum += q.x*n.y - n.x*q.y
	}
	return sum
}

func reversed(p []point) []point {
	out := make([]point, len(p))
	for i, q := range p {
		out[len(p)-1-i] = q
	}
	return out
}

// pictureHead are the lines that let a picture stand alone: the symptom, and what was said of it.
func pictureHead(r triage.Report) []string {
	head := symptomLine(r)
	st := r.Standing()
	said := string(st.Word)
	if len(st.Named) > 0 {
		var names []string
		for _, s := range st.Named {
			names = append(names, describeSuspect(s))
		}
		said += ": " + strings.Join(names, " / ")
		if g := gapTo(st.Named[0], r); g != "" && len(names) == 1 {
			said += ", " + g
		}
	}
	return []string{clean(head, 90), clean(said, 130) + fmt.Sprintf(" · report %d · %s UTC", r.Number, r.CreatedAt.UTC().Format("2006-01-02 15:04:05"))}
}
