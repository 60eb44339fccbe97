package web_test

import (
	"bytes"
	"flag"
	"image"
	"image/png"
	"os"
	"path/filepath"
	"testing"

	"github.com/triaged-dev/triaged/triage"
	"github.com/triaged-dev/triaged/web"
)

var update = flag.Bool("update", false, "write the golden pictures anew")

func newPages(t testing.TB, s *store) *web.Web {
	t.Helper()
	pages, err := web.New(options(s))
	if err != nil {
		t.Fatal(err)
	}
	return pages
}

// TestTimelinePNG compares pictures with golden ones. A little noise is let through: rounding differs between platforms.
func TestTimelinePNG(t *testing.T) {
	for _, moment := range []string{"flag", "pair", "vendor", "migration"} {
		t.Run(moment, func(t *testing.T) {
			s := newStore(t, moment)
			id := s.incidents[0].ID
			got, err := newPages(t, s).TimelinePNG(s.reports[id][0], s.cases[id+"/1"])
			if err != nil {
				t.Fatal(err)
			}
			golden := filepath.Join("testdata", "golden", moment+".png")
			if *update {
				if err := os.WriteFile(golden, got, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if d := difference(t, want, got); d > 0.004 {
				t.Errorf("the picture differs from %s by %.4f of its range; look at both, then run with -update", golden, d)
			}
			if len(got) > 150<<10 {
				t.Errorf("picture: want at most 150 kB, got %d bytes", len(got))
			}
		})
	}
}

// TestTimelinePNGOfNothing: a report without onset, suspects or series still makes a picture.
func TestTimelinePNGOfNothing(t *testing.T) {
	s := newStore(t, "flag")
	got, err := newPages(t, s).TimelinePNG(triage.Report{CreatedAt: s.now}, triage.Case{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := png.Decode(bytes.NewReader(got)); err != nil {
		t.Errorf("decode: %v", err)
	}
}

// difference is the mean difference of the channels of two pictures, 0 to 1; pictures of different size differ by 1.
func difference(t *testing.T, a, b []byte) float64 {
	t.Helper()
	decode := func(data []byte) image.Image {
		img, err := png.Decode(bytes.NewReader(data))
		if err != nil {
			t.Fatal(err)
		}
		return img
	}
	x, y := decode(a), decode(b)
	if x.Bounds() != y.Bounds() {
		return 1
	}
	var sum float64
	box := x.Bounds()
	for j := box.Min.Y; j < box.Max.Y; j++ {
		for i := box.Min.X; i < box.Max.X; i++ {
			r0, g0, b0, _ := x.At(i, j).RGBA()
			r1, g1, b1, _ := y.At(i, j).RGBA()
			for _, d := range [...]int{int(r0) - int(r1), int(g0) - int(g1), int(b0) - int(b1)} {
				sum += float64(max(d, -d)) / 0xffff
			}
		}
	}
	return sum / float64(3*box.Dx()*box.Dy())
}

func BenchmarkTimelinePNG(b *testing.B) {
	s := newStore(b, "pair")
	pages := newPages(b, s)
	id := s.incidents[0].ID
	for b.Loop() {
		if _, err := pages.TimelinePNG(s.reports[id][2], s.cases[id+"/3"]); err != nil {
			b.Fatal(err)
		}
	}
}
