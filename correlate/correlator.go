package correlate

import (
	"context"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/triaged-dev/triaged/triage"
)

// Window finds what happened lately. It must answer from memory; results belong to the caller.
type Window interface {
	Find(ctx context.Context, q triage.ChangeQuery) ([]triage.Change, error)
	FindAnomalies(ctx context.Context, q triage.ChangeQuery) ([]triage.Anomaly, error)
}

// Store finds what happened longer ago, a page at a time, and how earlier suspicions turned out.
type Store interface {
	FindChanges(ctx context.Context, q triage.ChangeQuery) ([]triage.Change, string, error)
	Outcomes(ctx context.Context) ([]triage.Outcome, error)
}

// Metrics reads the alert's own series and the signals of services. It may hang: both calls are given a deadline.
type Metrics interface {
	Symptom(ctx context.Context, a triage.Alert, from, to time.Time) (triage.Symptom, error)
	Signals(ctx context.Context, q triage.SignalQuery) ([]triage.Series, error)
}

// TopologySource knows who calls whom. It must not block.
type TopologySource interface{ Topology() triage.Topology }

// CoverageSource knows how well each source could be heard. It must not block.
type CoverageSource interface {
	Coverage(from, to time.Time) []triage.Coverage
}

// Options are the parts of a Correlator. Window is required; everything else may be nil and then makes reports thinner.
type Options struct {
	Config     Config
	Window     Window
	Store      Store
	Metrics    Metrics
	Topology   TopologySource
	Coverage   CoverageSource
	Directory  *triage.Directory
	Logger     *slog.Logger
	Registerer prometheus.Registerer
	Now        func() time.Time
}

// Correlator gathers the evidence for one alert and ranks it.
type Correlator struct {
	opts    Options
	weights Weights
}

// New checks the options. It starts nothing.
func New(opts Options) (*Correlator, error) {
	w, err := DefaultWeights().With(opts.Config.Weights)
	if err != nil {
		return nil, err
	}
	return &Correlator{opts: opts, weights: w}, nil
}

// Triage answers one request.
func (c *Correlator) Triage(_ context.Context, req triage.Request) (triage.Answer, error) {
	in := Input{At: req.At, Alerts: req.Incident.Alerts, Config: c.opts.Config, Weights: &c.weights}
	return triage.Answer{Report: Rank(in), Input: in.Case(req.Incident.ID)}, nil
}
