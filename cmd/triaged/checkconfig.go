package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"strings"

	"github.com/alecthomas/kingpin/v2"
	"github.com/prometheus/common/promslog"

	"github.com/triaged-dev/triaged/cmd/triaged/doctor"
	"github.com/triaged-dev/triaged/configs"
	"github.com/triaged-dev/triaged/playbooks"
	"github.com/triaged-dev/triaged/triage/say"
)

func checkConfigCommand(app *kingpin.Application) command {
	clause := app.Command("check-config", "Check a configuration file and the files it names; no server it names is contacted.")
	without := clause.Flag("without-files", "Leave out the tokens and certificates it names, for a check where they are not.").Bool()
	files := clause.Arg("file", "Configuration files.").Required().Strings()
	return command{clause: clause, run: func(_ context.Context, s streams, _ *promslog.Config) error {
		bad := 0
		for _, name := range *files {
			cfg, err := configs.Load(name)
			if err == nil {
				if err = checkParts(cfg, *without); err != nil {
					err = fmt.Errorf("%s: %w", name, err)
				}
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
			preview(s.out, cfg.Receivers)
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

// preview shows what receivers with a format or template of their own would post of a made-up report.
func preview(out io.Writer, receivers []configs.Receiver) {
	for _, r := range receivers {
		for i := range r.Webhook {
			if text, err := r.Webhook[i].Preview(); err == nil && text != "" { // that it can be made was checked
				fmt.Fprintf(out, "  receiver %s, webhook %d, of a made-up report:\n    %s\n", r.Name, i+1, strings.ReplaceAll(text, "\n", "\n    "))
			}
		}
	}
}

// checkParts builds what serve would build, and lets go of it again: what serve refuses is refused here. Nothing is contacted or written.
// With without, nothing is made that reads a token or a certificate.
func checkParts(cfg *configs.Config, without bool) error {
	if without {
		return checkWithoutFiles(cfg)
	}
	errs := doctor.Files(cfg)
	p := &parts{log: slog.New(slog.DiscardHandler)}
	g, err := p.build(cfg)
	if g != nil {
		g.close()
	}
	for _, err := range []error{err, cfg.Auth.Readable()} {
		for _, one := range flat(err) {
			if len(errs) == 0 || !errors.Is(one, fs.ErrNotExist) { // a file that is not there has been told of, with its place
				errs = append(errs, one)
			}
		}
	}
	return errors.Join(errs...)
}

// flat are the errors that were joined.
func flat(err error) []error {
	if err == nil {
		return nil
	}
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return []error{err}
	}
	var out []error
	for _, one := range joined.Unwrap() {
		out = append(out, flat(one)...)
	}
	return out
}

// checkWithoutFiles builds notifiers and mappings, which read their secrets later.
func checkWithoutFiles(cfg *configs.Config) error {
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
