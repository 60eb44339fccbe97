package correlate

import (
	"math"
	"slices"
	"time"

	"github.com/triaged-dev/triaged/triage"
)

// ms is a time in milliseconds relative to the report time: the model never sees absolute times, so that shifting all of
// them changes nothing.
type ms int64

func (m ms) minutes() float64 { return float64(m) / 60000 }
func (m ms) duration() time.Duration {
	return time.Duration(m) * time.Millisecond
}

// A prepared series has its values in units of badness: higher is worse, differences are what counts. Ratios stay in
// points, everything else is in log units, so that doubling is the same at every level.
type prepared struct {
	src      *triage.Series
	service  string
	signal   triage.Signal
	dir      float64   // +1: higher raw values are worse; −1: lower are
	twoWay   bool      // no bad direction is known: any shift counts, at less weight
	ratio    bool      // differences count as they are, not in logarithms
	errs     bool      // a share of requests that failed, as its root: counting noise is then alike at every level
	offset   float64   // added before the logarithm
	raw      []float64 // rates where src counts; NaN is a gap
	bad      []float64 // transformed
	counts   []float64 // requests behind each sample; nil: not known
	calm     []float64 // bad without what is known to have been trouble before: what "before" means
	from     []ms      // sample i describes [from, from+step)
	step     ms
	floor    float64 // smallest spread believed
	refLoc   float64 // location and spread on quiet days, transformed; NaN without
	refSpr   float64
	refN     int
	feels    func(before, after float64) bool // whether the symptom could feel a raw shift; nil: unknown
	least    float64                          // smallest raw shift that the symptom could feel; 0: unknown
	ramp     bool                             // the symptom crept up: compare with how it was when the symptom was certainly on
	state    int                              // samples that were complete when the symptom was certainly on; 0: not asked
	part     bool                             // split off a series of the whole service that is there too
	restarts []restart                        // of the service: when its processes were replaced
	unit     float64                          // in seconds, once asked for; −1 where it is no time, 0 before
	usual    *usual                           // of calm, before the split asked for last
	cache    []float64                        // log likelihood ratio by split; NaN where not asked yet
}

// Smallest believable spreads: below these a shift is not worth waking up for, however quiet the series was.
const (
	floorErrors  = 0.03 // of roots: from nothing to a tenth of a point, from 1 % to 1.7 %
	floorLatency = 0.05 // 5 %
	floorOther   = 0.10
)

// maxStep is the longest distance between samples that says anything about an onset: a day.
const maxStep = ms(24 * 3600 * 1000)

// prepare cuts a series at the report time, turns counters into rates and transforms the values. ok is false when nothing
// is left of it.
func prepare(s *triage.Series, service string, at time.Time) (p *prepared, ok bool) {
	step := ms(math.Round(s.StepS * 1000))
	if step <= 0 || step > maxStep || len(s.Values) == 0 {
		return nil, false
	}
	cut := s.Until(at)
	if len(cut.Values) == 0 {
		return nil, false
	}
	first, _ := cut.Covers(0)
	p = &prepared{src: s, service: service, signal: s.Signal, step: step, raw: slices.Clone(cut.Values), refLoc: math.NaN(), refSpr: math.NaN()}
	base := ms(first.Sub(at).Milliseconds())
	p.from = make([]ms, len(p.raw))
	for i := range p.from {
		p.from[i] = base + ms(i)*step
	}
	if n := len(cut.Values); len(cut.Counts) == n && s.Kind != "counter" {
		p.counts = cut.Counts
	}
	if s.Kind == "counter" {
		p.raw, p.from = rates(p.raw, float64(step)/1000), p.from[1:]
	}
	for i, v := range p.raw {
		if math.IsInf(v, 0) {
			p.raw[i] = math.NaN()
		}
	}
	least := finest
	switch {
	case s.Role == triage.RoleSymptom:
		least = finestSymptom
	case splitLabel(s.Labels) != "": // an average over a gap sets those who were there against those who were not
		least = 0
	}
	p.coarsen(least)
	p.direct()
	p.transform()
	return p, slices.ContainsFunc(p.bad, func(v float64) bool { return v == v })
}

