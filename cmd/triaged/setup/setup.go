package setup

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/prometheus/common/config"

	"github.com/triaged-dev/triaged/configs"
	"github.com/triaged-dev/triaged/sources/prometheus"
	"github.com/triaged-dev/triaged/triage"
)

// Options say what to look at and where to write.
type Options struct {
	Prometheus    string
	Alertmanagers []string // empty: those that the Prometheus names
	Triaged       string   // where Alertmanager will reach the daemon
	Output        string   // directory
	Force         bool     // write over files that are there
	HTTPConfig    config.HTTPClientConfig
	HTTPFile      string // HTTPConfig was read from here
	Out           io.Writer
	Now           func() time.Time
}

// The files that are written.
const (
	ConfigFile       = "triaged.yml"
	AlertmanagerFile = "alertmanager.yml"
	alertsToken      = "alertmanager.token"
	changesToken     = "changes.token"
	readToken        = "read.token"
	adminToken       = "admin.token"
)

// found is what was seen.
type found struct {
	o      Options
	survey prometheus.Survey
	graph  triage.GraphCoverage
	ams    []Alertmanager
	notes  []string
}

// Run looks and writes. It writes nothing where something is wrong, and over nothing that is there unless told to.
func Run(ctx context.Context, o Options) error {
	if o.Now == nil {
		o.Now = time.Now
	}
	u, err := url.Parse(o.Triaged)
	if err != nil || u.Host == "" {
		return errors.New("--triaged-url: must be a URL, like http://triaged:9792")
	}
	o.Triaged = strings.TrimRight(o.Triaged, "/")
	f := &found{o: o}
	if err := f.look(ctx); err != nil {
		return err
	}
	files := map[string]string{ConfigFile: f.configuration()}
	for _, name := range []string{alertsToken, changesToken, readToken, adminToken} {
		files[name] = token() + "\n"
	}
	am, steps, err := f.alertmanager()
	if err != nil {
		return err
	}
	files[AlertmanagerFile] = am
	if err := write(o, files); err != nil {
		return err
	}
	if _, err := configs.Load(filepath.Join(o.Output, ConfigFile)); err != nil {
		return fmt.Errorf("what was written does not check, which is a fault of triaged: %w", err)
	}
	f.report(steps)
	return nil
}

func token() string {
	var b [24]byte
	rand.Read(b[:]) // never returns an error
	return hex.EncodeToString(b[:])
}

// look asks the Prometheus and its Alertmanagers.
func (f *found) look(ctx context.Context) error {
	cfg := prometheus.DefaultConfig()
	cfg.Name, cfg.URL, cfg.HTTPConfig = "prometheus", f.o.Prometheus, f.o.HTTPConfig
	src, err := prometheus.New(prometheus.Options{
		Config: cfg, Signals: prometheus.DefaultSignalsConfig(), Logger: slog.New(slog.DiscardHandler), Now: f.o.Now,
	})
	if err != nil {
		return err
	}
	defer src.Close()
	if f.survey, err = src.Survey(ctx); err != nil {
		return fmt.Errorf("%w\n  Is --prometheus right, and may this machine reach it? Credentials go into --http.config.file", err)
	}
	if t, err := src.ReadTopology(ctx); err == nil {
		f.graph = triage.GraphCoverageOf(triage.Topology{}, t, f.survey.Services)
	}
	urls := f.o.Alertmanagers
	if len(urls) == 0 {
		if urls, err = FindAlertmanagers(ctx, f.o.Prometheus, f.o.HTTPConfig); err != nil {
			f.notes = append(f.notes, "the Prometheus does not say which Alertmanagers it sends to; give --alertmanager")
		}
	}
	for _, u := range urls {
		am, err := ReadAlertmanager(ctx, u, config.DefaultHTTPClientConfig)
		if err != nil {
			f.notes = append(f.notes, fmt.Sprintf("Alertmanager %s: %v", u, err))
			continue
		}
		f.ams = append(f.ams, am)
	}
	return nil
}

// write puts the files into the directory; the ones with secrets only for their owner.
func write(o Options, files map[string]string) error {
	if err := os.MkdirAll(o.Output, 0o755); err != nil {
		return fmt.Errorf("make %s: %w", o.Output, err)
	}
	if !o.Force {
		for name := range files {
			path := filepath.Join(o.Output, name)
			if _, err := os.Stat(path); err == nil {
				return fmt.Errorf("%s is there already; give another --output, or --force to write over it", path)
			}
		}
	}
	for name, text := range files {
		mode := os.FileMode(0o644)
		if strings.HasSuffix(name, ".token") || o.HTTPFile != "" {
			mode = 0o600
		}
		if err := os.WriteFile(filepath.Join(o.Output, name), []byte(text), mode); err != nil {
			return fmt.Errorf("write %s: %w", name, err)
		}
	}
	return nil
}

// report says what was found and what to do next.
func (f *found) report(steps []string) {
	w := f.o.Out
	s := f.survey
	fmt.Fprintf(w, "Found: %d services, %d calls between them, %d alerting rules, %d Alertmanagers.\n", len(s.Services), f.graph.Seen, len(s.Rules), len(f.ams))
	for _, c := range s.Conventions {
		fmt.Fprintf(w, "  %-20s %d services, named by label %s\n", c.Name, len(c.Services), c.Label)
	}
	for _, n := range append(s.Notes, f.notes...) {
		fmt.Fprintf(w, "  note: %s\n", n)
	}
	fmt.Fprintf(w, "Wrote %s to %s. Next:\n", strings.Join(f.names(), ", "), f.o.Output)
	for i, step := range append([]string{f.serve()}, steps...) {
		fmt.Fprintf(w, "%d. %s\n", i+1, step)
	}
}

// serve is the whole command line: the daemon listens on loopback only unless told otherwise, where Alertmanager seldom is.
func (f *found) serve() string {
	line := fmt.Sprintf("triaged serve --config.file=%s", filepath.Join(f.o.Output, ConfigFile))
	u, err := url.Parse(f.o.Triaged)
	if err != nil || u.Hostname() == "localhost" || strings.HasPrefix(u.Hostname(), "127.") || u.Hostname() == "::1" {
		return line
	}
	if port := u.Port(); port != "" {
		return line + " --web.listen-address=:" + port
	}
	return line + " --web.listen-address=:9792\n   and have the proxy at " + f.o.Triaged + " pass on to that port"
}

func (f *found) names() []string {
	return []string{ConfigFile, AlertmanagerFile, alertsToken, changesToken, readToken, adminToken}
}
