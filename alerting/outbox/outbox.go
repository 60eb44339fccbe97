// Package outbox posts reports: it holds what must be posted in the Store, one post at a time per integration and incident, and
// tries again until the other side has it or it is too late. What all notifiers share stands here too.
//
// It decides neither who is told nor what is said, and speaks no service's language: that is the notifiers'.
package outbox

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/time/rate"

	"github.com/triaged-dev/triaged/alerting/card"
	"github.com/triaged-dev/triaged/triage"
)

// Store keeps deliveries, and knows the reports they are of. DueDeliveries are the pending ones whose NextAttempt is not after
// now, earliest first. What it returns belongs to the caller.
type Store interface {
	DueDeliveries(ctx context.Context, now time.Time, limit int) ([]triage.Delivery, error)
	SaveDelivery(context.Context, triage.Delivery) error
	Delivery(ctx context.Context, id string) (triage.Delivery, error)
	Deliveries(context.Context, triage.DeliveryQuery) ([]triage.Delivery, string, error)
	Report(ctx context.Context, incidentID string, n int) (triage.Report, error)
}

// Options are what a Dispatcher is made from. Store and Incident are needed.
type Options struct {
	Config    Config
	Receivers Receivers
	Store     Store
	// Incident is an incident as it is now.
	Incident func(ctx context.Context, id string) (triage.Incident, error)
	// Links gives the addresses shown with report n of an incident. Nil: none are shown.
	Links func(incident triage.Incident, n int) card.Links
	// Owner is the team that has the page of an incident, for cards that go to another team. Nil: it is not said.
	Owner func(triage.Incident) string
	// Picture paints a report's time axis as a PNG. Nil: messages carry none.
	Picture func(context.Context, triage.Report) ([]byte, error)
	// Percentages reports whether enough of the team's own labels stand behind the probabilities to print them. Nil: no.
	Percentages func(context.Context) bool
	StoreFailed func() // counts a write that the store refused; nil: nobody does

	Logger     *slog.Logger
	Registerer prometheus.Registerer
	Now        func() time.Time // nil: time.Now
	Jitter     func() float64   // in [0,1); nil: random
}

// Dispatcher posts what is in the outbox. It keeps no queue of its own: what is not under way is in the Store.
type Dispatcher struct {
	o       Options
	log     *slog.Logger
	metrics *metrics
	wake    chan struct{} // capacity 1
	pending atomic.Int64

	mu           sync.Mutex
	integrations map[string]*integration // by "<receiver>/<integration>"
	receivers    Receivers
	flying       map[string]bool // delivery ids under way
	tidying      []tidying
}

// New checks the options. It starts nothing and reads nothing: Load and Run do.
func New(o Options) (*Dispatcher, error) {
	if o.Store == nil || o.Incident == nil {
		return nil, errors.New("the outbox needs a store and a way to read incidents")
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Jitter == nil {
		o.Jitter = rand.Float64
	}
	if o.Links == nil {
		o.Links = func(triage.Incident, int) card.Links { return card.Links{} }
	}
	if o.Owner == nil {
		o.Owner = func(triage.Incident) string { return "" }
	}
	if o.Percentages == nil {
		o.Percentages = func(context.Context) bool { return false }
	}
	if o.StoreFailed == nil {
		o.StoreFailed = func() {}
	}
	d := &Dispatcher{o: o, log: o.Logger, wake: make(chan struct{}, 1), flying: make(map[string]bool)}
	d.metrics = newMetrics(o.Registerer, d)
	d.SetReceivers(o.Receivers)
	return d, nil
}

// Pending is how many deliveries wait to be posted.
func (d *Dispatcher) Pending() int64 { return d.pending.Load() }

// Receiver lists the integrations of a receiver.
func (d *Dispatcher) Receiver(name string) []Integration {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.receivers[name])
}

// Has reports whether there is a receiver of this name.
func (d *Dispatcher) Has(name string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	_, ok := d.receivers[name]
	return ok
}

// integration is one Notifier and what limits its use.
type integration struct {
	Integration
	key     string
	limiter *rate.Limiter

	busy    map[string]bool // incidents under way: one post at a time for each
	blocked time.Time       // the peer asked to be left alone until then
}

// Key names an integration in Delivery.Receiver, logs and metrics.
func Key(receiver, name string) string { return receiver + "/" + name }

// SetReceivers replaces the receivers. A pending delivery to a receiver that is gone becomes a dead letter.
func (d *Dispatcher) SetReceivers(r Receivers) {
	next := make(map[string]*integration)
	d.mu.Lock()
	defer d.mu.Unlock()
	for name, list := range r {
		for _, i := range list {
			key := Key(name, i.Name)
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
				d.metrics.failed.WithLabelValues(key, string(reason))
			}
			d.metrics.notifications.WithLabelValues(key)
		}
	}
	d.integrations, d.receivers = next, r
}

// Destination is one receiver of a report; in shadow the row is written and never posted.
type Destination struct {
	Receiver string
	Shadow   bool
	Muted    string // why it is in shadow though its route is live; empty: it is not
	Courtesy string // the team that is told of its own change and has not the page; empty: whoever has
}

// Plan makes the outbox rows of a report: one per integration of every destination, the first that names it. Where only numbers moved, only those that
// edit silently are asked.
func (d *Dispatcher) Plan(inc triage.Incident, r triage.Report, to []Destination, sig card.Significance) []triage.Delivery {
	if sig == card.Same {
		return nil
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	now := d.o.Now()
	var out []triage.Delivery
	planned := make(map[string]bool)
	for _, t := range to {
		for _, i := range d.receivers[t.Receiver] {
			editor, ok := i.Notifier.(Editor)
			key := Key(t.Receiver, i.Name)
			if planned[key] || sig == card.Numbers && (!ok || !editor.EditsInPlace() || t.Courtesy != "") {
				continue
			}
			planned[key] = true
			name := key
			if t.Courtesy != "" {
				name += "\x00courtesy"
			}
			del := triage.Delivery{
				ID: deliveryID(inc.ID, r.Number, name), IncidentID: inc.ID, ReportNumber: r.Number, Receiver: key,
				State: triage.DeliveryPending, CreatedAt: now, NextAttempt: now, Courtesy: t.Courtesy, Muted: t.Muted,
			}
			if t.Shadow {
				del.State, del.NextAttempt = triage.DeliveryShadow, time.Time{}
			}
			out = append(out, del)
		}
	}
	return out
}

// deliveryID names a delivery by what is delivered where, so that making it again makes the same one.
func deliveryID(incidentID string, n int, receiver string) string {
	h := sha256.Sum256(fmt.Appendf(nil, "%s\x00%d\x00%s", incidentID, n, receiver))
	return hex.EncodeToString(h[:12])
}

// Added says that the outbox has new rows.
func (d *Dispatcher) Added(ds []triage.Delivery) {
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

func (d *Dispatcher) signal() {
	select {
	case d.wake <- struct{}{}:
	default:
	}
}
