package correlate

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/triaged-dev/triaged/triage"
)

// onset is when the symptom began: an interval with a weight at each point of a grid over it.
type onset struct {
	earliest, best, latest ms
	points                 []ms
	halves                 []ms      // half the time each point stands for
	weights                []float64 // sum to 1
	blur                   ms        // clocks, scrapes and windows place nothing better than this
	unread                 bool      // declared by people, and no series says since when
	shape                  triage.Shape
	rampFrom               ms // of a ramp: it had begun by then
	already                bool
	basis                  string
}

// What clocks, scrapes and evaluations blur at least, and what the range of a rule's expression does at most.
const (
	leastBlur = ms(5_000)
	mostBlur  = ms(30_000)
)

// rampLater is the weight of points later than where a ramp had begun, against those before.
const rampLater = 0.05

// gridPoints bounds the points the onset is integrated over.
const gridPoints = 48

// findOnset bounds the onset by what the rule says, then weighs the interval by the change points of the symptom's series.
//
// The rule cannot fire before the expression has held for its pending time, so the onset lies before activeAt, or before
// startsAt − for. It lies after that minus an evaluation, a scrape and the longest range of the expression, which is as
// long as a jump can take to show. Example: startsAt 03:07:10, for 5m, evaluation 30 s, scrape 15 s, rate[5m]: latest is
// 03:02:10 and earliest 02:56:25.
func (m *ranking) findOnset() {
	o := &m.onset
	known := m.in.Symptom != nil && m.in.Symptom.RuleFound
	pick := func(seconds, own float64, assumed time.Duration) ms {
		switch {
		case seconds > 0:
			return seconds2ms(seconds)
		case own > 0:
			return seconds2ms(own)
		case known && assumed == 0:
			return 0
		}
		return ms(assumed.Milliseconds())
	}
	var sy triage.Symptom
	if m.in.Symptom != nil {
		sy = *m.in.Symptom
	}
	a := m.cfg.Assume
	m.standIn()
	pending := pick(sy.ForS, m.alert.ForS, time.Duration(a.For))
	eval := pick(sy.EvalIntervalS, m.alert.EvalIntervalS, time.Duration(a.Eval))
	scrape := pick(sy.ScrapeIntervalS, 0, time.Duration(a.Scrape))
	if sy.ScrapeIntervalS == 0 {
		scrape = max(scrape, m.resolution())
	}
	span := pick(sy.LongestRangeS, 0, time.Duration(a.Range))
	if known && sy.LongestRangeS == 0 {
		span = 0
	}

	active := sy.ActiveAt
	if active.IsZero() {
		active = m.alert.ActiveAt
	}
	starts := m.at
	if !m.alert.StartsAt.IsZero() {
		starts = m.alert.StartsAt
	}
	switch {
	case !active.IsZero() && !active.After(starts):
		o.latest = m.rel(active)
		o.basis = "began before the expression first held"
	case pending > 0:
		o.latest = m.rel(starts) - pending
		o.basis = fmt.Sprintf("fired after a pending time of %s", span1(pending))
	default:
		o.latest = m.rel(starts)
		o.basis = "pending time of the rule unknown or none"
	}
	o.latest = min(o.latest, m.rel(starts), 0)
	o.earliest = o.latest - eval - scrape - span
	if late := ms(time.Duration(a.Late).Milliseconds()); !known && len(m.symptom) == 0 && o.latest-o.earliest < late {
		o.earliest = o.latest - late // rules fire late too, and nothing says how late this one
	}
	o.blur = leastBlur
	if known { // what is assumed says nothing of how sharp the series are
		o.blur = max(leastBlur, min(span/10, mostBlur))
	}
	o.basis += fmt.Sprintf("; evaluation %s, resolution %s, range %s", span1(eval), span1(scrape), span1(span))
	if !known && span > 0 {
		o.basis += " (assumed)"
	}
	o.shape = triage.ShapeUnknown
	m.settleState()
	m.rampBack()
	if d := ms(time.Duration(a.Declared).Milliseconds()); !known && byHand(m.alert) && o.latest-o.earliest < d && !m.shows() {
		o.unread, o.earliest = true, o.latest-d
		o.basis = "declared by people, who notice late"
		m.settleState()
	}
	m.weighOnset((eval+scrape)/2, known)
}

