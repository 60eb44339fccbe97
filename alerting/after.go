package alerting

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/triaged-dev/triaged/triage"
)

const (
	sweepEvery = time.Second
	longHold   = 15 * time.Minute
)

// OnEvent takes a stored event. A change that undoes a suspect makes the incident mitigating, and its effect is watched; one
// that began before the onset, is near enough and was not weighed yet calls for a new triage, and so does one that goes live
// near by while the incident is open. It does little per event and never blocks on the store, so it may be fed the
// collector's full stream.
func (a *Alerting) OnEvent(ev triage.Event) {
	c := ev.Change
	if c == nil || a.Ready() != nil {
		return
	}
	now := a.now()
	type ask struct {
		e     *entry
		cause string
	}
	var asks []ask
	a.mu.Lock()
	if len(c.Undoes) == 0 && c.Service != "" && !c.Global && a.near[c.Service] == 0 {
		a.mu.Unlock()
		return
	}
	for _, e := range a.entries {
		if e.report == nil {
			continue
		}
		undid, undoes := e.undoOf(c)
		switch {
		case a.noteRedone(e, c, now):
			asks = append(asks, ask{e, CauseUndo})
		case undoes:
			if a.noteUndo(e, undid, *c, now) {
				asks = append(asks, ask{e, CauseUndo})
			}
		case e.inc.State == triage.IncidentRecovered:
		case isLate(c, e):
			asks = append(asks, ask{e, CauseLate})
		case isNew(c, e):
			e.moving = append(slices.Clone(e.moving), *c)
			asks = append(asks, ask{e, CauseMoving})
		}
	}
	a.mu.Unlock()
	slices.SortFunc(asks, func(x, y ask) int { return strings.Compare(x.e.inc.ID, y.e.inc.ID) })
	for _, k := range asks {
		a.enqueue(k.e, k.cause, now)
	}
}

// isLate reports whether c could have caused what e is about and was not known to its latest report. Needs Alerting.mu.
func isLate(c *triage.Change, e *entry) bool {
	on := e.report.Onset.Interval
	if on.IsZero() || c.OccurredAt().After(on.Latest) || !c.ObservedAt.After(e.report.CreatedAt) {
		return false
	}
	if c.LastActivity().Before(on.Earliest.Add(-time.Duration(e.report.LookbackS * float64(time.Second)))) {
		return false
	}
	return e.touches(c)
}

// isNew reports whether c went live in the blast radius of e after the onset and was not known to be. Needs Alerting.mu.
func isNew(c *triage.Change, e *entry) bool {
	on := e.report.Onset.Interval
	if on.IsZero() || len(e.moving) >= maxMoving || c.StartedAt.IsZero() || !c.StartedAt.After(on.Latest) {
		return false
	}
	known := slices.ContainsFunc(e.moving, func(o triage.Change) bool { return o.ID == c.ID })
	return !known && isMoving(e, c, on)
}

// reach is every service whose changes could matter to e.
func (a *Alerting) reach(e *entry, asked triage.Topology) map[string]bool {
	t := asked
	if a.opts.Topology != nil {
		t = a.opts.Topology.Topology()
	}
	a.mu.Lock()
	inc := e.snapshot()
	directory := a.directory
	a.mu.Unlock()
	services := []string{inc.Service}
	for _, al := range inc.Alerts {
		scope, _, _ := a.subject(al, directory)
		services = append(services, scope.Service)
	}
	return t.Reach(a.opts.Hops(), services...)
}

// sweep does what is due by the clock: second looks, recovery notes, closing, and what found the queue full.
func (a *Alerting) sweep(ctx context.Context) {
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		a.sweepOnce(ctx, a.now())
	}
}

// due is what the sweeper found for one incident.
type due struct {
	e       *entry
	cause   string // triage
	note    bool   // say that it recovered
	persist bool
	close   bool
}

func (a *Alerting) sweepOnce(ctx context.Context, now time.Time) {
	var found []due
	a.mu.Lock()
	for _, id := range slices.Sorted(maps.Keys(a.entries)) {
		if d := a.inspect(a.entries[id], now); d.e != nil {
			found = append(found, d)
		}
	}
	a.mu.Unlock()
	for _, d := range found {
		if ctx.Err() != nil {
			return
		}
		if err := a.carryOut(ctx, d, now); err != nil && ctx.Err() == nil {
			a.log.Error("keep incident; it is tried again", "incident", d.e.inc.ID, "err", err)
		}
	}
}

// inspect says what is due for e. Needs a.mu.
func (a *Alerting) inspect(e *entry, now time.Time) due {
	d := due{}
	if a.expire(e, now) || e.saved < e.seq {
		d.e, d.persist = e, true
	}
	if e.wanted != "" {
		d.e, d.cause, e.wanted = e, e.wanted, ""
	}
	if e.report == nil && d.cause == "" && !a.queue.has(e.inc.ID) {
		d.e, d.cause = e, CauseAlert
	}
	if e.inc.State != triage.IncidentRecovered {
		for len(e.looks) > 0 && !e.looks[0].After(now) {
			e.looks = e.looks[1:]
			d.e = e
			if d.cause == "" {
				d.cause = CauseSecondLook
			}
		}
		return d
	}
	quiet := now.Sub(e.inc.RecoveredAt)
	switch {
	case a.noteOwed(e) && quiet >= a.hold(e.inc.Reopened) && !a.undecided(e, now):
		d.e, d.note = e, true
	case quiet >= time.Duration(a.cfg.CloseAfter) && !a.queue.has(e.inc.ID):
		d.e, d.close = e, true
	}
	return d
}

