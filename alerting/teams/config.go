package teams

import (
	"errors"
	"fmt"

	"github.com/prometheus/common/config"

	"github.com/triaged-dev/triaged/alerting/outbox"
	"github.com/triaged-dev/triaged/triage"
)

// Config is one entry of a receiver's `teams_configs` list: the address that the workflow "when a Teams webhook request is
// received" shows. It holds a signature, so it is a secret.
type Config struct {
	WebhookURL     config.Secret           `yaml:"webhook_url,omitempty"`
	WebhookURLFile string                  `yaml:"webhook_url_file,omitempty"`
	HTTPConfig     config.HTTPClientConfig `yaml:"http_config,omitempty"`
}

// DefaultConfig is an entry before it is filled in.
func DefaultConfig() Config { return Config{HTTPConfig: config.DefaultHTTPClientConfig} }

// UnmarshalYAML starts from the defaults and checks the values against each other.
func (c *Config) UnmarshalYAML(unmarshal func(any) error) error {
	type plain Config
	*c = DefaultConfig()
	if err := unmarshal((*plain)(c)); err != nil {
		return err
	}
	return c.Validate()
}

// SetDirectory resolves relative file names against the directory of the configuration file.
func (c *Config) SetDirectory(dir string) {
	c.WebhookURLFile = config.JoinDir(dir, c.WebhookURLFile)
	c.HTTPConfig.SetDirectory(dir)
}

// Validate checks an entry; every problem is a FieldError.
func (c *Config) Validate() error {
	var problems []error
	add := func(field, remedy string) {
		problems = append(problems, &triage.FieldError{Field: "teams_configs." + field, Remedy: remedy})
	}
	if (c.WebhookURL == "") == (c.WebhookURLFile == "") {
		add("webhook_url", "give exactly one of webhook_url and webhook_url_file")
	}
	if c.WebhookURL != "" {
		if _, err := outbox.Address(string(c.WebhookURL)); err != nil {
			add("webhook_url", err.Error())
		}
	}
	if err := c.HTTPConfig.Validate(); err != nil {
		problems = append(problems, fmt.Errorf("teams_configs.http_config: %w", err))
	}
	return errors.Join(problems...)
}
