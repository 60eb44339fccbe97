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
	"slices"
	"strings"
	"sync"

	"golang.org/x/image/font"
	"golang.org/x/image/font/gofont/gobold"
	"golang.org/x/image/font/gofont/goregular"
	"golang.org/x/image/font/opentype"
	"golang.org/x/image/math/fixed"

	"github.com/triaged-dev/triaged/triage"
	"github.com/triaged-dev/triaged/triage/say"
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
	halo         bool    // text is set off from the lines behind it
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
		m["mark-text-"+name] = style{fill: rgb(c, 1), bold: true, halo: true}
		m["badge-"+name] = style{fill: rgb(c, 1)}
		m["hair-"+name] = style{stroke: rgb(c, .8), width: 1, dash: []float64{2, 3}}
		m["signal-"+name] = style{stroke: rgb(c, 1), width: 1.6}
		m["signal-"+name+"-area"] = style{fill: rgb(c, .08)}
		m["signal-"+name+"-text"] = style{fill: rgb(c, 1)}
	}
	m["bar-during"] = style{fill: rgb(0xd3dae2, 1), stroke: rgb(0x8a97a6, 1), width: 1}
	m["mark-text-other"], m["mark-text-during"] = style{fill: rgb(muted, 1), halo: true}, style{fill: rgb(muted, 1), halo: true}
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
	if err := enc.Encode(&b, paletted(img)); err != nil {
		return nil, fmt.Errorf("encode picture: %w", err)
	}
	return b.Bytes(), nil
}

// paletted is the picture with a palette: a quarter of the bytes to write, and no filters to try on them. Blended edges make a
// few hundred colours; as many low bits are dropped as it takes to get by with 256.
func paletted(img *image.RGBA) *image.Paletted {
	out := image.NewPaletted(img.Rect, nil)
	for drop := range 8 {
		if out.Palette = index(img, out.Pix, byte(0xff<<drop)); out.Palette != nil {
			break
		}
	}
	return out
}

// index writes the palette index of every opaque pixel, taking colours that agree in the bits of the mask for one, the first of
// them. It returns the palette, nil if that takes more than 256. Most pixels find their colour in a small table: the map
// behind it is asked when two colours share a place there.
func index(img *image.RGBA, to []byte, mask byte) color.Palette {
	type place struct {
		key uint32
		at  byte
	}
	var near [1024]place
	seen := make(map[uint32]byte, 256)
	var palette color.Palette
	for i := range to {
		p := img.Pix[4*i : 4*i+3 : 4*i+3]
		key := 1<<24 | uint32(p[0]&mask)<<16 | uint32(p[1]&mask)<<8 | uint32(p[2]&mask)
		n := &near[key*2654435761>>22] // Knuth's multiplicative hash, its upper ten bits
		if n.key != key {
			at, ok := seen[key]
			if !ok {
				if len(palette) == 256 {
					return nil
				}
				at = byte(len(palette))
				seen[key], palette = at, append(palette, color.RGBA{p[0], p[1], p[2], 0xff})
			}
			*n = place{key, at}
		}
		to[i] = n.at
	}
	return palette
}

func (p *painter) style(class string) (style, error) {
	// The last word of a class list is the most special one.
	for _, word := range slices.Backward(strings.Fields(class)) {
		if st, ok := p.styles[word]; ok {
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
	if sh.kind == shapeText && st.halo { // lines behind it must not be read as part of it
		w, h := float64(d.MeasureString(sh.text))/64/pngScale, key.size
		at := point{x / pngScale, sh.pts[0].y}
		fillPath(img, []point{{at.x - 1, at.y - h*.8}, {at.x + w + 1, at.y - h*.8}, {at.x + w + 1, at.y + h*.25}, {at.x - 1, at.y + h*.25}}, rgb(0xffffff, .8))
	}
	d.Dot = fixed.Point26_6{X: fixed.Int26_6(x * 64), Y: fixed.Int26_6(sh.pts[0].y * pngScale * 64)}
	d.DrawString(sh.text)
	return nil
}

// pictureHead are the lines that let a picture stand alone: the symptom, and what was said of it.
func pictureHead(r triage.Report) []string {
	head := symptomLine(r)
	st := r.Standing()
	said := string(st.Word)
	if len(st.Named) > 0 {
		var names []string
		for _, s := range st.Named {
			names = append(names, say.Suspect(s))
		}
		said += ": " + strings.Join(names, " / ")
		if g := say.Gap(st.Named[0], r); g != "" && len(names) == 1 {
			said += ", " + g
		}
	}
	return []string{say.Clean(head, 90), say.Clean(said, 130) + fmt.Sprintf(" · report %d · %s UTC", r.Number, r.CreatedAt.UTC().Format("2006-01-02 15:04:05"))}
}
