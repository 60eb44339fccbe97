package prometheus

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/common/model"

	"github.com/triaged-dev/triaged/triage"
)

// activeExpr has one sample for each alert that is pending or firing: since when its expression holds, in seconds since 1970.
const activeExpr = `ALERTS{severity!~"none|info"} * ignoring(alertstate) group_left ALERTS_FOR_STATE`

// ActiveAlerts are the alerts pending or firing at a time, by when they became active. Those of severity none and info are left
// out, and the server's external labels are added.
func (s *Source) ActiveAlerts(ctx context.Context, at time.Time) ([]triage.ActiveAlert, error) {
	var external map[string]string
	if conf, err := s.serverConfig(ctx, s.client); err == nil {
		external = conf.Global.ExternalLabels
	}
	v, err := s.client.vector(ctx, activeExpr, at)
	s.asked(err)
	if err != nil {
		return nil, err
	}
	out := make([]triage.ActiveAlert, 0, len(v))
	for _, sample := range v {
		since := float64(sample.Value)
		if !(since > 0 && since <= float64(at.Unix()+1)) { // NaN, or no time in the past: not what a rule's state says
			continue
		}
		labels := maps.Clone(external)
		if labels == nil {
			labels = make(map[string]string, len(sample.Metric))
		}
		for k, v := range sample.Metric {
			labels[string(k)] = string(v)
		}
		a := triage.ActiveAlert{
			Name: labels[model.AlertNameLabel], Severity: labels["severity"], State: labels["alertstate"],
			ActiveAt: time.Unix(int64(since), 0).UTC(), Labels: labels,
		}
		delete(labels, "alertstate")
		if name := triage.SubjectOf(labels, s.PodOwner).Service; name != "" {
			a.Service = s.serviceName(name)
		}
		out = append(out, a)
	}
	slices.SortFunc(out, compareActive)
	return out, nil
}

func compareActive(a, b triage.ActiveAlert) int {
	return cmp.Or(a.ActiveAt.Compare(b.ActiveAt), cmp.Compare(labelKey(a.Labels), labelKey(b.Labels)))
}

// ActiveAlerts are those of all servers. What two of them have alike, as the replicas of a pair do, is there once.
func (t *Set) ActiveAlerts(ctx context.Context, at time.Time) []triage.ActiveAlert {
	found := make([][]triage.ActiveAlert, len(t.sources))
	var wg sync.WaitGroup
	for i, s := range t.sources {
		wg.Go(func() { found[i], _ = s.ActiveAlerts(ctx, at) }) // what does not answer is in its source's status
	}
	wg.Wait()
	all := slices.Concat(found...)
	slices.SortStableFunc(all, compareActive)
	seen := make(map[string]bool, len(all))
	return slices.DeleteFunc(all, func(a triage.ActiveAlert) bool {
		key := withoutReplica(a.Labels)
		again := seen[key]
		seen[key] = true
		return again
	})
}

// withoutReplica identifies an alert whichever server of a pair evaluated it.
func withoutReplica(labels map[string]string) string {
	own := maps.Clone(labels)
	delete(own, "prometheus_replica")
	delete(own, "replica")
	return labelKey(own)
}
