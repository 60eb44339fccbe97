package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/triaged-dev/triaged/triage"
)

// Options are what Run needs.
type Options struct {
	Case   string // a name of Names, or a case file
	Listen string // where the daemon listens; port 0 picks a free one
	Exit   bool   // end after the report, with an error if the expected trigger did not come first
	Out    io.Writer
	Logger *slog.Logger
	// Serve runs the real daemon on a configuration file until ctx ends.
	Serve func(ctx context.Context, configFile, storage, listen string) error
	// Card renders a report as on-call would get it.
	Card func(triage.Incident, triage.Report) string
}

// ErrUnexpected means that the expected trigger did not come first.
var ErrUnexpected = errors.New("the expected trigger did not come first")

// Run plays the case. It returns when ctx ends or, with Exit, after the first report.
func Run(ctx context.Context, o Options) (err error) {
	c, expect, err := readCase(o.Case)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "triaged-demo-")
	if err != nil {
		return fmt.Errorf("make a directory for the demo: %w", err)
	}
	defer os.RemoveAll(dir)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()

	now := time.Now().UTC().Truncate(time.Second)
	shift := now.Sub(fires(c))
	series := c.Series
	c = shifted(c, shift)

	prom, err := openPrometheus(filepath.Join(dir, "metrics"), o.Logger, time.Now)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, prom.Close()) }()
	prom.alerts = c.Alerts
	if len(series) > 0 && series[0].StepS > 0 {
		prom.step = series[0].Step()
	}
	fmt.Fprintf(o.Out, "case %s: loading %d series of metrics and %d changes\n", c.ID, len(series), len(c.Changes))
	if err := prom.load(ctx, series, shift, time.Time{}, now); err != nil {
		return err
	}
	broker, err := startBroker()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, broker.Close()) }()
	past, future := splitChanges(c, now)
	if err := broker.publish(ctx, past); err != nil {
		return err
	}

	promAddr, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("listen for the demo's Prometheus: %w", err)
	}
	promServer := &http.Server{Handler: prom.handler(), ReadHeaderTimeout: 5 * time.Second}
	listen, err := freeAddress(o.Listen)
	if err != nil {
		return err
	}
	promURL := "http://" + promAddr.Addr().String()
	configFile := filepath.Join(dir, "triaged.yml")
	if err := writeConfig(configFile, settings{
		Case: c, Series: series, PrometheusURL: promURL, Brokers: broker.cluster.ListenAddrs(), ExternalURL: "http://" + listen,
	}); err != nil {
		return err
	}

	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return ignoreClosed(promServer.Serve(promAddr)) })
	g.Go(func() error { <-ctx.Done(); return promServer.Close() })
	g.Go(func() error {
		defer cancel()
		return o.Serve(ctx, configFile, filepath.Join(dir, "data"), listen)
	})
	g.Go(func() error {
		err := play(ctx, o, script{
			daemon: daemon{url: "http://" + listen}, c: c, expect: expect, changes: past, promURL: promURL,
		})
		if o.Exit || err != nil {
			cancel()
		}
		return err
	})
	g.Go(func() error { // the world goes on while the daemon watches
		return feed(ctx, prom, broker, series, shift, now, future)
	})
	if err := g.Wait(); err != nil && !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

// fires is the moment of the case that becomes now: when its report was made, or when its first alert fired.
func fires(c triage.Case) time.Time {
	if c.ReportAt.After(c.Alerts[0].StartsAt) {
		return c.ReportAt
	}
	return c.Alerts[0].StartsAt
}

// splitChanges separates what had been observed when the alert fired from what comes later.
func splitChanges(c triage.Case, now time.Time) (past, future []triage.Change) {
	all := slices.Clone(c.Changes)
	for _, e := range c.Events {
		if e.Change != nil {
			all = append(all, *e.Change)
		}
	}
	for _, ch := range all {
		at := ch.ObservedAt
		if at.IsZero() {
			at = ch.OccurredAt()
		}
		if at.After(now) {
			future = append(future, ch)
		} else {
			past = append(past, ch)
		}
	}
	slices.SortStableFunc(past, func(a, b triage.Change) int { return a.OccurredAt().Compare(b.OccurredAt()) })
	return past, future
}

// feed appends the samples and publishes the changes that come due as time goes by.
func feed(ctx context.Context, prom *prometheusServer, b *broker, series []triage.Series, shift time.Duration, from time.Time, future []triage.Change) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
		to := time.Now().UTC()
		if err := prom.load(ctx, series, shift, from, to); err != nil {
			return err
		}
		from = to
		var due []triage.Change
		future = slices.DeleteFunc(future, func(ch triage.Change) bool {
			if ch.OccurredAt().After(to) {
				return false
			}
			due = append(due, ch)
			return true
		})
		if len(due) > 0 {
			if err := b.publish(ctx, due); err != nil {
				return err
			}
		}
	}
}

// freeAddress returns the address if it can be listened on, else one on the same host with a free port.
func freeAddress(address string) (string, error) {
	l, err := net.Listen("tcp", address)
	if err != nil {
		host, _, splitErr := net.SplitHostPort(address)
		if splitErr != nil {
			return "", fmt.Errorf("--web.listen-address: %w", splitErr)
		}
		if l, err = net.Listen("tcp", net.JoinHostPort(host, "0")); err != nil {
			return "", fmt.Errorf("listen for the demo: %w", err)
		}
	}
	defer l.Close()
	return l.Addr().String(), nil
}

func ignoreClosed(err error) error {
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}
