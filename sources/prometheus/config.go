package prometheus

import (
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/prometheus/common/config"
	"github.com/prometheus/common/model"
)

// Config is one server: an entry of sources.prometheus.
type Config struct {
	Name        string                  `yaml:"name"`                   // of this source, in events, coverage and metrics
	URL         string                  `yaml:"url"`                    // base of the API, with any prefix: https://mimir/prometheus
	ExternalURL string                  `yaml:"external_url,omitempty"` // what its alerts' generatorURL begins with, where it differs from url
	HTTPConfig  config.HTTPClientConfig `yaml:"http_config,omitempty"`
	Tenant      string                  `yaml:"tenant,omitempty"` // sent as X-Scope-OrgID
	Scope       ScopeConfig             `yaml:"scope,omitempty"`  // of all it watches; where empty, its external labels are read

	Timeout          model.Duration `yaml:"timeout"`            // of one query, also sent as timeout=
	MaxInFlight      int            `yaml:"max_in_flight"`      // queries at once
	QueriesPerMinute int            `yaml:"queries_per_minute"` // budget of everything; background work may use half of it
	MaxResponseBytes int64          `yaml:"max_response_bytes"` // a longer answer is an error
	MaxSeries        int            `yaml:"max_series"`         // series kept of one answer; further ones are dropped and counted
	Breaker          BreakerConfig  `yaml:"breaker"`
	Cache            CacheConfig    `yaml:"cache"`

	DiscoveryInterval model.Duration  `yaml:"discovery_interval"` // how often the conventions in use are looked up again; more often while they still change
	Topology          TopologyConfig  `yaml:"topology"`
	Anomalies         AnomalyConfig   `yaml:"anomalies"`
	Changes           ChangesConfig   `yaml:"changes"`
	Reference         ReferenceConfig `yaml:"reference"`
}

// ScopeConfig says where everything lives that one server watches. Labels of the series themselves win over it.
type ScopeConfig struct {
	Environment string `yaml:"environment,omitempty"`
	Region      string `yaml:"region,omitempty"`
	Cluster     string `yaml:"cluster,omitempty"`
}

// BreakerConfig says when a failing server is left alone.
type BreakerConfig struct {
	Failures int            `yaml:"failures"` // consecutive failures that open it
	Open     model.Duration `yaml:"open"`     // time until one query is tried again
}

// CacheConfig bounds the cache of answers.
type CacheConfig struct {
	MaxBytes int64          `yaml:"max_bytes"` // approximate; 0 turns it off
	TTL      model.Duration `yaml:"ttl"`       // of answers that reach up to now; older ranges are kept longer
}

// TopologyConfig says whether and how often the call graph is read from metrics.
type TopologyConfig struct {
	Enabled  bool           `yaml:"enabled"`
	Interval model.Duration `yaml:"interval"`
	Lookback model.Duration `yaml:"lookback"` // calls within it make an edge
}

// AnomalyConfig tunes the detector. See detector.go for what the numbers do.
type AnomalyConfig struct {
	Enabled   bool           `yaml:"enabled"`
	Interval  model.Duration `yaml:"interval"` // between evaluations, and the step of the samples
	Baseline  model.Duration `yaml:"baseline"` // what the last samples are compared with
	Samples   int            `yaml:"samples"`  // last samples whose median must be out of range
	Spreads   float64        `yaml:"spreads"`  // robust spreads away from the baseline's median that count as out of range
	MaxSeries int            `yaml:"max_series"`
}

// ChangesConfig says whether changes are looked for in metrics.
type ChangesConfig struct {
	Enabled  bool           `yaml:"enabled"`
	Interval model.Duration `yaml:"interval"`
	// IgnoreConfigMaps are regular expressions (anchored) of ConfigMaps and Secrets that controllers write all the time.
	IgnoreConfigMaps []string `yaml:"ignore_config_maps"`
	// Without are metrics of the shipped table that are not watched; Watch are further ones. See watched.go.
	Without []string      `yaml:"without"`
	Watch   []WatchConfig `yaml:"watch"`
}

// ReferenceConfig says whether quiet days are asked for besides.
type ReferenceConfig struct {
	Days        []int `yaml:"days"`         // days ago of the same window; empty turns it off
	MaxServices int   `yaml:"max_services"` // the first services of a query that get one; the symptom always does
}

