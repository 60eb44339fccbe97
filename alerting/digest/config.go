package digest

import (
	"errors"
	"slices"
	"time"

	"github.com/prometheus/common/model"

	"github.com/triaged-dev/triaged/alerting/outbox"
	"github.com/triaged-dev/triaged/triage"
)

// Config is `incidents.digest`: what shadow routes kept back, told to one receiver on a schedule.
type Config struct {
	Receiver string         `yaml:"receiver,omitempty"` // empty: no digest
	Every    model.Duration `yaml:"every"`
	At       string         `yaml:"at"` // time of day in UTC at which the periods end
}

// DefaultConfig is a digest every morning, to nobody yet.
func DefaultConfig() Config {
	return Config{Every: model.Duration(24 * time.Hour), At: "08:00"}
}

// UnmarshalYAML starts from the defaults.
func (c *Config) UnmarshalYAML(unmarshal func(any) error) error {
	type plain Config
	*c = DefaultConfig()
	return unmarshal((*plain)(c))
}

// Offset is At as the time since midnight.
func (c Config) Offset() (time.Duration, error) {
	t, err := time.Parse("15:04", c.At)
	if err != nil {
		return 0, errors.New("write a time of day in UTC, like 08:00")
	}
	return time.Duration(t.Hour())*time.Hour + time.Duration(t.Minute())*time.Minute, nil
}

// after is the end of the period that begins with, or holds, t.
func (c Config) after(t time.Time) time.Time {
	offset, err := c.Offset()
	if err != nil {
		offset = 0 // Validate has refused it
	}
	every := time.Duration(c.Every)
	end := t.UTC().Add(-offset).Truncate(every).Add(offset)
	for !end.After(t) {
		end = end.Add(every)
	}
	return end
}

// Check makes sure that somebody can post the digest of a section.
func Check(field string, c Config, r outbox.Receivers) error {
	if c.Receiver == "" {
		return nil
	}
	list, known := r[c.Receiver]
	if !known {
		return &triage.FieldError{Field: "incidents." + field + ".receiver", Value: c.Receiver, Remedy: "is not defined under receivers"}
	}
	if !slices.ContainsFunc(list, func(i outbox.Integration) bool { _, ok := i.Notifier.(Digester); return ok }) {
		return &triage.FieldError{Field: "incidents." + field + ".receiver", Value: c.Receiver, Remedy: "can post no digest; name one with Slack, Teams, e-mail, webhook or log"}
	}
	return nil
}
