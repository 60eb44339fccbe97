package journal

import (
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/prometheus/common/model"
)

// Config is the "journal" section.
type Config struct {
	Path          string         `yaml:"path"` // of the database; its -wal, -shm and .lock stand beside it
	Retention     Retention      `yaml:"retention"`
	QuarantineMax int            `yaml:"quarantine_max"` // records; each is at most triage.MaxQuarantineBody, all together at most 256 MiB
	SweepInterval model.Duration `yaml:"sweep_interval"` // between two rounds of removing what is past its retention
}

// Retention says how long things are kept, counted from the last thing that happened to them.
type Retention struct {
	Changes    model.Duration `yaml:"changes"`    // with their times, scope and title
	Bodies     model.Duration `yaml:"bodies"`     // everything else about a change
	Anomalies  model.Duration `yaml:"anomalies"`  // whole
	Reports    model.Duration `yaml:"reports"`    // incidents, reports with their input, finished deliveries, feedback, aliases
	Quarantine model.Duration `yaml:"quarantine"` // records that could not be taken
}

const day = 24 * time.Hour

// DefaultConfig is what holds where the file says nothing.
func DefaultConfig() Config {
	return Config{
		Path: "data/triaged.db",
		Retention: Retention{
			Changes:    model.Duration(90 * day),
			Bodies:     model.Duration(30 * day),
			Anomalies:  model.Duration(30 * day),
			Reports:    model.Duration(400 * day),
			Quarantine: model.Duration(30 * day),
		},
		QuarantineMax: 10_000,
		SweepInterval: model.Duration(10 * time.Minute),
	}
}

// UnmarshalYAML fills the defaults, reads the section and checks it.
func (c *Config) UnmarshalYAML(unmarshal func(any) error) error {
	*c = DefaultConfig()
	type plain Config
	if err := unmarshal((*plain)(c)); err != nil {
		return err
	}
	return c.Validate()
}

// Validate reports everything that is wrong, each with its path and remedy.
func (c Config) Validate() error {
	var errs []error
	if c.Path == "" {
		errs = append(errs, errors.New("journal.path: must not be empty; name a file on a local disk"))
	}
	for _, d := range []struct {
		name string
		v    model.Duration
		min  time.Duration
	}{
		{"retention.changes", c.Retention.Changes, day},
		{"retention.bodies", c.Retention.Bodies, day},
		{"retention.anomalies", c.Retention.Anomalies, day},
		{"retention.reports", c.Retention.Reports, day},
		{"retention.quarantine", c.Retention.Quarantine, time.Hour},
		{"sweep_interval", c.SweepInterval, time.Second},
	} {
		if time.Duration(d.v) < d.min {
			errs = append(errs, fmt.Errorf("journal.%s: %s: must be at least %s", d.name, d.v, model.Duration(d.min)))
		}
	}
	if c.Retention.Bodies > c.Retention.Changes {
		errs = append(errs, fmt.Errorf("journal.retention.bodies: %s: must not be longer than retention.changes (%s)", c.Retention.Bodies, c.Retention.Changes))
	}
	if c.QuarantineMax < 1 {
		errs = append(errs, fmt.Errorf("journal.quarantine_max: %d: must be at least 1", c.QuarantineMax))
	}
	return errors.Join(errs...)
}

// SetDirectory makes a relative path relative to the directory of the configuration file.
func (c *Config) SetDirectory(dir string) {
	if c.Path != "" && !filepath.IsAbs(c.Path) {
		c.Path = filepath.Join(dir, c.Path)
	}
}

// withDefaults completes a Config that was built in code rather than read.
func (c Config) withDefaults() Config {
	d := DefaultConfig()
	set := func(v *model.Duration, def model.Duration) {
		if *v == 0 {
			*v = def
		}
	}
	set(&c.Retention.Changes, d.Retention.Changes)
	set(&c.Retention.Bodies, min(d.Retention.Bodies, c.Retention.Changes))
	set(&c.Retention.Anomalies, d.Retention.Anomalies)
	set(&c.Retention.Reports, d.Retention.Reports)
	set(&c.Retention.Quarantine, d.Retention.Quarantine)
	set(&c.SweepInterval, d.SweepInterval)
	if c.QuarantineMax == 0 {
		c.QuarantineMax = d.QuarantineMax
	}
	return c
}
