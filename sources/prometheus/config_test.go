package prometheus

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/prometheus/common/config"
	"go.yaml.in/yaml/v3"
)

func strict(text string, into any) error {
	d := yaml.NewDecoder(strings.NewReader(text))
	d.KnownFields(true)
	return d.Decode(into)
}

func TestConfigDefaults(t *testing.T) {
	var c Config
	if err := strict("{name: main, url: 'http://prometheus:9090/prefix'}", &c); err != nil {
		t.Fatal(err)
	}
	want := DefaultConfig()
	want.Name, want.URL = "main", "http://prometheus:9090/prefix"
	if d := cmp.Diff(want, c, cmpopts.IgnoreUnexported(config.HTTPClientConfig{}, config.ProxyConfig{}, config.TLSConfig{})); d != "" {
		t.Error(d)
	}
}

func TestConfigNested(t *testing.T) {
	var c Config
	err := strict(`
name: mimir
url: https://mimir.example/prometheus
tenant: team-a
http_config: {basic_auth: {username: u, password: hunter2}}
anomalies: {interval: 30s}
breaker: {failures: 9}
`, &c)
	if err != nil {
		t.Fatal(err)
	}
	if c.Breaker.Failures != 9 || time.Duration(c.Breaker.Open) != 30*time.Second || !c.Anomalies.Enabled || c.Anomalies.Samples != 3 {
		t.Errorf("a key given must not reset its neighbours: %+v", c)
	}
	out, err := yaml.Marshal(c)
	if err != nil || strings.Contains(string(out), "hunter2") {
		t.Errorf("shown configuration: %v\n%s", err, out)
	}
}

func TestConfigProblems(t *testing.T) {
	for _, tt := range []struct{ name, text, want string }{
		{"unknown key", "{name: a, url: 'http://p', unknwon: 1}", "unknwon"},
		{"no name", "{url: 'http://p'}", "name: must not be empty"},
		{"no url", "{name: a}", "url: must be an absolute http or https URL"},
		{"credentials in url", "{name: a, url: 'http://u:p@p'}", "http_config.basic_auth"},
		{"several at once", "{name: a, url: x, max_in_flight: 0}", "max_in_flight: 0: must be above 0"},
		{"bad pattern", "{name: a, url: 'http://p', changes: {ignore_config_maps: ['(']}}", "changes.ignore_config_maps"},
		{"not watched", "{name: a, url: 'http://p', changes: {without: [kube_secret]}}", `changes.without[0]: "kube_secret": is not watched; the metrics that are: kube_configmap_metadata_resource_version`},
		{"watch: no metric", "{name: a, url: 'http://p', changes: {watch: [{kind: flag}]}}", `changes.watch[0].metric: "": must be the name of a metric`},
		{"watch: kind", "{name: a, url: 'http://p', changes: {watch: [{metric: m, kind: flagg, means: setting}]}}", `changes.watch[0].kind: "flagg": must be one of deploy, rollback`},
		{"watch: means", "{name: a, url: 'http://p', changes: {watch: [{metric: m, kind: flag, means: value}]}}", `changes.watch[0].means: "value": must be one of setting, written, time, expiry, label`},
		{"watch: label without", "{name: a, url: 'http://p', changes: {watch: [{metric: m, kind: flag, means: label}]}}", `changes.watch[0].label: goes with means: label`},
		{"watch: match", "{name: a, url: 'http://p', changes: {watch: [{metric: m, kind: flag, means: setting, match: 'a=b'}]}}", `changes.watch[0].match: "a=b"`},
		{"watch: names", "{name: a, url: 'http://p', changes: {watch: [{metric: m, kind: flag, means: setting, name: ['a b']}]}}", `changes.watch[0].name: "a b": must be the name of a label`},
		{"bad days", "{name: a, url: 'http://p', reference: {days: [0]}}", "reference.days: 0"},
		{"short baseline", "{name: a, url: 'http://p', anomalies: {baseline: 5m}}", "anomalies.baseline"},
		{"no timeout", "{name: a, url: 'http://p', timeout: 0s}", "timeout: 0s"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var c Config
			err := strict(tt.text, &c)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("want %q in %v", tt.want, err)
			}
			if err != nil && strings.Contains(err.Error(), "u:p@") {
				t.Errorf("credentials in %v", err)
			}
		})
	}
}

func TestSignalsConfig(t *testing.T) {
	d := DefaultSignalsConfig()
	if err := d.Validate(); err != nil {
		t.Fatalf("the defaults themselves: %v", err)
	}
	for _, tt := range []struct{ name, text, want string }{
		{"own convention", `{conventions: [{name: mine, service: [svc], requests: reqs_total, failed: ['ok="false"']}]}`, ""},
		{"utf-8 names", `{conventions: [{name: mine, service: [svc], requests: http.server.requests}]}`, ""},
		{"unknown key", `{convention: []}`, "convention"},
		{"bad matcher", `{conventions: [{name: mine, service: [svc], requests: r, match: 'a=b'}]}`, `conventions[0].match: "a=b"`},
		{"injected braces", `{conventions: [{name: mine, service: [svc], requests: 'r{} or x'}]}`, "is not a metric name"},
		{"no service", `{conventions: [{name: mine, requests: r}]}`, "conventions[0].service: must name at least one label"},
		{"twice", `{conventions: [{name: a, service: [s]}, {name: a, service: [s]}]}`, "conventions[1].name"},
		{"unit", `{conventions: [{name: a, service: [s], duration: d, duration_unit: us}]}`, "use s or ms"},
		{"gauge", `{conventions: [{name: a, service: [s], gauges: [{name: g, metric: m, aggregate: median, signal: errors}]}]}`, "use sum, max or avg"},
		{"edge", `{edges: [{name: e, metric: m, client: [c]}]}`, "edges[0].server"},
		{"quantile", `{latency_quantile: 95}`, "latency_quantile: 95"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var c SignalsConfig
			err := strict(tt.text, &c)
			if tt.want == "" {
				if err != nil {
					t.Error(err)
				}
			} else if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("want %q in %v", tt.want, err)
			}
		})
	}
}
