package prometheus

import (
	"fmt"
	"math"
	"net/url"
	"slices"
	"testing"
	"time"

	"github.com/triaged-dev/triaged/triage"
)

const shopConf = `
global: {scrape_interval: 15s, evaluation_interval: 1s, external_labels: {cluster: prod-eu1, prometheus_replica: a}}
rule_files: [rules.yml]
storage: {tsdb: {out_of_order_time_window: 1d}} # recorded data reaches into the future, rules are evaluated before its end
`

const shopRules = `
groups:
- name: shop
  interval: 1s
  rules:
  - record: service:errors:ratio5m
    expr: sum by (service) (rate(http_requests_total{code=~"5.."}[5m])) / sum by (service) (rate(http_requests_total[5m]))
  - alert: HighErrors
    expr: service:errors:ratio5m > 0.05
    for: 2s
    labels: {severity: page}
  - alert: Slow
    expr: histogram_quantile(0.95, sum by (le, service) (rate(http_request_duration_seconds_bucket[5m]))) > 0.5
    labels: {severity: page}
  - alert: Gone
    expr: absent(heartbeat{service="cart"})
    labels: {severity: page}
`

// shop is two services over two hours up to a few minutes from now: checkout begins to fail 20 minutes ago, slowly responding
// besides; cart is well. Requests come at 10 per second.
func shop(now time.Time) (rec *recording, fault time.Time) {
	now = now.Truncate(15 * time.Second)
	fault = now.Add(-20 * time.Minute)
	from, to := now.Add(-2*time.Hour), now.Add(10*time.Minute)
	rec = &recording{}
	bad := func(at time.Time) float64 { return max(0, at.Sub(fault).Seconds()) }
	rec.family("http_requests_total", from, to, 15*time.Second, func(at time.Time, sample func(string, float64)) {
		total := at.Sub(from).Seconds() * 10
		failed := bad(at) * 2 // a fifth of the requests
		for _, pod := range []string{"checkout-api-7d9f8b6c5d-x2x9z", "checkout-api-7d9f8b6c5d-b4b5b"} {
			for _, replica := range []string{"a", "b"} {
				l := fmt.Sprintf(`service="checkout-api",pod=%q,version="v2",prometheus_replica=%q`, pod, replica)
				sample(l+`,code="200"`, (total-failed)/2)
				if failed > 0 {
					sample(l+`,code="500"`, failed/2)
				}
			}
		}
		sample(`service="cart",code="200",prometheus_replica="a"`, total)
		sample(`service="cart",code="500",prometheus_replica="a"`, 3)
		sample(`job="ledger",code="200",prometheus_replica="a"`, total) // of a team that knows no label service
	})
	rec.family("http_request_duration_seconds_bucket", from, to, 15*time.Second, func(at time.Time, sample func(string, float64)) {
		total := at.Sub(from).Seconds() * 10
		slow := bad(at) * 5
		for _, svc := range []string{"checkout-api", "cart"} {
			if svc == "cart" {
				slow = 0
			}
			sample(fmt.Sprintf(`service=%q,le="0.1"`, svc), total-slow)
			sample(fmt.Sprintf(`service=%q,le="1"`, svc), total)
			sample(fmt.Sprintf(`service=%q,le="+Inf"`, svc), total)
		}
	})
	rec.family("traces_service_graph_request_total", from, to, 15*time.Second, func(at time.Time, sample func(string, float64)) {
		n := at.Sub(from).Seconds()
		sample(`client="user",server="checkout-api"`, n)
		sample(`client="checkout-api",server="cart"`, n)
		sample(`client="cart",server="postgres",connection_type="database"`, n)
		sample(`client="cart",server="retired"`, 7) // not called any more
	})
	rec.family("heartbeat", from, fault, 15*time.Second, func(_ time.Time, sample func(string, float64)) { sample(`service="cart"`, 1) })
	return rec, fault
}

var shopDirectory = triage.NewDirectory(map[string]triage.Service{"checkout": {Aliases: []string{"checkout-api"}}, "cart": {}}, nil)

