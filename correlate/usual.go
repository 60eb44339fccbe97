package correlate

import (
	"math"
	"slices"
)

// usual keeps the samples before a split in order of size. The next split asked for is mostly a few samples on, and then as many are
// taken out and put in instead of sorting all again.
type usual struct {
	lo, hi int // the samples it holds are calm[lo:hi]
	sorted []float64
}

// of moves to v[lo:hi] and returns what is no gap of it, smallest first. It belongs to usual until the next call.
func (u *usual) of(v []float64, lo, hi int) []float64 {
	if u.sorted == nil || lo >= u.hi || hi <= u.lo || abs(lo-u.lo)+abs(hi-u.hi) > beforeMax/3 {
		if u.sorted == nil {
			u.sorted = make([]float64, 0, beforeMax+1)
		}
		u.lo, u.hi, u.sorted = lo, hi, u.sorted[:0]
		for _, x := range v[lo:hi] {
			if x == x {
				u.sorted = append(u.sorted, x)
			}
		}
		slices.Sort(u.sorted)
		return u.sorted
	}
	for ; u.hi < hi; u.hi++ {
		u.add(v[u.hi])
	}
	for ; u.lo > lo; u.lo-- {
		u.add(v[u.lo-1])
	}
	for ; u.hi > hi; u.hi-- {
		u.drop(v[u.hi-1])
	}
	for ; u.lo < lo; u.lo++ {
		u.drop(v[u.lo])
	}
	return u.sorted
}

func (u *usual) add(x float64) {
	if x == x {
		i, _ := slices.BinarySearch(u.sorted, x)
		u.sorted = slices.Insert(u.sorted, i, x)
	}
}

func (u *usual) drop(x float64) {
	if x == x {
		i, _ := slices.BinarySearch(u.sorted, x)
		u.sorted = slices.Delete(u.sorted, i, i+1)
	}
}

func abs(n int) int { return max(n, -n) }

// sortedMAD is medianMAD of sorted values without gaps: the deviations from the median are found smallest first from the middle out.
func sortedMAD(v []float64) (med, mad float64) {
	n := len(v)
	if n == 0 {
		return math.NaN(), math.NaN()
	}
	med = sortedMiddle(v)
	right, _ := slices.BinarySearch(v, med)
	left := right - 1
	var last, now float64
	for range n/2 + 1 {
		if left < 0 || right < n && v[right]-med <= med-v[left] {
			last, now = now, math.Abs(v[right]-med)
			right++
		} else {
			last, now = now, math.Abs(v[left]-med)
			left--
		}
	}
	if n%2 == 1 {
		return med, float64(1.4826 * now)
	}
	return med, float64(1.4826 * ((last + now) / 2))
}

// sortedMiddle is the median of sorted values.
func sortedMiddle(v []float64) float64 {
	n := len(v)
	if n%2 == 1 {
		return v[n/2]
	}
	return (v[n/2-1] + v[n/2]) / 2
}
