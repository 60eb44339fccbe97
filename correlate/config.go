package correlate

import (
	"errors"
	"fmt"
	"time"

	"github.com/prometheus/common/model"

	"github.com/triaged-dev/triaged/triage"
)

// Config is the "correlate" section of the configuration file.
type Config struct {
	Lookback       model.Duration `yaml:"lookback"`        // how far before onset.earliest candidates are sought
	Grace          model.Duration `yaml:"grace"`           // how far after onset a start may lie: skewed clocks
	Widen          model.Duration `yaml:"widen"`           // how far the store is searched once when nothing fits; 0: never
	WidenBelow     float64        `yaml:"widen_below"`     // search the store when no near suspect's probability reaches this
	Deadline       model.Duration `yaml:"deadline"`        // for gathering evidence; the report is made of what came
	SeriesHistory  model.Duration `yaml:"series_history"`  // how far before onset series are read
	MaxHops        int            `yaml:"max_hops"`        // calls walked from the symptom
	MaxServices    int            `yaml:"max_services"`    // services whose signals are read
	MaxSuspects    int            `yaml:"max_suspects"`    // suspects listed in a report; the rest of the mass stays with them
	MinProbability float64        `yaml:"min_probability"` // a reversal is advised from here
	MinFlag        float64        `yaml:"min_probability_flag"`
	MinRollback    float64        `yaml:"min_probability_rollback"` // of a deploy: it takes everything else of the release along
	MinPause       float64        `yaml:"min_probability_pause"`
	MinMargin      float64        `yaml:"min_margin"` // between first and second
	Assume         Assume         `yaml:"assume"`
	Placebo        PlaceboConfig  `yaml:"placebo"`
	Weights        Overrides      `yaml:"weights"`
}

// Assume holds what is taken for granted about a rule that could not be read.
type Assume struct {
	For      model.Duration `yaml:"for"`
	Eval     model.Duration `yaml:"evaluation_interval"`
	Scrape   model.Duration `yaml:"scrape_interval"`
	Range    model.Duration `yaml:"range"`
	Late     model.Duration `yaml:"late"`     // how long before the alert the onset may lie when there are no series either
	Declared model.Duration `yaml:"declared"` // how long before an incident that people declared, when no series says
}

// PlaceboConfig is how what is usual is learned from the metrics.
type PlaceboConfig struct {
	Every   model.Duration `yaml:"every"`   // between two looks at the metrics; 0: nothing is learned
	History model.Duration `yaml:"history"` // how far back
}

// Overrides replaces entries of the weights table by name.
type Overrides map[string]float64

// DefaultConfig is what an empty "correlate" section means.
func DefaultConfig() Config {
	d := func(t time.Duration) model.Duration { return model.Duration(t) }
	return Config{
		Lookback: d(30 * time.Minute), Grace: d(30 * time.Second), Widen: d(24 * time.Hour), WidenBelow: 0.50,
		Deadline: d(5 * time.Second), SeriesHistory: d(time.Hour), MaxHops: triage.DefaultHops, MaxServices: 60, MaxSuspects: 20,
		MinProbability: 0.60, MinFlag: 0.40, MinRollback: 0.75, MinPause: 0.30, MinMargin: 0.25,
		Assume:  Assume{For: 0, Eval: d(time.Minute), Scrape: d(30 * time.Second), Range: d(5 * time.Minute), Late: d(10 * time.Minute), Declared: d(2 * time.Hour)},
		Placebo: PlaceboConfig{Every: d(10 * time.Second), History: d(14 * 24 * time.Hour)},
	}
}

// UnmarshalYAML starts from the defaults, so that absent keys keep them.
func (c *Config) UnmarshalYAML(unmarshal func(any) error) error {
	*c = DefaultConfig()
	type plain Config
	if err := unmarshal((*plain)(c)); err != nil {
		return err
	}
	return c.validate()
}

func (c Config) validate() error {
	var problems []error
	add := func(key string, value any, remedy string) {
		problems = append(problems, fmt.Errorf("correlate.%s: %v: %s", key, value, remedy))
	}
	if c.Lookback <= 0 {
		add("lookback", c.Lookback, "must be longer than 0s, like 30m")
	}
	if c.Grace < 0 {
		add("grace", c.Grace, "must not be negative")
	}
	if c.Widen != 0 && c.Widen < c.Lookback {
		add("widen", c.Widen, "must be at least the lookback, or 0s to switch it off")
	}
	if c.Deadline <= 0 {
		add("deadline", c.Deadline, "must be longer than 0s, like 5s")
	}
	for _, p := range [...]struct {
		key string
		v   float64
	}{
		{"widen_below", c.WidenBelow},
		{"min_probability", c.MinProbability},
		{"min_probability_flag", c.MinFlag},
		{"min_probability_rollback", c.MinRollback},
		{"min_probability_pause", c.MinPause},
		{"min_margin", c.MinMargin},
	} {
		if !(p.v >= 0 && p.v <= 1) {
			add(p.key, p.v, "must lie between 0 and 1")
		}
	}
	if c.Placebo.Every < 0 {
		add("placebo.every", c.Placebo.Every, "must not be negative; 0s: nothing is learned")
	}
	if c.Placebo.History < model.Duration(time.Hour) {
		add("placebo.history", c.Placebo.History, "must be at least 1h")
	}
	if c.MaxHops < 1 || c.MaxHops > 10 {
		add("max_hops", c.MaxHops, "must lie between 1 and 10")
	}
	if c.MaxServices < 1 {
		add("max_services", c.MaxServices, "must be at least 1")
	}
	if c.MaxSuspects < 3 {
		add("max_suspects", c.MaxSuspects, "must be at least 3")
	}
	if _, err := DefaultWeights().With(c.Weights); err != nil {
		problems = append(problems, fmt.Errorf("correlate.weights: %w", err))
	}
	return errors.Join(problems...)
}
