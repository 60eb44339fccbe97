package correlate

import (
	"slices"

	"github.com/triaged-dev/triaged/triage"
)

// passedShare is the share of a service's rise that one of its callees must show for the rise to be the callee's: calls in
// parallel and retries make the two differ.
const passedShare = 0.3

// passedOn reports whether something the service calls rose with the symptom by enough to make the service rise too. Then its
// own shift is what it passes on, whatever the reason of the callee: a callee that is slow because it has just started slows
// its callers all the same.
func (m *ranking) passedOn(name string) bool {
	if m.passed == nil {
		m.passed = make(map[string]bool)
	}
	if was, ok := m.passed[name]; ok {
		return was
	}
	m.passed[name] = false
	s := m.services[name]
	if s == nil || name == m.scope.Service {
		return false
	}
	m.passed[name] = slices.ContainsFunc(m.in.Topology.Callees(name), func(callee string) bool {
		c := m.services[callee]
		return c != nil && (m.passes(s, c, triage.SignalErrors) || m.passes(s, c, triage.SignalLatency))
	})
	return m.passed[name]
}

// passes compares the rises of a service and a callee by the signal, in the same unit.
func (m *ranking) passes(s, callee *service, signal triage.Signal) bool {
	own := m.riseOf(s, signal)
	return own > 0 && m.riseOf(callee, signal) >= float64(passedShare*own)
}

// riseOf is the largest rise of the service's series of a signal that shifted with the symptom, as a share of requests or in
// seconds, warm or not; 0 where none did or the unit is not known.
func (m *ranking) riseOf(s *service, signal triage.Signal) float64 {
	most := 0.0
	for _, p := range s.signals[signalIndex(signal)] {
		unit := 1.0
		if signal == triage.SignalLatency {
			unit = p.seconds()
		}
		if p.part || unit == 0 || signal == triage.SignalErrors && !p.errs {
			continue
		}
		bare := *p
		bare.restarts, bare.feels, bare.cache = nil, nil, nil
		for _, t := range [...]ms{m.onset.best, m.onset.latest - p.step} {
			if sh := bare.shiftAt(bare.firstAfter(t), &m.w); sh.observed && sh.log > 1 {
				most = max(most, p.dir*(sh.after-sh.before)*unit)
			}
		}
	}
	return most
}