// settleState tells every series which of its samples were complete at onset.latest.
func (m *ranking) settleState() {
	feel := m.usualLatency() * m.w.ShiftMaterial
	set := func(p *prepared) {
		if unit := p.seconds(); p.signal == triage.SignalLatency && unit > 0 && p.service != m.scope.Service {
			p.least = feel / unit
		}
		p.state = 0
		for p.state < len(p.bad) && p.end(p.state) <= m.onset.latest {
			p.state++
		}
	}
	for _, p := range m.symptom {
		set(p)
	}
	for _, name := range m.names {
		for _, group := range m.services[name].signals {
			for _, p := range group {
				set(p)
			}
		}
	}
}

// usualLatency is what a request to the symptom's service usually takes, in seconds: the middle over its latency series
// whose unit their name gives away; 0 without any.
func (m *ranking) usualLatency() float64 {
	s := m.services[m.scope.Service]
	if s == nil {
		return 0
	}
	var levels []float64
	for _, p := range s.signals[signalIndex(triage.SignalLatency)] {
		if unit := p.seconds(); unit > 0 && p.src.Labels["source"] == "" {
			if med, _, n := medianMAD(p.raw, make([]float64, 0, len(p.raw))); n > 0 {
				levels = append(levels, med*unit)
			}
		}
	}
	if len(levels) == 0 {
		return 0
	}
	return middle(levels)
}

// seconds is how many seconds one unit of the series is, 0 where that is not known.
func (p *prepared) seconds() float64 {
	if p.unit != 0 {
		return max(0, p.unit)
	}
	switch p.src.Measured() {
	case triage.UnitSeconds:
		p.unit = 1
	case triage.UnitMilliseconds:
		p.unit = 1e-3
	case triage.UnitMicroseconds:
		p.unit = 1e-6
	case triage.UnitNanoseconds:
		p.unit = 1e-9
	default:
		p.unit = -1
	}
	return max(0, p.unit)
}

// seconds2ms reads seconds from outside; nothing in a rule is longer than 30 days.
func seconds2ms(s float64) ms {
	const most = 30 * 86400
	return ms(math.Round(clamp(s, 0, most) * 1000))
}

// standIn lets the alerting service's own errors and latency stand for the symptom where the alert has no series.
func (m *ranking) standIn() {
	if len(m.symptom) > 0 {
		return
	}
	s := m.services[m.scope.Service]
	if s == nil {
		return
	}
	m.symptom = append(m.symptom, s.signals[0]...)
	m.symptom = append(m.symptom, s.signals[1]...)
	if len(m.symptom) == 0 {
		m.symptom = append(m.symptom, s.signals[2]...)
	}
}

// resolution is the coarsest step among the symptom's series, 0 without any.
func (m *ranking) resolution() ms {
	var r ms
	for _, p := range m.symptom {
		r = max(r, p.step)
	}
	return r
}

// shows reports whether the symptom's series shift anywhere in the interval.
func (m *ranking) shows() bool {
	o := &m.onset
	for t := o.earliest; t <= o.latest; t += max((o.latest-o.earliest)/gridPoints, 1000) {
		if m.symptomLog(t) > 1 {
			return true
		}
	}
	return false
}

// symptomLog is the power mean of the likelihood ratio, over the symptom's series, of a shift at t: duplicates do not count twice.
func (m *ranking) symptomLog(t ms) float64 {
	if len(m.symptom) == 0 {
		return 0
	}
	sum := 0.0
	for _, p := range m.symptom {
		sum += exp(float64(m.w.ShiftPower * p.logAt(t, &m.w)))
	}
	return ln(sum/float64(len(m.symptom))) / m.w.ShiftPower
}

// byHand reports whether no rule but somebody raised the alert: it names who opened it, or is called an incident, and shows
// nothing of a rule.
func byHand(a triage.Alert) bool {
	if a.Expr != "" || a.GeneratorURL != "" || a.ForS > 0 || a.EvalIntervalS > 0 || !a.ActiveAt.IsZero() {
		return false
	}
	for _, l := range [...]string{"opened_by", "reported_by", "declared_by", "reporter"} {
		if a.Labels[l] != "" {
			return true
		}
	}
	name := strings.ToLower(a.Name())
	return slices.ContainsFunc([]string{"incident", "declared", "reported", "manual", "by hand"}, func(w string) bool { return strings.Contains(name, w) })
}

