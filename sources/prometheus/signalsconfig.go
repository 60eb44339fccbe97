package prometheus

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/prometheus/common/model"

	"github.com/triaged-dev/triaged/triage"
)

// SignalsConfig says how the services of an installation are measured: the top-level key signals.
type SignalsConfig struct {
	Range           model.Duration `yaml:"range"`            // least window of a rate; never below four scrapes
	LatencyQuantile float64        `yaml:"latency_quantile"` // of the histograms, 0 to 1
	// ReplicaLabels tell copies of one series apart (HA pairs read through one endpoint); they are aggregated away first.
	ReplicaLabels []string `yaml:"replica_labels"`
	// Labels are, for each word of ours (version, pod, region, instance, namespace, cluster, environment), the labels
	// that may hold it; the first one a metric has is used.
	Labels      map[string][]string `yaml:"labels"`
	Conventions []Convention        `yaml:"conventions"` // per service and signal the first one that has data wins
	Edges       []EdgeConvention    `yaml:"edges"`
}

// Convention is one way of naming request metrics. Metrics that are not given are not asked for.
type Convention struct {
	Name    string   `yaml:"name"`
	Service []string `yaml:"service"`         // labels that may hold the service; the first one in use counts
	Match   string   `yaml:"match,omitempty"` // matchers on every series, as in reporter="destination"

	Requests     string   `yaml:"requests,omitempty"`      // counter of requests
	Failed       []string `yaml:"failed,omitempty"`        // alternative matchers on it; the first whose labels exist counts
	FailedMetric string   `yaml:"failed_metric,omitempty"` // or a counter of its own
	Duration     string   `yaml:"duration,omitempty"`      // histogram, without _bucket; native ones are used where there are no buckets
	DurationUnit string   `yaml:"duration_unit,omitempty"` // s (default) or ms
	Gauges       []Gauge  `yaml:"gauges,omitempty"`
}

// Gauge is one further series per service.
type Gauge struct {
	Name      string        `yaml:"name"`             // services get one series of each name: cpu, memory
	Signal    triage.Signal `yaml:"signal"`           // any: a team that records error ratios or latencies names them here
	Better    triage.Better `yaml:"better,omitempty"` // higher or lower; default lower, for traffic and custom neither
	Metric    string        `yaml:"metric"`           //
	Match     string        `yaml:"match,omitempty"`  // besides the convention's
	Counter   bool          `yaml:"counter,omitempty"`
	Aggregate string        `yaml:"aggregate"` // sum, max or avg over the service's series
}

// EdgeConvention is one way of saying who calls whom, and what the caller sees of it.
type EdgeConvention struct {
	Name   string   `yaml:"name"`
	Metric string   `yaml:"metric"`          // counter of calls
	Match  string   `yaml:"match,omitempty"` //
	Client []string `yaml:"client"`          // labels, the first non-empty one counts
	Server []string `yaml:"server"`          // the same; names, hosts, addresses with a port, URLs
	Port   string   `yaml:"port,omitempty"`  // label with the server's port, where it stands alone
	Info   bool     `yaml:"info,omitempty"`  // the metric says by being there, not by rising
	// PerClient: the server's name is one client's own, such as a connection pool's: two clients' pools are two.
	PerClient bool `yaml:"per_client,omitempty"`
	// GraphOnly: the calls are counted at the callee's end, so they say who calls whom, but not what the caller sees.
	GraphOnly bool `yaml:"graph_only,omitempty"`

	// As in Convention, of the calls as the caller counts them.
	Failed       []string `yaml:"failed,omitempty"`
	FailedMetric string   `yaml:"failed_metric,omitempty"`
	Duration     string   `yaml:"duration,omitempty"`
	DurationUnit string   `yaml:"duration_unit,omitempty"`
	Gauges       []Gauge  `yaml:"gauges,omitempty"` // of the edge: callers waiting for a connection
}

// convention is what the edge has in common with the metrics of a service: its labels and its signals.
func (e EdgeConvention) convention() Convention {
	c := Convention{
		Name: e.Name, Service: e.Client, Match: e.Match, Failed: e.Failed, FailedMetric: e.FailedMetric,
		Duration: e.Duration, DurationUnit: e.DurationUnit, Gauges: e.Gauges,
	}
	if !e.Info {
		c.Requests = e.Metric
	}
	return c
}

