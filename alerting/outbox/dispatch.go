package outbox

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/triaged-dev/triaged/triage"
	"github.com/triaged-dev/triaged/triage/say"
)

const (
	pollEvery  = time.Second     // how often the outbox is asked for what has become due
	pollBatch  = 256             // deliveries looked at per poll, about 2 KiB each
	stepAside  = time.Second     // how long a delivery waits that found its integration busy
	longestAsk = 1 * time.Hour   // a peer's Retry-After beyond this is not believed
	stepBack   = 2 * time.Second // a clock that loses more than this between two looks was set back
	saveGrace  = 5 * time.Second // to journal an outcome after ctx has ended
)

// Load counts what an earlier run left in the outbox.
func (d *Dispatcher) Load(ctx context.Context) error {
	n := 0
	err := d.each(ctx, triage.DeliveryQuery{States: []triage.DeliveryState{triage.DeliveryPending}}, func(triage.Delivery) error { n++; return nil })
	d.pending.Store(int64(n))
	return errors.Join(err, d.loadUntidy(ctx))
}

// each yields the deliveries that match, newest first, until yield returns an error.
func (d *Dispatcher) each(ctx context.Context, q triage.DeliveryQuery, yield func(triage.Delivery) error) error {
	q.Limit = 500
	for {
		ds, next, err := d.o.Store.Deliveries(ctx, q)
		if err != nil {
			return fmt.Errorf("read outbox: %w", err)
		}
		for _, del := range ds {
			if err := yield(del); err != nil {
				return err
			}
		}
		if next == "" || len(ds) == 0 {
			return nil
		}
		q.After = next
	}
}

// Of lists an incident's deliveries, earliest report first.
func (d *Dispatcher) Of(ctx context.Context, incidentID string) ([]triage.Delivery, error) {
	var out []triage.Delivery
	err := d.each(ctx, triage.DeliveryQuery{IncidentID: incidentID}, func(del triage.Delivery) error { out = append(out, del); return nil })
	slices.SortFunc(out, func(x, y triage.Delivery) int {
		return cmp.Or(cmp.Compare(x.ReportNumber, y.ReportNumber), cmp.Compare(x.Receiver, y.Receiver), cmp.Compare(x.ID, y.ID))
	})
	return out, err
}

// Run posts until ctx ends, then waits for what is under way; those attempts see ctx end and stay in the outbox.
func (d *Dispatcher) Run(ctx context.Context) {
	var wg sync.WaitGroup
	defer wg.Wait()
	failing := false
	var last time.Time
	for {
		now := d.o.Now()
		switch {
		case last.IsZero():
			d.hasten(ctx, now, longestAsk)
		case now.Round(0).Add(stepBack).Before(last.Round(0)):
			d.log.Warn("the clock was stepped back; what waits is tried now", "by", last.Round(0).Sub(now.Round(0)))
			d.hasten(ctx, now, 0)
		}
		last = now
		d.tidy(ctx, now)
		due, err := d.o.Store.DueDeliveries(ctx, now, pollBatch)
		if (err != nil) != failing && ctx.Err() == nil {
			failing = err != nil
			d.log.Log(ctx, logLevel(failing), "outbox readable", "readable", !failing, "err", err)
		}
		wait := pollEvery
		for _, del := range due {
			i, later := d.claim(ctx, del, now)
			switch {
			case i != nil:
				wg.Go(func() { d.attempt(ctx, i, del) })
			case later.IsZero():
			case len(due) == pollBatch:
				// A backlog must not crowd other receivers out of the batch.
				del.NextAttempt = latest(later, now.Add(stepAside))
				d.save(ctx, del)
			default:
				wait = min(wait, max(later.Sub(now), time.Millisecond))
			}
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			return
		case <-d.wake:
		case <-timer.C:
		}
		timer.Stop()
	}
}

// hasten makes due what waits for longer than most from now: that time was set by a clock that has been stepped back since.
func (d *Dispatcher) hasten(ctx context.Context, now time.Time, most time.Duration) {
	err := d.each(ctx, triage.DeliveryQuery{States: []triage.DeliveryState{triage.DeliveryPending}}, func(del triage.Delivery) error {
		if del.NextAttempt.After(now.Add(most)) {
			del.NextAttempt = now
			d.save(ctx, del)
		}
		return nil
	})
	if err != nil && ctx.Err() == nil {
		d.log.Error("look for deliveries that wait too long", "err", err)
	}
}

func logLevel(failing bool) slog.Level {
	if failing {
		return slog.LevelError
	}
	return slog.LevelInfo
}

