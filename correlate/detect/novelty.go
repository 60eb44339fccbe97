package detect

import (
	"math"
	"slices"
)

const (
	profileEvery = 4   // samples between two profiles
	profileKeep  = 500 // profiles remembered: two thousand samples
	profileParts = 7
)

// profile is the distribution of a short stretch: its quantiles at 1/14, 3/14 … 13/14.
type profile [profileParts]float64

// novelty knows the profiles of the stretches before. How far the latest stretch is from the nearest of them is the one
// statistic that no season needs to be told to: yesterday's peak, the nightly job and the weekend are among what was seen,
// in whatever order they come.
type novelty struct {
	width int
	known []profile
	next  int
	tail  tail
}

// see gives the rarity of the stretch that ends the window.
func (h *novelty) see(window []float64, floor float64) float64 {
	var buf [64]float64
	stretch := append(buf[:0], window[len(window)-h.width:]...)
	slices.Sort(stretch)
	var p profile
	for k := range p {
		p[k] = stretch[(h.width-1)*(2*k+1)/(2*profileParts)]
	}
	nearest := h.nearest(&p)
	if len(h.known) < profileKeep {
		h.known = append(h.known, p)
	} else {
		h.known[h.next] = p
		h.next = (h.next + 1) % profileKeep
	}
	if math.IsInf(nearest, 1) {
		return 0
	}
	up, _ := h.tail.see(nearest, floor)
	return up
}

// nearest is the distance to the nearest profile that shares no sample with p.
func (h *novelty) nearest(p *profile) float64 {
	best := math.Inf(1)
	shared := h.width/profileEvery + 1
	for i := range h.known {
		if age := h.age(i); age < shared {
			continue
		}
		d, q := 0.0, &h.known[i]
		for k := range p {
			if d += math.Abs(p[k] - q[k]); d >= best {
				break
			}
		}
		best = min(best, d)
	}
	return best
}

// age is how many profiles have come since the i-th in memory.
func (h *novelty) age(i int) int {
	if len(h.known) < profileKeep {
		return len(h.known) - 1 - i
	}
	return (h.next - 1 - i + profileKeep) % profileKeep
}
