package prometheus

import (
	"encoding/json"
	"math"
	"net/http"
	"testing"
	"time"

	v1 "github.com/prometheus/client_golang/api/prometheus/v1"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"

	"github.com/triaged-dev/triaged/triage"
)

// Whatever PromQL a rule holds, what we make of it is PromQL again, and nothing panics.
func FuzzExpression(f *testing.F) {
	for _, s := range []string{
		`sum by (a) (rate(x{b="c"}[5m])) / sum by (a) (rate(y[5m])) > 0.1`, `absent(up == 1)`, `(a > bool 1) == 0`, `slo:sli_error:ratio_rate5m > 1`,
		`predict_linear(x[1h], 3600) < 0`, `count(up == 0) by (job) / count(up) by (job) > 0.5`, `a and b or c unless d`, `x offset 1w > x`, `-x > 1`,
		`max_over_time((x > 1)[1h:5m])`, `topk(3, x) > 1`, `label_replace(x == 0, "a", "$1", "b", "(.*)")`, `1 > bool 2`, `{"a.b",c="d"} > 1`, `x @ 1 > 2`,
		`avg_over_time(loop:a[1h]) > 1`, `histogram_quantile(0.9, x) > scalar(y)`, `vector(1) > 0`, `a > on (x) group_left (y) b`,
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		e, err := parseExpr(s)
		if err != nil || len(s) > 2000 {
			t.Skip("not an expression, or a giant one")
		}
		testRecordings.depth(e)
		private, err := copyExpr(e)
		if err != nil {
			t.Skip("the parser does not read what it wrote itself")
		}
		l := eachLeg(private, func(e parser.Expr) float64 { return testRecordings.depth(e).Seconds() })[0]
		if _, err := parseExpr(l.expr.String()); err != nil {
			t.Fatalf("stripped %q to %q: %v", s, l.expr, err)
		}
		private, err = copyExpr(l.expr)
		if err != nil {
			t.Fatal(err)
		}
		w := &rewriter{rules: testRecordings, short: time.Minute, keep: l.bad == badLower}
		raw := fillRatio(w.rewrite(private, nil))
		inject(raw, labels.MustNewMatcher(labels.MatchEqual, "a", `q"\`))
		if l.absent {
			raw = orZero(raw)
		}
		signalOf(l.expr, raw)
		if _, err := parseExpr(raw.String()); err != nil {
			t.Fatalf("rewrote %q to %q: %v", s, raw, err)
		}
	})
}

// A server may answer anything: there is an answer within bounds, or an error, never a panic or a value off the grid.
func FuzzAnswers(f *testing.F) {
	for _, s := range []string{
		emptyMatrix,
		`{"status":"success","data":{"resultType":"matrix","result":[{"metric":{"service":"a"},"values":[[1435781430,"NaN"],[1435781445,"+Inf"],[1e300,"1"]]}]}}`,
		`{"status":"success","data":{"resultType":"matrix","result":[null]}}`,
		`{"status":"success","data":{"resultType":"scalar","result":[1,"2"]}}`,
		`{"status":"success","data":{"resultType":"vector","result":[{"metric":{},"value":[1,"1"]}]}}`,
		`{"status":"success","data":{"groups":[{"name":"g","interval":60,"rules":[{"type":"alerting","name":"X","query":"up == 0","duration":1e300,"alerts":[null,{"activeAt":"2026-01-01T00:00:00Z","labels":{"alertname":"X"},"value":"1e+00","state":"firing"}]},{"type":"recording","name":"a","query":"a"}]}]}}`,
		`{"status":"success","data":{"yaml":"global: {scrape_interval: 1s}"}}`, `{"status":"success","data":["a","b"]}`, `{"status":"error"}`, `[]`, ``,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		now := time.Unix(1435781445, 0)
		o := Options{Config: DefaultConfig(), Signals: DefaultSignalsConfig(), Now: func() time.Time { return now }}
		o.Config.Name, o.Config.URL, o.Config.Cache.MaxBytes, o.Config.MaxResponseBytes = "fuzz", "http://p.example", 0, 1<<16
		o.Config.QueriesPerMinute, o.Config.Breaker.Failures = 1_000_000, 1_000_000
		o.Transport = roundTrip(func(*http.Request) (*http.Response, error) { return respond(200, string(body)), nil })
		s, err := New(o)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		a := triage.Alert{Labels: map[string]string{"alertname": "X", "service": "a"}, StartsAt: now, Expr: "sum by (service) (up) == 0"}
		sym, _ := s.Symptom(t.Context(), a, now.Add(-time.Minute), now)
		checkSeries(t, sym.Series)
		got, _ := s.Signals(t.Context(), triage.SignalQuery{Services: []string{"a"}, From: now.Add(-time.Minute), To: now})
		checkSeries(t, got)
		_, _ = s.Changes(t.Context(), now.Add(-time.Hour), now)
		_ = s.refreshTopology(t.Context())
		checkActive(t, s, now)
	})
}

// checkActive: whatever a server answers, what is active is written as JSON, and since some time in the past.
func checkActive(t *testing.T, s *Source, now time.Time) {
	t.Helper()
	active, _ := s.ActiveAlerts(t.Context(), now)
	if _, err := json.Marshal(active); err != nil {
		t.Error(err)
	}
	for _, a := range active {
		if a.ActiveAt.After(now.Add(time.Second)) || a.ActiveAt.Unix() <= 0 {
			t.Errorf("active since %s", a.ActiveAt)
		}
	}
}

func TestActiveAlertsOfALyingServer(t *testing.T) {
	now := time.Unix(1435781445, 0)
	for value, want := range map[string]int{"NaN": 0, "+Inf": 0, "-Inf": 0, "1e300": 0, "-5": 0, "0": 0, "1435781500": 0, "1435781445": 1, "1435781400.5": 1} {
		s := newSource(t, "http://p.example", nil, func(o *Options) {
			o.Transport = roundTrip(func(*http.Request) (*http.Response, error) {
				return respond(200, `{"status":"success","data":{"resultType":"vector","result":[{"metric":{"alertname":"X","alertstate":"firing"},"value":[1435781445,"`+value+`"]}]}}`), nil
			})
		})
		checkActive(t, s, now)
		if got, _ := s.ActiveAlerts(t.Context(), now); len(got) != want {
			t.Errorf("%s: want %d alerts, got %+v", value, want, got)
		}
	}
}

func checkSeries(t *testing.T, ss []triage.Series) {
	t.Helper()
	for _, s := range ss {
		if s.StepS < 1 || len(s.Values) == 0 || len(s.Values) > maxPoints || s.Labels == nil {
			t.Errorf("series %+v", s)
		}
		for _, v := range s.Values {
			if math.IsInf(v, 0) {
				t.Error("infinity")
			}
		}
	}
}

func FuzzGeneratorURL(f *testing.F) {
	f.Add("http://p:9090/graph?g0.expr=up+%3D%3D+0&g0.tab=1", "http://p:9090/")
	f.Add("http://p/query?g0.expr=up", "http://p/prefix")
	f.Add("%zz", ":")
	f.Fuzz(func(t *testing.T, u, base string) {
		generatorExpr(u)
		if under(u, base) && !under(base, base) {
			t.Errorf("%q is under %q, which is not under itself", u, base)
		}
	})
}

// The rules a server tells may say anything; the right rule is found, or none.
func TestFindRule(t *testing.T) {
	at := time.Date(2026, 3, 1, 3, 7, 0, 0, time.UTC)
	active := func(service string, at time.Time) *v1.Alert {
		return &v1.Alert{Labels: toLabelSet("alertname", "HighErrors", "service", service), ActiveAt: at}
	}
	groups := []v1.RuleGroup{{Name: "g", Interval: 30, Rules: v1.Rules{
		v1.RecordingRule{Name: "HighErrors", Query: "x"},
		v1.AlertingRule{Name: "HighErrors", Query: "errors > 1", Duration: 60, Labels: toLabelSet("severity", "warning")},
		v1.AlertingRule{Name: "HighErrors", Query: "errors > 5", Duration: 300, Labels: toLabelSet("severity", "page"), Alerts: []*v1.Alert{
			nil, active("cart", at.Add(-6*time.Minute)), active("checkout", at.Add(-5*time.Minute)), active("checkout", at.Add(time.Minute)),
		}},
		v1.AlertingRule{Name: "Renamed", Query: "latency > 2"},
	}}}
	alert := triage.Alert{
		Labels:   map[string]string{"alertname": "HighErrors", "service": "checkout", "severity": "page", "cluster": "eu1"},
		StartsAt: at,
	}
	f, ok := findRule(groups, alert, "")
	if !ok || f.rule.Query != "errors > 5" || f.interval != 30*time.Second || f.active == nil || !f.active.ActiveAt.Equal(at.Add(-5*time.Minute)) {
		t.Errorf("by labels: %v %+v", ok, f)
	}
	if f, ok = findRule(groups, alert, "errors>1"); !ok || f.rule.Duration != 60 && f.active == nil {
		t.Errorf("by expression: %v %+v", ok, f)
	}
	alert.Labels["alertname"] = "SomethingElse"
	if f, ok = findRule(groups, alert, "latency>2"); !ok || f.rule.Name != "Renamed" {
		t.Errorf("renamed on the way: %v %+v", ok, f)
	}
	if _, ok = findRule(groups, alert, "other"); ok {
		t.Error("want no rule")
	}
}
