package alerting

import (
	"time"

	"github.com/triaged-dev/triaged/triage"
)

// Inhibition holds reports back while something larger is known to be on: alerts that match Matchers say nothing new while one fires
// that matches While and has the same values of the labels Equal.
type Inhibition struct {
	Matchers Matchers `yaml:"matchers"`
	While    Matchers `yaml:"while"`
	Equal    []string `yaml:"equal,omitempty"`
}

// Why something is recorded and not posted: Delivery.Muted.
const (
	mutedByTime  = "mute_times"
	mutedByAlert = "inhibit"
)

// mutedAt reports whether the target says nothing at this time.
func (t Target) mutedAt(now time.Time) bool {
	for _, in := range t.MuteTimes {
		if in.ContainsTime(now) {
			return true
		}
	}
	return false
}

// inhibited reports whether every firing alert of the incident is held back by one of another incident.
func (a *Alerting) inhibited(p planning) bool {
	if len(p.route.Inhibit) == 0 {
		return false
	}
	others := a.firingElsewhere(p.inc.ID)
	firing := 0
	for _, al := range p.inc.Alerts {
		if al.Status == triage.AlertResolved {
			continue
		}
		firing++
		if !p.route.holdsBack(p.factsOf(a, al), others) {
			return false
		}
	}
	return firing > 0
}

func (r RouteConfig) holdsBack(labels map[string]string, others []map[string]string) bool {
	for _, h := range r.Inhibit {
		if !h.Matchers.All(labels) {
			continue
		}
		for _, o := range others {
			if h.While.All(o) && h.equal(labels, o) {
				return true
			}
		}
	}
	return false
}

func (h Inhibition) equal(a, b map[string]string) bool {
	for _, name := range h.Equal {
		if a[name] != b[name] {
			return false
		}
	}
	return true
}

// firingElsewhere are the labels of the alerts that fire in other incidents.
func (a *Alerting) firingElsewhere(id string) []map[string]string {
	a.mu.Lock()
	defer a.mu.Unlock()
	var out []map[string]string
	for _, e := range a.entries {
		if e.inc.ID == id {
			continue
		}
		for _, al := range e.inc.Alerts {
			if al.Status != triage.AlertResolved {
				out = append(out, al.Labels)
			}
		}
	}
	return out
}
