package alerting

import (
	"errors"
	"fmt"
	"time"

	"github.com/prometheus/common/model"

	"github.com/triaged-dev/triaged/alerting/digest"
	"github.com/triaged-dev/triaged/alerting/outbox"
	"github.com/triaged-dev/triaged/triage"
)

// Config is the `incidents` section: which alerts count, what belongs together, when we look again, how we deliver.
type Config struct {
	Ignore Matchers `yaml:"ignore"` // an alert that one of these matches is no symptom: counted, not triaged
	Pages  Matchers `yaml:"pages"`  // an incident is posted once one of its alerts matches all of these; others are recorded

	JoinWithin    model.Duration   `yaml:"join_within"`    // alerts of services near each other join if they began within this time
	JoinHops      int              `yaml:"join_hops"`      // how many calls apart "near each other" may be; 0 joins by group and name only
	Settle        model.Duration   `yaml:"settle"`         // wait before the first triage, so that a group arrives whole
	Deadline      model.Duration   `yaml:"deadline"`       // of one triage
	MinInterval   model.Duration   `yaml:"min_interval"`   // between two triages of one incident
	SecondLooks   []model.Duration `yaml:"second_looks"`   // after the first report
	RecoveredHold model.Duration   `yaml:"recovered_hold"` // how long an incident must stay recovered before we say so; doubles with every relapse
	ReopenWithin  model.Duration   `yaml:"reopen_within"`  // a relapse within this time of recovery is the same incident
	CloseAfter    model.Duration   `yaml:"close_after"`    // quiet time after recovery
	StaleAfter    model.Duration   `yaml:"stale_after"`    // a firing alert nobody has repeated for this long counts as resolved

	Workers    int `yaml:"workers"`     // triages at once
	Queue      int `yaml:"queue"`       // incidents waiting for triage; about 200 bytes each
	MaxOpen    int `yaml:"max_open"`    // incidents not closed; beyond it new ones are refused, and the sender retries
	MaxAlerts  int `yaml:"max_alerts"`  // kept per incident, about 1.5 KiB each; more are counted only
	MaxReports int `yaml:"max_reports"` // per incident; beyond it only recovery is reported

	Verify   VerifyConfig  `yaml:"verify"`
	Delivery outbox.Config `yaml:"delivery"`
	Digest   digest.Config `yaml:"digest"`
	Truth    digest.Config `yaml:"truth"` // what was said against what became of it; to incidents.digest.receiver where it names none
}

// VerifyConfig is how the effect of an undo is watched.
type VerifyConfig struct {
	Interval   model.Duration `yaml:"interval"`    // between two looks at the symptom
	RetryCycle model.Duration `yaml:"retry_cycle"` // longest time after which clients try again: recovery must last longer
	GiveUp     model.Duration `yaml:"give_up"`     // a symptom that outlasts the undo this long: the system may hold itself down
	MoveOn     model.Duration `yaml:"move_on"`     // this long: undoing it did not help, the next suspect's turn
	MinTraffic float64        `yaml:"min_traffic"` // share of the usual traffic below which a recovery proves nothing
}

// DefaultVerifyConfig is what an empty `incidents.verify` means.
func DefaultVerifyConfig() VerifyConfig {
	return VerifyConfig{
		Interval:   model.Duration(15 * time.Second),
		RetryCycle: model.Duration(2 * time.Minute),
		GiveUp:     model.Duration(10 * time.Minute),
		MoveOn:     model.Duration(20 * time.Minute),
		MinTraffic: 0.5,
	}
}

// UnmarshalYAML starts from the defaults.
func (c *VerifyConfig) UnmarshalYAML(unmarshal func(any) error) error {
	type plain VerifyConfig
	*c = DefaultVerifyConfig()
	return unmarshal((*plain)(c))
}

