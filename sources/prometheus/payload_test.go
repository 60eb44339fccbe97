package prometheus

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/triaged-dev/triaged/triage"
)

// over is a Source whose server answers /rules with a file and everything else with nothing found.
func over(t *testing.T, rules string) *Source {
	t.Helper()
	body, err := os.ReadFile(rules)
	if err != nil {
		t.Fatal(err)
	}
	return newSource(t, "http://p.example", nil, func(o *Options) {
		o.Transport = roundTrip(func(r *http.Request) (*http.Response, error) {
			switch {
			case strings.HasSuffix(r.URL.Path, "/rules"):
				return respond(200, string(body)), nil
			case strings.HasSuffix(r.URL.Path, "/query_range"):
				return respond(200, emptyMatrix), nil
			}
			return respond(404, ""), nil
		})
	})
}

// Mimir and Thanos answer with fields that Prometheus does not know, and have no /status/config.
func TestRulesOfOtherServers(t *testing.T) {
	s := over(t, filepath.Join("..", "..", "testdata", "prometheus", "rules.json"))
	fired := time.Date(2026, 3, 1, 3, 5, 10, 0, time.UTC)
	a := triage.Alert{Labels: map[string]string{"alertname": "CheckoutErrors", "service": "checkout", "severity": "page"}, StartsAt: fired}
	sym, err := s.Symptom(t.Context(), a, fired.Add(-time.Hour), fired)
	if err != nil {
		t.Fatal(err)
	}
	want := `(sum by (service) (rate(http_requests_total{code=~"5..",service="checkout"}[1m])) or sum by (service) (rate(http_requests_total{service="checkout"}[1m])) * 0)` +
		` / sum by (service) (rate(http_requests_total{service="checkout"}[1m]))`
	if got := strings.TrimSuffix(strings.TrimPrefix(sym.SeriesExpr, "("), ")"); got != want {
		t.Errorf("series expression\nwant %s\ngot  %s", want, got)
	}
	if !sym.RuleFound || sym.ForS != 120 || sym.EvalIntervalS != 30 || sym.LongestRangeS != 330 ||
		!sym.ActiveAt.Equal(time.Date(2026, 3, 1, 3, 3, 10, 123456789, time.UTC)) {
		t.Errorf("%+v", sym)
	}
	if sym.ScrapeIntervalS != 15 || len(sym.Notes) != 2 { // scrape interval assumed; no samples
		t.Errorf("what was assumed must be said: %q", sym.Notes)
	}
}

func TestSharedPayload(t *testing.T) {
	shared := os.Getenv("TRIAGED_SHARED")
	if shared == "" {
		t.Skip("TRIAGED_SHARED is not set: no captures of real servers to read")
	}
	s := over(t, filepath.Join(shared, "payloads", "prometheus", "api_v1_rules.json"))
	fired := time.Date(2018, 7, 4, 18, 37, 13, 0, time.UTC)
	a := triage.Alert{Labels: map[string]string{"alertname": "HighRequestLatency", "severity": "page"}, StartsAt: fired}
	sym, err := s.Symptom(t.Context(), a, fired.Add(-time.Hour), fired)
	if err != nil || !sym.RuleFound || sym.ForS != 600 || sym.EvalIntervalS != 60 || sym.ActiveAt.Unix() != 1530728832 ||
		sym.SeriesExpr != `job:request_latency_seconds:mean5m{job="myjob"}` {
		t.Errorf("%v %+v", err, sym)
	}
}
