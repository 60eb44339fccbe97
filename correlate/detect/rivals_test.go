package detect

import (
	"math"
	"time"
)

// Two published detectors, written from their descriptions: they say how hard the corpus is next to the public series.

// windowedGaussian is the tail probability under a normal distribution of the last 6400 samples, renewed every 100.
func windowedGaussian(float64, float64) func(time.Time, float64) float64 {
	var window, pending []float64
	var mean, sd, sum, squares float64
	fit := func() {
		n := float64(len(window))
		mean = sum / n
		sd = max(math.Sqrt(max(0, squares/n-mean*mean)), 1e-6)
	}
	return func(_ time.Time, v float64) float64 {
		score := 0.0
		if len(window) > 0 {
			score = 1 - .5*math.Erfc(math.Abs(v-mean)/sd/math.Sqrt2)
		}
		if len(window) < 6400 {
			window = append(window, v)
			sum, squares = sum+v, squares+v*v
			fit()
			return score
		}
		if pending = append(pending, v); len(pending) >= 100 {
			window = append(window[100:], pending...)
			pending, sum, squares = nil, 0, 0
			for _, v := range window {
				sum, squares = sum+v, squares+v*v
			}
			fit()
		}
		return score
	}
}

// relativeEntropy compares the distribution of the last 52 samples over five bins with those seen before.
func relativeEntropy(lo, hi float64) func(time.Time, float64) float64 {
	const bins, width, limit = 5, 52, 13.2767
	var window []int
	var known [][bins]float64
	var count []int
	return func(_ time.Time, v float64) float64 {
		if hi <= lo {
			return 0
		}
		b := min(bins-1, int((v-lo)/(hi-lo)*bins))
		window = append(window, b)
		if len(window) < width {
			return 0
		}
		var p [bins]float64
		for _, b := range window[len(window)-width:] {
			p[b] += 1.0 / width
		}
		best, at := math.Inf(1), -1
		for i, q := range known {
			d := 0.0
			for k := range p {
				if p[k] > 0 {
					d += p[k] * math.Log(p[k]/max(q[k], 1e-9))
				}
			}
			if d < best {
				best, at = d, i
			}
		}
		if at >= 0 && 2*width*best < limit {
			if count[at]++; count[at] > 1 {
				return 0
			}
			return 1
		}
		known, count = append(known, p), append(count, 1)
		if len(known) == 1 {
			return 0
		}
		return 1
	}
}

var rivals = map[string]func(lo, hi float64) func(time.Time, float64) float64{
	"windowed Gaussian": windowedGaussian,
	"relative entropy":  relativeEntropy,
}
