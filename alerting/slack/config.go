package slack

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/prometheus/common/config"

	"github.com/triaged-dev/triaged/alerting/outbox"
	"github.com/triaged-dev/triaged/triage"
)

// Config is one entry of a receiver's `slack_configs` list: a bot token with a channel, or just an incoming-webhook URL.
// With the bot one message per incident is kept up to date; a webhook can only add messages.
type Config struct {
	Token          config.Secret           `yaml:"token,omitempty"` // xoxb-…; scopes chat:write; to never post twice channels:history (groups:history in private channels); for the picture files:write
	TokenFile      string                  `yaml:"token_file,omitempty"`
	Channel        string                  `yaml:"channel,omitempty"` // id, as in C0123456789
	WebhookURL     config.Secret           `yaml:"webhook_url,omitempty"`
	WebhookURLFile string                  `yaml:"webhook_url_file,omitempty"`
	Picture        bool                    `yaml:"picture"` // with the bot: the time axis as a picture in the thread; scope files:write
	APIURL         string                  `yaml:"api_url,omitempty"`
	HTTPConfig     config.HTTPClientConfig `yaml:"http_config,omitempty"`
}

const defaultAPIURL = "https://slack.com/api/"

// DefaultConfig is an entry before it is filled in.
func DefaultConfig() Config {
	return Config{Picture: true, APIURL: defaultAPIURL, HTTPConfig: config.DefaultHTTPClientConfig}
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
	c.WebhookURLFile = config.JoinDir(dir, c.WebhookURLFile)
	c.HTTPConfig.SetDirectory(dir)
}

func (c *Config) bot() bool { return c.Token != "" || c.TokenFile != "" }

// channelID is what Slack calls a conversation. A name would do for posting, but not for looking back.
var channelID = regexp.MustCompile(`^[CGD][A-Z0-9]{5,}$`)

// Validate checks an entry; every problem is a FieldError.
func (c *Config) Validate() error {
	var problems []error
	add := func(field, value, remedy string) {
		problems = append(problems, &triage.FieldError{Field: "slack_configs." + field, Value: value, Remedy: remedy})
	}
	hook := c.WebhookURL != "" || c.WebhookURLFile != ""
	switch {
	case c.bot() == hook:
		add("token", "", "give either a bot token (token or token_file) with channel, or webhook_url or webhook_url_file")
	case c.Token != "" && c.TokenFile != "":
		add("token_file", "", "give either token or token_file, not both")
	case c.WebhookURL != "" && c.WebhookURLFile != "":
		add("webhook_url_file", "", "give either webhook_url or webhook_url_file, not both")
	}
	if c.bot() && !channelID.MatchString(c.Channel) {
		add("channel", c.Channel, "is needed with a bot token, as the channel's id (C…, at the bottom of the channel's details), not its name")
	}
	if _, err := outbox.Address(c.APIURL); err != nil || !strings.HasSuffix(c.APIURL, "/") {
		add("api_url", c.APIURL, "must be an http or https address that ends with /")
	}
	if c.WebhookURL != "" {
		if _, err := outbox.Address(string(c.WebhookURL)); err != nil {
			add("webhook_url", "", err.Error())
		}
	}
	if err := c.HTTPConfig.Validate(); err != nil {
		problems = append(problems, fmt.Errorf("slack_configs.http_config: %w", err))
	}
	return errors.Join(problems...)
}
