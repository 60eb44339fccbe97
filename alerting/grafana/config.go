package grafana

import (
	"errors"
	"fmt"
	"net/url"
	"strconv"

	"github.com/prometheus/common/config"

	"github.com/triaged-dev/triaged/triage"
)

// Config is one entry of a receiver's `grafana_configs` list.
type Config struct {
	URL       string                  `yaml:"url"`                  // of Grafana, with its path if it has one
	Token     config.Secret           `yaml:"token,omitempty"`      // of a service account that may write annotations
	TokenFile string                  `yaml:"token_file,omitempty"` // read at every post, so it may be rotated
	Tags      []string                `yaml:"tags,omitempty"`       // further tags of every annotation
	Changes   bool                    `yaml:"changes"`              // changes too, as they come, and not only reports
	HTTP      config.HTTPClientConfig `yaml:"http_config,omitempty"`
}

// DefaultConfig is an entry before it is filled in.
func DefaultConfig() Config { return Config{Changes: true, HTTP: config.DefaultHTTPClientConfig} }

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
	c.HTTP.SetDirectory(dir)
}

const maxTags = 20

// Validate checks an entry; every problem is a FieldError.
func (c *Config) Validate() error {
	var problems []error
	add := func(field, value, remedy string) {
		problems = append(problems, &triage.FieldError{Field: "grafana_configs." + field, Value: value, Remedy: remedy})
	}
	u, err := url.Parse(c.URL)
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") || u.User != nil {
		add("url", "", "must be the address of Grafana, like https://grafana.example.com, without a user in it")
	}
	if (c.Token == "") == (c.TokenFile == "") {
		add("token", "", "give either token or token_file, of a service account that may write annotations")
	}
	if len(c.Tags) > maxTags {
		add("tags", strconv.Itoa(len(c.Tags)), fmt.Sprintf("give at most %d", maxTags))
	}
	if err := c.HTTP.Validate(); err != nil {
		problems = append(problems, fmt.Errorf("grafana_configs.http_config: %w", err))
	}
	return errors.Join(problems...)
}
