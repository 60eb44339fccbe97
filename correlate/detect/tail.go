package detect

import (
	"math"
	"slices"
)

// A rarity is −log₁₀ of the chance of a value at least as far out: 3 is one in a thousand.

const (
	tailKeep = 1000 // values of the past that a new one is compared with
	tailLeft = 12   // fewer say nothing
	rarest   = 12.0 // beyond this nothing is told apart
	heaviest = 0.7  // of the shapes a fitted tail may have
	// A tail is fitted to values no farther out than clipAt, so that one from another world moves what is usual as little as
	// one at its edge. What has come usualAfter times, though, is only as rare as that.
	clipAt     = 4.0
	usualAfter = 5
	nearby     = 0.1 // of the distance from the edge: as far out
)

// tail says how rare a value of one statistic is among those before it. Within the range seen it counts; beyond the outer
// tenth it follows a generalised Pareto tail fitted to it (probability-weighted moments), since a series with light tails is
// surprised by what one with heavy tails shows every day.
type tail struct {
	lag         int       // latest values that are not compared with yet
	ring        []float64 // in order of arrival, the oldest overwritten
	sorted      []float64 // of the ring, what is compared with
	seen, known int       // values so far, and of these in sorted at some time
	hi, lo      edge
}

// edge is the fitted tail on one side: beyond from, with so much of the values.
type edge struct {
	from, scale, shape, share float64
	age                       int // values since it was fitted
}

// see gives the rarity of x upwards and downwards among the values so far, and remembers it. Nothing finer than floor counts.
func (t *tail) see(x, floor float64) (up, down float64) {
	if n := len(t.sorted); n >= tailLeft {
		t.renew(floor)
		if up = t.hi.rarity(x, floor); up > 0 {
			i, _ := slices.BinarySearch(t.sorted, x-nearby*(x-t.hi.from))
			up = usual(up, n-i, n)
		}
		if down = t.lo.rarity(-x, floor); down > 0 {
			i, _ := slices.BinarySearch(t.sorted, x+nearby*(-x-t.lo.from))
			down = usual(down, i, n)
		}
	}
	t.add(x)
	return up, down
}

// usual bounds a rarity by how many of n were as far out.
func usual(rarity float64, as, n int) float64 {
	if as < usualAfter {
		return rarity
	}
	return min(rarity, math.Log10(float64(n+1)/float64(as)))
}

// add remembers x for later: the latest lag values are not compared with, or a slow change would make itself usual.
func (t *tail) add(x float64) {
	if len(t.ring) < tailKeep {
		t.ring = append(t.ring, x)
	} else {
		i, _ := slices.BinarySearch(t.sorted, t.ring[t.seen%tailKeep])
		t.sorted = slices.Delete(t.sorted, i, i+1)
		t.ring[t.seen%tailKeep] = x
	}
	t.seen++
	for ; t.known < t.seen-min(t.lag, t.seen/4); t.known++ {
		old := t.ring[t.known%tailKeep]
		i, _ := slices.BinarySearch(t.sorted, old)
		t.sorted = slices.Insert(t.sorted, i, old)
	}
}

// renew fits both edges again once a fiftieth of the values is new.
func (t *tail) renew(floor float64) {
	if t.hi.age++; t.hi.share > 0 && t.hi.age <= len(t.sorted)/50 {
		return
	}
	n := len(t.sorted)
	k := min(max(n/10, 5), 60)
	var out [60]float64 // how far out each of the outermost is, nearest first
	for i := range k {
		out[i] = t.sorted[n-k+i] - t.sorted[n-k-1]
	}
	t.hi = fitEdge(t.sorted[n-k-1], t.hi.clip(out[:k], t.sorted[n-k-1], floor), n)
	for i := range k {
		out[i] = t.sorted[k] - t.sorted[k-1-i]
	}
	t.lo = fitEdge(-t.sorted[k], t.lo.clip(out[:k], -t.sorted[k], floor), n)
}

func fitEdge(from float64, out []float64, n int) edge {
	k := float64(len(out))
	e := edge{from: from, share: k / float64(n)}
	mean, weighted := 0.0, 0.0
	for i, x := range out {
		mean += x / k
		weighted += float64(x * (k - 1 - float64(i)) / (k - 1) / k)
	}
	if mean <= 0 {
		return e
	}
	e.shape = min(max(2-mean/max(mean-float64(2*weighted), mean/20), 0), heaviest)
	e.scale = mean * (1 - e.shape)
	return e
}

func (e edge) rarity(x, floor float64) float64 {
	if x <= e.from {
		return 0
	}
	z := (x - e.from) / max(e.scale, floor)
	l := z / math.Ln10
	if e.shape > 1e-3 {
		l = math.Log10(1+float64(e.shape*z)) / e.shape
	}
	return min(l-math.Log10(e.share), rarest)
}

// value is where the rarity is l.
func (e edge) value(l, floor float64) float64 {
	nats := max(0, (l+math.Log10(e.share))*math.Ln10)
	if e.shape > 1e-3 {
		nats = (math.Exp(e.shape*nats) - 1) / e.shape
	}
	return e.from + float64(max(e.scale, floor)*nats)
}

// clip bounds distances from a new edge by what is clipAt rare under the one before.
func (e edge) clip(out []float64, from, floor float64) []float64 {
	if e.share == 0 {
		return out
	}
	most := e.value(clipAt, floor) - from
	for i, x := range out {
		out[i] = max(0, min(x, most))
	}
	return out
}
