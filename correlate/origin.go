package correlate

import (
	"math"
	"slices"
)

// The model of where a fault began. A fault at a service shows there with probability shows, on its callers with a
// probability that falls with each hop, and elsewhere only as often as services shift for reasons of their own. The
// log likelihood of an origin is therefore its own shift, plus the shifts of its callers that it would explain: a caller
// whose callee explains its shift gains nothing over the callee, and breadth speaks for what reaches everything.

// logAt is the service's log likelihood ratio of a shift at time t: the mean over the series of a signal, then the mean over
// signals by the share of faults that show there. Means of likelihoods, so that more series of one signal do not mean
// more suspicion. ok is false when nothing was observed after t.
func (s *service) logAt(t ms, w *Weights) (log float64, ok bool) {
	if v, hit := s.logs[t]; hit {
		return v, v == v
	}
	sum, share, seen := 0.0, 0.0, false
	for i, group := range s.signals {
		n, mean := 0, 0.0
		for _, p := range group {
			if k := p.firstAfter(t); k < len(p.bad) && p.seenFrom(k) {
				mean += exp(float64(w.ShiftPower * p.logSplit(k, w)))
				n++
			}
		}
		l := 1.0 // a signal nobody measured says nothing either way
		if n > 0 {
			l, seen = exp(ln(mean/float64(n))/w.ShiftPower), true
		}
		sum += float64(signalOrder[i].share * l)
		share += signalOrder[i].share
	}
	log = math.NaN()
	if !seen && len(s.seen) > 0 {
		log = s.anomalyLog(t, w)
		s.logs[t] = log
		return log, log == log
	}
	if seen {
		log = ln(sum / share)
	}
	s.logs[t] = log
	return log, log == log
}

// anomalyGap is how far apart a shift and a detected anomaly may lie and still be the same.
const anomalyGap = ms(180_000)

// anomalyLog is the likelihood ratio of a shift at t by the anomalies somebody else detected: the clearest near t. Where
// none is near, nothing is known: a detector that stayed silent may not have looked.
func (s *service) anomalyLog(t ms, w *Weights) float64 {
	log := math.NaN()
	for _, a := range s.seen {
		if t < a.from-anomalyGap || t > a.to+anomalyGap {
			continue
		}
		l := w.shiftLog(a.effect, 2)
		if a.weak {
			l = min(l, 1)
		}
		if log != log || l > log {
			log = l
		}
	}
	return log
}

// anomalyNear is the anomaly that anomalyLog went by.
func (s *service) anomalyNear(t ms) *anomalyAt {
	var best *anomalyAt
	for i := range s.seen {
		a := &s.seen[i]
		if t >= a.from-anomalyGap && t <= a.to+anomalyGap && (best == nil || a.effect > best.effect) {
			best = a
		}
	}
	return best
}

// seenFrom reports whether any sample from k on is no gap.
func (p *prepared) seenFrom(k int) bool {
	return slices.ContainsFunc(p.bad[k:min(len(p.bad), k+afterMax)], func(v float64) bool { return v == v })
}

// atOnset is the service's likelihood ratio of a shift with the symptom, the onset integrated out.
func (m *ranking) atOnset(s *service) float64 {
	sum := 0.0
	for i, t := range m.onset.points {
		l := 1.0
		if v, ok := s.logAt(t, &m.w); ok {
			l = exp(v)
		}
		sum += float64(m.onset.weights[i] * l)
	}
	return sum
}

// ownShift is what the candidate's own service did from the candidate's start on.
type ownShift struct {
	observed bool
	ratio    float64 // likelihood ratio of a shift that began with or after the candidate
	at       ms      // the likeliest time of the shift
	best     *prepared
	shift    shift // of best
	anomaly  *anomalyAt
	earlier  int // samples that had shifted alike before the candidate began
}

// Lags, in minutes, at which a shift of the changed service itself is looked for, with their weights.
var ownLags = [...]struct{ minutes, weight float64 }{
	{0, .25}, {0.5, .2}, {1, .15}, {2, .12}, {4, .12}, {7, .08}, {12, .08},
}

// ownShiftOf weighs the changed service's series at the candidate's own steps, and at the onset where that came later.
// Times that no sample describes yet count as not observed, neither for nor against.
func (m *ranking) ownShiftOf(c *candidate) ownShift {
	s := m.services[c.ch.Service]
	out := ownShift{ratio: 1}
	if s == nil {
		return out
	}
	sum, total, top := 0.0, 0.0, -1.0
	add := func(t ms, weight float64) {
		l := 1.0
		if v, ok := s.logAt(t, &m.w); ok {
			l, out.observed = exp(v), true
			if l > top {
				top, out.at = l, t
			}
		}
		sum += float64(weight * l)
		total += weight
	}
	for _, p := range c.act.parts {
		for _, lag := range ownLags {
			t := p.from + ms(lag.minutes*60000)
			if t > max(0, m.onset.latest) {
				t = max(0, m.onset.latest)
			}
			add(t, float64(0.5*p.weight*lag.weight))
		}
	}
	for i, t := range m.onset.points {
		if t >= c.act.first {
			add(t, float64(0.5*m.onset.weights[i]))
		}
	}
	if !out.observed || total == 0 {
		return out
	}
	out.ratio = sum / total
	out.anomaly = s.anomalyNear(out.at)
	m.bestSeries(s, &out)
	out.earlier = shiftedBefore(out.best, c.act.first)
	return out
}

