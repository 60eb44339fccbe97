package main

import (
	"context"
	"slices"
	"time"

	"github.com/triaged-dev/triaged/triage"
)

// othersTime is what asking for the other alerts may take; it runs beside the ranking.
const othersTime = 2 * time.Second

// otherAlerts asks, beside the ranking, what else is pending or firing. The function returned waits for the answer; one that does
// not come in time is left out, and the servers' own status says why.
func (g *generation) otherAlerts(ctx context.Context, inc triage.Incident, at time.Time) func() []triage.ActiveAlert {
	answer := make(chan []triage.ActiveAlert, 1)
	ctx, cancel := context.WithTimeout(ctx, othersTime)
	go func() {
		answer <- others(g.metrics.ActiveAlerts(ctx, at), inc.Alerts)
	}()
	return func() []triage.ActiveAlert {
		defer cancel()
		select {
		case found := <-answer:
			return found
		case <-ctx.Done():
			return nil
		}
	}
}

// others leaves out the incident's own alerts: what a receiver got carries every label the server has, and perhaps more.
func others(active []triage.ActiveAlert, own []triage.Alert) []triage.ActiveAlert {
	isOwn := func(a triage.ActiveAlert) bool {
		return slices.ContainsFunc(own, func(o triage.Alert) bool {
			for k, v := range a.Labels {
				if o.Labels[k] != v && k != "prometheus_replica" && k != "replica" {
					return false
				}
			}
			return true
		})
	}
	out := slices.DeleteFunc(slices.Clone(active), isOwn)
	return out[:min(len(out), triage.MaxOtherAlerts)]
}
