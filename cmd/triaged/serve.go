package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/alecthomas/kingpin/v2"
	prom "github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	versioncollector "github.com/prometheus/client_golang/prometheus/collectors/version"
	"github.com/prometheus/common/promslog"
	"github.com/prometheus/common/version"
	toolkit "github.com/prometheus/exporter-toolkit/web"
	"github.com/prometheus/exporter-toolkit/web/kingpinflag"
	"golang.org/x/sync/errgroup"

	"github.com/triaged-dev/triaged/alerting"
	"github.com/triaged-dev/triaged/alerting/card"
	"github.com/triaged-dev/triaged/api"
	"github.com/triaged-dev/triaged/api/mcp"
	"github.com/triaged-dev/triaged/api/signin"
	"github.com/triaged-dev/triaged/cmd/triaged/told"
	"github.com/triaged-dev/triaged/collector"
	"github.com/triaged-dev/triaged/configs"
	"github.com/triaged-dev/triaged/correlate/placebo"
	"github.com/triaged-dev/triaged/correlate/verify"
	"github.com/triaged-dev/triaged/journal"
	"github.com/triaged-dev/triaged/sources/cloudevents"
	"github.com/triaged-dev/triaged/triage"
	"github.com/triaged-dev/triaged/web"
)

const defaultListen = "127.0.0.1:9792"

// serveOptions are the flags of serve.
type serveOptions struct {
	configFile, storage, externalURL string
	pod                              string // name of the pod we are, where we are one
	web                              *toolkit.FlagConfig
	out                              io.Writer // where a token for this run is printed; nil: there is none
	once                             string    // that token
	cards                            io.Writer // where cards are shown that a shadow route kept back; nil: nowhere
}

func serveCommand(app *kingpin.Application) command {
	clause := app.Command("serve", "Run the daemon.")
	o := serveOptions{}
	clause.Flag("config.file", "Configuration file; without one the daemon takes changes and alerts over HTTP and knows no metrics.").StringVar(&o.configFile)
	clause.Flag("storage.path", "Directory of the journal, instead of the configured path.").StringVar(&o.storage)
	clause.Flag("web.external-url", "Where people reach this daemon; overrides global.external_url.").StringVar(&o.externalURL)
	clause.Flag("pod.name", "Name of this pod, where it is one of a StatefulSet: any but the first refuses to start.").Envar("TRIAGED_POD_NAME").StringVar(&o.pod)
	o.web = kingpinflag.AddFlags(clause, defaultListen)
	return command{clause: clause, run: func(ctx context.Context, s streams, logging *promslog.Config) error {
		o.out, o.once, o.cards = s.err, rand.Text(), s.out
		return serve(ctx, o, promslog.New(logging))
	}}
}

