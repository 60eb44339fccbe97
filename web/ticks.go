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
	step := tickSteps[len(tickSteps)-1]
	for _, s := range tickSteps {
		if int(to.Sub(from)/s) < n {
			step = s
			break
		}
	}
	var out []time.Time
	for t := from.UTC().Truncate(step); !t.After(to); t = t.Add(step) {
		if !t.Before(from) {
			out = append(out, t)
		}
	}
	return out
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
