// Package verify says what taking a suspect back did: it reads the symptom, and what else moved, and judges.
//
// It decides when to look no more than what to tell: alerting asks, and keeps what it is answered. Judge is pure.
package verify

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/triaged-dev/triaged/triage"
)

// Metrics reads the alert's own series, the signals of services, and whether their processes are up. It may hang: it is given a
// deadline.
type Metrics interface {
	Symptom(ctx context.Context, al triage.Alert, from, to time.Time) (triage.Symptom, error)
	Signals(ctx context.Context, q triage.SignalQuery) ([]triage.Series, error)
	// Health is one series per service named "up", the share of its processes that answered the scrape.
	Health(ctx context.Context, q triage.SignalQuery) ([]triage.Series, error)
}

// Past knows how earlier incidents ended. What it returns belongs to the caller.
type Past interface {
	Incidents(context.Context, triage.IncidentQuery) ([]triage.Incident, string, error)
	Report(ctx context.Context, incidentID string, n int) (triage.Report, error)
}

// AlertHistory knows the earlier firings of an alert; "" as service means any.
type AlertHistory interface {
	AlertHistory(ctx context.Context, name, service string, since time.Time) ([]triage.Alert, error)
}

// Options are what a Verifier is made from. Metrics and Past are needed.
type Options struct {
	Metrics   Metrics
	Past      Past
	Alerts    AlertHistory             // nil: whether it would have ended anyway is judged without the alert's past
	Topology  triage.TopologySource    // nil: no calls are known
	Directory func() *triage.Directory // nil: no service is known as a vendor's
	Logger    *slog.Logger
}

// Verifier measures undos. Its methods may be called at the same time.
type Verifier struct {
	o        Options
	log      *slog.Logger
	restores restores
}

// New checks the options.
func New(o Options) (*Verifier, error) {
	if o.Metrics == nil || o.Past == nil {
		return nil, errors.New("verify needs metrics and the past")
	}
	if o.Directory == nil {
		o.Directory = func() *triage.Directory { return nil }
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return &Verifier{o: o, log: o.Logger}, nil
}
