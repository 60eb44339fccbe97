package correlate

import (
	"math"
	"slices"

	"github.com/triaged-dev/triaged/triage"
)

// A shift is the comparison of the samples after one split of a series with those before it.
type shift struct {
	z        float64 // in robust standard deviations, positive is worse; NaN: not observed
	nBefore  int     // usable samples before the split
	nAfter   int     // usable samples after it, at most afterMax
	before   float64 // typical raw value before
	after    float64 // typical raw value after
	usedRef  bool    // history stood in for the samples before
	small    bool    // too small for the symptom to feel
	log      float64 // nats for "shifted here" against "noise"; 0: not observed
	observed bool
}

// Samples looked at on either side of a split.
const (
	beforeMax = 60
	justMax   = 3           // samples straight before the split that must not have shifted yet
	afterMax  = 5           // samples that count as independent
	afterSpan = ms(300_000) // what follows the split: five minutes, 3 to 20 samples
)

// shiftAt compares the samples from k on with those before k. Faults end, so it looks at the first samples after the
// split, not at the latest. Samples that have already shifted straight before k take their part off the effect: the shift
// must begin here.
func (p *prepared) shiftAt(k int, w *Weights) shift {
	var buf [beforeMax]float64
	out := shift{z: math.NaN(), before: math.NaN(), after: math.NaN()}
	if k >= len(p.bad) {
		return out
	}
	lo := p.reachBack(k)
	if p.usual == nil {
		p.usual = new(usual)
	}
	calm := p.usual.of(p.calm, lo, k)
	med, mad := sortedMAD(calm)
	nb := len(calm)
	out.nBefore = nb
	loc, spread := p.baseline(med, mad, nb)
	if loc != loc {
		return out
	}
	if nb >= 10 {
		spread = max(spread, sortedTail(calm, med))
	}
	spread = max(spread, p.counting(k, k+afterMax))
	out.usedRef = nb < 3
	span := int(clamp(float64(afterSpan/p.step), 3, 20))
	var afterBuf [20]float64
	aMed, na := median(p.bad[k:min(len(p.bad), k+span)], afterBuf[:0])
	if na == 0 {
		return out
	}
	out.observed, out.nAfter = true, na
	end := min(p.state, len(p.bad))
	if p.ramp && end > k+1 {
		if rMed, nr := median(p.bad[max(k, end-afterMax):end], buf[:0]); nr > 0 {
			aMed, na = rMed, nr
		}
	}
	effect := aMed - loc
	if na > justMax && !p.ramp { // it must begin here, not a few samples on
		if fMed, nf := median(p.bad[k:k+justMax], buf[:0]); nf > 0 {
			effect = min(effect, fMed-loc)
		}
	}
	if nb >= justMax && !p.ramp {
		if jMed, nj := median(p.bad[max(0, k-justMax):k], buf[:0]); nj > 0 && jMed > loc {
			effect = min(effect, aMed-jMed)
		}
	}
	// What begins here has its first sample shifted: of more than two it may be short of the rest by noise.
	if v := p.bad[k]; !p.ramp && v == v {
		slack := 0.0
		if na > 2 {
			slack = 2 * spread
		}
		effect = min(effect, v-loc+slack)
	}
	// What set the alert off was still on when it had surely begun: an episode that was over by then is another one, and
	// one good sample of the last two means over.
	for i := max(k, end-2); end > k+1 && i < end; i++ {
		if v := p.bad[i]; v == v {
			effect = min(effect, v-loc)
		}
	}
	eff := min(float64(na), afterMax)
	if p.twoWay {
		effect = math.Abs(effect)
	}
	out.z = effect / spread * math.Sqrt(1+float64(0.5*(eff-1)))
	out.before, out.after = p.unbad(loc), p.unbad(aMed)
	// A restart shakes all samples near it alike, and so their number does not help against it.
	wide := max(1, p.warmestOf(k, span)/spread*math.Sqrt(1+float64(0.5*(eff-1))))
	out.log = w.shiftLog(out.z, wide, na)
	out.z /= wide
	if math.Abs(out.after-out.before) < p.least || p.feels != nil && !p.feels(out.before, out.after) {
		out.log, out.small = min(out.log, 0), true
	}
	if p.twoWay || p.signal == triage.SignalTraffic || p.signal == triage.SignalCustom {
		out.log = min(out.log, 1) // no bad direction, or a weak one: never much of an argument
	}
	return out
}

