package main

import "fmt"

// staff is a service as the lab runs it.
type staff struct {
	name     string
	replicas int
	version  func(n int) string                              // how its team counts
	labels   func(service, version string) map[string]string // of its scrape target; nil: nobody sees its metrics
	innocent []string                                        // configuration that may be changed without anything happening
	calls    []string
}

func semantic(name, version string) map[string]string {
	return map[string]string{"job": "office/" + name, "service_name": name, "service_version": version}
}

func app(name, version string) map[string]string {
	return map[string]string{"job": "classic", "app": name, "version": version}
}

// plain says the version nowhere but in the build_info metric.
func plain(name, _ string) map[string]string { return map[string]string{"job": name} }

func counted(format string, from int) func(int) string {
	return func(n int) string { return fmt.Sprintf(format, from+n) }
}

// office is the whole system, callees first.
var office = []staff{
	{name: "store", replicas: 1, version: counted("7.2.%d", 3), labels: plain, innocent: []string{"log_level", "save_interval"}},
	{name: "acquirer", replicas: 1, version: counted("%d", 1)},
	{name: "postbox", replicas: 1, version: counted("%d", 1)},
	{name: "broker", replicas: 1, version: counted("3.13.%d", 1), labels: plain, innocent: []string{"audit_topic", "log_level"}},
	{name: "fees", replicas: 2, version: counted("v%d", 40), labels: app, innocent: []string{"vat_note_text", "log_level"}, calls: []string{"store"}},
	{name: "pay", replicas: 1, version: counted("1.%d.0", 18), labels: plain, innocent: []string{"statement_text", "tls_bundle_path"}, calls: []string{"acquirer"}},
	{name: "search", replicas: 2, version: counted("2.%d.1", 14), labels: app, innocent: []string{"synonyms_file", "metrics_cardinality_limit"}, calls: []string{"fees"}},
	{name: "seats", replicas: 2, version: counted("r%d", 1187), labels: semantic, innocent: []string{"map_colours", "otel_batch_size"}, calls: []string{"store", "tickets-db"}},
	{name: "orders", replicas: 2, version: counted("v%d", 310), labels: semantic, innocent: []string{"receipt_footer", "otel_batch_size"}, calls: []string{"seats", "fees", "pay", "tickets-db", "broker"}},
	{name: "issuer", replicas: 1, version: counted("2026.11.%d", 20), labels: plain, innocent: []string{"paper_size", "log_level"}, calls: []string{"broker", "seats", "store"}},
	{name: "notify", replicas: 1, version: counted("0.%d.2", 9), labels: semantic, innocent: []string{"banner_text", "log_level"}, calls: []string{"broker", "postbox"}},
	{name: "scheduler", replicas: 1, version: counted("5.%d", 1), labels: plain, innocent: []string{"timezone", "log_level"}, calls: []string{"seats", "search"}},
	{name: "gate", replicas: 2, version: counted("v%d", 41), labels: semantic, innocent: []string{"banner_text", "robots_txt"}, calls: []string{"search", "seats", "orders"}},
}

func staffOf(name string) staff {
	for _, s := range office {
		if s.name == name {
			return s
		}
	}
	return staff{name: name}
}