// UnmarshalYAML reads the key over the defaults. A list that is given replaces the default list.
func (c *SignalsConfig) UnmarshalYAML(unmarshal func(any) error) error {
	*c = DefaultSignalsConfig()
	type plain SignalsConfig
	if err := unmarshal((*plain)(c)); err != nil {
		return err
	}
	return c.Validate()
}

// Validate reports every problem, joined.
func (c *SignalsConfig) Validate() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if time.Duration(c.Range) < time.Second {
		bad("range: %s: must be at least 1s", c.Range)
	}
	if c.LatencyQuantile <= 0 || c.LatencyQuantile >= 1 {
		bad("latency_quantile: %g: must lie between 0 and 1, like 0.95", c.LatencyQuantile)
	}
	names := make(map[string]bool)
	for i, v := range c.Conventions {
		at := fmt.Sprintf("conventions[%d]", i)
		if v.Name == "" || names[v.Name] {
			bad("%s.name: %q: must be given and unique", at, v.Name)
		}
		names[v.Name] = true
		checkLabels(bad, at+".service", v.Service)
		checkMatch(bad, at+".match", v.Match)
		checkSignals(bad, at, v)
	}
	for i, e := range c.Edges {
		at := fmt.Sprintf("edges[%d]", i)
		if e.Name == "" {
			bad("%s.name: must not be empty", at)
		}
		checkMetric(bad, at+".metric", e.Metric, true)
		checkMatch(bad, at+".match", e.Match)
		checkLabels(bad, at+".client", e.Client)
		checkLabels(bad, at+".server", e.Server)
		if e.Port != "" {
			checkLabels(bad, at+".port", []string{e.Port})
		}
		v := e.convention()
		v.Requests = "" // is metric
		checkSignals(bad, at, v)
	}
	for word, ls := range c.Labels {
		checkLabels(bad, "labels."+word, ls)
	}
	return errors.Join(errs...)
}

// checkSignals checks the metrics that conventions of services and of edges have alike.
func checkSignals(bad badFunc, at string, v Convention) {
	for _, m := range []struct{ key, v string }{{"requests", v.Requests}, {"failed_metric", v.FailedMetric}, {"duration", v.Duration}} {
		checkMetric(bad, at+"."+m.key, m.v, false)
	}
	for j, f := range v.Failed {
		checkMatch(bad, fmt.Sprintf("%s.failed[%d]", at, j), f)
	}
	if v.DurationUnit != "" && v.DurationUnit != "s" && v.DurationUnit != "ms" {
		bad("%s.duration_unit: %q: use s or ms", at, v.DurationUnit)
	}
	for j, g := range v.Gauges {
		at := fmt.Sprintf("%s.gauges[%d]", at, j)
		if g.Name == "" {
			bad("%s.name: must not be empty", at)
		}
		checkMetric(bad, at+".metric", g.Metric, true)
		checkMatch(bad, at+".match", g.Match)
		if g.Aggregate != "sum" && g.Aggregate != "max" && g.Aggregate != "avg" {
			bad("%s.aggregate: %q: use sum, max or avg", at, g.Aggregate)
		}
		if _, err := triage.ParseSignal(string(g.Signal)); err != nil {
			bad("%s.%w", at, err)
		}
		if g.Better != "" && g.Better != triage.BetterHigher && g.Better != triage.BetterLower {
			bad("%s.better: %q: use higher or lower", at, g.Better)
		}
	}
}

type badFunc func(format string, args ...any)

func checkLabels(bad badFunc, key string, ls []string) {
	if len(ls) == 0 {
		bad("%s: must name at least one label", key)
	}
	for _, l := range ls {
		if !model.LegacyValidation.IsValidLabelName(l) {
			bad("%s: %q: is not a label name", key, l)
		}
	}
}

func checkMetric(bad badFunc, key, name string, required bool) {
	if name == "" && !required {
		return
	}
	if !model.UTF8Validation.IsValidMetricName(name) || strings.ContainsAny(name, "{}") {
		bad("%s: %q: is not a metric name", key, name)
	}
}

func checkMatch(bad badFunc, key, match string) {
	if _, err := matcherLabels(match); err != nil {
		bad("%s: %q: is not a list of matchers like code=~\"5..\": %w", key, match, err)
	}
}
