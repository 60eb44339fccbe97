package prometheus

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/triaged-dev/triaged/triage"
)

// fakeServer answers the API for one service with a constant traffic and one rule. It counts what it is asked.
type fakeServer struct {
	*httptest.Server
	asked  atomic.Int32
	broken atomic.Bool
}

func newFakeServer(t *testing.T, service, rule string, rate float64) *fakeServer {
	t.Helper()
	f := &fakeServer{}
	now := time.Now().Unix()
	answer := func(data string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			f.asked.Add(1)
			if f.broken.Load() {
				http.Error(w, "down", http.StatusServiceUnavailable)
				return
			}
			fmt.Fprintf(w, `{"status":"success","data":%s}`, data)
		}
	}
	mux := http.NewServeMux()
	mux.Handle("/api/v1/rules", answer(fmt.Sprintf(
		`{"groups":[{"name":"g","file":"f","interval":30,"rules":[{"type":"alerting","name":%q,"query":"up == 0","duration":60,"labels":{},"annotations":{},"alerts":[],"health":"ok","state":"firing"}]}]}`, rule)))
	mux.Handle("/api/v1/status/config", answer(`{"yaml":"global: {scrape_interval: 15s}"}`))
	mux.Handle("/api/v1/label/__name__/values", answer(`["http_requests_total"]`))
	mux.Handle("/api/v1/labels", answer(`["__name__","job","instance"]`))
	mux.Handle("/api/v1/label/job/values", answer(fmt.Sprintf(`[%q]`, service)))
	mux.HandleFunc("/api/v1/query_range", func(w http.ResponseWriter, r *http.Request) {
		start := r.FormValue("start")
		answer(fmt.Sprintf(`{"resultType":"matrix","result":[{"metric":{"job":%q},"values":[[%s,"%g"]]}]}`, service, start, rate))(w, r)
	})
	mux.HandleFunc("/api/v1/query", answer(fmt.Sprintf(`{"resultType":"vector","result":[{"metric":{"job":%q},"value":[%d,"%g"]}]}`, service, now, rate)))
	f.Server = httptest.NewServer(mux)
	t.Cleanup(f.Close)
	return f
}

func newSetOf(t *testing.T, servers ...*fakeServer) *Set {
	t.Helper()
	var sources []*Source
	for i, f := range servers {
		sources = append(sources, newSource(t, f.URL, nil, func(o *Options) {
			o.Config.Name = fmt.Sprintf("p%d", i)
			o.Config.ExternalURL = fmt.Sprintf("https://prom.example/p%d", i)
			o.Config.Reference.Days = nil
		}))
	}
	return NewSet(sources)
}

func TestSetAsksTheAlertsOwnServer(t *testing.T) {
	a, b := newFakeServer(t, "cart", "X", 1), newFakeServer(t, "cart", "X", 2)
	set := newSetOf(t, a, b)
	now := time.Now()
	alert := triage.Alert{Labels: map[string]string{"alertname": "X"}, StartsAt: now, GeneratorURL: "https://prom.example/p1/graph?g0.expr=" + url.QueryEscape("up == 0")}
	sym, err := set.Symptom(t.Context(), alert, now.Add(-time.Hour), now)
	if err != nil || !sym.RuleFound || a.asked.Load() != 0 {
		t.Errorf("err %v, found %v, other server asked %d times", err, sym.RuleFound, a.asked.Load())
	}
	b.broken.Store(true)
	set = newSetOf(t, a, b)
	if sym, err = set.Symptom(t.Context(), alert, now.Add(-time.Hour), now); err != nil || !sym.RuleFound {
		t.Errorf("own server down: the other one knows it too: %v %+v", err, sym)
	}
	a.broken.Store(true)
	if _, err = newSetOf(t, a, b).Symptom(t.Context(), alert, now.Add(-time.Hour), now); err == nil {
		t.Error("nobody answers: want an error")
	}
}

func TestSetFindsTheRuleAnywhere(t *testing.T) {
	a, b := newFakeServer(t, "cart", "Other", 1), newFakeServer(t, "cart", "X", 2)
	now := time.Now()
	alert := triage.Alert{Labels: map[string]string{"alertname": "X"}, StartsAt: now}
	sym, err := newSetOf(t, a, b).Symptom(t.Context(), alert, now.Add(-time.Hour), now)
	if err != nil || !sym.RuleFound || sym.ForS != 60 {
		t.Errorf("%v %+v", err, sym)
	}
}

func TestSetMergesSignals(t *testing.T) {
	a, b := newFakeServer(t, "cart", "X", 1), newFakeServer(t, "cart", "X", 2)
	c := newFakeServer(t, "web", "X", 3)
	c2 := newFakeServer(t, "lost", "X", 3)
	c2.broken.Store(true)
	set := newSetOf(t, a, b, c, c2)
	now := time.Now()
	got, err := set.Signals(t.Context(), triage.SignalQuery{Services: []string{"cart", "web"}, From: now.Add(-10 * time.Minute), To: now})
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, s := range got {
		lines = append(lines, fmt.Sprintf("%s %s %g", s.Labels["service"], s.Signal, s.Values[0]))
	}
	if want := "cart traffic 1, web traffic 3"; strings.Join(lines, ", ") != want {
		t.Errorf("want %s, got %v", want, lines)
	}
	if st := set.sources[3].Status(); st.State != triage.SourceDown {
		t.Errorf("the broken server must say so: %+v", st)
	}
}

func TestEmptySet(t *testing.T) {
	set := NewSet(nil)
	now := time.Now()
	if sym, err := set.Symptom(t.Context(), triage.Alert{}, now, now); err != nil || sym.RuleFound {
		t.Error(err)
	}
	if got, err := set.Signals(t.Context(), triage.SignalQuery{}); err != nil || len(got) > 0 {
		t.Error(err)
	}
	if got, err := set.Changes(t.Context(), now, now); err != nil || len(got) > 0 {
		t.Error(err)
	}
	if len(set.Topology().Edges()) > 0 {
		t.Error("edges of nothing")
	}
}

func TestUnder(t *testing.T) {
	for _, tt := range []struct {
		u, base string
		want    bool
	}{
		{"http://p:9090/graph?g0.expr=x", "http://p:9090", true},
		{"http://p:9090/graph", "http://p:9090/", true},
		{"https://P:9090/graph", "http://p:9090", true}, // http inside, https outside
		{"http://p:9090/prom/graph", "http://p:9090/prom", true},
		{"http://p:9090/prom2/graph", "http://p:9090/prom", false},
		{"http://p:9091/graph", "http://p:9090", false},
		{"", "http://p:9090", false},
		{"/graph", "/", false},
	} {
		if got := under(tt.u, tt.base); got != tt.want {
			t.Errorf("under(%q, %q): want %v", tt.u, tt.base, tt.want)
		}
	}
}
