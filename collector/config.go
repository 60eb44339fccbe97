package collector

import (
	"errors"
	"fmt"
	"time"

	"github.com/prometheus/common/model"
)

// Config bounds the window. It is the "window" section of the configuration file.
type Config struct {
	// Retention is how long a Change stays in memory after its last activity.
	Retention model.Duration `yaml:"retention"`
	// MaxChanges bounds the index: at most 150 bytes each, so the default of 1 000 000 is at most 150 MB. The oldest give way.
	MaxChanges int `yaml:"max_changes"`
	// MaxAnomalies bounds the anomalies in memory: about 1 KiB each.
	MaxAnomalies int `yaml:"max_anomalies"`
	// CacheBytes is the memory for change bodies. What does not fit is read from the journal.
	CacheBytes int64 `yaml:"cache_bytes"`
	// QueueSize is how many calls of Emit may wait to be committed before further ones block.
	QueueSize int `yaml:"queue_size"`
	// ReadyWait is how long readiness waits for the first success of every source.
	ReadyWait model.Duration `yaml:"ready_wait"`
}

// DefaultConfig returns the defaults, as documented in configs/triaged.yml.
func DefaultConfig() Config {
	return Config{
		Retention:    model.Duration(3 * time.Hour),
		MaxChanges:   1_000_000,
		MaxAnomalies: 20_000,
		CacheBytes:   64 << 20,
		QueueSize:    1024,
		ReadyWait:    model.Duration(30 * time.Second),
	}
}

// UnmarshalYAML sets the defaults before it reads, and checks the result.
func (c *Config) UnmarshalYAML(unmarshal func(any) error) error {
	type plain Config
	*c = DefaultConfig()
	if err := unmarshal((*plain)(c)); err != nil {
		return err
	}
	return c.validate()
}

func (c *Config) validate() error {
	var problems []error
	if d := time.Duration(c.Retention); d < 10*time.Minute || d > 7*24*time.Hour {
		problems = append(problems, fmt.Errorf("retention: %s must lie between 10m and 7d", c.Retention))
	}
	for _, f := range [...]struct {
		name     string
		value    int64
		low, top int64
	}{
		{"max_changes", int64(c.MaxChanges), 1000, 10_000_000},
		{"max_anomalies", int64(c.MaxAnomalies), 100, 1_000_000},
		{"cache_bytes", c.CacheBytes, 1 << 20, 1 << 40},
		{"queue_size", int64(c.QueueSize), 1, 100_000},
	} {
		if f.value < f.low || f.value > f.top {
			problems = append(problems, fmt.Errorf("%s: %d must lie between %d and %d", f.name, f.value, f.low, f.top))
		}
	}
	if d := time.Duration(c.ReadyWait); d < 0 || d > 10*time.Minute {
		problems = append(problems, fmt.Errorf("ready_wait: %s must lie between 0s and 10m", c.ReadyWait))
	}
	return errors.Join(problems...)
}
