package web

import (
	"math"
	"time"
)

// tickSteps are the distances between times on an axis that people read without counting.
var tickSteps = []time.Duration{
	time.Minute, 2 * time.Minute, 5 * time.Minute, 10 * time.Minute, 15 * time.Minute, 30 * time.Minute,
	time.Hour, 2 * time.Hour, 3 * time.Hour, 6 * time.Hour, 12 * time.Hour, 24 * time.Hour, 48 * time.Hour, 7 * 24 * time.Hour,
}

// tickLayout is the time of day, or the day where the axis is long.
func tickLayout(from, to time.Time) string {
	if to.Sub(from) > 48*time.Hour {
		return "d"
	}
	return "m"
}

// timeTicks are round times in [from, to], at most n of them.
func timeTicks(from, to time.Time, n int) []time.Time {
	if n < 1 || to.Before(from) {
		return nil
	}
	// In seconds: a Duration ends at 292 years, and anybody may ask for more.
	first, last := from.Unix(), to.Unix()
	step := int64(0)
	for _, s := range tickSteps {
		if step = int64(s / time.Second); (last-first)/step < int64(n) {
			break
		}
	}
	for (last-first)/step >= int64(n) {
		step *= 2
	}
	var out []time.Time
	// Whole steps since the beginning of the first year, as time.Truncate counts them.
	zero := time.Time{}.Unix()
	for t := zero + (first-zero)/step*step; t <= last; t += step {
		if at := time.Unix(t, 0).UTC(); !at.Before(from) && !at.After(to) {
			out = append(out, at)
		}
	}
	return out[:min(len(out), n)]
}

// niceCeil is the next number at or above v of the form 1, 1.5, 2, 3, 4, 5, 6 or 8 times a power of ten. v is positive.
func niceCeil(v float64) float64 {
	p := math.Pow(10, math.Floor(math.Log10(v)))
	for _, m := range [...]float64{1, 1.5, 2, 3, 4, 5, 6, 8} {
		if v <= m*p*(1+1e-9) {
			return m * p
		}
	}
	return 10 * p
}
