package kafka

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/prometheus/common/config"
	"github.com/prometheus/common/model"
)

// Config is one entry of sources.kafka: one cluster, read by one consumer group.
type Config struct {
	Name    string        `yaml:"name"`    // unique among sources; appears in Coverage and metrics
	Brokers []string      `yaml:"brokers"` // host:port; one that answers is enough
	Topics  []TopicConfig `yaml:"topics"`
	GroupID string        `yaml:"group_id"`
	// ClientID is what broker logs and quotas know us by.
	ClientID  string            `yaml:"client_id"`
	SASL      *SASLConfig       `yaml:"sasl,omitempty"`
	TLSConfig *config.TLSConfig `yaml:"tls_config,omitempty"` // absent: plain text; {} is TLS with the system's authorities
	// Start says where a group without committed offsets begins: retention (now − window.retention), earliest, latest, or a
	// duration such as 45m (now − 45m).
	Start Start `yaml:"start"`
	// MaxWait is how long a broker may hold a fetch that finds nothing. It also bounds how long stopping takes.
	MaxWait          model.Duration `yaml:"max_wait"`
	JoinGroupBackoff model.Duration `yaml:"join_group_backoff"`
	// SessionTimeout is after how long the group drops a member that died. It is also the longest pause after the group's
	// coordinator died: until then the broker waits for the members it remembers. Brokers allow 6 s and more by default.
	SessionTimeout model.Duration `yaml:"session_timeout"`
	CheckInterval  model.Duration `yaml:"check_interval"` // of lag, new partitions and log resets
	BatchSize      int            `yaml:"batch_size"`     // most records handed on, and committed, at once
}

// TopicConfig is one topic and the format of its values.
type TopicConfig struct {
	Topic string `yaml:"topic"`
	// Format is triaged, cloudevents, cdevents or mapping:<name>.
	Format string `yaml:"format"`
}

// SASLConfig authenticates us to the brokers. Without tls_config the password of mechanism plain travels in the clear.
type SASLConfig struct {
	Mechanism    string        `yaml:"mechanism"` // plain, scram-sha-256, scram-sha-512
	Username     string        `yaml:"username"`
	Password     config.Secret `yaml:"password,omitempty"`
	PasswordFile string        `yaml:"password_file,omitempty"` // read at every connect, so it may be rotated
}

// FormatTriaged is the format this package reads itself: {"change":…} or {"anomaly":…}.
const FormatTriaged = "triaged"

// The formats that must be handed in as decoders; a mapping's name follows its prefix.
const (
	FormatCloudEvents   = "cloudevents"
	FormatCDEvents      = "cdevents"
	FormatMappingPrefix = "mapping:"
)

// Start is where a group without committed offsets begins.
type Start string

// The starts besides a duration.
const (
	StartRetention Start = "retention"
	StartEarliest  Start = "earliest"
	StartLatest    Start = "latest"
)

// before is how far back a start by time reaches.
func (s Start) before(retention time.Duration) (time.Duration, error) {
	if s == StartRetention || s == "" {
		return retention, nil
	}
	d, err := model.ParseDuration(string(s))
	return time.Duration(d), err
}

// DefaultConfig is what an entry has before the file is read.
func DefaultConfig() Config {
	return Config{
		GroupID: "triaged", ClientID: "triaged", Start: StartRetention,
		MaxWait: model.Duration(250 * time.Millisecond), JoinGroupBackoff: model.Duration(250 * time.Millisecond),
		SessionTimeout: model.Duration(10 * time.Second), CheckInterval: model.Duration(5 * time.Second), BatchSize: 1000,
	}
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
func (c *Config) SetDirectory(dir string) {
	if c.TLSConfig != nil {
		c.TLSConfig.SetDirectory(dir)
	}
	if c.SASL != nil {
		c.SASL.PasswordFile = config.JoinDir(dir, c.SASL.PasswordFile)
	}
}

// Validate reports every problem of the entry at once, each with its key, value and remedy.
func (c *Config) Validate() error {
	var problems []error
	bad := func(format string, args ...any) { problems = append(problems, fmt.Errorf(format, args...)) }
	if c.Name == "" {
		bad("name: must not be empty; it is how this source is called in reports and metrics")
	}
	if len(c.Brokers) == 0 {
		bad("brokers: must not be empty; list host:port")
	}
	for i, b := range c.Brokers {
		if !strings.Contains(b, ":") {
			bad("brokers[%d]: %q: must be host:port", i, b)
		}
	}
	if len(c.Topics) == 0 {
		bad("topics: must not be empty")
	}
	seen := make(map[string]bool)
	for i, t := range c.Topics {
		if t.Topic == "" {
			bad("topics[%d].topic: must not be empty", i)
		} else if seen[t.Topic] {
			bad("topics[%d].topic: %q: is listed twice; a topic has one format", i, t.Topic)
		}
		seen[t.Topic] = true
		name, isMapping := strings.CutPrefix(t.Format, FormatMappingPrefix)
		switch {
		case t.Format == FormatTriaged, t.Format == FormatCloudEvents, t.Format == FormatCDEvents, isMapping && name != "":
		default:
			bad("topics[%d].format: %q: use triaged, cloudevents, cdevents or mapping:<name>", i, t.Format)
		}
	}
	if c.GroupID == "" {
		bad("group_id: must not be empty; two daemons that share a cluster need different ones")
	}
	switch c.Start {
	case StartRetention, StartEarliest, StartLatest:
	default:
		if d, err := c.Start.before(0); err != nil || d <= 0 {
			bad("start: %q: use retention, earliest, latest, or a duration such as 45m", c.Start)
		}
	}
	for _, d := range []struct {
		key         string
		value       model.Duration
		least, most time.Duration
	}{
		{"max_wait", c.MaxWait, 10 * time.Millisecond, 30 * time.Second},
		{"join_group_backoff", c.JoinGroupBackoff, 10 * time.Millisecond, time.Minute},
		{"session_timeout", c.SessionTimeout, 6 * time.Second, 30 * time.Minute},
		{"check_interval", c.CheckInterval, 10 * time.Millisecond, 10 * time.Minute},
	} {
		if v := time.Duration(d.value); v < d.least || v > d.most {
			bad("%s: %q: must lie between %s and %s", d.key, v, d.least, d.most)
		}
	}
	if c.BatchSize < 1 || c.BatchSize > 10000 {
		bad("batch_size: %d: must lie between 1 and 10000", c.BatchSize)
	}
	if c.SASL != nil {
		problems = append(problems, c.SASL.validate())
	}
	return errors.Join(problems...)
}

func (s *SASLConfig) validate() error {
	var problems []error
	switch s.Mechanism {
	case mechanismPlain, mechanismScram256, mechanismScram512:
	default:
		problems = append(problems, fmt.Errorf("sasl.mechanism: %q: use plain, scram-sha-256 or scram-sha-512", s.Mechanism))
	}
	if s.Username == "" {
		problems = append(problems, errors.New("sasl.username: must not be empty"))
	}
	if (s.Password == "") == (s.PasswordFile == "") {
		problems = append(problems, errors.New("sasl.password: give exactly one of password and password_file"))
	}
	return errors.Join(problems...)
}
