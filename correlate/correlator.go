package correlate

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/triaged-dev/triaged/triage"
	"github.com/triaged-dev/triaged/triage/meter"
)

// Window finds what happened lately. It must answer from memory; results belong to the caller. Find also says how many
// changes the query selects: it may leave those out that are beyond its Limit.
type Window interface {
	Find(ctx context.Context, q triage.ChangeQuery) (found []triage.Change, selected int, err error)
	FindAnomalies(ctx context.Context, q triage.ChangeQuery) ([]triage.Anomaly, error)
}

// Store finds what happened longer ago, a page at a time, and how earlier suspicions turned out.
type Store interface {
	FindChanges(ctx context.Context, q triage.ChangeQuery) ([]triage.Change, string, error)
	Outcomes(ctx context.Context) ([]triage.Outcome, error)
}

// AlertLog knows when an alert of this name fired on this service since then.
type AlertLog interface {
	AlertHistory(ctx context.Context, name, service string, since time.Time) ([]triage.Alert, error)
}

// IncidentLog knows which incidents were opened.
type IncidentLog interface {
	Incidents(ctx context.Context, q triage.IncidentQuery) ([]triage.Incident, string, error)
}

// Metrics reads the alert's own series and the signals of services. It may hang: both calls are given a deadline, and are
// left behind when they do not keep it.
type Metrics interface {
	Symptom(ctx context.Context, a triage.Alert, from, to time.Time) (triage.Symptom, error)
	Signals(ctx context.Context, q triage.SignalQuery) ([]triage.Series, error)
}

// CoverageSource knows how well each source could be heard. It must not block.
type CoverageSource interface {
	Coverage(from, to time.Time) []triage.Coverage
}

// ToldSource knows how much of what changes is told here. It must not block.
type ToldSource interface {
	Told(now time.Time) *triage.Told
}

// PlaceboSource knows what the signals of services did here when nothing was wrong. It must not block.
type PlaceboSource interface {
	Placebo(services []string) []triage.Placebo
}

// Options are the parts of a Correlator. Window is required; everything else may be nil and then makes reports thinner.
type Options struct {
	Config     Config
	Window     Window
	Store      Store
	Alerts     AlertLog
	Incidents  IncidentLog
	Metrics    Metrics
	Topology   triage.TopologySource
	Coverage   CoverageSource
	Told       ToldSource
	Placebo    PlaceboSource
	Directory  *triage.Directory
	Logger     *slog.Logger
	Registerer prometheus.Registerer
	Now        func() time.Time
}

// Correlator gathers the evidence for one alert and ranks it. It is safe for concurrent use.
type Correlator struct {
	Options
	weights Weights
	metrics *metrics
}

// New checks the options. It starts nothing.
func New(opts Options) (*Correlator, error) {
	if opts.Window == nil {
		return nil, errors.New("correlator: needs a window of changes")
	}
	if opts.Config.Lookback == 0 {
		opts.Config = DefaultConfig()
	}
	if err := opts.Config.validate(); err != nil {
		return nil, err
	}
	w, err := DefaultWeights().With(opts.Config.Weights)
	if err != nil {
		return nil, fmt.Errorf("correlate.weights: %w", err)
	}
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	if opts.Now == nil {
		opts.Now = time.Now
	}
	return &Correlator{Options: opts, weights: w, metrics: newMetrics(opts.Registerer)}, nil
}

// Triage answers one request. Evidence that does not come within the deadline, the configured one or the context's, is
// left out, and the report says so; only a window that cannot be read at all is an error.
func (c *Correlator) Triage(ctx context.Context, req triage.Request) (triage.Answer, error) {
	began := c.Now()
	in := c.input(req, began)
	g := gathering{c: c, in: &in, req: req}
	if err := g.within(ctx, c.evidenceTime(ctx), g.gather); err != nil {
		c.metrics.triaged.WithLabelValues("error").Inc()
		return triage.Answer{}, err
	}
	// Metrics that took all the time there was leave the store some of its own.
	storeCtx, cancel := context.WithTimeout(ctx, storeTime)
	defer cancel()
	in, report, widened := g.widen(storeCtx, Rank(in))
	if widened {
		c.metrics.widened.Inc()
	}
	c.metrics.triaged.WithLabelValues(string(report.Recommendation.Verdict)).Inc()
	c.metrics.seconds.Observe(c.Now().Sub(began).Seconds())
	id := req.Incident.ID
	if id == "" {
		id = "ad-hoc"
	}
	return triage.Answer{Report: report, Input: in.Case(id)}, nil
}

// input is what is known before anything is asked.
func (c *Correlator) input(req triage.Request, now time.Time) Input {
	at := req.At
	if at.IsZero() {
		at = now
	}
	in := Input{
		IncidentID: req.Incident.ID, Number: req.Number, Cause: req.Cause, Scope: req.Incident.Scope, At: at.UTC(),
		Lookback: req.Lookback, Alerts: req.Incident.Current(), Services: c.Directory.Map(), Checked: req.Checked, Config: c.Config, Weights: &c.weights,
	}
	in.Scope = symptomScope(in.Scope, firstAlert(in.Alerts))
	in.Scope.Service, _ = c.Directory.Resolve(in.Scope.Service)
	in.Scope.Environment = c.Directory.Environment(in.Scope.Environment)
	if c.Told != nil {
		in.Told = c.Told.Told(at)
	}
	if c.Topology != nil {
		in.Topology = c.Topology.Topology()
	}
	return in
}

// storeTime is how long the longer store may be searched.
const storeTime = time.Second

// within runs one step of the gathering with a deadline of its own.
func (g *gathering) within(ctx context.Context, limit time.Duration, step func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	return step(ctx)
}

// reserve is kept of the caller's deadline for ranking and writing the report.
const reserve = 250 * time.Millisecond

// evidenceTime is how long evidence may take: the configured deadline, or what the caller leaves of its own.
func (c *Correlator) evidenceTime(ctx context.Context) time.Duration {
	d := time.Duration(c.Config.Deadline)
	if end, ok := ctx.Deadline(); ok {
		left := time.Until(end)
		d = min(d, max(left-reserve, left/2))
	}
	return d
}

// metrics of the correlator.
type metrics struct {
	triaged  *prometheus.CounterVec
	seconds  prometheus.Histogram
	failures *prometheus.CounterVec
	widened  prometheus.Counter
}

func newMetrics(reg prometheus.Registerer) *metrics {
	m := &metrics{
		triaged: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "triaged_triages_total",
			Help: "Alerts triaged, by verdict; error when the window could not be read.",
		}, []string{"verdict"}),
		seconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "triaged_correlate_duration_seconds",
			Help: "Time from request to report, evidence included.", Buckets: []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10},
		}),
		failures: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "triaged_evidence_failures_total",
			Help: "Evidence that did not come in time or not at all, by part.",
		}, []string{"part"}),
		widened: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "triaged_triage_widened_total",
			Help: "Triages that searched the longer store because nothing near fitted.",
		}),
	}
	m.triaged, m.seconds = meter.Register(reg, m.triaged), meter.Register(reg, m.seconds)
	m.failures, m.widened = meter.Register(reg, m.failures), meter.Register(reg, m.widened)
	return m
}
