package prometheus

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	v1 "github.com/prometheus/client_golang/api/prometheus/v1"

	"github.com/triaged-dev/triaged/triage"
)

// Survey is what a server holds that can be used here, as it stands now.
type Survey struct {
	Conventions    []UsedConvention  `json:"conventions"`        // with data, best first
	Services       []string          `json:"services"`           // canonical, sorted: those with signals
	Edges          []string          `json:"edges,omitempty"`    // names of the edge conventions with data
	ChangeMetrics  []string          `json:"change_metrics"`     // metrics in which changes can be seen, sorted
	Versions       bool              `json:"versions,omitempty"` // there are *_build_info metrics
	ExternalLabels map[string]string `json:"external_labels,omitempty"`
	ScrapeInterval time.Duration     `json:"scrape_interval,omitempty"` // the server's global one; 0: it does not say
	Rules          []AlertRule       `json:"rules,omitempty"`           // alerting rules, in the server's order
	Notes          []string          `json:"notes,omitempty"`           // what could not be read
}

// UsedConvention is a convention that has data.
type UsedConvention struct {
	Name     string   `json:"name"`
	Label    string   `json:"label"` // that holds the service
	Services []string `json:"services"`
}

// AlertRule is one alerting rule.
type AlertRule struct {
	Group, Name, Expr string
	Labels            map[string]string // as written: values may be templates
	For, Interval     time.Duration
	Took              time.Duration // of its last evaluation
	Failing           string        // the last evaluation's error
}

// Has reports whether a metric in which changes can be seen exists.
func (s Survey) Has(metric string) bool { return slices.Contains(s.ChangeMetrics, metric) }

// Survey looks at what the server holds: a handful of requests. Without rules or configuration, which some servers do not
// show, it says so in Notes; only a server that does not answer is an error.
func (s *Source) Survey(ctx context.Context) (Survey, error) {
	found, err := s.discover(ctx, s.client)
	s.asked(err)
	if err != nil {
		return Survey{}, err
	}
	out := Survey{Services: found.known()}
	for _, c := range found.conventions {
		out.Conventions = append(out.Conventions, UsedConvention{Name: c.Name, Label: c.service, Services: slices.Sorted(maps.Keys(c.raw))})
	}
	for _, e := range found.edges {
		out.Edges = append(out.Edges, e.Name)
	}
	for _, m := range s.changeNames() {
		if found.names[m] {
			out.ChangeMetrics = append(out.ChangeMetrics, m)
		}
	}
	slices.Sort(out.ChangeMetrics)
	out.Versions = (&changeReader{found: found}).anyBuildInfo()
	if conf, err := s.serverConfig(ctx, s.client); err == nil {
		out.ExternalLabels, out.ScrapeInterval = conf.Global.ExternalLabels, time.Duration(conf.Global.ScrapeInterval)
	} else {
		out.Notes = append(out.Notes, "the server does not show its configuration: scrape intervals and external labels are not known")
	}
	rules, err := s.client.rules(ctx)
	if err != nil {
		out.Notes = append(out.Notes, "the server does not show its rules: thresholds and pending times are not known")
		return out, nil
	}
	for _, g := range rules.Groups {
		for _, r := range g.Rules {
			if a, ok := r.(v1.AlertingRule); ok {
				out.Rules = append(out.Rules, alertRule(g, a))
			}
		}
	}
	return out, nil
}

func alertRule(g v1.RuleGroup, a v1.AlertingRule) AlertRule {
	out := AlertRule{
		Group: g.Name, Name: a.Name, Expr: a.Query, Labels: make(map[string]string, len(a.Labels)),
		For: seconds(a.Duration), Interval: seconds(g.Interval), Took: seconds(a.EvaluationTime), Failing: a.LastError,
	}
	for k, v := range a.Labels {
		out.Labels[string(k)] = string(v)
	}
	return out
}

// ReadTopology reads the call graph anew, as Run does at its interval, and returns it.
func (s *Source) ReadTopology(ctx context.Context) (triage.Topology, error) {
	err := s.refreshTopology(ctx)
	s.asked(err)
	if err != nil {
		return triage.Topology{}, fmt.Errorf("read the call graph: %w", err)
	}
	return s.Topology(), nil
}