// serveOnce runs the daemon until ctx ends, then drains it: first the doors, then the work, the journal last. A journal that turns out to
// be damaged ends it, too, with errRecover; see serve.
// It is one straight line from the journal up to the listeners; see docs/architecture.md for the two ways through it.
func serveOnce(ctx context.Context, o serveOptions, log *slog.Logger) (err error) {
	started := time.Now()
	if err := onlyReplica(o.pod); err != nil {
		return err
	}
	cfg, err := o.load()
	if err != nil {
		return err
	}
	for _, w := range cfg.Warnings {
		log.Warn("configuration", "warning", w)
	}
	log.Info("starting triaged", "version", version.Info(), "config_file", o.configFile)

	reg := prom.NewRegistry()
	reg.MustRegister(versioncollector.NewCollector("triaged"), collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))

	// Opened first and closed last: everything below may still write while it drains.
	store, err := journal.Open(ctx, journal.Options{Config: cfg.Journal, Logger: log.With("component", "journal"), Registerer: reg})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	if r := store.Recovered(); r != "" {
		log.Error("the journal was not found as it was left", "detail", r)
	}
	journalCtx, stopJournal := context.WithCancel(context.WithoutCancel(ctx))
	var journalErr error
	journalEnded := make(chan struct{})
	go func() { defer close(journalEnded); journalErr = store.Run(journalCtx) }()
	defer func() { stopJournal(); <-journalEnded; err = errors.Join(err, ignoreCanceled(journalErr)) }()

	parts := &parts{log: log, reg: reg, store: store, bodies: api.NewBudget(api.HookBytes, api.HookBytes/2)}
	if parts.told, err = told.New(ctx, states{store}, parts.fromMetrics, reg, log.With("component", "told")); err != nil {
		return err
	}
	parts.placebo, err = placebo.New(ctx, placebo.Options{
		Config: parts.placeboConfig, Metrics: parts, Store: store, Past: parts, State: states{store}, Topology: parts, Logger: log.With("component", "placebo"), Registerer: reg,
	})
	if err != nil {
		return err
	}
	col, err := collector.New(collector.Options{
		Config: cfg.Window, Journal: store, Directory: cfg.Directory(), Logger: log.With("component", "collector"), Registerer: reg, Heard: parts.heard,
	})
	if err != nil {
		return err
	}
	if err := col.Load(ctx); err != nil {
		return err
	}
	parts.collector = col
	first, err := parts.build(cfg)
	if err != nil {
		return err
	}
	parts.use(first)

	feedback, err := api.OpenFeedbackLinks(ctx, store, notFound, nil)
	if err != nil {
		return err
	}
	signKey, err := signin.Key(ctx, store, notFound)
	if err != nil {
		return err
	}
	signedOut, err := signin.OpenSignedOut(ctx, store, notFound)
	if err != nil {
		return err
	}
	var pages *web.Web // built below, on the API's own guard; nothing is painted before
	picture := func(ctx context.Context, r triage.Report) ([]byte, error) {
		c, err := store.ReportInput(ctx, r.IncidentID, r.Number)
		if err != nil {
			return nil, fmt.Errorf("read what report %d of incident %s was made from: %w", r.Number, r.IncidentID, err)
		}
		return pages.TimelinePNG(r, c)
	}
	verifier, err := verify.New(verify.Options{
		Metrics: parts, Past: store, Alerts: store, Topology: parts, Directory: parts.directory, Logger: log.With("component", "verify"),
	})
	if err != nil {
		return err
	}
	alerts, err := alerting.New(alerting.Options{
		Config: cfg.Incidents, Route: cfg.Route, Receivers: first.receivers, Store: store, Triager: parts, Directory: cfg.Directory(),
		Topology: parts, Hops: parts.hops, Verifier: verifier, Labels: store, Picture: picture, Percentages: percentages(store, log), State: states{store}, Owners: parts.PodOwner, Links: links(cfg.Global.ExternalURL, feedback),
		Shadow: shadowCards(o.cards), Logger: log.With("component", "alerting"), Registerer: reg,
	})
	if err != nil {
		return err
	}
	col.Elsewhere(api.AlertSource, alertIntake{alerts}.retake)

	listeners, err := listen(o.web)
	if err != nil {
		return err
	}
	defer closeAll(listeners)
	connections := api.NewConnections(cfg.Auth.Limits.Connections, reg)
	for i, l := range listeners {
		listeners[i] = connections.Listen(l)
	}
	o.greet(cfg.Auth, addresses(listeners))
	reload := &reloader{options: o, listen: addresses(listeners), parts: parts, alerts: alerts, running: cfg, log: log.With("component", "reload")}
	reload.register(reg)
	handler, err := api.New(api.Options{
		Config: o.auth(cfg.Auth, addresses(listeners)), ListenAddresses: addresses(listeners),
		ExternalURL: cfg.Global.ExternalURL, SignInKey: signKey, SignedOut: signedOut,
		Store: store, Collector: col, Alerts: alertIntake{alerts}, Resender: alerts, Triager: parts,
		NotFound: notFound, FeedbackLinks: feedback,
		Topology: parts, Directory: parts.directory, CloudEvents: cloudevents.DecodeHTTP,
		Events: col.Subscribe, Updates: incidentFeed(alerts),
		Picture: func(r triage.Report, c triage.Case) ([]byte, error) { return pages.TimelinePNG(r, c) },
		Healthy: func(ctx context.Context) error { // takes the lock of each part; whether they are ready is another question
			_, _ = col.Sources(), alerts.Ready()
			_, err := store.DueDeliveries(ctx, time.Now(), 1)
			return errors.Join(err, store.Damaged())
		},
		Ready: []api.Check{
			{Name: "journal", Err: store.Ready}, {Name: "collector", Err: col.Ready}, {Name: "alerting", Err: alerts.Ready},
		},
		MCP: func(inner http.Handler, mayWrite bool) http.Handler {
			return mcp.Handler(inner, mcp.Options{Card: card.Text, MayWrite: mayWrite, Version: version.Version})
		},
		Reload: reload.reload, ConfigYAML: reload.redacted, Gatherer: reg,
		Logger: log.With("component", "api"), Registerer: reg,
	})
	if err != nil {
		return err
	}
	reload.api = handler
	pages, err = web.New(web.Options{
		Store: store, Collector: col, Resender: alerts, NotFound: notFound,
		Protect:  func(s web.Scope, next http.Handler) http.Handler { return handler.Protect(api.Scope(s), next) },
		Topology: parts, Hops: parts.hops, Directory: parts.directory, ConfigYAML: reload.redacted, Version: version.Version,
		Logger: log.With("component", "web"), Registerer: reg,
	})
	if err != nil {
		return err
	}
	server := &http.Server{
		Handler: doors(handler.Handler(), parts, pages.Handler(), cfg.Global.ExternalURL), ReadHeaderTimeout: api.ReadHeaderTimeout, ReadTimeout: api.ReadTimeout, WriteTimeout: api.WriteTimeout, IdleTimeout: api.IdleTimeout, MaxHeaderBytes: api.MaxHeaderBytes,
		ConnState: connections.State,
		ErrorLog:  connectionLog(log),
	}

	// Work goes on until the doors are shut, so that a request in flight is still answered.
	workCtx, stopWork := context.WithCancel(context.WithoutCancel(ctx))
	defer stopWork()
	work, workCtx := errgroup.WithContext(workCtx)
	work.Go(func() error { return ignoreCanceled(col.Run(workCtx)) })
	work.Go(func() error { return ignoreCanceled(alerts.Run(workCtx)) })
	work.Go(func() error { return ignoreCanceled(parts.told.Run(workCtx)) })
	work.Go(func() error { return ignoreCanceled(parts.placebo.Run(workCtx)) })
	work.Go(func() error { return pump(workCtx, col, alerts) })
	work.Go(func() error { return annotate(workCtx, col, parts, reg, log.With("component", "grafana")) })
	work.Go(func() error { return reload.onSignal(workCtx) })
	work.Go(func() error { return reload.onFiles(workCtx) })

	doors := make(chan error, 1)
	go func() { doors <- toolkit.ServeMultiple(listeners, server, o.web, log) }()
	warnOfLoopback(cfg.Global.ExternalURL, addresses(listeners), log)
	log.Info("listening", "addresses", addresses(listeners), "started_in", time.Since(started).Round(time.Millisecond))

	grace := api.ShutdownTimeout
	select {
	case <-ctx.Done():
		log.Info("stopping: finishing what is in flight")
	case <-workCtx.Done():
	case err = <-doors:
	case <-journalEnded:
		// Nothing can be acknowledged any more: there is nothing to wait for.
		grace = time.Second
		err = errRecover
	}
	handler.Drain()
	parts.bodies.Drain()
	connections.CloseNew()
	err = errors.Join(ignoreClosed(err), shut(server, grace, func() bool { return handler.Working()+parts.working.Load() > 0 }))
	stopWork()
	return errors.Join(err, ignoreCanceled(work.Wait()))
}

