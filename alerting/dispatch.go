package alerting

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"github.com/triaged-dev/triaged/alerting/card"
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

// dispatcher posts what is in the outbox. It keeps no queue of its own: what is not under way is in the Store.
type dispatcher struct {
	a       *Alerting
	wake    chan struct{} // capacity 1
	pending atomic.Int64

	mu           sync.Mutex
	integrations map[string]*integration // by "<receiver>/<integration>"
	receivers    Receivers
	flying       map[string]bool // delivery ids under way
	tidying      []tidying
}

// integration is one Notifier and what limits its use.
type integration struct {
	Integration
	key     string
	limiter *rate.Limiter

	busy    map[string]bool // incidents under way: one post at a time for each
	blocked time.Time       // the peer asked to be left alone until then
}

func newDispatcher(a *Alerting, r Receivers) *dispatcher {
	d := &dispatcher{a: a, wake: make(chan struct{}, 1), flying: make(map[string]bool)}
	d.setReceivers(r)
	return d
}

// integrationKey names an integration in Delivery.Receiver, logs and metrics.
func integrationKey(receiver, name string) string { return receiver + "/" + name }

func (d *dispatcher) setReceivers(r Receivers) {
	next := make(map[string]*integration)
	d.mu.Lock()
	defer d.mu.Unlock()
	for name, list := range r {
		for _, i := range list {
			key := integrationKey(name, i.Name)
			limit := rate.Inf
			if i.Rate > 0 {
				limit = rate.Limit(i.Rate)
			}
			n := &integration{Integration: i, key: key, limiter: rate.NewLimiter(limit, max(i.Burst, 1)), busy: make(map[string]bool)}
			n.Concurrency = max(i.Concurrency, 1)
			if old := d.integrations[key]; old != nil {
				n.busy, n.blocked = old.busy, old.blocked
			}
			next[key] = n
			for _, reason := range Reasons() {
				d.a.metrics.failed.WithLabelValues(key, string(reason))
			}
			d.a.metrics.notifications.WithLabelValues(key)
		}
	}
	d.integrations, d.receivers = next, r
}

