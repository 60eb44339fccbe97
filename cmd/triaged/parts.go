package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	prom "github.com/prometheus/client_golang/prometheus"

	"github.com/triaged-dev/triaged/alerting/outbox"
	"github.com/triaged-dev/triaged/api"
	"github.com/triaged-dev/triaged/cmd/triaged/told"
	"github.com/triaged-dev/triaged/collector"
	"github.com/triaged-dev/triaged/configs"
	"github.com/triaged-dev/triaged/correlate"
	"github.com/triaged-dev/triaged/correlate/placebo"
	"github.com/triaged-dev/triaged/journal"
	"github.com/triaged-dev/triaged/playbooks"
	"github.com/triaged-dev/triaged/sources/cloudevents"
	"github.com/triaged-dev/triaged/sources/github"
	"github.com/triaged-dev/triaged/sources/hooks"
	"github.com/triaged-dev/triaged/sources/kafka"
	"github.com/triaged-dev/triaged/sources/prometheus"
	"github.com/triaged-dev/triaged/triage"
)

// parts holds what a reload replaces. What depends on it asks here each time, so nobody keeps an old one.
type parts struct {
	log       *slog.Logger
	reg       prom.Registerer
	store     *journal.Journal
	collector *collector.Collector
	bodies    *api.Budget  // of hooks; outlives what is replaced
	working   atomic.Int64 // hooks being served
	told      *told.Tracker
	placebo   *placebo.Learner
	swap      sync.RWMutex // so that nobody begins to ask a generation that is being let go of
	current   atomic.Pointer[generation]
}

// generation is everything that is built from one configuration.
type generation struct {
	directory  *triage.Directory
	sources    []collector.Source
	metrics    *prometheus.Set
	servers    []string // names of the sources that are Prometheus servers
	edges      triage.Topology
	hops       int // calls walked from a symptom
	correlator *correlate.Correlator
	placebo    correlate.PlaceboConfig
	book       *playbooks.Book
	receivers  outbox.Receivers
	hooks      *hooks.Set
	opened     []*prometheus.Source
	inUse      sync.WaitGroup // questions under way; the sources are closed after the last
}

// build does the fallible work for a configuration and changes nothing.
func (p *parts) build(cfg *configs.Config) (*generation, error) {
	g := &generation{directory: cfg.Directory(), edges: triage.NewTopology(cfg.Edges()), hops: cfg.Correlate.MaxHops}
	var servers []*prometheus.Source
	var errs []error
	add := func(s collector.Source, kind, name string, err error) {
		if err != nil {
			errs = append(errs, fmt.Errorf("sources.%s %s: %w", kind, name, err))
			return
		}
		g.sources = append(g.sources, s)
	}
	for _, c := range cfg.Sources.Prometheus {
		s, err := prometheus.New(prometheus.Options{
			Config: c, Signals: cfg.Signals, Directory: g.directory, Logger: p.log.With("source", c.Name), Registerer: p.reg,
		})
		add(s, "prometheus", c.Name, err)
		if err == nil {
			servers = append(servers, s)
			g.servers = append(g.servers, c.Name)
		}
	}
	mapped, err := newMappings(cfg)
	if err != nil {
		return nil, err
	}
	decoders, err := mapped.decoders(cfg.Sources.Kafka)
	if err != nil {
		return nil, err
	}
	for _, c := range cfg.Sources.Kafka {
		s, err := kafka.New(kafka.Options{
			Config: c, Decoders: decoders, Retention: time.Duration(cfg.Window.Retention),
			Quarantine: p.quarantine, State: p.store, Logger: p.log.With("source", c.Name), Registerer: p.reg,
		})
		add(s, "kafka", c.Name, err)
	}
	mounted := make(map[string]http.Handler)
	for _, c := range cfg.Sources.GitHub {
		s, err := github.New(github.Options{
			Config: c, State: p.store, Quarantine: p.collector.Quarantine, Logger: p.log.With("source", c.Name), Registerer: p.reg,
		})
		if err == nil && c.Webhook != nil {
			mounted[c.Name], err = s.WebhookHandler(p.collector.Emit)
		}
		add(s, "github", c.Name, err)
	}
	g.hooks, err = hooks.New(hooks.Options{
		Hooks: cfg.Hooks, Senders: mapped.sender, Mounted: mounted, Bodies: p.open, Emit: p.collector.Emit, Quarantine: p.collector.Quarantine,
		Logger: p.log.With("component", "hooks"), Registerer: p.reg,
	})
	if err != nil {
		return nil, errors.Join(append(errs, err)...)
	}
	for _, name := range g.hooks.Names() {
		g.sources = append(g.sources, g.hooks.Source(name))
	}
	g.metrics, g.opened = prometheus.NewSet(servers), servers
	opts := correlate.Options{
		Config: cfg.Correlate, Window: p.collector, Store: p.store, Alerts: p.store, Incidents: p.store, Topology: p, Coverage: p.collector, Told: p.told, Placebo: p.placebo,
		Directory: g.directory, Logger: p.log.With("component", "correlate"), Registerer: p.reg,
	}
	if len(servers) > 0 { // without a server there is nothing to ask: an empty set would look like a blind one
		opts.Metrics = g.metrics
	}
	if g.placebo = cfg.Correlate.Placebo; len(servers) == 0 {
		g.placebo.Every = 0
	}
	if g.correlator, err = correlate.New(opts); err != nil {
		errs = append(errs, err)
	}
	if g.book, err = playbooks.New(cfg.Playbooks); err != nil {
		errs = append(errs, err)
	}
	if g.receivers, err = receivers(cfg.Receivers, cfg.Sources.Alertmanager, p.log.With("component", "notify")); err != nil {
		errs = append(errs, err)
	}
	return g, errors.Join(errs...)
}

