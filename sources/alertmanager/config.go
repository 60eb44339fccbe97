package alertmanager

import (
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/prometheus/common/config"
	"github.com/prometheus/common/model"

	"github.com/triaged-dev/triaged/triage"
)

// Config is one entry of sources.alertmanager: one Alertmanager, or any member of one cluster.
type Config struct {
	Name       string                  `yaml:"name"`
	URL        string                  `yaml:"url"` // with its route prefix, if it has one
	HTTPConfig config.HTTPClientConfig `yaml:"http_config,omitempty"`
	Timeout    model.Duration          `yaml:"timeout"` // of one request
	Refresh    model.Duration          `yaml:"refresh"` // how long a route tree is taken for current
}

// DefaultConfig is an entry before the file is read.
func DefaultConfig() Config {
	return Config{HTTPConfig: config.DefaultHTTPClientConfig, Timeout: model.Duration(3 * time.Second), Refresh: model.Duration(time.Minute)}
}

// UnmarshalYAML fills in the defaults and checks the entry.
func (c *Config) UnmarshalYAML(unmarshal func(any) error) error {
	*c = DefaultConfig()
	type plain Config
	if err := unmarshal((*plain)(c)); err != nil {
		return err
	}
	return c.Validate()
}

// SetDirectory makes relative file names relative to dir.
func (c *Config) SetDirectory(dir string) { c.HTTPConfig.SetDirectory(dir) }

// Validate reports every problem of the entry at once.
func (c *Config) Validate() error {
	var problems []error
	add := func(field, value, remedy string) {
		problems = append(problems, &triage.FieldError{Field: "sources.alertmanager." + field, Value: value, Remedy: remedy})
	}
	if u, err := url.Parse(c.URL); err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
		add("url", c.URL, "must be an absolute http or https URL, like http://alertmanager:9093")
	}
	if c.Timeout <= 0 {
		add("timeout", c.Timeout.String(), "must be longer than 0s")
	}
	if c.Refresh <= 0 {
		add("refresh", c.Refresh.String(), "must be longer than 0s")
	}
	if err := c.HTTPConfig.Validate(); err != nil {
		problems = append(problems, fmt.Errorf("sources.alertmanager.http_config: %w", err))
	}
	return errors.Join(problems...)
}
