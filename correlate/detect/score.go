package detect

import (
	"math"
	"slices"
	"time"
)

const (
	scoreAfter  = 20  // samples before anything is told
	alarmRarity = 3.9 // scores .5: about one stretch in eight thousand
	steepness   = 1.5 // of the score around it, in nats per power of ten
	// After an alarm a score comes back with this time constant, at least restSamples, a fiftieth of the samples seen, at most
	// restMost: a change that lasts makes every sample after it as rare as the first, and has been told.
	restSamples, restShare, restMost = 60.0, 0.02, 300.0
	// The longer a series is known, the rarer must be what surprises: a power of ten of samples more asks for one more of
	// rarity, up to what thirty thousand samples ask. Else every long series would alarm by the week.
	knownFrom, knownMost = 1000.0, 30_000.0
	// noveltyWeight makes an unseen profile count more than its rank: its distance from the nearest shrinks as more is
	// seen, so that ranks among older distances are too modest.
	noveltyWeight = 2.2
	stepSpan      = 5  // samples that a step is measured against
	restlessSpan  = 24 // samples whose spread is looked at
	scoreWindow   = 32
	lagSamples    = 64    // before a sample is part of what is usual
	hugest        = 1e150 // values beyond are as good as this; its square is still a number
)

// Scorer scores the samples of one series as they come: how surely each begins something that this series has not shown.
// Five things are looked at, each by how rare it is in the series' own past, so that one threshold does for every series:
// the value, its step from the last few, the spread of the last two dozen, the distribution of the last 8 and 16 next to all
// of those before, and where the series has a daily season its distance from that. The rarest counts. It needs no unit and no
// direction, and keeps less than 200 KB whatever comes.
type Scorer struct {
	seen                  int
	window                []float64
	value, step, restless tail
	short, long           novelty
	season                season
	rest                  int     // samples since the last alarm
	raw                   float64 // rarity of the latest sample, told or not
}

// NewScorer is ready for a first sample.
func NewScorer() *Scorer {
	s := &Scorer{short: novelty{width: 8}, long: novelty{width: 16}, rest: math.MaxInt32}
	for _, t := range []*tail{&s.value, &s.step, &s.restless, &s.season.tail} {
		t.lag = lagSamples
	}
	s.short.tail.lag, s.long.tail.lag = lagSamples/profileEvery, lagSamples/profileEvery
	return s
}

// Add scores the next sample, 0 to 1; from .5 on it is an alarm. A gap scores 0 and teaches nothing.
func (s *Scorer) Add(at time.Time, v float64) float64 {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return 0
	}
	v = min(max(v, -hugest), hugest)
	s.seen++
	if s.rest < math.MaxInt32 {
		s.rest++
	}
	s.raw = s.rarity(at, v)
	if s.seen <= scoreAfter {
		return 0
	}
	seen := float64(s.seen)
	known := math.Log10(min(max(seen, knownFrom), knownMost) / knownFrom)
	rest := min(max(restSamples, float64(restShare*seen)), restMost)
	rarity := (s.raw - known) * -math.Expm1(-float64(s.rest)/rest)
	if rarity >= alarmRarity {
		s.rest = 0
	}
	return 1 / (1 + math.Exp(float64(steepness*(alarmRarity-rarity))))
}

// rarity is that of the rarest of all that is looked at.
func (s *Scorer) rarity(at time.Time, v float64) float64 {
	floor := s.floor()
	best := max(either(s.value.see(v, floor)), s.season.see(at, v, floor))
	if n := len(s.window); n >= stepSpan {
		best = max(best, either(s.step.see(v-middle(s.window[n-stepSpan:]), floor)))
	}
	s.window = append(s.window, v)
	if len(s.window) > 8*scoreWindow {
		s.window = append(s.window[:0], s.window[len(s.window)-scoreWindow:]...)
	}
	if len(s.window) < scoreWindow {
		return best
	}
	spread := math.Log(deviation(s.window[len(s.window)-restlessSpan:]) + floor)
	best = max(best, either(s.restless.see(spread, .05)))
	if s.seen%profileEvery == 0 {
		best = max(best, noveltyWeight*s.short.see(s.window, floor), noveltyWeight*s.long.see(s.window, floor))
	}
	return min(best, rarest)
}

// floor is what is too small to matter in this series: a fiftieth of its usual range, or a thousandth of its level.
func (s *Scorer) floor() float64 {
	v := s.value.sorted
	if len(v) == 0 {
		return 1e-9
	}
	n := len(v)
	return float64((v[n*19/20]-v[n/20])*.02) + float64(math.Abs(v[n/2])*.001) + 1e-9
}

// either takes the rarer side.
func either(up, down float64) float64 { return max(up, down) }

// middle is the median of a few values.
func middle(v []float64) float64 {
	var buf [stepSpan]float64
	few := append(buf[:0], v...)
	slices.Sort(few)
	return few[len(few)/2]
}

// deviation is the standard deviation.
func deviation(v []float64) float64 {
	mean, squares := 0.0, 0.0
	for _, x := range v {
		mean += x / float64(len(v))
	}
	for _, x := range v {
		squares += float64((x - mean) * (x - mean))
	}
	return math.Sqrt(squares / float64(len(v)))
}
