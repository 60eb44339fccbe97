package try

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/config"

	"github.com/triaged-dev/triaged/triage"
)

var t0 = time.Date(2026, 3, 1, 3, 0, 0, 0, time.UTC)

func at(minutes int) time.Time { return t0.Add(time.Duration(minutes) * time.Minute) }

func firing(name, service string, from, to int) triage.Alert {
	return triage.Alert{Labels: map[string]string{"alertname": name, "service": service}, StartsAt: at(from), EndsAt: at(to)}
}

// What the daemon joins into one incident must be one page here.
func TestGroup(t *testing.T) {
	topology := triage.NewTopology([]triage.Edge{{From: "web", To: "cart"}, {From: "cart", To: "db"}, {From: "db", To: "disk"}})
	for _, tc := range []struct {
		name    string
		firings []triage.Alert
		want    []int // alerts per page
	}{
		{"a neighbour two calls away, soon", []triage.Alert{firing("E", "web", 0, 30), firing("L", "db", 4, 30)}, []int{2}},
		{"three calls away", []triage.Alert{firing("E", "web", 0, 30), firing("L", "disk", 4, 30)}, []int{1, 1}},
		{"a neighbour, but later", []triage.Alert{firing("E", "web", 0, 30), firing("L", "cart", 6, 30)}, []int{1, 1}},
		{"the same alert soon again", []triage.Alert{firing("E", "web", 0, 10), firing("E", "web", 35, 40)}, []int{2}},
		{"the same alert much later", []triage.Alert{firing("E", "web", 0, 10), firing("E", "web", 45, 50)}, []int{1, 1}},
		{"another alert of the service, later", []triage.Alert{firing("E", "web", 0, 60), firing("L", "web", 20, 60)}, []int{1, 1}},
		{"no service, same name", []triage.Alert{firing("E", "", 0, 60), firing("E", "", 20, 60)}, []int{2}},
		{"no service, other name", []triage.Alert{firing("E", "", 0, 60), firing("L", "", 2, 60)}, []int{1, 1}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var got []int
			for _, p := range group(tc.firings, topology, new(trial).subject) {
				got = append(got, len(p.alerts))
			}
			if fmt.Sprint(got) != fmt.Sprint(tc.want) {
				t.Errorf("want %v alerts a page, got %v", tc.want, got)
			}
		})
	}
}

// How a rollout ended, and that it was taken back, is not known before it happens.
func TestPastHidesWhatCameLater(t *testing.T) {
	p := newPast([]triage.Change{
		{ID: "a", Scope: triage.Scope{Service: "cart"}, StartedAt: at(0), FinishedAt: at(40), Status: triage.StatusSuperseded, RevertedBy: []triage.ChangeID{"b"}},
		{ID: "b", Scope: triage.Scope{Service: "cart"}, StartedAt: at(40), Undoes: []triage.ChangeID{"a"}},
		{ID: "late", Scope: triage.Scope{Service: "cart"}, StartedAt: at(10)},
		{ID: "other", Scope: triage.Scope{Service: "search"}, StartedAt: at(5)},
	})
	q := triage.ChangeQuery{From: at(-30), To: at(11), Services: []string{"cart"}}
	got, _, err := p.Find(t.Context(), q)
	if err != nil || len(got) != 1 {
		t.Fatalf("want only a: late had not been heard of; got %+v, %v", got, err)
	}
	if c := got[0]; c.ID != "a" || !c.FinishedAt.IsZero() || c.Status != triage.StatusStarted || c.RevertedBy != nil || c.ObservedAt.After(q.To) {
		t.Errorf("it knows what came later: %+v", c)
	}
	if p[0].Status != triage.StatusSuperseded {
		t.Error("the past itself was changed")
	}
}