// DefaultConfig is what an empty section means.
func DefaultConfig() Config {
	return Config{
		Ignore: mustMatchers(`alertname=~"Watchdog|InfoInhibitor|DatasourceNoData|DatasourceError"`, `severity=~"none|info"`),
		Pages:  mustMatchers(`severity=~"page|critical"`),

		JoinWithin:    model.Duration(5 * time.Minute),
		JoinHops:      2,
		Settle:        0,
		Deadline:      model.Duration(10 * time.Second),
		MinInterval:   model.Duration(15 * time.Second),
		SecondLooks:   []model.Duration{model.Duration(time.Minute), model.Duration(3 * time.Minute), model.Duration(10 * time.Minute)},
		RecoveredHold: model.Duration(time.Minute),
		ReopenWithin:  model.Duration(30 * time.Minute),
		CloseAfter:    model.Duration(30 * time.Minute),
		StaleAfter:    model.Duration(24 * time.Hour),

		Workers:    4,
		Queue:      1000,
		MaxOpen:    10_000,
		MaxAlerts:  200,
		MaxReports: 50,

		Verify:   DefaultVerifyConfig(),
		Delivery: outbox.DefaultConfig(),
		Digest:   digest.DefaultConfig(),
		Truth:    digest.DefaultTruthConfig(),
	}
}

// UnmarshalYAML starts from the defaults.
func (c *Config) UnmarshalYAML(unmarshal func(any) error) error {
	type plain Config
	*c = DefaultConfig()
	if err := unmarshal((*plain)(c)); err != nil {
		return err
	}
	return c.Validate()
}

// Validate checks the values against each other; all problems at once, each a FieldError.
func (c Config) Validate() error {
	var problems []error
	add := func(field string, value any, remedy string) {
		problems = append(problems, &triage.FieldError{Field: "incidents." + field, Value: fmt.Sprint(value), Remedy: remedy})
	}
	positive := func(field string, n int) {
		if n < 1 {
			add(field, n, "must be at least 1")
		}
	}
	positive("workers", c.Workers)
	positive("queue", c.Queue)
	positive("max_open", c.MaxOpen)
	positive("max_alerts", c.MaxAlerts)
	positive("max_reports", c.MaxReports)
	positive("delivery.max_attempts", c.Delivery.MaxAttempts)
	if c.JoinHops < 0 || c.JoinHops > 4 {
		add("join_hops", c.JoinHops, "must lie between 0 and 4")
	}
	if c.Deadline <= 0 {
		add("deadline", c.Deadline, "must be longer than 0s")
	}
	if c.CloseAfter < c.ReopenWithin {
		add("close_after", c.CloseAfter, "must not be shorter than reopen_within "+c.ReopenWithin.String())
	}
	if c.StaleAfter <= 0 {
		add("stale_after", c.StaleAfter, "must be longer than 0s; Alertmanager repeats every repeat_interval, so take several of those")
	}
	for i := 1; i < len(c.SecondLooks); i++ {
		if c.SecondLooks[i] <= c.SecondLooks[i-1] {
			add(fmt.Sprintf("second_looks[%d]", i), c.SecondLooks[i], "must be later than the one before it")
		}
	}
	v := c.Verify
	if v.Interval <= 0 {
		add("verify.interval", v.Interval, "must be longer than 0s")
	}
	if v.MoveOn < v.GiveUp {
		add("verify.move_on", v.MoveOn, "must not be shorter than give_up "+v.GiveUp.String())
	}
	if v.MinTraffic < 0 || v.MinTraffic > 1 {
		add("verify.min_traffic", v.MinTraffic, "must lie between 0 and 1")
	}
	for name, d := range map[string]digest.Config{"digest": c.Digest, "truth": c.Truth} {
		if _, err := d.Offset(); err != nil {
			add(name+".at", d.At, err.Error())
		}
		if d.Every < model.Duration(time.Hour) {
			add(name+".every", d.Every, "must be at least 1h")
		}
	}
	d := c.Delivery
	if d.Timeout <= 0 {
		add("delivery.timeout", d.Timeout, "must be longer than 0s")
	}
	if d.BackoffMin <= 0 || d.BackoffMax < d.BackoffMin {
		add("delivery.backoff_min", d.BackoffMin, "must be longer than 0s and at most backoff_max "+d.BackoffMax.String())
	}
	return errors.Join(problems...)
}
