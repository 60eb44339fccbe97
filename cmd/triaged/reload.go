package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
	"go.yaml.in/yaml/v3"

	"github.com/triaged-dev/triaged/alerting"
	"github.com/triaged-dev/triaged/api"
	"github.com/triaged-dev/triaged/configs"
)

// reloader reads the configuration again while the daemon runs: all of it or nothing.
type reloader struct {
	options serveOptions
	listen  []string
	parts   *parts
	alerts  *alerting.Alerting
	api     *api.API
	log     *slog.Logger

	mu      sync.Mutex // one reload at a time; guards what follows
	running *configs.Config

	success  prometheus.Gauge
	lastGood prometheus.Gauge
	leftOut  prometheus.Gauge
}

func (r *reloader) register(reg prometheus.Registerer) {
	r.success = prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "triaged_config_last_reload_successful", Help: "Whether the last reading of the configuration succeeded; 0 means that an older one is still in force.",
	})
	r.lastGood = prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "triaged_config_last_reload_success_timestamp_seconds", Help: "When the configuration in force was read, Unix time.",
	})
	r.leftOut = prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "triaged_config_left_out", Help: "Team files, catalogue files and places of teams that are written down and not in force; the log says why.",
	})
	reg.MustRegister(r.success, r.lastGood, r.leftOut)
	r.leftOut.Set(float64(r.running.LeftOut))
	r.success.Set(1)
	r.lastGood.SetToCurrentTime()
}

// reload does all the fallible work first, then swaps. On an error nothing has changed.
func (r *reloader) reload(context.Context) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	err := r.try()
	if err != nil {
		r.success.Set(0)
		r.log.Error("configuration not taken; the old one stays in force", "err", err)
		return err
	}
	r.success.Set(1)
	r.lastGood.SetToCurrentTime()
	r.log.Info("configuration taken")
	return nil
}

func (r *reloader) try() error {
	if r.options.configFile == "" {
		return errors.New("there is no configuration file to read again: start with --config.file")
	}
	cfg, err := r.options.load()
	if err != nil {
		return err
	}
	if err := needsRestart(r.running, cfg); err != nil {
		return err
	}
	next, err := r.parts.build(cfg)
	if err != nil {
		return err
	}
	applyAPI, err := r.api.Prepare(r.options.auth(cfg.Auth, r.listen))
	if err != nil {
		return err
	}
	if err := r.alerts.Reconfigure(cfg.Route, next.receivers); err != nil {
		return err
	}
	r.alerts.SetDirectory(next.directory)
	applyAPI()
	r.parts.use(next)
	r.running = cfg
	r.leftOut.Set(float64(cfg.LeftOut))
	for _, w := range cfg.Warnings {
		r.log.Warn("configuration", "warning", w)
	}
	return nil
}

// needsRestart names the sections that are read at start only.
func needsRestart(running, next *configs.Config) error {
	var errs []error
	for _, s := range []struct {
		name string
		a, b any
	}{
		{"journal", running.Journal, next.Journal},
		{"window", running.Window, next.Window},
		{"incidents", running.Incidents, next.Incidents},
		{"auth.limits.connections", running.Auth.Limits.Connections, next.Auth.Limits.Connections},
		{"global.external_url", running.Global.ExternalURL, next.Global.ExternalURL},
	} {
		if !sameYAML(s.a, s.b) {
			errs = append(errs, fmt.Errorf("%s: has changed and is read at start only; restart triaged to use it", s.name))
		}
	}
	return errors.Join(errs...)
}

// sameYAML compares two sections as they would be written: compiled matchers of the same text are not deeply equal.
func sameYAML(a, b any) bool {
	x, errX := yaml.Marshal(a)
	y, errY := yaml.Marshal(b)
	return errX == nil && errY == nil && bytes.Equal(x, y)
}

// redacted is the configuration in force as YAML, secrets hidden.
func (r *reloader) redacted() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	text, err := r.running.Redacted()
	if err != nil {
		r.log.Error("configuration cannot be shown", "err", err)
	}
	return text
}
