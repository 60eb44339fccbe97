package correlate

import (
	"math"
	"slices"
	"time"

	"github.com/triaged-dev/triaged/triage"
)

// Detector scores the samples of one series as they come: how surely each has left the range of those before it. It looks
// only at the past, keeps a bounded stretch of it, and knows no causes. The zero value is not usable; see NewDetector.
type Detector struct {
	series  triage.Series
	w       Weights
	values  []float64 // the latest, oldest first; NaN is a gap
	dropped int       // samples that fell out of values
	alarm   int       // samples in a row that scored half or more
	since   int       // index, over all samples, at which the alarm began
	open    *Shift
	quiet   int // index, over all samples, after the last one of a shift
}

// Shift is a lasting departure of a series from its range.
type Shift struct {
	Onset   triage.Onset `json:"onset"`
	EndedAt time.Time    `json:"ended_at,omitzero"` // back in range; zero while it lasts
	From    float64      `json:"from"`              // typical value before, in the series' own unit
	To      float64      `json:"to"`                // typical value since
	Effect  float64      `json:"effect"`            // robust standard deviations, signed: positive is a rise
	Score   float64      `json:"score"`             // how surely, 0 to 1
}

// How much of the past a Detector keeps and compares with.
const (
	detectKeep  = 2000 // samples kept: 16 KB per detector, a day and more at one a minute
	detectBase  = 120  // of these the range is taken from, before the samples in question
	detectNear  = 30   // and from these, for a level that moves
	detectLast  = 5    // samples in question at most
	detectOdds  = 30   // a shift begins about once in this many samples that look like one
	detectAlarm = 2    // samples in a row before a shift is called one
)

// NewDetector scores a series like s: its signal, direction and step matter, its values are not looked at.
func NewDetector(s triage.Series) *Detector {
	s.Values = nil
	return &Detector{series: s, w: DefaultWeights()}
}

// Add takes the next sample and scores it: 0 is usual, 1 surely is not. A shift is returned when it is first called one,
// and again with EndedAt when the series is back in its range.
func (d *Detector) Add(v float64) (score float64, found *Shift) {
	d.values = append(d.values, v)
	if len(d.values) > detectKeep {
		d.values = d.values[len(d.values)-detectKeep*3/4:]
		d.dropped += detectKeep + 1 - detectKeep*3/4
	}
	if v != v {
		return 0, nil
	}
	s := d.series
	s.Values = d.values
	p, ok := prepare(&s, "", s.Start.Add(time.Duration(len(d.values)+1)*s.Step()))
	if !ok || len(p.bad) < 4 {
		return 0, nil
	}
	p.twoWay = true
	p.floor /= 4 // nobody is woken up by this: smaller shifts may be seen
	z := d.departure(p)
	l := d.w.noiseLog(math.Abs(z))
	score = exp(l) / (exp(l) + detectOdds)
	return score, d.call(p, score, z)
}

// departure is the robust effect, signed as raw values rise, of the latest samples against those before them: the latest
// one, or the median of the latest few, whichever departs more surely.
func (d *Detector) departure(p *prepared) float64 {
	n := len(p.bad)
	best := 0.0
	for _, last := range [...]int{1, 3, detectLast} {
		cut := n - last
		if cut < 3 {
			break
		}
		// While a shift is open the range stays the one before it, as long as that is remembered.
		base := cut
		if d.open != nil || d.alarm > 0 {
			if at := d.since - d.dropped - (len(d.values) - n); at >= 3 && at < base && n-at < detectBase {
				base = at
			}
		}
		z, spread := d.against(p, cut, last, base, detectBase)
		if near, tight := d.against(p, cut, last, base, detectNear); tight > 0 && 2*spread > 3*tight && d.calm(n, base) {
			z = near // the level moves, and the long range is blurred by it
		}
		if math.Abs(z) > math.Abs(best) {
			best = z
		}
	}
	return best
}

// calm reports whether the near range before base holds no sample of a shift: coming back from one is not another.
func (d *Detector) calm(n, base int) bool {
	return d.dropped+len(d.values)-n+base-detectNear >= d.quiet
}

// against is the effect of the samples from cut on against the range of so many samples before base, and the spread of that
// range. The near range follows a level that moves through the day; the long one knows what the near one has forgotten,
// so that a return to normal is not called a shift.
func (d *Detector) against(p *prepared, cut, last, base, length int) (z, spread float64) {
	lo := max(0, base-length)
	var buf [detectBase]float64
	med, mad, nb := medianMAD(p.bad[lo:base], buf[:0])
	if nb < 3 {
		return 0, 0
	}
	spread = max(mad, p.floor)
	if nb < 8 {
		spread *= 2
	}
	x, _, nx := medianMAD(p.bad[cut:], make([]float64, 0, detectLast))
	if nx == 0 {
		return 0, 0
	}
	effect := x - med
	switch {
	case nb < 10:
	case effect > 0:
		spread = max(spread, upperTail(p.bad[lo:base], med, buf[:0]))
	default:
		spread = max(spread, lowerTail(p.bad[lo:base], med, buf[:0]))
	}
	effect -= d.yesterday(p, cut, last, length, effect)
	return float64(p.dir*effect) / spread * math.Sqrt(1+float64(0.5*float64(nx-1))), spread
}