// The finest resolution that is looked at: below it, samples are averaged. Scrapes are rarely closer; the alert's own
// series, which places the onset, is taken finer.
const (
	finest        = ms(5_000)
	finestSymptom = ms(2_000)
)

// coarsen averages samples that are closer than least into bins of at least that length, the newest bin whole.
func (p *prepared) coarsen(least ms) {
	if p.step >= least || len(p.raw) == 0 {
		return
	}
	k := int((least + p.step - 1) / p.step)
	n := len(p.raw) / k
	skip := len(p.raw) - n*k
	raw, from := make([]float64, n), make([]ms, n)
	if p.counts != nil {
		sums := make([]float64, n)
		for i := range sums {
			for _, v := range p.counts[skip+i*k : skip+(i+1)*k] {
				if v == v {
					sums[i] += v
				}
			}
		}
		p.counts = sums
	}
	for i := range raw {
		sum, seen := 0.0, 0
		for _, v := range p.raw[skip+i*k : skip+(i+1)*k] {
			if v == v {
				sum, seen = sum+v, seen+1
			}
		}
		raw[i], from[i] = math.NaN(), p.from[skip+i*k]
		if seen > 0 {
			raw[i] = sum / float64(seen)
		}
	}
	p.raw, p.from, p.step = raw, from, ms(k)*p.step
}

// rates turns counter readings into increases per second; a reset counts from zero, a gap stays a gap.
func rates(v []float64, step float64) []float64 {
	out := make([]float64, len(v)-1)
	for i := 1; i < len(v); i++ {
		d := v[i] - v[i-1]
		if d < 0 {
			d = v[i]
		}
		out[i-1] = d / step
	}
	return out
}

// direct settles which way is bad: what the series says, else what the signal means.
func (p *prepared) direct() {
	p.dir = 1
	if p.src.Better == "" && triage.BetterOf(p.src.Metric) == triage.BetterHigher {
		p.dir = -1
		return
	}
	switch {
	case p.src.Better == triage.BetterLower:
	case p.src.Better == triage.BetterHigher:
		p.dir = -1
	case p.signal == triage.SignalTraffic:
		p.dir, p.twoWay = -1, false // less traffic than usual is the bad side; a surge is looked for separately
	case p.signal == triage.SignalCustom || p.signal == "":
		p.twoWay = true
	}
}

func (p *prepared) transform() {
	lo, hi, n := math.Inf(1), 0.0, 0
	for _, v := range p.raw {
		if v == v {
			lo, hi, n = min(lo, v), max(hi, math.Abs(v)), n+1
		}
	}
	p.bad = make([]float64, len(p.raw))
	p.floor = floorOther
	ref := p.src.Reference
	switch {
	case p.signal == triage.SignalErrors && n > 0 && lo >= 0 && hi <= 1.0000001:
		p.ratio, p.errs, p.floor = true, true, floorErrors
	case lo < 0: // a signed quantity has no logarithm: scale by its own size
		p.ratio, p.floor = true, float64(0.05*hi)
	case p.signal == triage.SignalLatency:
		p.floor = floorLatency
	}
	if !p.ratio {
		p.offset = float64(0.01 * hi)
		if p.signal == triage.SignalErrors {
			p.offset = float64(0.05 * hi)
		}
		if ref != nil && ref.P50 > 0 {
			p.offset = min(p.offset, float64(0.5*ref.P50))
		}
		if p.offset <= 0 {
			p.offset = 1e-12
		}
	}
	for i, v := range p.raw {
		p.bad[i] = p.badness(v)
	}
	p.calm = p.bad
	p.reference()
}