// bestSeries picks the series that shows the shift most clearly, for the sentence; where none does, the first of the
// signal that says most.
func (m *ranking) bestSeries(s *service, o *ownShift) {
	top := 0.5
	for _, group := range s.signals {
		for _, p := range group {
			k := p.firstAfter(o.at)
			if k >= len(p.bad) || !p.seenFrom(k) {
				continue
			}
			if v := p.logSplit(k, &m.w); v > top || o.best == nil {
				top, o.best = max(v, top), p
			}
		}
	}
	if o.best != nil {
		o.shift = o.best.shiftAt(o.best.firstAfter(o.at), &m.w)
	}
}

// shiftedBefore counts the samples straight before t that had left the range by at least half of what came after t.
func shiftedBefore(p *prepared, t ms) int {
	if p == nil {
		return 0
	}
	k := p.firstAfter(t)
	for k > 0 && p.end(k-1) > t {
		k--
	}
	if k < 8 {
		return 0
	}
	var buf [beforeMax]float64
	half := k / 2
	med, mad, n := medianMAD(p.bad[max(0, half-beforeMax):half], buf[:0])
	loc, spread := p.baseline(med, mad, n)
	after, _, na := medianMAD(p.bad[k:min(len(p.bad), k+afterMax)], make([]float64, 0, afterMax))
	if loc != loc || na == 0 {
		return 0
	}
	bar := max(float64(4*spread), float64(0.5*(after-loc)))
	count := 0
	for i := k - 1; i >= 0; i-- {
		if v := p.bad[i]; v == v {
			if v-loc < bar {
				break
			}
			count++
		}
	}
	return count
}

// explained is the log likelihood ratio of one service's shift for a hypothesis under which it shows with probability q.
func (w *Weights) explained(ratio, q float64) float64 {
	e := w.OriginNoise
	return ln((float64(q*ratio) + 1 - q) / (float64(e*ratio) + 1 - e))
}

// cascade is what an origin explains of its callers' shifts. symptomsOnly callers that never reach the symptom count too:
// all who call a broken service should suffer.
func (m *ranking) cascade(origin string) (log float64, shifted, seen int) {
	hops := m.in.Topology.Upstream(origin, max(m.cfg.MaxHops, 1))
	for _, name := range m.names {
		d, ok := hops[name]
		if !ok || d == 0 {
			continue
		}
		q := m.w.OriginCaller
		for ; d > 1; d-- {
			q *= m.w.OriginDecay
		}
		r := m.ratioAtOnset(name)
		if r == 1 {
			continue
		}
		seen++
		if r > 3 {
			shifted++
		}
		log += m.w.explained(r, q)
	}
	return clamp(float64(m.w.OriginWitness*log), m.w.OriginCascadeMin, m.w.OriginCascadeMax), shifted, seen
}

// believed scales what an origin explains of others by how surely it shifted itself: what did not move cannot have moved
// its callers. A ratio of exactly 1 means nobody looked.
func believed(cascade, ratio float64) float64 {
	if cascade <= 0 || ratio == 1 {
		return cascade
	}
	return cascade * (ratio / (1 + ratio))
}

// breadth is what a change that reaches everything explains.
func (m *ranking) breadth() (log float64, shifted, seen int) {
	for _, name := range m.names {
		r := m.ratioAtOnset(name)
		if r == 1 {
			continue
		}
		seen++
		if r > 3 {
			shifted++
		}
		log += m.w.explained(r, m.w.OriginCaller)
	}
	return clamp(float64(m.w.OriginWitness*log), m.w.OriginCascadeMin, m.w.OriginGlobalMax), shifted, seen
}

// ratioAtOnset is atOnset by name, cached; 1 where nothing was observed.
func (m *ranking) ratioAtOnset(name string) float64 {
	if m.onsetRatio == nil {
		m.onsetRatio = make(map[string]float64, len(m.names))
	}
	if r, ok := m.onsetRatio[name]; ok {
		return r
	}
	r := 1.0
	if s := m.services[name]; s != nil {
		r = m.atOnset(s)
	}
	m.onsetRatio[name] = r
	return r
}

// originShare is how likely the fault sits at a service, as far as the series say.
type originShare struct {
	name  string
	log   float64 // nats against "nowhere in particular"
	share float64 // of the mass of none
}

// origins weighs every service that the symptom depends on as the place of a fault with no change behind it.
func (m *ranking) origins() []originShare {
	var out []originShare
	for _, name := range m.names {
		if _, ok := m.down[name]; !ok && name != m.scope.Service {
			continue
		}
		r := m.ratioAtOnset(name)
		own := m.w.explained(r, m.w.OriginShows)
		up, _, _ := m.cascadeCached(name)
		up = believed(up, r)
		out = append(out, originShare{name: name, log: own + up})
	}
	return out
}

func (m *ranking) cascadeCached(name string) (float64, int, int) {
	if m.cascades == nil {
		m.cascades = make(map[string]cascadeResult)
	}
	r, ok := m.cascades[name]
	if !ok {
		r.log, r.shifted, r.seen = m.cascade(name)
		m.cascades[name] = r
	}
	return r.log, r.shifted, r.seen
}

type cascadeResult struct {
	log           float64
	shifted, seen int
}

// external reports whether a service is a vendor's, as far as the directory says.
func (m *ranking) external(name string) bool {
	s, ok := m.in.Services[name]
	return ok && s.External
}