// yesterday is the part of an effect that the same hour of the day before showed too, in the same direction.
func (d *Detector) yesterday(p *prepared, cut, last, length int, effect float64) float64 {
	if p.step <= 0 {
		return 0
	}
	day := int(ms(24*3600*1000) / p.step)
	at := cut - day
	if at < 10 || ms(24*3600*1000)%p.step != 0 {
		return 0
	}
	var buf [detectBase]float64
	base, _, nb := medianMAD(p.bad[max(0, at-length):at], buf[:0])
	if nb < 3 {
		return 0
	}
	most := 0.0
	for shift := -2; shift <= 2; shift++ { // not everything comes to the minute
		then, _, nt := medianMAD(p.bad[at+shift:at+shift+last], buf[:0])
		if d := then - base; nt > 0 && d*effect > 0 {
			most = max(most, min(math.Abs(d), math.Abs(effect)))
		}
	}
	return math.Copysign(most, effect)
}

// call turns scores into shifts: called after a few samples in a row, ended after as many back in range.
func (d *Detector) call(p *prepared, score, z float64) *Shift {
	index := d.dropped + len(d.values) - 1
	if score >= 0.5 {
		if d.alarm == 0 && d.open == nil {
			d.since = index
		}
		d.alarm++
		if d.open == nil && d.alarm >= detectAlarm {
			d.open = d.shift(p, score, z)
			out := *d.open
			return &out
		}
		return nil
	}
	d.alarm = 0
	if d.open == nil || score > 0.2 {
		return nil
	}
	out := *d.open
	out.EndedAt = d.timeOf(p, len(p.bad)-1)
	d.open, d.quiet = nil, index
	return &out
}

// shift describes the shift that has just been called: the split with the largest effect, and every one nearly as good.
func (d *Detector) shift(p *prepared, score, z float64) *Shift {
	n := len(p.bad)
	first := max(3, d.since-d.dropped-(len(d.values)-n)-detectLast)
	best, top := n-1, math.Inf(-1)
	logs := make([]float64, n)
	for k := first; k < n; k++ {
		sh := p.shiftAt(k, &d.w)
		logs[k] = d.w.noiseLog(math.Abs(sh.z))
		if sh.observed && logs[k] > top {
			best, top = k, logs[k]
		}
	}
	lo, hi := best, best
	for lo > first && logs[lo-1] > top-1 {
		lo--
	}
	for hi+1 < n && logs[hi+1] > top-1 {
		hi++
	}
	sh := p.shiftAt(best, &d.w)
	shape := triage.ShapeStep
	if hi-lo >= 3 {
		shape = triage.ShapeRamp
	}
	return &Shift{
		Onset: triage.Onset{
			Interval: triage.Interval{Earliest: d.timeOf(p, lo), Best: d.timeOf(p, best), Latest: d.timeOf(p, hi).Add(p.step.duration())},
			Shape:    shape, Basis: "change point of the series",
		},
		From: sh.before, To: sh.after, Effect: z, Score: score,
	}
}

// timeOf is when the interval of a kept sample begins.
func (d *Detector) timeOf(p *prepared, i int) time.Time {
	at := d.dropped + i + len(d.values) - len(p.bad)
	from, _ := d.series.Covers(at)
	return from.UTC()
}

// noiseLog is shiftLog without the rule for few samples.
func (w *Weights) noiseLog(z float64) float64 { return w.shiftLog(z, 1, 3) }

// lowerTail is upperTail for the good side.
func lowerTail(v []float64, med float64, buf []float64) float64 {
	for _, x := range v {
		if x == x {
			buf = append(buf, -x)
		}
	}
	slices.Sort(buf)
	return (buf[len(buf)*9/10] + med) / 1.2816
}

// Detect runs a Detector over a whole series and returns its shifts in order, and the score of every sample.
func Detect(s triage.Series) (shifts []Shift, scores []float64) {
	d := NewDetector(s)
	scores = make([]float64, len(s.Values))
	for i, v := range s.Values {
		score, found := d.Add(v)
		scores[i] = score
		switch {
		case found == nil:
		case found.EndedAt.IsZero():
			shifts = append(shifts, *found)
		case len(shifts) > 0:
			shifts[len(shifts)-1].EndedAt = found.EndedAt
		}
	}
	return shifts, scores
}