// DefaultConfig is the configuration of a server of which only name and url are given.
func DefaultConfig() Config {
	minutes := func(n int) model.Duration { return model.Duration(time.Duration(n) * time.Minute) }
	return Config{
		HTTPConfig:       config.DefaultHTTPClientConfig,
		Timeout:          model.Duration(10 * time.Second),
		MaxInFlight:      4,
		QueriesPerMinute: 240,
		MaxResponseBytes: 16 << 20,
		MaxSeries:        2000,
		Breaker:          BreakerConfig{Failures: 5, Open: model.Duration(30 * time.Second)},
		Cache:            CacheConfig{MaxBytes: 32 << 20, TTL: model.Duration(15 * time.Second)},

		DiscoveryInterval: minutes(10),
		Topology:          TopologyConfig{Enabled: true, Interval: minutes(5), Lookback: minutes(10)},
		Anomalies: AnomalyConfig{
			Enabled: true, Interval: minutes(1), Baseline: minutes(60), Samples: 3, Spreads: 6, MaxSeries: 5000,
		},
		Changes: ChangesConfig{
			Enabled: true, Interval: minutes(1),
			IgnoreConfigMaps: []string{`.*(leader|lock|election).*`, `kube-root-ca\.crt`, `.*-token-.*`, `sh\.helm\.release\..*`},
			Without:          []string{}, Watch: []WatchConfig{},
		},
		Reference: ReferenceConfig{Days: []int{1, 7}, MaxServices: 3},
	}
}

// UnmarshalYAML reads one entry over the defaults and reports every problem of it at once.
func (c *Config) UnmarshalYAML(unmarshal func(any) error) error {
	*c = DefaultConfig()
	type plain Config
	if err := unmarshal((*plain)(c)); err != nil {
		return err
	}
	return c.Validate()
}

// SetDirectory makes the relative file paths of http_config relative to dir.
func (c *Config) SetDirectory(dir string) { c.HTTPConfig.SetDirectory(dir) }

// Validate reports every problem, joined; each names key, value and remedy.
func (c *Config) Validate() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if c.Name == "" {
		bad("name: must not be empty; name the server as it should appear in reports")
	}
	checkURL := func(key, value string) {
		u, err := url.Parse(value)
		if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
			bad("%s: must be an absolute http or https URL, like http://prometheus:9090", key)
		} else if u.User != nil {
			bad("%s: must not hold credentials; put them under http_config.basic_auth", key)
		}
	}
	checkURL("url", c.URL)
	if c.ExternalURL != "" {
		checkURL("external_url", c.ExternalURL)
	}
	if err := c.HTTPConfig.Validate(); err != nil {
		bad("http_config: %w", err)
	}
	positive := func(key string, v int64) {
		if v <= 0 {
			bad("%s: %d: must be above 0", key, v)
		}
	}
	positive("max_in_flight", int64(c.MaxInFlight))
	positive("queries_per_minute", int64(c.QueriesPerMinute))
	positive("max_response_bytes", c.MaxResponseBytes)
	positive("max_series", int64(c.MaxSeries))
	positive("breaker.failures", int64(c.Breaker.Failures))
	positive("anomalies.samples", int64(c.Anomalies.Samples))
	positive("anomalies.max_series", int64(c.Anomalies.MaxSeries))
	if c.Cache.MaxBytes < 0 {
		bad("cache.max_bytes: %d: must not be negative; 0 turns the cache off", c.Cache.MaxBytes)
	}
	if c.Anomalies.Spreads <= 0 {
		bad("anomalies.spreads: %g: must be above 0", c.Anomalies.Spreads)
	}
	for _, d := range []struct {
		key string
		min time.Duration
		v   model.Duration
	}{
		{"timeout", time.Millisecond, c.Timeout},
		{"breaker.open", time.Millisecond, c.Breaker.Open},
		{"cache.ttl", time.Millisecond, c.Cache.TTL},
		{"discovery_interval", time.Second, c.DiscoveryInterval},
		{"topology.interval", time.Second, c.Topology.Interval},
		{"topology.lookback", time.Minute, c.Topology.Lookback},
		{"anomalies.interval", 10 * time.Second, c.Anomalies.Interval},
		{"changes.interval", 10 * time.Second, c.Changes.Interval},
	} {
		if time.Duration(d.v) < d.min {
			bad("%s: %s: must be at least %s", d.key, d.v, d.min)
		}
	}
	if n := time.Duration(c.Anomalies.Baseline) / max(1, time.Duration(c.Anomalies.Interval)); n < minBaseline || n > 1440 {
		bad("anomalies.baseline: %s: must be %d to 1440 intervals", c.Anomalies.Baseline, minBaseline)
	}
	if _, err := ignoreRegexp(c.Changes.IgnoreConfigMaps); err != nil {
		bad("changes.ignore_config_maps: %w", err)
	}
	errs = append(errs, c.Changes.validateWatch())
	for _, d := range c.Reference.Days {
		if d <= 0 || d > 400 {
			bad("reference.days: %d: must be 1 to 400 days ago", d)
		}
	}
	return errors.Join(errs...)
}