// claim takes a delivery for an attempt now, or says when to look at it again: it stays where it is in the outbox, and so in
// order. Neither is set for one that is under way or was ended here.
func (d *Dispatcher) claim(ctx context.Context, del triage.Delivery, now time.Time) (*integration, time.Time) {
	d.mu.Lock()
	i := d.integrations[del.Receiver]
	if i == nil && !d.flying[del.ID] {
		d.mu.Unlock()
		d.orphan(ctx, del.ID)
		return nil, time.Time{}
	}
	defer d.mu.Unlock()
	switch {
	case d.flying[del.ID]:
		return nil, time.Time{}
	case now.Before(i.blocked):
		return nil, i.blocked
	case len(i.busy) >= i.Concurrency || i.busy[del.IncidentID]:
		return nil, now.Add(stepAside) // release wakes us before that
	}
	r := i.limiter.ReserveN(now, 1)
	if wait := r.DelayFrom(now); wait > 0 {
		r.CancelAt(now)
		return nil, now.Add(wait)
	}
	d.flying[del.ID] = true
	i.busy[del.IncidentID] = true
	return i, time.Time{}
}

// orphan ends a delivery whose receiver was taken out of the configuration.
func (d *Dispatcher) orphan(ctx context.Context, id string) {
	del, err := d.o.Store.Delivery(ctx, id)
	if err != nil || del.State != triage.DeliveryPending {
		return
	}
	del.LastError, del.Begun = "the receiver is not in the configuration any more", false
	d.finish(ctx, del, triage.DeliveryDead)
}

func (d *Dispatcher) release(i *integration, del triage.Delivery) {
	d.mu.Lock()
	delete(d.flying, del.ID)
	delete(i.busy, del.IncidentID)
	d.mu.Unlock()
	d.signal()
}

// attempt posts one delivery once and journals what came of it.
func (d *Dispatcher) attempt(ctx context.Context, i *integration, del triage.Delivery) {
	defer d.release(i, del)
	// The row was read before it was claimed: another attempt may have ended in between.
	fresh, err := d.o.Store.Delivery(ctx, del.ID)
	if err == nil && (fresh.State != triage.DeliveryPending || fresh.NextAttempt.After(d.o.Now())) {
		return
	}
	if err == nil {
		del = fresh
	}
	n, wait, err := d.notification(ctx, del)
	switch {
	case ctx.Err() != nil:
		return
	case err != nil:
		d.log.Error("read what is to be posted; tried again later", "delivery", del.ID, "err", err)
		del.NextAttempt = d.o.Now().Add(storeRetry)
		d.save(ctx, del)
		return
	case !wait.IsZero(): // an earlier report goes first
		del.NextAttempt = wait
		d.save(ctx, del)
		return
	}
	// Begun, found before an attempt, means that the process ended during one: the post may have arrived.
	n.Uncertain = del.Begun || del.Uncertain
	if n.Uncertain && !rechecks(i.Notifier) && i.OnUncertain == UncertainHold {
		del.Begun, del.Uncertain = false, true
		del.LastError = "the outcome of an earlier attempt is not known and on_uncertain is hold; look at the receiver, then resend"
		d.finish(ctx, del, triage.DeliveryHeld)
		return
	}
	del.Attempts++
	del.Begun = true
	if !d.save(ctx, del) {
		return // not begun: without a trace of the attempt a kill would make it happen twice
	}
	n.Delivery = del
	began := d.o.Now()
	receipt, err := d.post(ctx, i, n)
	d.metrics.latency.WithLabelValues(i.key).Observe(d.o.Now().Sub(began).Seconds())
	d.metrics.notifications.WithLabelValues(i.key).Inc()
	if err != nil {
		e := *Failure(err)
		// An attempt that failed for certain says nothing about the one before it: it may have failed while looking for that.
		e.Uncertain = e.Uncertain || n.Uncertain
		d.failed(ctx, i, del, &e)
		return
	}
	del.RemoteID, del.LastError = receipt.RemoteID, say.Clean(receipt.Detail, maxErrorText)
	_, tidies := i.Notifier.(Tidier)
	del.Begun, del.Uncertain = false, n.Uncertain && tidies // until it was looked at again
	del.DeliveredAt = d.o.Now()
	d.metrics.delay.Observe(del.DeliveredAt.Sub(del.CreatedAt).Seconds())
	d.finish(ctx, del, triage.DeliveryDelivered)
	if del.Uncertain {
		d.untidy(del)
	}
}

func (d *Dispatcher) post(ctx context.Context, i *integration, n Notification) (receipt Receipt, err error) {
	ctx, cancel := context.WithTimeout(ctx, time.Duration(d.o.Config.Timeout))
	defer cancel()
	defer func() {
		if p := recover(); p != nil {
			err = &DeliveryError{Reason: ReasonOther, Uncertain: true, Err: fmt.Errorf("the notifier panicked: %v", p)}
		}
	}()
	return i.Notifier.Notify(ctx, n)
}

func rechecks(n Notifier) bool {
	r, ok := n.(Rechecker)
	return ok && r.Rechecks()
}