// forget takes a stretch out of what "before" means: an outage of its own is no sign of how things usually are.
func (p *prepared) forget(from, to ms) {
	k := p.firstAfter(from)
	if k >= len(p.bad) || p.from[k] >= to {
		return
	}
	if &p.calm[0] == &p.bad[0] {
		p.calm = slices.Clone(p.bad)
	}
	for i := k; i < len(p.calm) && p.from[i] < to; i++ {
		p.calm[i] = math.NaN()
	}
	p.usual = nil
}

// remember takes all back into "before" where what was forgotten leaves nothing to compare with: better a bad day than none.
func (p *prepared) remember() {
	n := 0
	for _, v := range p.calm {
		if v == v {
			n++
		}
	}
	if n < calmLeast {
		p.calm, p.usual = p.bad, nil
	}
}

// calmLeast is how many samples say how things usually are.
const calmLeast = 5

// counting is the standard deviation of the root of a share over so many requests, 1/(2√n) at any level: the requests behind
// the samples k to hi. 0 where they are not known.
func (p *prepared) counting(k, hi int) float64 {
	if !p.errs || p.counts == nil {
		return 0
	}
	n := 0.0
	for i := k; i < min(hi, len(p.counts)); i++ {
		n += p.counts[i]
	}
	if hi = min(hi, len(p.counts)); hi <= k || n <= 0 {
		return 0
	}
	return 0.5 / math.Sqrt(max(1, n/float64(hi-k)))
}

// reference transforms the quantiles of quiet days, where there are enough.
func (p *prepared) reference() {
	ref := p.src.Reference
	if ref == nil || ref.N < 8 {
		return
	}
	p.refN = ref.N
	p.refLoc = p.badness(ref.P50)
	q25, q75 := p.badness(ref.P25), p.badness(ref.P75)
	tail := p.badness(ref.P99)
	if p.dir < 0 {
		tail = p.badness(ref.P01)
	}
	p.refSpr = max(math.Abs(q75-q25)/1.349, (tail-p.refLoc)/6)
}

// badness transforms one raw value: higher is worse.
func (p *prepared) badness(v float64) float64 {
	if v != v {
		return v
	}
	switch {
	case p.errs && p.dir < 0: // a share of requests that went well
		return math.Sqrt(max(0, 1-v))
	case p.errs:
		return math.Sqrt(max(0, v))
	case p.ratio:
		return float64(p.dir * v)
	}
	return float64(p.dir * ln(max(v, 0)+p.offset))
}

// end is when sample i was complete.
func (p *prepared) end(i int) ms { return p.from[i] + p.step }

// firstAfter is the first sample that describes at least a third of the time after t, or len.
func (p *prepared) firstAfter(t ms) int {
	third := p.step / 3
	n := len(p.from)
	if n == 0 {
		return 0
	}
	// from[i] + step − t ≥ third  ⇔  i ≥ (t + third − step − from[0]) / step, rounded up
	d := t + third - p.step - p.from[0]
	if d <= 0 {
		return 0
	}
	k := int((d + p.step - 1) / p.step)
	return min(k, n)
}

// Median and spread of what is no gap. buf is scratch space and is overwritten.
func medianMAD(v, buf []float64) (med, mad float64, n int) {
	buf = buf[:0]
	for _, x := range v {
		if x == x {
			buf = append(buf, x)
		}
	}
	n = len(buf)
	if n == 0 {
		return math.NaN(), math.NaN(), 0
	}
	med = middle(buf)
	for i, x := range buf {
		buf[i] = math.Abs(x - med)
	}
	return med, float64(1.4826 * middle(buf)), n
}

// median is medianMAD without the spread.
func median(v, buf []float64) (med float64, n int) {
	buf = buf[:0]
	for _, x := range v {
		if x == x {
			buf = append(buf, x)
		}
	}
	if len(buf) == 0 {
		return math.NaN(), 0
	}
	return middle(buf), len(buf)
}

// middle sorts v and returns its median.
func middle(v []float64) float64 {
	slices.Sort(v)
	return sortedMiddle(v)
}
