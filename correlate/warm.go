package correlate

import "github.com/triaged-dev/triaged/triage"

// A fresh process is slow, cold and restless at every rollout, guilty or not: caches are empty, connections are made,
// code is compiled. Innocent canaries' latency against the old version's has its ninth decile at 9.5 times in the first
// minute and 1.6 times from the second on; that of the whole service, old processes among the new, at 4.9 times in the first.
// Errors stay where they were in 99 of 100. So a shift of latency or saturation of a service that has just restarted is
// measured against that, not against how it was when warm.
const (
	coldSpan = ms(60_000)  // after the last new process
	coolSpan = ms(180_000) // and what is left of it

	coldLatency    = 1.2  // of the whole service: ln 4.9 over the normal's ninth decile, 1.28
	coolLatency    = 0.37 // ln 1.6
	coldSaturation = 0.6  // ln 2.2
	coolSaturation = 0.3
)

// restart is a time during which processes of a service were replaced.
type restart struct{ from, to ms }

// loadRestarts notes when the processes of each service were replaced, for every change seen that does so.
func (m *ranking) loadRestarts() {
	for i := range m.in.Changes {
		ch := &m.in.Changes[i]
		if ch.Service == "" || !restarts(ch.Kind) || !seenBy(*ch, m.at) {
			continue
		}
		s := m.services[ch.Service]
		if s == nil {
			continue
		}
		lo, hi, observed := ch.StartInterval(coldSpan.duration())
		r := restart{m.rel(lo), m.rel(hi)}
		switch {
		case !ch.FinishedAt.IsZero() && observed:
			r.to = max(r.to, m.rel(ch.FinishedAt))
		case observed:
			r.to += coldSpan
		}
		if s.sawNone(r) {
			continue
		}
		s.restarts = append(s.restarts, r)
	}
}

// restarts reports whether a change of the kind replaces processes.
func restarts(k triage.Kind) bool {
	switch k {
	case triage.KindDeploy, triage.KindRollback, triage.KindInfra, triage.KindScale, triage.KindCommand:
		return true
	default:
		return false
	}
}

// sawNone reports whether the service's processes are told apart and none of them was new at that time.
func (s *service) sawNone(r restart) bool {
	told := false
	for _, p := range s.split {
		if podOf(p) == "" && p.src.Labels["version"] == "" || p.from[0] > r.from-3*p.step {
			continue
		}
		first := p.firstFrom()
		if first > r.from-p.step-coldSpan && first < r.to+coldSpan+p.step {
			return false
		}
		told = told || p.lastEnd() > r.from+p.step/2
	}
	return told
}

// warmth is the spread that a restart puts on a sample of the signal, in units of badness; 0 where none is near.
func (p *prepared) warmth(from, to ms) float64 {
	cold, cool := 0.0, 0.0
	switch p.signal {
	case triage.SignalLatency:
		cold, cool = coldLatency, coolLatency
	case triage.SignalSaturation, triage.SignalCustom:
		cold, cool = coldSaturation, coolSaturation
	default:
		return 0
	}
	if p.ratio {
		return 0 // a signed quantity: its own scale
	}
	most := 0.0
	for _, r := range p.restarts {
		part := func(a, b ms) float64 { return max(0, (min(to, b)-max(from, a)).minutes()/(to-from).minutes()) }
		most = max(most, float64(cold*part(r.from, r.to+coldSpan))+float64(cool*part(r.to+coldSpan, r.to+coolSpan)))
	}
	return most
}
