package alerting

import (
	"context"
	"fmt"
	"time"

	"github.com/triaged-dev/triaged/triage"
)

// restartGrace is how long senders have, after a start, to repeat alerts whose promised time ran out while we were down.
const restartGrace = 5 * time.Minute

// load brings back what an earlier run left: open incidents, what was told of them, and which still lack a report.
func (a *Alerting) load(ctx context.Context) error {
	open := []triage.IncidentState{triage.IncidentOpen, triage.IncidentMitigating, triage.IncidentRecovered}
	now := a.now()
	after := ""
	for {
		incs, next, err := a.store.Incidents(ctx, triage.IncidentQuery{States: open, Limit: 200, After: after})
		if err != nil {
			return fmt.Errorf("load open incidents: %w", err)
		}
		for _, inc := range incs {
			if err := a.restore(ctx, inc, now); err != nil {
				return err
			}
		}
		if next == "" || len(incs) == 0 {
			break
		}
		after = next
	}
	return a.out.Load(ctx)
}

func (a *Alerting) restore(ctx context.Context, inc triage.Incident, now time.Time) error {
	e := newEntry(inc)
	var reach map[string]bool
	for i, al := range inc.Alerts {
		al.Fingerprint = triage.LabelsFingerprint(al.Labels) // versions before 0.2 kept the sender's
		e.inc.Alerts[i].Fingerprint = al.Fingerprint
		if al.Status == triage.AlertResolved {
			continue
		}
		e.heard[al.LabelFingerprint()] = now
		if grace := now.Add(restartGrace); !al.EndsAt.IsZero() && al.EndsAt.Before(grace) {
			e.inc.Alerts[i].EndsAt = grace
		}
	}
	if inc.Reports > 0 {
		latest, err := a.store.Report(ctx, inc.ID, inc.Reports)
		if err != nil {
			return fmt.Errorf("load report %d of incident %s: %w", inc.Reports, inc.ID, err)
		}
		e.report, e.lastTriage, e.peak = &latest, latest.CreatedAt, latest.Severity
		e.restoreUndos(latest)
		if err := a.restorePosted(ctx, e); err != nil {
			return err
		}
		first := latest
		if inc.Reports > 1 {
			if first, err = a.store.Report(ctx, inc.ID, 1); err != nil {
				return fmt.Errorf("load report 1 of incident %s: %w", inc.ID, err)
			}
		}
		e.looks = a.looksAfter(first.CreatedAt, now)
		reach = a.reach(e, triage.Topology{})
	}
	a.mu.Lock()
	a.index(e)
	a.setReach(e, reach)
	a.mu.Unlock()
	if inc.Reports == 0 {
		a.enqueue(e, CauseAlert, now)
	}
	return nil
}

// restorePosted finds the last report that went to the outbox, and the state it told of.
func (a *Alerting) restorePosted(ctx context.Context, e *entry) error {
	ds, err := a.out.Of(ctx, e.inc.ID)
	if err != nil {
		return err
	}
	last := 0
	for _, d := range ds {
		last = max(last, d.ReportNumber)
	}
	if last == 0 {
		return nil
	}
	r, err := a.store.Report(ctx, e.inc.ID, last)
	if err != nil {
		return fmt.Errorf("load report %d of incident %s: %w", last, e.inc.ID, err)
	}
	e.posted, e.postedAs = &r, r.Tells()
	return nil
}
