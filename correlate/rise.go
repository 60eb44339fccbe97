package correlate

import "github.com/triaged-dev/triaged/triage"

// rise is how much the symptom rose, in units that its callees can be measured in too; 0: unknown.
type rise struct {
	signal  triage.Signal // of the symptom's clearest series; "" without
	errors  float64       // share of requests
	seconds float64       // of latency
}

// A cause must be large enough for its effect. One request makes several calls, and so a callee may fail less often than
// its caller; queues and retries lengthen what they pass on.
const (
	leastErrors  = 0.2
	leastSeconds = 0.1
)

// measureRise reads the symptom's rise off its clearest series.
func (m *ranking) measureRise() {
	p, sh := m.clearestSymptom()
	if p == nil || sh.log <= 0 {
		return
	}
	now := sh.after
	m.rise.signal = p.signal
	switch {
	case p.errs:
		m.rise.errors = max(0, p.dir*(now-sh.before))
	case p.signal == triage.SignalLatency:
		m.rise.seconds = max(0, p.dir*(now-sh.before)*p.seconds())
	}
}

// felt reports whether a shift of the series from before to after, in its own unit, is large enough for the symptom.
func (m *ranking) felt(p *prepared, before, after float64) bool {
	up := p.dir * (after - before)
	switch {
	case p.errs:
		return up >= leastErrors*m.rise.errors
	case p.signal == triage.SignalLatency:
		unit := p.seconds()
		return unit == 0 || up*unit >= leastSeconds*m.rise.seconds
	}
	return true
}

// share is the share of faults that show on the signal: what the page is about is the likeliest.
func (m *ranking) share(signal int) float64 {
	s := signalOrder[signal]
	switch {
	case m.rise.signal == "" || m.rise.signal == triage.SignalCustom || m.rise.signal == triage.SignalSaturation:
		return s.share
	case s.signal == m.rise.signal:
		return 0.5
	case s.signal == triage.SignalCustom:
		return s.share
	}
	return 0.2
}

// askWhatIsFelt has every series of another service than the symptom's asked whether its shift could be felt there.
func (m *ranking) askWhatIsFelt() {
	for _, name := range m.names {
		if name == m.scope.Service {
			continue
		}
		for _, group := range m.services[name].signals {
			for _, p := range group {
				p.feels = func(before, after float64) bool { return m.felt(p, before, after) }
			}
		}
	}
}