func TestReadChanges(t *testing.T) {
	file := filepath.Join(t.TempDir(), "changes.jsonl")
	if err := os.WriteFile(file, []byte(`{"kind":"flag","service":"cart","started_at":"2026-03-01T03:00:00Z","title":"flag a on"}

{"kind":"deploy","service":"cart","started_at":"2026-03-01T03:05:00Z","versoin":"v2"}
`), 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := readChanges(file)
	if len(got) != 1 || got[0].ID == "" || got[0].Kind != triage.KindFlag {
		t.Errorf("got %+v", got)
	}
	if err == nil || !strings.Contains(err.Error(), "line 3") || !strings.Contains(err.Error(), "versoin") {
		t.Errorf("want the line and the field named, got %v", err)
	}
}

// Credentials of the URL go into a header and nowhere else.
func TestCredentialsAreNotShown(t *testing.T) {
	u, auth, err := splitCredentials("https://bob:hunter2@prom.example/prefix")
	if err != nil || u != "https://prom.example/prefix" || auth.Username != "bob" || string(auth.Password) != "hunter2" {
		t.Errorf("got %s %+v %v", u, auth, err)
	}
	var out bytes.Buffer
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) }))
	defer server.Close()
	err = Run(t.Context(), Options{
		Prometheus: strings.Replace(server.URL, "http://", "http://bob:hunter2@", 1), Days: 1, MaxPages: 5, Budget: 600,
		HTTPConfig: config.DefaultHTTPClientConfig, Out: &out, Err: io.Discard,
	})
	if err == nil || strings.Contains(err.Error()+out.String(), "hunter2") || !strings.Contains(err.Error(), "http.config.file") {
		t.Errorf("want an error with the way out and without the password, got %v", err)
	}
}

// Where no severity pages, everything that fired is taken, and that is said. A server without rules, configuration and metrics
// of its own still gives an answer, a thin one.
func TestThinServer(t *testing.T) {
	now := time.Now().UTC().Truncate(time.Minute)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = r.ParseForm()
		data := any([]string{})
		switch {
		case strings.HasSuffix(r.URL.Path, "/status/config"), strings.HasSuffix(r.URL.Path, "/rules"):
			http.Error(w, `{"status":"error","errorType":"not_found","error":"no"}`, http.StatusNotFound)
			return
		case strings.HasSuffix(r.URL.Path, "/query_range"):
			result := []any{}
			if strings.Contains(r.Form.Get("query"), "ALERTS") {
				for _, name := range []string{"Odd", "Odder"} {
					values := []any{}
					for i := range 5 {
						values = append(values, []any{now.Add(time.Duration(i-300) * time.Minute).Unix(), "1"})
					}
					result = append(result, map[string]any{"metric": map[string]string{"alertname": name, "severity": "warning", "<b>": "x"}, "values": values})
				}
			}
			data = map[string]any{"resultType": "matrix", "result": result}
		case strings.HasSuffix(r.URL.Path, "/query"):
			data = map[string]any{"resultType": "vector", "result": []any{}}
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(map[string]any{"status": "success", "data": data})
	}))
	defer server.Close()
	var out bytes.Buffer
	html := filepath.Join(t.TempDir(), "try.html")
	err := Run(t.Context(), Options{
		Prometheus: server.URL, Days: 1, MaxPages: 1, Budget: 6000, HTTPConfig: config.DefaultHTTPClientConfig, Out: &out, Err: io.Discard, HTML: html,
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"2 pages in 1 day; of the latest 1: named 0, undecided 0, silent 1 (--max-pages raises that)",
		"all 2 firings are taken as pages", "does not show its rules", "does not show its configuration",
		"Not seen: deploys", "Not seen: who calls whom", "1 page has no label that names a service",
		"What would help most: a label that names the service",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("want %q in\n%s", want, &out)
		}
	}
	page, err := os.ReadFile(html)
	if err != nil || bytes.Contains(page, []byte("<b>x")) || !bytes.Contains(page, []byte("silent: no change fits")) {
		t.Errorf("the page: %v\n%s", err, page)
	}
}
