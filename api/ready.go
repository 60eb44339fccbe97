package api

import (
	"context"
	"fmt"

	"github.com/triaged-dev/triaged/triage"
	"github.com/triaged-dev/triaged/triage/say"
)

// lookedAt bounds the incidents and dead letters that readiness looks at.
const lookedAt = 100

// readyDetails is what works less well than it should. What cannot be read is itself such a thing.
func (a *API) readyDetails(ctx context.Context) []readyDetail {
	out := []readyDetail{}
	add := func(name, reason, fix string) { out = append(out, readyDetail{name, reason, fix}) }
	for _, s := range a.opts.Collector.Sources() {
		if s.State != triage.SourceOK {
			reason := string(s.State)
			if s.Detail != "" {
				reason += ": " + s.Detail
			}
			add("source "+s.Name, reason, s.State.Remedy())
		}
		if s.Quarantined > 0 {
			add("quarantine of "+s.Name, fmt.Sprintf("%d records could not be read since the start", s.Quarantined), "GET /api/v1/quarantine says why; mend the sender or the mapping, then retry them")
		}
	}
	dead, more, err := a.opts.Store.Deliveries(ctx, triage.DeliveryQuery{States: []triage.DeliveryState{triage.DeliveryDead, triage.DeliveryHeld}, Limit: lookedAt})
	switch {
	case err != nil:
		add("deliveries", "the outbox cannot be read", "look at the log")
	case len(dead) > 0:
		add("deliveries", fmt.Sprintf("%s were not delivered, the last to %s: %s", atLeast(len(dead), more), dead[0].Receiver, say.Trouble(dead[0])), "mend the receiver, then send them again from /deliveries")
	}
	incidents, _, err := a.opts.Store.Incidents(ctx, triage.IncidentQuery{Limit: lookedAt})
	if err != nil {
		add("incidents", "they cannot be read", "look at the log")
		return out
	}
	nameless, last := 0, ""
	for _, i := range incidents {
		if i.Service == "" {
			if nameless++; last == "" && len(i.Alerts) > 0 {
				last = i.Alerts[0].Name()
			}
		}
	}
	if 5*nameless > len(incidents) { // more than one in five
		add("services of incidents", fmt.Sprintf("%d of the last %d name no service, like %s", nameless, len(incidents), last), "keep a service label in those rules")
	}
	return out
}

func atLeast(n int, more string) string {
	if more != "" {
		return fmt.Sprintf("at least %d posts", n)
	}
	return fmt.Sprintf("%d posts", n)
}
