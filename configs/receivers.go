package configs

import (
	"github.com/triaged-dev/triaged/alerting/email"
	"github.com/triaged-dev/triaged/alerting/grafana"
	"github.com/triaged-dev/triaged/alerting/log"
	"github.com/triaged-dev/triaged/alerting/outbox"
	"github.com/triaged-dev/triaged/alerting/pagerduty"
	"github.com/triaged-dev/triaged/alerting/slack"
	"github.com/triaged-dev/triaged/alerting/teams"
	"github.com/triaged-dev/triaged/alerting/webhook"
)

// Receiver is a named destination: one or more integrations that all get the same reports.
type Receiver struct {
	Name      string             `yaml:"name"`
	Log       []log.Config       `yaml:"log_configs,omitempty"`
	Webhook   []webhook.Config   `yaml:"webhook_configs,omitempty"`
	Slack     []slack.Config     `yaml:"slack_configs,omitempty"`
	PagerDuty []pagerduty.Config `yaml:"pagerduty_configs,omitempty"`
	Teams     []teams.Config     `yaml:"teams_configs,omitempty"`
	Email     []email.Config     `yaml:"email_configs,omitempty"`
	Grafana   []grafana.Config   `yaml:"grafana_configs,omitempty"`

	// Fallback is, for a receiver with {{owner.…}} in it, where reports go that no team's place is found for.
	Fallback string `yaml:"fallback,omitempty"`

	// OnUncertain is for channels that cannot be read back: what to do when a post may have arrived.
	OnUncertain outbox.OnUncertain `yaml:"on_uncertain,omitempty"`

	perOwner map[string]any // as written, where it holds placeholders
}

func (r Receiver) integrations() int {
	return len(r.Log) + len(r.Webhook) + len(r.Slack) + len(r.PagerDuty) + len(r.Teams) + len(r.Email) + len(r.Grafana)
}

func (r *Receiver) setDirectory(dir string) {
	for i := range r.Webhook {
		r.Webhook[i].SetDirectory(dir)
	}
	for i := range r.Slack {
		r.Slack[i].SetDirectory(dir)
	}
	for i := range r.Teams {
		r.Teams[i].SetDirectory(dir)
	}
	for i := range r.Grafana {
		r.Grafana[i].SetDirectory(dir)
	}
	for i := range r.Email {
		r.Email[i].SetDirectory(dir)
	}
	for i := range r.PagerDuty {
		r.PagerDuty[i].SetDirectory(dir)
	}
}