// use swaps a generation in. It cannot fail. What the one before held is let go of when nobody asks it any more.
func (p *parts) use(g *generation) {
	p.swap.Lock()
	old := p.current.Swap(g)
	p.swap.Unlock()
	p.collector.SetDirectory(g.directory)
	p.collector.SetSources(g.sources)
	if old != nil {
		go old.close()
	}
}

func (g *generation) close() {
	g.inUse.Wait()
	for _, s := range g.opened {
		s.Close()
	}
}

// ask is the generation in force, which stays open until done is called.
func (p *parts) ask() (g *generation, done func()) {
	p.swap.RLock()
	defer p.swap.RUnlock()
	g = p.current.Load()
	g.inUse.Add(1)
	return g, g.inUse.Done
}

// open reads the body of a hook under the bound of all hooks.
func (p *parts) open(w http.ResponseWriter, r *http.Request, name string, limit int64, within time.Duration) io.ReadCloser {
	return p.bodies.Open(w, r, name, limit, within)
}

// quarantine is the collector's for sources that want to hear whether it worked: it always does, as far as they are concerned.
func (p *parts) quarantine(ctx context.Context, q triage.Quarantined) error {
	p.collector.Quarantine(ctx, q)
	return nil
}

// hops is how many calls are walked from a symptom.
func (p *parts) hops() int { return p.current.Load().hops }

func (p *parts) directory() *triage.Directory { return p.current.Load().directory }

// ServeHTTP serves the hooks of the configuration in force.
func (p *parts) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.working.Add(1)
	defer p.working.Add(-1)
	p.current.Load().hooks.ServeHTTP(w, r)
}

// fromMetrics reports whether a source reads its changes from metrics.
func (p *parts) fromMetrics(source string) bool {
	g := p.current.Load()
	return g != nil && slices.Contains(g.servers, source)
}

// heard hands a change on to who counts what is told.
func (p *parts) heard(source string, c triage.Change, at time.Time) { p.told.Heard(source, c, at) }

// Topology unites the configured calls with those seen in metrics.
func (p *parts) Topology() triage.Topology {
	g, done := p.ask()
	defer done()
	return triage.MergeTopologies(g.edges, g.metrics.Topology())
}

// placeboConfig is how what is usual is learned, as the configuration in force has it.
func (p *parts) placeboConfig() correlate.PlaceboConfig { return p.current.Load().placebo }

// PastChanges are the changes that the metrics of the servers there are now show, over a time gone by.
func (p *parts) PastChanges(ctx context.Context, from, to time.Time) ([]triage.Change, error) {
	g, done := p.ask()
	defer done()
	var out []triage.Change
	var errs []error
	for _, s := range g.opened {
		found, err := s.Changes(ctx, from, to)
		out, errs = append(out, found...), append(errs, err)
	}
	return out, errors.Join(errs...)
}

// PastFirings are the alerts that fired over a time gone by, as the servers there are now remember them.
func (p *parts) PastFirings(ctx context.Context, from, to time.Time) ([]triage.Alert, error) {
	g, done := p.ask()
	defer done()
	var out []triage.Alert
	var errs []error
	for _, s := range g.opened {
		found, err := s.Firings(ctx, from, to, nil)
		out, errs = append(out, found...), append(errs, err)
	}
	return out, errors.Join(errs...)
}

// PodOwner is the workload that owns a pod, as the current servers have it.
func (p *parts) PodOwner(namespace, pod string) string {
	g, done := p.ask()
	defer done()
	return g.metrics.PodOwner(namespace, pod)
}

// GraphCoverage is how much of who calls whom is known.
func (p *parts) GraphCoverage() triage.GraphCoverage {
	g, done := p.ask()
	defer done()
	return triage.GraphCoverageOf(g.edges, g.metrics.Topology(), g.metrics.Services())
}

// Triage asks the current correlator and adds what else is firing and how to do what it advises. The case of the answer stays what the ranking saw, so
// it replays to the same report up to the steps of the playbook.
func (p *parts) Triage(ctx context.Context, r triage.Request) (triage.Answer, error) {
	g, done := p.ask()
	defer done()
	others := g.otherAlerts(ctx, r.Incident, time.Now())
	answer, err := g.correlator.Triage(ctx, r)
	active := others()
	if err == nil {
		answer.Report.OtherAlerts = active
		p.remember(ctx, r.Incident, &answer)
		answer.Report = g.book.Apply(answer.Report, g.directory.Map())
	}
	return answer, err
}

// Symptom reads an alert's own series from the servers there are now.
func (p *parts) Symptom(ctx context.Context, al triage.Alert, from, to time.Time) (triage.Symptom, error) {
	g, done := p.ask()
	defer done()
	return g.metrics.Symptom(ctx, al, from, to)
}

// Signals reads the signals of services from the servers there are now.
func (p *parts) Signals(ctx context.Context, q triage.SignalQuery) ([]triage.Series, error) {
	g, done := p.ask()
	defer done()
	return g.metrics.Signals(ctx, q)
}

// Health says whether services are up, as the servers there are now scrape them.
func (p *parts) Health(ctx context.Context, q triage.SignalQuery) ([]triage.Series, error) {
	g, done := p.ask()
	defer done()
	return g.metrics.Health(ctx, q)
}

// kafkaDecoders are the formats of a topic besides triaged's own.
func kafkaDecoders() map[string]kafka.Decoder {
	decode := func(headers []kafka.Header, value []byte, at time.Time) ([]triage.Event, error) {
		return cloudevents.DecodeRecord(headers, value, at)
	}
	return map[string]kafka.Decoder{kafka.FormatCloudEvents: decode, kafka.FormatCDEvents: decode}
}
