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
func (m *ranking) logAt(s *service, t ms) (log float64, ok bool) {
	w := &m.w
	if v, hit := s.logs[t]; hit {
		return v, v == v
	}
	sum, share, seen := 0.0, 0.0, false
	for i, group := range s.signals {
		n, mean := 0, 0.0
		for _, p := range group {
			if p.part { // of a whole that is there too
				continue
			}
			if k := p.firstAfter(t); k < len(p.bad) && p.seenFrom(k) {
				mean += exp(float64(w.ShiftPower * p.logSplit(k, w)))
				n++
			}
		}
		l := 1.0 // a signal nobody measured says nothing either way
		if n > 0 {
			l, seen = exp(ln(mean/float64(n))/w.ShiftPower), true
		}
		sum += float64(m.share(i) * l)
		share += m.share(i)
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
	if g := s.goneLog(t); g > 0 && (log != log || g > log) {
		log = g
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
		l := w.shiftLog(a.effect, 1, 2)
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
		if v, ok := m.logAt(s, t); ok {
			l = exp(v)
		}
		sum += float64(m.onset.weights[i] * l)
	}
	return sum
}

// explained is the log likelihood ratio of one service's shift for a hypothesis under which it shows with probability q,
// where it would show with probability base had the trouble begun anywhere else.
func explained(ratio, q, base float64) float64 {
	return ln((float64(q*ratio) + 1 - q) / (float64(base*ratio) + 1 - base))
}

// base is how likely a service shows with this symptom wherever the trouble began. The symptom's own service does: that is
// why we were called, and so it speaks for no hypothesis. Who calls it suffers with it. What no graph places may be either.
func (m *ranking) base(name string) float64 {
	if name == m.scope.Service {
		return 1
	}
	if d, ok := m.up[name]; ok {
		return m.w.callerShows(d)
	}
	return max(m.noise(name), m.unplacedBase(name))
}

// unplacedBase is how likely a service that no graph places shifts with a symptom; 0 for those that one does.
func (m *ranking) unplacedBase(name string) float64 {
	if _, ok := m.down[name]; !ok && (m.noGraph() || !m.in.Topology.Has(name)) {
		return m.w.OriginUnplaced
	}
	return 0
}

// noise is how likely a service shifts as it did at the onset for reasons of its own: as often as it did when nothing was wrong,
// where that was measured here.
func (m *ranking) noise(name string) float64 {
	if m.placebo == nil {
		return m.w.OriginNoise
	}
	if v, ok := m.noises[name]; ok {
		return v
	}
	if m.noises == nil {
		m.noises = make(map[string]float64)
	}
	m.noises[name] = m.learnedAt(name, m.onset.best, nil).share(m.w.OriginNoise)
	return m.noises[name]
}

// ownBase is base for a fault at the service itself.
func (m *ranking) ownBase(name string) float64 { return m.suffers(name, m.base(name)) }

// suffers raises the base of what a service passes on from a callee, which is not its own, and of what it suffers because it is
// asked more.
func (m *ranking) suffers(name string, base float64) float64 {
	if m.passedOn(name) || m.askedMore(name) {
		base = max(base, m.w.OriginCaller)
	}
	return base
}

// callerShows is how likely a fault shows on who calls it over d calls.
func (w *Weights) callerShows(d int) float64 {
	q := w.OriginCaller
	for ; d > 1; d-- {
		q *= w.OriginDecay
	}
	return q
}

// cascade is what an origin explains of its callers' shifts. symptomsOnly callers that never reach the symptom count too:
// all who call a broken service should suffer.
func (m *ranking) cascade(origin string) (log float64, shifted, seen int) {
	hops := m.in.Topology.Upstream(origin, max(m.cfg.MaxHops, 1))
	for _, name := range m.names {
		d, ok := hops[name]
		if !ok || d == 0 || name == m.scope.Service {
			continue
		}
		base := m.base(name)
		q := max(m.w.callerShows(d), base)
		r := m.ratioAtOnset(name)
		if r == 1 {
			continue
		}
		seen++
		if r > 3 {
			shifted++
		}
		log += explained(r, q, base)
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
		base := m.base(name)
		log += explained(r, max(m.w.OriginCaller, base), base)
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
		if _, ok := m.down[name]; !ok && name != m.scope.Service && !m.noGraph() {
			continue
		}
		r := m.ratioAtOnset(name)
		base := m.ownBase(name)
		own := explained(r, max(m.w.OriginShows, base), base)
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

// noGraph reports whether the topology does not know the symptom's service at all.
func (m *ranking) noGraph() bool { return !m.in.Topology.Has(m.scope.Service) }

// external reports whether a service is a vendor's, as far as the directory says.
func (m *ranking) external(name string) bool {
	s, ok := m.in.Services[name]
	return ok && s.External
}