// plan makes the outbox rows of a report: one per integration of every receiver that one of the incident's alerts is routed
// to. Where only numbers moved, only those that edit silently are asked.
func (d *dispatcher) plan(inc triage.Incident, r triage.Report, route RouteConfig, sig card.Significance) []triage.Delivery {
	if !inc.Pages || sig == card.Same {
		return nil
	}
	var targets []Target
	for _, al := range inc.Alerts {
		targets = mergeTargets(targets, route.Targets(al.Labels))
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	now := d.a.now()
	var out []triage.Delivery
	for _, t := range targets {
		for _, i := range d.receivers[t.Receiver] {
			editor, ok := i.Notifier.(Editor)
			if sig == card.Numbers && (!ok || !editor.EditsInPlace()) {
				continue
			}
			key := integrationKey(t.Receiver, i.Name)
			del := triage.Delivery{
				ID: deliveryID(inc.ID, r.Number, key), IncidentID: inc.ID, ReportNumber: r.Number, Receiver: key,
				State: triage.DeliveryPending, CreatedAt: now, NextAttempt: now,
			}
			if t.Mode == ModeShadow {
				del.State, del.NextAttempt = triage.DeliveryShadow, time.Time{}
			}
			out = append(out, del)
		}
	}
	return out
}

// added says that the outbox has new rows.
func (d *dispatcher) added(ds []triage.Delivery) {
	n := 0
	for _, del := range ds {
		if del.State == triage.DeliveryPending {
			n++
		}
	}
	if n > 0 {
		d.pending.Add(int64(n))
		d.signal()
	}
}

func (d *dispatcher) signal() {
	select {
	case d.wake <- struct{}{}:
	default:
	}
}

// load counts what an earlier run left in the outbox.
func (d *dispatcher) load(ctx context.Context) error {
	n := 0
	err := d.each(ctx, triage.DeliveryQuery{States: []triage.DeliveryState{triage.DeliveryPending}}, func(triage.Delivery) error { n++; return nil })
	d.pending.Store(int64(n))
	return errors.Join(err, d.loadUntidy(ctx))
}

// each yields the deliveries that match, newest first, until yield returns an error.
func (d *dispatcher) each(ctx context.Context, q triage.DeliveryQuery, yield func(triage.Delivery) error) error {
	q.Limit = 500
	for {
		ds, next, err := d.a.store.Deliveries(ctx, q)
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

// deliveriesOf lists an incident's deliveries, earliest report first.
func (d *dispatcher) deliveriesOf(ctx context.Context, incidentID string) ([]triage.Delivery, error) {
	var out []triage.Delivery
	err := d.each(ctx, triage.DeliveryQuery{IncidentID: incidentID}, func(del triage.Delivery) error { out = append(out, del); return nil })
	slices.SortFunc(out, func(x, y triage.Delivery) int {
		return cmp.Or(cmp.Compare(x.ReportNumber, y.ReportNumber), cmp.Compare(x.Receiver, y.Receiver), cmp.Compare(x.ID, y.ID))
	})
	return out, err
}

// run posts until ctx ends, then waits for what is under way; those attempts see ctx end and stay in the outbox.
func (d *dispatcher) run(ctx context.Context) {
	var wg sync.WaitGroup
	defer wg.Wait()
	failing := false
	var last time.Time
	for {
		now := d.a.now()
		switch {
		case last.IsZero():
			d.hasten(ctx, now, longestAsk)
		case now.Round(0).Add(stepBack).Before(last.Round(0)):
			d.a.log.Warn("the clock was stepped back; what waits is tried now", "by", last.Round(0).Sub(now.Round(0)))
			d.hasten(ctx, now, 0)
		}
		last = now
		d.tidy(ctx, now)
		due, err := d.a.store.DueDeliveries(ctx, now, pollBatch)
		if (err != nil) != failing && ctx.Err() == nil {
			failing = err != nil
			d.a.log.Log(ctx, logLevel(failing), "outbox readable", "readable", !failing, "err", err)
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
func (d *dispatcher) hasten(ctx context.Context, now time.Time, most time.Duration) {
	err := d.each(ctx, triage.DeliveryQuery{States: []triage.DeliveryState{triage.DeliveryPending}}, func(del triage.Delivery) error {
		if del.NextAttempt.After(now.Add(most)) {
			del.NextAttempt = now
			d.save(ctx, del)
		}
		return nil
	})
	if err != nil && ctx.Err() == nil {
		d.a.log.Error("look for deliveries that wait too long", "err", err)
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
func (d *dispatcher) claim(ctx context.Context, del triage.Delivery, now time.Time) (*integration, time.Time) {
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
func (d *dispatcher) orphan(ctx context.Context, id string) {
	del, err := d.a.store.Delivery(ctx, id)
	if err != nil || del.State != triage.DeliveryPending {
		return
	}
	del.LastError, del.Begun = "the receiver is not in the configuration any more", false
	d.finish(ctx, del, triage.DeliveryDead)
}

func (d *dispatcher) release(i *integration, del triage.Delivery) {
	d.mu.Lock()
	delete(d.flying, del.ID)
	delete(i.busy, del.IncidentID)
	d.mu.Unlock()
	d.signal()
}

// attempt posts one delivery once and journals what came of it.
func (d *dispatcher) attempt(ctx context.Context, i *integration, del triage.Delivery) {
	defer d.release(i, del)
	// The row was read before it was claimed: another attempt may have ended in between.
	fresh, err := d.a.store.Delivery(ctx, del.ID)
	if err == nil && (fresh.State != triage.DeliveryPending || fresh.NextAttempt.After(d.a.now())) {
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
		d.a.log.Error("read what is to be posted; tried again later", "delivery", del.ID, "err", err)
		del.NextAttempt = d.a.now().Add(storeRetry)
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
	began := d.a.now()
	receipt, err := d.post(ctx, i, n)
	d.a.metrics.latency.WithLabelValues(i.key).Observe(d.a.now().Sub(began).Seconds())
	d.a.metrics.notifications.WithLabelValues(i.key).Inc()
	if err != nil {
		e := *asDeliveryError(err)
		// An attempt that failed for certain says nothing about the one before it: it may have failed while looking for that.
		e.Uncertain = e.Uncertain || n.Uncertain
		d.failed(ctx, i, del, &e)
		return
	}
	del.RemoteID, del.LastError = receipt.RemoteID, say.Clean(receipt.Detail, maxErrorText)
	_, tidies := i.Notifier.(Tidier)
	del.Begun, del.Uncertain = false, n.Uncertain && tidies // until it was looked at again
	del.DeliveredAt = d.a.now()
	d.a.metrics.delay.Observe(del.DeliveredAt.Sub(del.CreatedAt).Seconds())
	d.finish(ctx, del, triage.DeliveryDelivered)
	if del.Uncertain {
		d.untidy(del)
	}
}

func (d *dispatcher) post(ctx context.Context, i *integration, n Notification) (receipt Receipt, err error) {
	ctx, cancel := context.WithTimeout(ctx, time.Duration(d.a.cfg.Delivery.Timeout))
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
