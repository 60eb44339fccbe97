package outbox

import (
	"context"
	"fmt"
	"time"

	"github.com/cenkalti/backoff/v5"

	"github.com/triaged-dev/triaged/alerting/card"
	"github.com/triaged-dev/triaged/triage"
	"github.com/triaged-dev/triaged/triage/say"
)

const (
	maxErrorText = 500             // bytes of LastError
	storeRetry   = 5 * time.Second // how long a delivery waits for the journal to be readable again
)

// failed decides what becomes of a delivery after an error: again later, held, or dead.
func (d *Dispatcher) failed(ctx context.Context, i *integration, del triage.Delivery, e *DeliveryError) {
	now := d.o.Now()
	cfg := d.o.Config
	if ctx.Err() != nil && e.Reason == ReasonCanceled {
		return // we are shutting down: the row says that an attempt was begun, and the next start goes on from there
	}
	d.metrics.failed.WithLabelValues(i.key, string(e.Reason)).Inc()
	del.LastError = say.Clean(e.Error(), maxErrorText)
	del.Begun, del.Uncertain = false, e.Uncertain
	log := d.log.With("receiver", i.key, "delivery", del.ID, "incident", del.IncidentID, "attempt", del.Attempts, "err", del.LastError)
	after := min(e.RetryAfter, longestAsk)
	if after > 0 {
		d.mu.Lock()
		if until := now.Add(after); until.After(i.blocked) {
			i.blocked = until
		}
		d.mu.Unlock()
	}
	age := now.Sub(del.CreatedAt)
	switch {
	case e.Uncertain && !rechecks(i.Notifier) && i.OnUncertain == UncertainHold:
		log.Warn("delivery held: it may have arrived; look at the receiver, then resend")
		d.finish(ctx, del, triage.DeliveryHeld)
	case !e.Retryable:
		log.Error("delivery given up: trying again would not help")
		d.finish(ctx, del, triage.DeliveryDead)
	case del.Attempts >= cfg.MaxAttempts || age >= time.Duration(cfg.MaxAge):
		log.Error("delivery given up: too many attempts, or too old", "age", age)
		d.finish(ctx, del, triage.DeliveryDead)
	default:
		wait := max(d.backoff(del.Attempts), after)
		if del.Attempts == 1 {
			log.Warn("delivery failed; it is tried again", "in", wait)
		}
		del.NextAttempt = now.Add(wait)
		d.save(ctx, del)
	}
}

// backoff is the wait after the n-th attempt: doubling from backoff_min to backoff_max, less up to a half by jitter, so that
// deliveries that failed together do not come back together.
func (d *Dispatcher) backoff(n int) time.Duration {
	grows := backoff.ExponentialBackOff{
		InitialInterval: time.Duration(d.o.Config.BackoffMin), MaxInterval: time.Duration(d.o.Config.BackoffMax), Multiplier: 2,
	}
	for range n - 1 {
		grows.NextBackOff()
	}
	wait := grows.NextBackOff()
	return wait - time.Duration(d.o.Jitter()*float64(wait)/2)
}

// finish ends a delivery.
func (d *Dispatcher) finish(ctx context.Context, del triage.Delivery, s triage.DeliveryState) {
	del.State, del.NextAttempt = s, time.Time{}
	if !d.save(ctx, del) {
		return // it stays pending in the store; an attempt that succeeded is then recognised as one of unknown outcome
	}
	d.pending.Add(-1)
	if s == triage.DeliveryDead || s == triage.DeliveryHeld {
		d.metrics.dead.WithLabelValues(del.Receiver).Inc()
	}
}

// save journals a delivery even while ctx is ending: an outcome that is known must not be lost.
func (d *Dispatcher) save(ctx context.Context, del triage.Delivery) bool {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), saveGrace)
	defer cancel()
	if err := d.o.Store.SaveDelivery(ctx, del); err != nil {
		d.o.StoreFailed()
		d.log.Error("journal delivery; it stays as it was", "delivery", del.ID, "state", del.State, "err", err)
		return false
	}
	return true
}

// notification gathers what a post is made from. A time in wait says that an earlier report of the incident is still on its
// way to the same integration and goes first.
func (d *Dispatcher) notification(ctx context.Context, del triage.Delivery) (n Notification, wait time.Time, err error) {
	n.Delivery = del
	if n.Incident, err = d.o.Incident(ctx, del.IncidentID); err != nil {
		return n, wait, fmt.Errorf("incident %s: %w", del.IncidentID, err)
	}
	if n.Report, err = d.o.Store.Report(ctx, del.IncidentID, del.ReportNumber); err != nil {
		return n, wait, fmt.Errorf("report %d of incident %s: %w", del.ReportNumber, del.IncidentID, err)
	}
	if del.ReportNumber > 1 {
		all, err := d.Of(ctx, del.IncidentID)
		if err != nil {
			return n, wait, err
		}
		for _, o := range all {
			switch {
			case o.Receiver != del.Receiver || o.ReportNumber >= del.ReportNumber || o.Courtesy != "" || del.Courtesy != "":
			case o.State == triage.DeliveryPending:
				return n, latest(o.NextAttempt, d.o.Now()).Add(10 * time.Millisecond), nil
			case o.State == triage.DeliveryDelivered:
				n.Earlier = append(n.Earlier, o)
			}
		}
	}
	if len(n.Earlier) > 0 {
		last := n.Earlier[len(n.Earlier)-1].ReportNumber
		prev, err := d.o.Store.Report(ctx, del.IncidentID, last)
		if err != nil {
			return n, wait, fmt.Errorf("report %d of incident %s: %w", last, del.IncidentID, err)
		}
		n.Previous = &prev
	}
	n.Links = d.o.Links(n.Incident, n.Report.Number)
	n.Material = n.Previous == nil || card.Compare(n.Previous, n.Previous.Tells(), n.Report, n.Incident.As(n.Report)) == card.Material
	n.Card = card.New(card.Input{
		Incident: n.Incident.As(n.Report), Report: n.Report, Previous: n.Previous, Links: n.Links, Percentages: d.o.Percentages(ctx),
		Courtesy: del.Courtesy, Owner: d.o.Owner(n.Incident),
	})
	if paint := d.o.Picture; paint != nil && n.Report.Kind != triage.ReportRecovered { // a note of recovery asked nobody: it has no series
		report := n.Report
		n.Picture = func(ctx context.Context) ([]byte, error) { return paint(ctx, report) }
	}
	return n, wait, nil
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// Resend makes a delivery pending again.
func (d *Dispatcher) Resend(ctx context.Context, id string) error {
	del, err := d.o.Store.Delivery(ctx, id)
	if err != nil {
		return fmt.Errorf("resend delivery %s: %w", id, err)
	}
	if del.State == triage.DeliveryPending {
		return nil
	}
	now := d.o.Now()
	del.State, del.Attempts, del.LastError, del.Begun, del.Uncertain = triage.DeliveryPending, 0, "", false, false
	del.CreatedAt, del.NextAttempt, del.DeliveredAt = now, now, time.Time{}
	del.ResentBy, del.ResentAt = triage.ActorOf(ctx), now
	if err := d.o.Store.SaveDelivery(ctx, del); err != nil {
		return fmt.Errorf("resend delivery %s: %w", id, err)
	}
	d.pending.Add(1)
	d.signal()
	return nil
}
