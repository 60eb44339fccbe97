package demo

import (
	"fmt"
	"maps"
	"os"
	"slices"

	"go.yaml.in/yaml/v3"

	"github.com/triaged-dev/triaged/triage"
)

// settings are what the demo's configuration file is made from.
type settings struct {
	Case          triage.Case
	Series        []triage.Series
	PrometheusURL string
	Brokers       []string
	ExternalURL   string
}

// writeConfig writes the configuration a team with this case's stack would write.
func writeConfig(path string, s settings) error {
	calls := make(map[string][]string)
	for _, e := range s.Case.Topology.Edges() {
		calls[e.From] = append(calls[e.From], e.To)
	}
	signals := map[string]any{}
	if conventions := conventions(s.Series); len(conventions) > 0 {
		signals["conventions"] = conventions
	}
	b, err := yaml.Marshal(map[string]any{
		"auth":     map[string]any{"trust_loopback": true}, // it ends with the demo
		"global":   map[string]any{"external_url": s.ExternalURL},
		"topology": map[string]any{"calls": calls},
		"services": s.Case.Services,
		"signals":  signals,
		"sources": map[string]any{
			"kafka": []any{map[string]any{
				"name": "deploys", "brokers": s.Brokers, "topics": []any{map[string]any{"topic": topic, "format": "triaged"}},
				"start": "earliest", // a case reaches further back than the window
			}},
			"prometheus": []any{map[string]any{"name": "prometheus", "url": s.PrometheusURL}},
		},
		"incidents": map[string]any{"settle": "1s"},
		"route":     map[string]any{"receiver": "oncall", "mode": "live"},
		"receivers": []any{map[string]any{"name": "oncall", "log_configs": []any{map[string]any{"card": false}}}},
	})
	if err != nil {
		return fmt.Errorf("write the demo's configuration: %w", err)
	}
	if err := os.WriteFile(path, b, 0o600); err != nil {
		return fmt.Errorf("write the demo's configuration: %w", err)
	}
	return nil
}

// conventions describes the case's series as what they are for Prometheus: one gauge per metric, labelled by service.
func conventions(series []triage.Series) []any {
	type key struct {
		metric string
		signal triage.Signal
		better triage.Better
	}
	seen := make(map[key]bool)
	for _, s := range series {
		if s.Role == "" && s.Labels["service"] != "" {
			seen[key{s.Metric, s.Signal, s.Better}] = true
		}
	}
	if len(seen) == 0 {
		return nil
	}
	keys := slices.SortedFunc(maps.Keys(seen), func(a, b key) int {
		if a.metric < b.metric {
			return -1
		}
		return 1
	})
	var gauges []any
	for _, k := range keys {
		aggregate := "max"
		if k.signal == triage.SignalTraffic {
			aggregate = "sum"
		}
		g := map[string]any{"name": k.metric, "signal": string(k.signal), "metric": k.metric, "aggregate": aggregate}
		if k.better != "" {
			g["better"] = string(k.better)
		}
		gauges = append(gauges, g)
	}
	return []any{map[string]any{"name": "recorded", "service": []string{"service"}, "gauges": gauges}}
}