func TestAgainstRealPrometheus(t *testing.T) {
	needPeer(t, "prometheus")
	now := time.Now()
	rec, fault := shop(now)
	base := startPrometheus(t, rec, shopConf, map[string]string{"rules.yml": shopRules})
	// A short cache, because the test waits for rules to fire.
	s := newSource(t, base, shopDirectory, func(o *Options) { o.Config.Cache.MaxBytes, o.Config.QueriesPerMinute = 0, 6000 })
	from := now.Add(-90 * time.Minute)
	sent := func(name, service string) triage.Alert {
		return triage.Alert{
			Labels: map[string]string{
				"alertname": name, "service": service, "severity": "page", "cluster": "prod-eu1", "prometheus_replica": "a",
			},
			StartsAt: time.Now(), GeneratorURL: base + "/graph?g0.expr=" + url.QueryEscape("service:errors:ratio5m > 0.05") + "&g0.tab=1",
		}
	}
	await(t, 30*time.Second, "the alert to fire", func() bool {
		sym, err := s.Symptom(t.Context(), sent("HighErrors", "checkout-api"), from, time.Now())
		return err == nil && !sym.ActiveAt.IsZero()
	})

	t.Run("symptom through a recording rule", func(t *testing.T) {
		sym, err := s.Symptom(t.Context(), sent("HighErrors", "checkout-api"), from, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		if !sym.RuleFound || sym.ForS != 2 || sym.EvalIntervalS != 1 || sym.ScrapeIntervalS != 15 || sym.LongestRangeS != 301 {
			t.Errorf("rule facts: %+v", sym)
		}
		if sym.Threshold == nil || *sym.Threshold != .05 || sym.BadDirection != badHigher {
			t.Errorf("threshold %v, direction %q", sym.Threshold, sym.BadDirection)
		}
		if len(sym.Series) != 1 {
			t.Fatalf("want 1 series, got %d from %s", len(sym.Series), sym.SeriesExpr)
		}
		sr := sym.Series[0]
		if sr.Labels["service"] != "checkout" || sr.Signal != triage.SignalErrors || sr.Better != triage.BetterLower ||
			sr.Role != triage.RoleSymptom || sr.Stamp != triage.StampEnd || sr.StepS != 15 {
			t.Errorf("series: %+v", sr)
		}
		if at := firstAbove(sr, .05); at.Before(fault) || at.After(fault.Add(time.Minute)) {
			t.Errorf("first bad sample at %s, fault at %s", at, fault)
		}
		if v := valueAt(sr, fault.Add(-time.Minute)); v != 0 {
			t.Errorf("before the first failure: want 0, got %g", v)
		}
	})
	t.Run("symptom of a quantile", func(t *testing.T) {
		a := sent("Slow", "checkout-api")
		a.GeneratorURL = ""
		sym, err := s.Symptom(t.Context(), a, from, time.Now())
		if err != nil || len(sym.Series) != 1 || sym.Series[0].Signal != triage.SignalLatency {
			t.Fatalf("err %v, %+v", err, sym)
		}
		if at := firstAbove(sym.Series[0], .5); at.Before(fault) || at.After(fault.Add(time.Minute)) {
			t.Errorf("first slow sample at %s, fault at %s", at, fault)
		}
	})
	t.Run("symptom of absence", func(t *testing.T) {
		sym, err := s.Symptom(t.Context(), sent("Gone", "cart"), from, time.Now())
		if err != nil || len(sym.Series) != 1 || sym.BadDirection != badLower {
			t.Fatalf("err %v, %+v", err, sym)
		}
		sr := sym.Series[0]
		if before, after := valueAt(sr, fault.Add(-time.Minute)), valueAt(sr, fault.Add(6*time.Minute)); before != 1 || after != 0 {
			t.Errorf("want 1 then 0, got %g then %g", before, after)
		}
	})
	t.Run("unknown rule, expression from the sender", func(t *testing.T) {
		a := sent("Elsewhere", "checkout-api")
		a.GeneratorURL = "http://other/query?g0.expr=" + url.QueryEscape(`sum by (service) (rate(http_requests_total{code="500"}[10m])) > 1`)
		sym, err := s.Symptom(t.Context(), a, from, time.Now())
		if err != nil || sym.RuleFound || len(sym.Series) != 1 || sym.LongestRangeS != 600 || len(sym.Notes) == 0 {
			t.Fatalf("err %v, %+v", err, sym)
		}
	})
	t.Run("signals", func(t *testing.T) {
		got, err := s.Signals(t.Context(), triage.SignalQuery{Services: []string{"checkout", "cart", "nobody"}, From: from, To: now})
		if err != nil {
			t.Fatal(err)
		}
		want := map[string]float64{ // at the end
			"checkout errors": .2, "checkout traffic": 10, "cart errors": 0, "cart traffic": 10,
		}
		for _, sr := range got {
			key := sr.Labels["service"] + " " + string(sr.Signal)
			w, ok := want[key]
			if !ok {
				continue
			}
			delete(want, key)
			if v := valueAt(sr, now.Add(-time.Minute)); math.Abs(v-w) > .02*max(1, w) {
				t.Errorf("%s: want %g, got %g", key, w, v)
			}
		}
		if len(want) > 0 {
			t.Errorf("missing %v in %d series", want, len(got))
		}
		i := slices.IndexFunc(got, func(sr triage.Series) bool {
			return sr.Signal == triage.SignalLatency && sr.Labels["service"] == "checkout"
		})
		if i < 0 {
			t.Fatal("no latency of checkout")
		}
		if before, after := valueAt(got[i], fault.Add(-time.Minute)), valueAt(got[i], now.Add(-time.Minute)); before > .1 || after < .9 {
			t.Errorf("p95: want about .1 then .9, got %g then %g", before, after)
		}
	})
	t.Run("signals of a service under another label than most", func(t *testing.T) {
		got, err := s.Signals(t.Context(), triage.SignalQuery{Services: []string{"checkout", "ledger"}, From: from, To: now})
		if err != nil {
			t.Fatal(err)
		}
		i := slices.IndexFunc(got, func(sr triage.Series) bool {
			return sr.Signal == triage.SignalTraffic && sr.Labels["service"] == "ledger"
		})
		if i < 0 {
			t.Fatalf("no traffic of ledger in %d series", len(got))
		}
		if v := valueAt(got[i], now.Add(-time.Minute)); math.Abs(v-10) > .2 {
			t.Errorf("want 10 requests a second, got %g", v)
		}
	})
	t.Run("signals by pod and version", func(t *testing.T) {
		got, err := s.Signals(t.Context(), triage.SignalQuery{
			Services: []string{"checkout"}, From: from, To: now, SplitBy: []string{"version", "pod", "region"},
		})
		if err != nil {
			t.Fatal(err)
		}
		pods := map[string]bool{}
		for _, sr := range got {
			if sr.Signal == triage.SignalTraffic {
				pods[sr.Labels["pod"]+" "+sr.Labels["version"]] = true
				if v := valueAt(sr, now.Add(-time.Minute)); math.Abs(v-5) > .1 {
					t.Errorf("traffic of one pod: want 5, got %g: replicas must not be added up", v)
				}
			}
		}
		if len(pods) != 2 {
			t.Errorf("want 2 pods of v2, got %v", pods)
		}
	})
	t.Run("topology", func(t *testing.T) {
		if err := s.refreshTopology(t.Context()); err != nil {
			t.Fatal(err)
		}
		got := fmt.Sprint(s.Topology().Edges())
		if want := "[{cart postgres metrics} {checkout cart metrics}]"; got != want {
			t.Errorf("want %s, got %s", want, got)
		}
	})
	t.Run("anomalies", func(t *testing.T) {
		w := newWatch(s)
		c := &collect{}
		if err := w.evaluate(t.Context(), c.emit); err != nil {
			t.Fatal(err)
		}
		var signals []string
		for _, ev := range c.events {
			if ev.Anomaly.Service != "checkout" {
				t.Errorf("cart is well: %+v", ev.Anomaly)
				continue
			}
			signals = append(signals, string(ev.Anomaly.Signal))
			if o := ev.Anomaly.Onset; o.Earliest.After(fault) || o.Latest.Before(fault) || o.Latest.Sub(fault) > 3*time.Minute {
				t.Errorf("%s onset %s to %s, fault %s", ev.Anomaly.Signal, o.Earliest, o.Latest, fault)
			}
			if err := ev.Anomaly.Validate(""); err != nil {
				t.Error(err)
			}
		}
		slices.Sort(signals)
		if !slices.Equal(signals, []string{"errors", "latency"}) {
			t.Errorf("want errors and latency, got %v", signals)
		}
		first := c.events
		c2 := &collect{}
		if err := newWatch(s).evaluate(t.Context(), c2.emit); err != nil {
			t.Fatal(err)
		}
		if len(c2.events) != len(first) || c2.events[0].Anomaly.ID != first[0].Anomaly.ID {
			t.Error("a restart must find the same anomalies under the same ids")
		}
	})
}

func firstAbove(s triage.Series, limit float64) time.Time {
	for i, v := range s.Values {
		if v > limit {
			_, to := s.Covers(i)
			return to
		}
	}
	return time.Time{}
}

func valueAt(s triage.Series, at time.Time) float64 {
	for i := range s.Values {
		if from, to := s.Covers(i); at.After(from) && !at.After(to) {
			return s.Values[i]
		}
	}
	return math.NaN()
}