// load reads the configuration, or takes the defaults where there is no file, and applies the flags that override it.
func (o serveOptions) load() (*configs.Config, error) {
	cfg := new(configs.Config)
	*cfg = configs.Default()
	if o.configFile != "" {
		loaded, err := configs.Load(o.configFile)
		if err != nil {
			return nil, err
		}
		cfg = loaded
	}
	if o.configFile == "" {
		cfg.Auth.TrustLoopback = true // a first start, with nothing to keep yet; said loudly
	}
	if o.storage != "" {
		cfg.Journal.Path = filepath.Join(o.storage, "triaged.db")
	}
	if o.externalURL != "" {
		cfg.Global.ExternalURL = o.externalURL
	}
	return cfg, nil
}

// pump feeds what the collector stored to the open incidents: late changes, undos, changes in the blast radius.
func pump(ctx context.Context, col *collector.Collector, alerts *alerting.Alerting) error {
	events, stop := col.Subscribe(1024)
	defer stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case ev, ok := <-events:
			if !ok {
				return nil
			}
			alerts.OnEvent(ev)
		}
	}
}

// notFound tells the journal's "no such thing", and a dead link, from a failure.
func notFound(err error) bool {
	return errors.Is(err, journal.ErrNotFound) || errors.Is(err, api.ErrLink)
}

// links are the addresses shown with a report; without an external URL there are none.
func links(externalURL string, feedback *api.FeedbackLinks) func(triage.Incident, int) card.Links {
	if externalURL == "" {
		return nil
	}
	externalURL = strings.TrimSuffix(externalURL, "/")
	return func(inc triage.Incident, n int) card.Links {
		return card.Links{
			Page: externalURL + "/incidents/" + inc.ID,
			Yes:  externalURL + "/feedback/" + feedback.Token(inc, n, triage.FeedbackConfirm),
			No:   externalURL + "/feedback/" + feedback.Token(inc, n, triage.FeedbackReject),
		}
	}
}

// incidentFeed turns alerting's updates into what the API streams.
func incidentFeed(alerts *alerting.Alerting) func(int) (<-chan api.Update, func()) {
	return func(buffer int) (<-chan api.Update, func()) {
		updates, stop := alerts.Subscribe(buffer)
		out := make(chan api.Update, buffer)
		go func() {
			defer close(out)
			for u := range updates {
				select {
				case out <- api.Update(u):
				default: // a slow reader loses, as it does upstream
				}
			}
		}()
		return out, stop
	}
}

func ignoreCanceled(err error) error {
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

func ignoreClosed(err error) error {
	if errors.Is(err, http.ErrServerClosed) || errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

// onSignal reloads on SIGHUP until ctx ends.
func (r *reloader) onSignal(ctx context.Context) error {
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP)
	defer signal.Stop(hup)
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-hup:
			// The reason is logged and kept for /-/ready by reload itself.
			_ = r.reload(ctx)
		}
	}
}