// How long before people declare an incident it begins: half within 5 minutes, three in four within 23,
// nine in ten within 121. A log-logistic of this shape meets all three.
const (
	lateMedian = 5.0 // minutes
	lateShape  = 0.72
)

// lateShare is the share of onsets no more than d before the alert.
func lateShare(d ms) float64 {
	if d <= 0 {
		return 0
	}
	return 1 / (1 + exp(float64(-lateShape*ln(d.minutes()/lateMedian))))
}

// weighOnset puts a weight on each point of the interval. Without series it is flat, falling to nothing over the last
// delay before the alert: the rule needs half an evaluation and half a scrape to see anything. With series, points are
// weighed by their likelihood, so that every split nearly as good as the best is kept.
func (m *ranking) weighOnset(delay ms, known bool) {
	o := &m.onset
	step := max((o.latest-o.earliest)/gridPoints, 1000)
	if o.unread { // finer than the series, so that no split falls between two points; folded below
		step = min(step, ms(15_000))
	}
	for t := o.earliest + step/2; t <= o.latest; t += step {
		w, d, least := 1.0, o.latest-t, delay
		switch {
		case o.unread:
			w = lateShare(d+step/2) - lateShare(d-step/2)
			least = delay / 2
		case !known: // the delay of an unknown rule has no scale: as likely 30 s to 1 min as 3 to 6 min
			w, least = 60_000/float64(60_000+d), delay/2
		}
		if d < least {
			w = float64(w * max(0.1, float64(d)/float64(least)))
		}
		switch {
		case o.shape != triage.ShapeRamp:
			w = float64(w * exp(m.symptomLog(t)))
		case t <= o.rampFrom:
			w = 1
		default:
			w = rampLater
		}
		o.points, o.halves, o.weights = append(o.points, t), append(o.halves, step/2), append(o.weights, w)
	}
	if len(o.points) == 0 {
		o.points, o.halves, o.weights = []ms{o.latest}, []ms{0}, []float64{1}
	}
	total, best := 0.0, 0
	for i, w := range o.weights {
		total += w
		if w > o.weights[best] {
			best = i
		}
	}
	// best is the middle of the points as good as the best one, so that a flat top does not lean to one side.
	last := best
	for last+1 < len(o.points) && o.weights[last+1] >= float64(0.999*o.weights[best]) {
		last++
	}
	o.best = o.points[(best+last)/2]
	for i := range o.weights {
		o.weights[i] /= total
	}
	if o.unread {
		o.fold(step)
	}
	if m.symptomLog(o.best) > 1 && o.shape == triage.ShapeUnknown {
		o.shape = triage.ShapeStep
	}
}

// fold joins neighbouring points of like weight until each stands for a sixty-fourth of it, and moves earliest up to where
// there is any to speak of.
func (o *onset) fold(step ms) {
	var points, halves []ms
	var weights []float64
	sum, from, before := 0.0, 0, 0.0
	for i, w := range o.weights {
		sum += w
		if sum < 1.0/64 && i+1 < len(o.weights) {
			mean, next := sum/float64(i+1-from), o.weights[i+1]
			if next < float64(4*mean) && mean < float64(4*next) {
				continue
			}
		}
		lo, hi := o.points[from]-step/2, o.points[i]+step/2
		if before += sum; before < 0.01 {
			o.earliest = hi
		}
		points, halves, weights = append(points, lo+(hi-lo)/2), append(halves, (hi-lo)/2), append(weights, sum)
		sum, from = 0, i+1
	}
	o.points, o.halves, o.weights = points, halves, weights
}

// reportOnset is the onset as triage writes it.
func (m *ranking) reportOnset() triage.Onset {
	o := &m.onset
	return triage.Onset{
		Interval: triage.Interval{Earliest: m.abs(o.earliest), Best: m.abs(o.best), Latest: m.abs(o.latest)},
		Shape:    o.shape, AlreadyDegraded: o.already, Basis: o.basis,
	}
}
