package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"

	"github.com/alecthomas/kingpin/v2"
	"github.com/prometheus/common/promslog"

	"github.com/triaged-dev/triaged/configs"
	"github.com/triaged-dev/triaged/playbooks"
	"github.com/triaged-dev/triaged/triage/say"
)

func checkConfigCommand(app *kingpin.Application) command {
	clause := app.Command("check-config", "Check a configuration file; nothing it names is contacted.")
	files := clause.Arg("file", "Configuration files.").Required().Strings()
	return command{clause: clause, run: func(_ context.Context, s streams, _ *promslog.Config) error {
		bad := 0
		for _, name := range *files {
			cfg, err := configs.Load(name)
			if err == nil {
				err = checkParts(cfg)
			}
			if err != nil {
				bad++
				fmt.Fprintf(s.err, "%v\n", err)
				continue
			}
			book, err := playbooks.New(cfg.Playbooks)
			if err != nil {
				return err // Load has validated it
			}
			for _, w := range cfg.Warnings {
				fmt.Fprintf(s.err, "%s: warning: %s\n", name, w)
			}
			fmt.Fprintf(s.out, "%s: ok: %d services, %d sources, %d receivers\n", name, len(cfg.Services),
				len(cfg.Sources.Kafka)+len(cfg.Sources.GitHub)+len(cfg.Sources.Prometheus)+len(cfg.Hooks), len(cfg.Receivers))
			for _, sample := range book.Samples(cfg.Directory().Map()) {
				fmt.Fprintf(s.out, "  %s:\n    %s\n", sample.Rule, strings.Join(say.Instructions(sample.Steps), "\n    "))
			}
		}
		if bad > 0 {
			return exitError(1)
		}
		return nil
	}}
}

// checkParts builds what can be built of a configuration without opening anything: notifiers, mappings.
func checkParts(cfg *configs.Config) error {
	_, errReceivers := receivers(cfg.Receivers, cfg.Sources.Alertmanager, slog.New(slog.DiscardHandler))
	m, err := newMappings(cfg)
	if err != nil {
		return errors.Join(errReceivers, err)
	}
	_, err = m.decoders(cfg.Sources.Kafka)
	errs := []error{errReceivers, err}
	for _, h := range cfg.Hooks {
		if _, err := m.sender(h); err != nil {
			errs = append(errs, fmt.Errorf("hook %s: %w", h.Name, err))
		}
	}
	return errors.Join(errs...)
}
