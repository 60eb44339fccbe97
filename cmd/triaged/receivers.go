package main

import (
	"errors"
	"fmt"
	"log/slog"
	"os"

	"github.com/triaged-dev/triaged/alerting/email"
	"github.com/triaged-dev/triaged/alerting/grafana"
	"github.com/triaged-dev/triaged/alerting/log"
	"github.com/triaged-dev/triaged/alerting/outbox"
	"github.com/triaged-dev/triaged/alerting/pagerduty"
	"github.com/triaged-dev/triaged/alerting/slack"
	"github.com/triaged-dev/triaged/alerting/teams"
	"github.com/triaged-dev/triaged/alerting/webhook"
	"github.com/triaged-dev/triaged/configs"
	"github.com/triaged-dev/triaged/sources/alertmanager"
)

// receivers builds every configured destination. All kinds of notifier are on this screen; nothing is contacted.
func receivers(cfg []configs.Receiver, alertmanagers []alertmanager.Config, logger *slog.Logger) (outbox.Receivers, error) {
	out := make(outbox.Receivers, len(cfg))
	var errs []error
	keys, err := pagerKeys(alertmanagers, logger)
	if err != nil {
		errs = append(errs, err)
	}
	for _, r := range cfg {
		add := func(kind string, i int, n outbox.Notifier, err error) {
			name := kind
			if i > 0 {
				name = fmt.Sprintf("%s-%d", kind, i+1)
			}
			if err != nil {
				errs = append(errs, fmt.Errorf("receiver %s, %s: %w", r.Name, name, err))
				return
			}
			rate, burst := 0.0, 0
			switch kind {
			case "slack": // about one message a second and channel is what Slack takes, with short bursts
				rate, burst = 1, 5
			case "teams":
				rate, burst = 4, 4
			}
			out[r.Name] = append(out[r.Name], outbox.Integration{Name: name, Notifier: n, Concurrency: 4, Rate: rate, Burst: burst, OnUncertain: r.OnUncertain})
		}
		for i, c := range r.Log {
			n, err := log.New(c, logger.With("receiver", r.Name), os.Stdout)
			add("log", i, n, err)
		}
		for i, c := range r.Webhook {
			n, err := webhook.New(webhook.Options{Config: c})
			add("webhook", i, n, err)
		}
		for i, c := range r.Slack {
			n, err := slack.New(slack.Options{Config: c})
			add("slack", i, n, err)
		}
		for i, c := range r.Teams {
			n, err := teams.New(teams.Options{Config: c})
			add("teams", i, n, err)
		}
		for i, c := range r.Email {
			n, err := email.New(c)
			add("email", i, n, err)
		}
		for i, c := range r.Grafana {
			n, err := grafana.New(grafana.Options{Config: c})
			add("grafana", i, n, err)
		}
		for i, c := range r.PagerDuty {
			n, err := pagerduty.New(pagerduty.Options{Config: c, Keys: keys})
			add("pagerduty", i, n, err)
		}
	}
	return out, errors.Join(errs...)
}

// pagerKeys says how PagerDuty's incidents are found: by the routes of the Alertmanagers, where some are configured, and by the
// group keys that came with the alerts, for a webhook in the receiver that pages.
func pagerKeys(cfg []alertmanager.Config, logger *slog.Logger) (pagerduty.DedupKeys, error) {
	if len(cfg) == 0 {
		return pagerduty.GroupKeys{}, nil
	}
	pagers, err := alertmanager.New(alertmanager.Options{Configs: cfg, Logger: logger})
	if err != nil {
		return nil, err
	}
	return pagerduty.Keys{pagers, pagerduty.GroupKeys{}}, nil
}
