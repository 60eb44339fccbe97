package prometheus

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/triaged-dev/triaged/triage"
)

// A real Prometheus scrapes a real application that begins to fail; what Symptom says of it must hold the truth.
func TestLiveSymptom(t *testing.T) {
	needPeer(t, "prometheus")
	var ok, failed, brokenAt atomic.Int64
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if brokenAt.Load() > 0 { // each scrape finds ten more requests, half of them failed once it is broken
			failed.Add(5)
			ok.Add(5)
		} else {
			ok.Add(10)
		}
		fmt.Fprintf(w, "# TYPE http_requests_total counter\nhttp_requests_total{code=\"200\"} %d\n", ok.Load())
		if n := failed.Load(); n > 0 {
			fmt.Fprintf(w, "http_requests_total{code=\"500\"} %d\n", n)
		}
	}))
	t.Cleanup(app.Close)
	conf := fmt.Sprintf(`
global: {scrape_interval: 1s, evaluation_interval: 1s, external_labels: {cluster: eu1}}
rule_files: [rules.yml]
scrape_configs: [{job_name: live, static_configs: [{targets: [%q]}]}]
`, strings.TrimPrefix(app.URL, "http://"))
	base := startPrometheus(t, nil, conf, map[string]string{"rules.yml": `
groups:
- name: live
  rules:
  - alert: LiveErrors
    expr: sum by (job) (rate(http_requests_total{code=~"5.."}[20s])) / sum by (job) (rate(http_requests_total[20s])) > 0.2
    for: 2s
    labels: {severity: page}
`})
	s := newSource(t, base, nil, func(o *Options) { o.Config.Cache.MaxBytes, o.Config.QueriesPerMinute = 0, 60_000 })
	await(t, 20*time.Second, "a while of health", func() bool { return ok.Load() >= 80 })
	truth := time.Now()
	brokenAt.Store(truth.UnixNano())
	alert := triage.Alert{Labels: map[string]string{"alertname": "LiveErrors", "job": "live", "severity": "page", "cluster": "eu1"}}
	var sym triage.Symptom
	await(t, 30*time.Second, "the alert to fire", func() bool {
		alert.StartsAt = time.Now()
		var err error
		sym, err = s.Symptom(t.Context(), alert, truth.Add(-time.Minute), alert.StartsAt)
		return err == nil && !sym.ActiveAt.IsZero() && alert.StartsAt.Sub(sym.ActiveAt) >= 3*time.Second
	})
	if sym.ScrapeIntervalS != 1 || sym.LongestRangeS != 20 || sym.ForS != 2 || sym.EvalIntervalS != 1 || len(sym.Notes) > 0 {
		t.Errorf("facts: %+v", sym)
	}
	if sym.ActiveAt.Before(truth) {
		t.Errorf("active at %s, broken at %s", sym.ActiveAt, truth)
	}
	// The onset interval of the design: [active − evaluation − scrape − range, active].
	earliest := sym.ActiveAt.Add(-seconds(sym.EvalIntervalS + sym.ScrapeIntervalS + sym.LongestRangeS))
	if truth.Before(earliest) {
		t.Errorf("the truth %s lies before %s", truth, earliest)
	}
	if len(sym.Series) != 1 || sym.Series[0].StepS != 1 || sym.Series[0].Labels["service"] != "live" {
		t.Fatalf("series: %+v from %s", sym.Series, sym.SeriesExpr)
	}
	if !strings.Contains(sym.SeriesExpr, "[10s]") {
		t.Errorf("want a short range in %s", sym.SeriesExpr)
	}
	if first := firstAbove(sym.Series[0], 0); first.Before(truth) || first.Sub(truth) > 4*time.Second {
		t.Errorf("first failures in the series at %s, broken at %s", first, truth)
	}
	if v := valueAt(sym.Series[0], truth.Add(-3*time.Second)); v != 0 {
		t.Errorf("before: want 0, got %g", v)
	}
	t.Logf("broken %s, first bad sample +%.1f s, active +%.1f s", truth.Format(time.TimeOnly),
		firstAbove(sym.Series[0], 0).Sub(truth).Seconds(), sym.ActiveAt.Sub(truth).Seconds())
}
