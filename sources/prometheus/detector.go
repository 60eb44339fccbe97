package prometheus

import (
	"math"
	"slices"

	"github.com/triaged-dev/triaged/triage"
)

const minBaseline = 20 // samples; fewer say nothing about what is usual

// The detector compares the median of the last few samples with the baseline before them. The baseline's centre is its median,
// its spread 1.4826 · MAD (the standard deviation, for normal noise, that outliers do not move), never less than a floor: a
// series that never moved would otherwise make every change infinite. Out of range means both: so many spreads away, and an
// effect a person would call one.
//
// Worked example: an error share of 0.2 % ± 0.1 for an hour, then 3 %, 4 %, 5 %. Centre 0.002, spread max(0.001, floor 0.002);
// median of the last three 0.04: (0.04 − 0.002)/0.002 = 19 spreads, and 3.8 points more where 1 is asked for. An anomaly.

// effectRule is what counts as an effect for one signal.
type effectRule struct {
	floor    float64 // least spread, absolute
	relative float64 // least spread, as a share of the centre
	atLeast  float64 // least absolute difference
	factor   float64 // least factor between centre and now; 1 turns it off
	falling  bool    // falls count too
}

func ruleFor(sig triage.Signal) effectRule {
	switch sig {
	case triage.SignalErrors: // a share, 0 to 1
		return effectRule{floor: .002, atLeast: .01, factor: 2}
	case triage.SignalLatency: // seconds
		return effectRule{floor: .001, relative: .05, atLeast: .005, factor: 1.3}
	case triage.SignalTraffic: // requests per second
		return effectRule{floor: .05, relative: .05, atLeast: .5, factor: 1.5, falling: true}
	case triage.SignalSaturation: // cores, bytes
		return effectRule{floor: .01, relative: .05, atLeast: .05, factor: 1.3}
	default: // restarts per second and the like
		return effectRule{floor: .001, relative: .05, atLeast: .004, factor: 1.5}
	}
}

// baseline is what is usual.
type baseline struct{ centre, spread float64 }

// newBaseline is not ok with fewer than minBaseline finite samples.
func newBaseline(samples []float64, r effectRule) (b baseline, ok bool) {
	xs := slices.DeleteFunc(slices.Clone(samples), func(v float64) bool { return math.IsNaN(v) || math.IsInf(v, 0) })
	if len(xs) < minBaseline {
		return baseline{}, false
	}
	b.centre = median(xs)
	for i, x := range xs {
		xs[i] = math.Abs(x - b.centre)
	}
	b.spread = max(1.4826*median(xs), r.floor, r.relative*math.Abs(b.centre))
	return b, true
}

// out reports whether v is out of range, and how many spreads away it is, signed.
func (b baseline) out(v, spreads float64, r effectRule) (effect float64, out bool) {
	diff := v - b.centre
	effect = diff / b.spread
	if diff < 0 && !r.falling {
		return effect, false
	}
	if math.Abs(effect) < spreads || math.Abs(diff) < r.atLeast {
		return effect, false
	}
	low, high := min(v, b.centre), max(v, b.centre)
	return effect, low <= 0 || high/low >= r.factor
}

// back reports whether v is usual again: within half of what made it unusual.
func (b baseline) back(v, spreads float64, r effectRule) bool {
	_, out := b.out(v, spreads/2, r)
	return !out
}

// median sorts xs. It is NaN for none.
func median(xs []float64) float64 {
	if len(xs) == 0 {
		return math.NaN()
	}
	slices.Sort(xs)
	return quantile(xs, .5)
}
