package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"slices"
	"time"

	toolkit "github.com/prometheus/exporter-toolkit/web"
)

// errRecover ends serveOnce when the journal can no longer be written to as it is.
var errRecover = errors.New("the journal is damaged")

// Recoveries that follow each other within recoverSoon are given up after maxRecoveries: then only a person can help, and whoever
// watches the process should know.
const (
	recoverSoon   = time.Minute
	maxRecoveries = 3
)

// serve runs the daemon until ctx ends. A journal that is damaged while it runs is recovered as at any start: checked, moved aside if need
// be, and served from what could be saved.
func serve(ctx context.Context, o serveOptions, log *slog.Logger) error {
	limitMemory(log)
	for soon := 0; ; {
		began := time.Now()
		err := serveOnce(ctx, o, log)
		if !errors.Is(err, errRecover) || ctx.Err() != nil {
			return err
		}
		if soon++; time.Since(began) > recoverSoon {
			soon = 1
		}
		if soon > maxRecoveries {
			return fmt.Errorf("gave up after %d recoveries in a row: %w", maxRecoveries, err)
		}
		log.Error("starting again, to recover the journal", "err", err)
	}
}

// shutGrace is for what is on its way through the network when no request is being worked on any more.
const shutGrace = time.Second

// shut closes the doors: requests that are being worked on have until grace to be answered, those that only wait for a slow client
// shutGrace.
func shut(server *http.Server, grace time.Duration, working func() bool) error {
	ctx, cancel := context.WithTimeout(context.Background(), grace)
	defer cancel()
	go func() {
		tick := time.NewTicker(50 * time.Millisecond)
		defer tick.Stop()
		idle := time.Now()
		for {
			select {
			case <-ctx.Done():
				return
			case now := <-tick.C:
				if working() {
					idle = now
				}
				if now.Sub(idle) >= shutGrace {
					cancel()
					return
				}
			}
		}
	}()
	err := server.Shutdown(ctx)
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return server.Close()
	}
	return err
}

// listen opens the listeners before anything runs, so that a taken port is an error at start.
func listen(flags *toolkit.FlagConfig) ([]net.Listener, error) {
	var out []net.Listener
	for _, address := range *flags.WebListenAddresses {
		l, err := net.Listen("tcp", address)
		if err != nil {
			closeAll(out)
			return nil, fmt.Errorf("listen (choose another --web.listen-address, or stop what listens there): %w", err)
		}
		out = append(out, l)
	}
	return out, nil
}

// warnOfLoopback tells who was promised an address that nobody else can reach: Alertmanager's posts would be refused.
func warnOfLoopback(externalURL string, listen []string, log *slog.Logger) {
	u, err := url.Parse(externalURL)
	if err != nil || u.Hostname() == "" || loopback(u.Hostname()) || len(listen) == 0 {
		return
	}
	if slices.ContainsFunc(listen, func(a string) bool { host, _, err := net.SplitHostPort(a); return err != nil || !loopback(host) }) {
		return
	}
	log.Warn("only this machine can reach the daemon; behind a proxy on it all is well, else start with --web.listen-address=:9792",
		"listens", listen, "external_url", externalURL)
}

// loopback reports whether only this machine is meant.
func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

func closeAll(listeners []net.Listener) {
	for _, l := range listeners {
		// Serving closes them too; closing twice is harmless.
		_ = l.Close()
	}
}

func addresses(listeners []net.Listener) []string {
	var out []string
	for _, l := range listeners {
		out = append(out, l.Addr().String())
	}
	return out
}