// noteOwed reports whether on-call was told that e fires and not yet that it recovered. Needs a.mu.
func (a *Alerting) noteOwed(e *entry) bool {
	return e.report != nil && e.report.Kind != triage.ReportRecovered && (e.posted == nil || e.postedAs != triage.IncidentRecovered)
}

// hold is how long an incident that relapsed n times must stay quiet before recovery is told: 1, 2, 4, 8, … times
// incidents.recovered_hold, so that a flapping alert does not chat.
func (a *Alerting) hold(n int) time.Duration {
	h := time.Duration(a.cfg.RecoveredHold) << min(n, 10)
	return min(h, max(longHold, time.Duration(a.cfg.RecoveredHold)))
}

// expire resolves alerts whose sender has stopped repeating them. Needs a.mu.
func (a *Alerting) expire(e *entry, now time.Time) bool {
	changed := false
	for i, al := range e.inc.Alerts {
		if al.Status == triage.AlertResolved {
			continue
		}
		fp := al.LabelFingerprint()
		promised := !al.EndsAt.IsZero() && al.EndsAt.Before(now)
		if !promised && now.Sub(e.heard[fp]) < time.Duration(a.cfg.StaleAfter) {
			continue
		}
		inc := e.change()
		inc.Alerts[i].Status, inc.UpdatedAt = triage.AlertResolved, now
		if !promised {
			inc.Alerts[i].EndsAt = now
		}
		delete(e.heard, fp)
		markRecovered(inc, now)
		changed = true
	}
	return changed
}

func (a *Alerting) carryOut(ctx context.Context, d due, now time.Time) error {
	if d.cause != "" {
		a.enqueue(d.e, d.cause, now)
	}
	switch {
	case d.note:
		return a.noteRecovery(ctx, d.e, now)
	case d.close:
		return a.close(ctx, d.e, now)
	case d.persist:
		_, seq := a.snapshot(d.e)
		return a.persist(ctx, d.e, seq)
	}
	return nil
}

// noteRecovery makes the last report of an incident that recovered. Nothing is ranked anew: the symptom is gone, and with it the evidence.
func (a *Alerting) noteRecovery(ctx context.Context, e *entry, now time.Time) error {
	a.mu.Lock()
	inc := e.snapshot()
	r := *e.report
	a.mu.Unlock()
	r.Number, r.Kind, r.State, r.CreatedAt, r.Cause, r.Deadline = inc.Reports+1, triage.ReportRecovered, "", now, CauseRecovered, false
	r.Notes = nil
	return a.record(ctx, e, triage.Answer{Report: r, Input: inputOf(inc, now)})
}

// close ends an incident that stayed quiet, and lets go of it.
func (a *Alerting) close(ctx context.Context, e *entry, now time.Time) error {
	a.mu.Lock()
	if e.inc.State != triage.IncidentRecovered { // it fired again meanwhile
		a.mu.Unlock()
		return nil
	}
	inc := e.snapshot()
	seq, last := e.seq, e.report
	a.mu.Unlock()
	inc.State, inc.ClosedAt, inc.UpdatedAt = triage.IncidentClosed, now, now
	if err := a.saveClosed(ctx, e, inc); err != nil {
		return err
	}
	a.mu.Lock()
	lives := e.seq != seq
	if lives {
		e.seq++ // an alert came while we wrote: the incident lives on and is stored again
	} else {
		a.forget(e)
	}
	a.mu.Unlock()
	if !lives && last != nil {
		a.noteTruth(ctx, inc, *last)
	}
	return nil
}

func (a *Alerting) saveClosed(ctx context.Context, e *entry, inc triage.Incident) error {
	select {
	case e.writing <- struct{}{}:
		defer func() { <-e.writing }()
	case <-ctx.Done():
		return ctx.Err()
	}
	if err := a.store.SaveIncident(ctx, inc); err != nil {
		a.metrics.storeFailed.WithLabelValues("incident").Inc()
		return fmt.Errorf("journal incident %s as closed: %w", inc.ID, err)
	}
	a.subs.publish(Update{Incident: inc})
	return nil
}

// noteTruth counts what an incident that closes turned out to be; what people say later is on the page.
func (a *Alerting) noteTruth(ctx context.Context, inc triage.Incident, last triage.Report) {
	first, err := a.store.Report(ctx, inc.ID, 1)
	if err != nil {
		a.log.Debug("what the first report said cannot be read; its end is not counted", "incident", inc.ID, "err", err)
		return
	}
	l := triage.NewLedger()
	l.Add(inc, first, last, nil)
	for b, n := range l.ByBasis {
		a.metrics.truths.WithLabelValues(string(b)).Add(float64(n))
	}
	for what, s := range map[string]triage.Share{"false_blame": l.FalseBlame, "wrong_undo": l.WrongUndo, "missed": l.Missed} {
		a.metrics.judged.WithLabelValues(what).Add(s.N)
		a.metrics.wrong.WithLabelValues(what).Add(s.Hits)
	}
}
