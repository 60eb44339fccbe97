package digest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/triaged-dev/triaged/alerting/card"
	"github.com/triaged-dev/triaged/alerting/outbox"
	"github.com/triaged-dev/triaged/triage"
)

// Digester is a Notifier that can post a Digest too. The rules of Notify hold for it.
type Digester interface {
	Digest(context.Context, Digest) (outbox.Receipt, error)
}

// State keeps small values across restarts. A value that was never set is nil.
type State interface {
	State(ctx context.Context, key string) ([]byte, error)
	SetState(ctx context.Context, key string, value []byte) error
}

// Store is what digests are made from. What it returns belongs to the caller.
type Store interface {
	Incidents(context.Context, triage.IncidentQuery) ([]triage.Incident, string, error)
	Report(ctx context.Context, incidentID string, n int) (triage.Report, error)
	Deliveries(context.Context, triage.DeliveryQuery) ([]triage.Delivery, string, error)
}

// Options are what a Sender is made from. All but State and Labels are needed.
type Options struct {
	Shadow, Truth Config // what shadow routes kept back; what became of what was said
	Store         Store
	State         State // remembers when the last digest was posted. Nil: there are no digests.
	// Feedback is what people, and verified undos, said of an incident. Nil: nobody did.
	Feedback    func(ctx context.Context, incidentID string) ([]triage.Feedback, error)
	Incident    func(ctx context.Context, id string) (triage.Incident, error) // as it is now
	Links       func(incident triage.Incident, n int) card.Links
	Percentages func(context.Context) bool
	Receiver    func(name string) []outbox.Integration
	Timeout     time.Duration // of one post
	Logger      *slog.Logger
	Now         func() time.Time
}

// Sender posts digests.
type Sender struct {
	o   Options
	log *slog.Logger
}

// New makes a Sender. It starts nothing: Run does.
func New(o Options) *Sender { return &Sender{o: o, log: o.Logger} }

// Run posts digests until ctx ends.
func (s *Sender) Run(ctx context.Context) {
	var wg sync.WaitGroup
	for _, k := range s.schedules() {
		wg.Go(func() { s.keep(ctx, k) })
	}
	wg.Wait()
}

// schedule is one digest that is posted again and again.
type schedule struct {
	cfg    Config
	key    string // in State: up to when the last one told
	gather func(ctx context.Context, from, to time.Time) (Digest, error)
}

func (s *Sender) schedules() []schedule {
	truth := s.o.Truth
	truth.Receiver = cmp.Or(truth.Receiver, s.o.Shadow.Receiver)
	return []schedule{{s.o.Shadow, stateKey, s.Digest}, {truth, truthKey, s.truthDigest}}
}

// keep posts a digest at the end of each period until ctx ends. What fell into a time when nobody ran is told at the next
// start. A digest that could not be posted is tried again; killed between the post and the note of it, one is posted twice.
func (s *Sender) keep(ctx context.Context, k schedule) {
	if k.cfg.Receiver == "" || s.o.State == nil {
		return
	}
	from, err := s.last(ctx, k.key)
	wait := firstRetry
	for ; ctx.Err() == nil; from, err = s.last(ctx, k.key) {
		next := s.o.Now().Add(wait)
		if err == nil {
			next = k.cfg.after(from)
			if !s.o.Now().Before(next) {
				if err = s.post(ctx, k, from, s.o.Now()); err == nil {
					wait = firstRetry
					continue
				}
				next = s.o.Now().Add(wait)
			}
		}
		if err != nil && ctx.Err() == nil {
			s.log.Error("digest not posted; it is tried again", "in", wait, "err", err)
			wait = min(2*wait, lastRetry)
		}
		timer := time.NewTimer(next.Sub(s.o.Now()))
		select {
		case <-ctx.Done():
		case <-timer.C:
		}
		timer.Stop()
	}
}

// last is up to when the last digest told. The first time it is now, and remembered.
func (s *Sender) last(ctx context.Context, key string) (time.Time, error) {
	b, err := s.o.State.State(ctx, key)
	if err != nil {
		return time.Time{}, fmt.Errorf("read when the last digest was: %w", err)
	}
	if t, err := time.Parse(time.RFC3339Nano, string(b)); err == nil {
		return t, nil
	}
	return s.o.Now(), s.set(ctx, key, s.o.Now())
}

func (s *Sender) set(ctx context.Context, key string, t time.Time) error {
	if err := s.o.State.SetState(ctx, key, []byte(t.UTC().Format(time.RFC3339Nano))); err != nil {
		return fmt.Errorf("remember when the last digest was: %w", err)
	}
	return nil
}

// post posts one digest to every integration that can. Where there is nothing to tell nothing is said.
func (s *Sender) post(ctx context.Context, k schedule, from, to time.Time) error {
	d, err := k.gather(ctx, from, to)
	if err != nil {
		return err
	}
	if d.Posts > 0 || d.Truth != nil {
		var errs []error
		posted := 0
		for _, i := range s.o.Receiver(k.cfg.Receiver) {
			digester, ok := i.Notifier.(Digester)
			if !ok {
				continue
			}
			ctx, cancel := context.WithTimeout(ctx, s.o.Timeout)
			_, err := digester.Digest(ctx, d)
			cancel()
			if err != nil {
				errs = append(errs, fmt.Errorf("%s: %w", outbox.Key(k.cfg.Receiver, i.Name), outbox.Failure(err)))
				continue
			}
			posted++
		}
		if posted == 0 { // one of several channels is enough: told twice is worse than told once
			return errors.Join(append(errs, errors.New("no integration of the receiver took the digest"))...)
		}
		if err := errors.Join(errs...); err != nil {
			s.log.Warn("digest not posted everywhere", "err", err)
		}
	}
	return s.set(ctx, k.key, to)
}
