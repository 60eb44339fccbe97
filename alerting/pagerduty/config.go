package pagerduty

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/prometheus/common/config"
	"github.com/prometheus/common/model"

	"github.com/triaged-dev/triaged/triage"
)

// Config is one entry of a receiver's `pagerduty_configs` list. Notes need a REST API token and the e-mail address of a user
// they are written as; the change event, which is the fallback, needs a routing key.
type Config struct {
	Token          config.Secret           `yaml:"token,omitempty"`
	TokenFile      string                  `yaml:"token_file,omitempty"`
	From           string                  `yaml:"from,omitempty"` // e-mail address of a user
	RoutingKey     config.Secret           `yaml:"routing_key,omitempty"`
	RoutingKeyFile string                  `yaml:"routing_key_file,omitempty"`
	Wait           model.Duration          `yaml:"wait"` // how long the incident may take to appear before we fall back
	APIURL         string                  `yaml:"api_url,omitempty"`
	EventsURL      string                  `yaml:"events_url,omitempty"`
	HTTPConfig     config.HTTPClientConfig `yaml:"http_config,omitempty"`
}

// DefaultConfig is an entry before it is filled in. EU accounts set api.eu.pagerduty.com and events.eu.pagerduty.com.
func DefaultConfig() Config {
	return Config{
		Wait: model.Duration(2 * time.Minute), APIURL: "https://api.pagerduty.com", EventsURL: "https://events.pagerduty.com",
		HTTPConfig: config.DefaultHTTPClientConfig,
	}
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
	c.TokenFile = config.JoinDir(dir, c.TokenFile)
	c.RoutingKeyFile = config.JoinDir(dir, c.RoutingKeyFile)
	c.HTTPConfig.SetDirectory(dir)
}

func (c *Config) notes() bool  { return c.Token != "" || c.TokenFile != "" }
func (c *Config) events() bool { return c.RoutingKey != "" || c.RoutingKeyFile != "" }

// Validate checks an entry; every problem is a FieldError.
func (c *Config) Validate() error {
	var problems []error
	add := func(field, value, remedy string) {
		problems = append(problems, &triage.FieldError{Field: "pagerduty_configs." + field, Value: value, Remedy: remedy})
	}
	switch {
	case !c.notes() && !c.events():
		add("token", "", "give an API token (token or token_file) for notes, or a routing_key for change events, or both")
	case c.Token != "" && c.TokenFile != "":
		add("token_file", "", "give either token or token_file, not both")
	case c.RoutingKey != "" && c.RoutingKeyFile != "":
		add("routing_key_file", "", "give either routing_key or routing_key_file, not both")
	}
	if c.notes() && !strings.Contains(c.From, "@") {
		add("from", c.From, "is needed with a token: the e-mail address of the user notes are written as")
	}
	for field, v := range map[string]string{"api_url": c.APIURL, "events_url": c.EventsURL} {
		if u, err := url.Parse(v); err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") || strings.HasSuffix(v, "/") {
			add(field, v, "must be an http or https address without a slash at its end")
		}
	}
	if err := c.HTTPConfig.Validate(); err != nil {
		problems = append(problems, fmt.Errorf("pagerduty_configs.http_config: %w", err))
	}
	return errors.Join(problems...)
}
