package try

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"time"

	"github.com/prometheus/common/config"
	"github.com/prometheus/common/model"

	"github.com/triaged-dev/triaged/alerting"
	"github.com/triaged-dev/triaged/correlate"
	"github.com/triaged-dev/triaged/sources/prometheus"
	"github.com/triaged-dev/triaged/triage"
)

// Options say where to look and how to print.
type Options struct {
	Prometheus   string // URL; user and password in it are used for basic auth
	Days         int
	MaxPages     int      // the latest ones are answered; older ones are only counted
	Pages        []string // matchers of alerts that page; empty: severity=~"page|critical"
	Budget       int      // queries per minute
	HTTPConfig   config.HTTPClientConfig
	Format       string // text or json
	HTML         string // file to write the page to; empty: none
	Verbose      bool   // the whole card of every page
	GitHub       []string
	GitHubAPI    string // URL of an Enterprise Server's API; empty: api.github.com
	ChangesFile  string
	Alertmanager string

	Out, Err io.Writer
	Terminal bool             // progress may be drawn on Err
	Now      func() time.Time // nil: time.Now
}

// Limits of one run.
const (
	maxInFlight = 4               // queries at once
	pageTime    = 2 * time.Minute // for the evidence of one page: the budget may make it wait
	afterPage   = 30 * time.Second
)

// Run looks, answers and prints. When ctx ends early it prints what it has; only having nothing at all is an error.
func Run(ctx context.Context, o Options) error {
	if o.Now == nil {
		o.Now = time.Now
	}
	began := o.Now()
	t, err := newTrial(o)
	if err != nil {
		return err
	}
	defer t.source.Close()
	if err := t.look(ctx); err != nil {
		return err
	}
	t.answer(ctx)
	t.bar.done()
	r := t.result(ctx.Err() != nil)
	r.Cost = t.meter.cost(o.Now().Sub(began))
	return t.print(r)
}

// trial is one run.
type trial struct {
	o        Options
	source   *prometheus.Source
	meter    *meter
	bar      *bar
	now      time.Time
	from, to time.Time

	pages    alerting.Matchers
	ignore   alerting.Matchers
	survey   prometheus.Survey
	topology triage.Topology
	dir      *triage.Directory
	owners   triage.PodOwners // of the pods that fired
	firings  []triage.Alert   // of everything that is no mere information
	known    past
	states   []triage.Anomaly
	grouped  []page
	answered []Page
	notes    []string // what could not be had, one sentence each
}

func newTrial(o Options) (*trial, error) {
	u, auth, err := splitCredentials(o.Prometheus)
	if err != nil {
		return nil, err
	}
	cfg := prometheus.DefaultConfig()
	cfg.Name, cfg.URL, cfg.HTTPConfig = "prometheus", u, o.HTTPConfig
	if auth != nil {
		cfg.HTTPConfig.BasicAuth = auth
	}
	cfg.MaxInFlight, cfg.QueriesPerMinute = maxInFlight, o.Budget
	cfg.MaxResponseBytes, cfg.MaxSeries = 64<<20, 20_000
	cfg.Timeout = model.Duration(30 * time.Second)
	cfg.Topology.Lookback = model.Duration(time.Hour)
	cfg.DiscoveryInterval = model.Duration(time.Hour)
	cfg.Reference.Days = []int{1}
	base, err := config.NewRoundTripperFromConfig(cfg.HTTPConfig, "prometheus", config.WithUserAgent("triaged"))
	if err != nil {
		return nil, fmt.Errorf("set up the connection: %w", err)
	}
	t := &trial{o: o, meter: &meter{next: base}, now: o.Now().UTC(), bar: newBar(o.Err, o.Terminal)}
	t.from, t.to = t.now.Add(-time.Duration(o.Days)*24*time.Hour), t.now
	t.source, err = prometheus.New(prometheus.Options{
		Config: cfg, Signals: prometheus.DefaultSignalsConfig(), Logger: slog.New(slog.DiscardHandler), Transport: t.meter, Now: o.Now,
	})
	if err != nil {
		return nil, err
	}
	defaults := alerting.DefaultConfig()
	t.pages, t.ignore = defaults.Pages, defaults.Ignore
	if len(o.Pages) > 0 {
		t.pages = nil
		for _, s := range o.Pages {
			m, err := alerting.ParseMatcher(s)
			if err != nil {
				return nil, fmt.Errorf("--pages: %w", err)
			}
			t.pages = append(t.pages, m)
		}
	}
	return t, nil
}

// answer asks for every page's evidence and ranks, the latest page first, so that an early end has the freshest.
func (t *trial) answer(ctx context.Context) {
	cfg := correlate.DefaultConfig()
	cfg.Deadline = model.Duration(pageTime)
	for i := len(t.grouped) - 1; i >= 0 && len(t.answered) < t.o.MaxPages && ctx.Err() == nil; i-- {
		t.bar.show(fmt.Sprintf("page %d of %d", len(t.answered)+1, min(len(t.grouped), t.o.MaxPages)),
			float64(len(t.answered))/float64(min(len(t.grouped), t.o.MaxPages)))
		p := t.grouped[i]
		c, err := correlate.New(correlate.Options{
			Config: cfg, Window: window{t.known, t.states}, Store: t.known, Metrics: t.source, Topology: t, Coverage: t, Directory: t.dir,
		})
		if err != nil {
			t.notes = append(t.notes, err.Error())
			return
		}
		inc := t.incident(ctx, p)
		at := p.start.Add(afterPage)
		answer, err := c.Triage(ctx, triage.Request{Incident: inc, At: at, Number: 1, Cause: alerting.CauseAlert})
		if ctx.Err() != nil {
			return // half of the evidence is missing: no answer is better than that one
		}
		if err != nil {
			t.notes = append(t.notes, fmt.Sprintf("the page of %s could not be answered: %v", p.start.Format("2006-01-02 15:04"), err))
			continue
		}
		t.answered = append(t.answered, t.told(p, inc, answer.Report))
	}
}

// Topology is the call graph as it is now.
func (t *trial) Topology() triage.Topology { return t.topology }

// Coverage says what was listened to: the server, and what was given besides.
func (t *trial) Coverage(from, to time.Time) []triage.Coverage {
	out := []triage.Coverage{{Source: "prometheus", State: triage.SourceOK, From: from, To: to}}
	if len(t.o.GitHub) > 0 {
		out = append(out, triage.Coverage{Source: "github", State: triage.SourceOK, From: from, To: to})
	}
	if t.o.ChangesFile != "" {
		out = append(out, triage.Coverage{Source: "changes file", State: triage.SourceOK, From: from, To: to})
	}
	return out
}

// print writes the result as asked for.
func (t *trial) print(r Result) error {
	if t.o.HTML != "" {
		f, err := os.Create(t.o.HTML)
		if err != nil {
			return fmt.Errorf("write the page: %w", err)
		}
		if err := errors.Join(writeHTML(f, r), f.Close()); err != nil {
			return fmt.Errorf("write the page: %w", err)
		}
	}
	if t.o.Format == "json" {
		return writeJSON(t.o.Out, r)
	}
	writeText(t.o.Out, r, t.o.Verbose)
	if t.o.HTML != "" {
		fmt.Fprintf(t.o.Out, "\nThe same as a page: %s\n", t.o.HTML)
	}
	return nil
}

var _ http.RoundTripper = (*meter)(nil)