// reachBack is where the samples before k begin that say how things usually are: so many, or where some are forgotten as far back as
// it takes to have as many. Without those from before it, an outage that follows another would have nothing to differ from.
func (p *prepared) reachBack(k int) int {
	lo := max(0, k-beforeMax)
	if len(p.calm) == 0 || &p.calm[0] == &p.bad[0] {
		return lo
	}
	n := 0
	for _, v := range p.calm[lo:k] {
		if v == v {
			n++
		}
	}
	for ; lo > 0 && n < beforeMax; lo-- {
		if v := p.calm[lo-1]; v == v {
			n++
		}
	}
	return lo
}

// upperTail is the spread that the bad side of the samples shows at its ninth decile: a series that leaps now and then
// has leapt before, which its median deviation does not know.
func upperTail(v []float64, med float64, buf []float64) float64 {
	for _, x := range v {
		if x == x {
			buf = append(buf, x)
		}
	}
	slices.Sort(buf)
	return sortedTail(buf, med)
}

// sortedTail is upperTail of sorted values without gaps.
func sortedTail(v []float64, med float64) float64 { return (v[len(v)*9/10] - med) / 1.2816 }

// baseline settles location and spread of "before" from the samples and the history of quiet days.
func (p *prepared) baseline(med, mad float64, n int) (loc, spread float64) {
	hasRef := p.refLoc == p.refLoc
	switch {
	case n >= 5:
		loc, spread = med, max(mad, p.floor)
		if hasRef {
			spread = max(spread, p.refSpr)
		}
	case n >= 2 && hasRef:
		loc, spread = med, max(mad, p.refSpr, p.floor)
	case n == 1 && hasRef:
		loc, spread = (med+p.refLoc)/2, max(p.refSpr, math.Abs(med-p.refLoc)/2, p.floor)
	case hasRef:
		loc, spread = p.refLoc, max(p.refSpr, p.floor)
	case n >= 2:
		loc, spread = med, max(float64(2*mad), float64(3*p.floor))
	case n == 1:
		loc, spread = med, float64(6*p.floor)
	default:
		return math.NaN(), math.NaN()
	}
	return loc, spread
}

// unbad is badness undone, for sentences.
func (p *prepared) unbad(b float64) float64 {
	switch {
	case p.errs && p.dir < 0:
		return 1 - float64(b*b)
	case p.errs:
		return b * b
	case p.ratio:
		return p.dir * b
	}
	return max(0, exp(float64(p.dir*b))-p.offset)
}

// shiftLog is the log likelihood ratio of a shift of z robust standard deviations: real shifts are half-Cauchy with the
// scale of the table, of which a share stays hidden in noise; noise is Student's t with heavy tails. Worked example with
// df 3, scale 8, hidden 0.1: z = 0 → −1.2, 3 → +1.0, 5 → +2.5, 10 → +4.5; few samples are capped. wide is how many times
// wider noise is than the deviations z counts in: 1, or more beside a restart.
func (w *Weights) shiftLog(z, wide float64, nAfter int) float64 {
	if z != z {
		return 0
	}
	null := studentT(z/wide, w.ShiftNullDF) / wide
	real := 0.0
	if z > 0 {
		u := z / w.ShiftScale
		real = 2 / (math.Pi * w.ShiftScale) / (1 + float64(u*u))
	}
	p1 := float64((1-w.ShiftHidden)*real) + float64(w.ShiftHidden*null)
	limit := w.ShiftCap
	switch nAfter {
	case 1:
		limit = w.ShiftCapOne
	case 2:
		limit = w.ShiftCapTwo
	}
	return min(ln(p1/null), limit)
}

// studentT is the density up to df = 3's normalisation, which is close enough for any small df: only its tail matters.
func studentT(z, df float64) float64 {
	u := 1 + float64(z*z)/df
	return 0.3675 * exp(float64(-(df+1)/2*ln(u)))
}

// logAt is the log likelihood ratio of a shift at time t, cached by sample.
func (p *prepared) logAt(t ms, w *Weights) float64 {
	return p.logSplit(p.firstAfter(t), w)
}

func (p *prepared) logSplit(k int, w *Weights) float64 {
	if k >= len(p.bad) {
		return 0
	}
	if p.cache == nil {
		p.cache = make([]float64, len(p.bad))
		for i := range p.cache {
			p.cache[i] = math.NaN()
		}
	}
	if v := p.cache[k]; v == v {
		return v
	}
	p.cache[k] = p.shiftAt(k, w).log
	return p.cache[k]
}

// warmestOf is the least spread that a restart near the samples from k on lets believe: the middle one's.
func (p *prepared) warmestOf(k, span int) float64 {
	if len(p.restarts) == 0 || k >= len(p.bad) {
		return 0
	}
	mid := (k + min(len(p.bad), k+span) - 1) / 2
	return p.warmth(p.from[mid], p.end(mid))
}
