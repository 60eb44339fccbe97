package webhook

import (
	"errors"
	"fmt"

	"github.com/prometheus/common/config"

	"github.com/triaged-dev/triaged/alerting/outbox"
	"github.com/triaged-dev/triaged/triage"
)

// Config is one entry of a receiver's `webhook_configs` list. The URL may hold a token, so it is a secret as well.
type Config struct {
	URL        config.Secret           `yaml:"url,omitempty"`
	URLFile    string                  `yaml:"url_file,omitempty"`
	Secret     config.Secret           `yaml:"secret,omitempty"` // key of the signature; without one posts are not signed
	SecretFile string                  `yaml:"secret_file,omitempty"`
	HTTPConfig config.HTTPClientConfig `yaml:"http_config,omitempty"`

	Format      Format `yaml:"format,omitempty"`       // of a service; empty: triaged's own
	Body        string `yaml:"body,omitempty"`         // a template of your own: docs/messages.md
	ContentType string `yaml:"content_type,omitempty"` // of Body
}

// DefaultConfig is an entry before it is filled in.
func DefaultConfig() Config {
	return Config{HTTPConfig: config.DefaultHTTPClientConfig, ContentType: contentJSON}
}

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
	c.URLFile = config.JoinDir(dir, c.URLFile)
	c.SecretFile = config.JoinDir(dir, c.SecretFile)
	c.HTTPConfig.SetDirectory(dir)
}

// Validate checks an entry; every problem is a FieldError.
func (c *Config) Validate() error {
	var problems []error
	add := func(field, remedy string) {
		problems = append(problems, &triage.FieldError{Field: field, Remedy: remedy})
	}
	if (c.URL == "") == (c.URLFile == "") {
		add("webhook_configs.url", "give either url or url_file")
	}
	if c.Secret != "" && c.SecretFile != "" {
		add("webhook_configs.secret", "give either secret or secret_file, not both")
	}
	if c.URL != "" {
		if _, err := outbox.Address(string(c.URL)); err != nil {
			add("webhook_configs.url", err.Error())
		}
	}
	problems = append(problems, c.checkFormat()...)
	if err := c.HTTPConfig.Validate(); err != nil {
		problems = append(problems, fmt.Errorf("webhook_configs.http_config: %w", err))
	}
	return errors.Join(problems...)
}
