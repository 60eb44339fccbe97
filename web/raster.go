package web

import (
	"image"
	"image/color"
	"math"

	"golang.org/x/image/vector"
)

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
