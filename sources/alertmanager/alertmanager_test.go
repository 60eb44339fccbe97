package alertmanager

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/common/model"

	"github.com/triaged-dev/triaged/triage"
)

// routesYAML is a tree with every spelling of matchers, inheritance, continue and grouping by everything.
const routesYAML = `
global: {pagerduty_url: "https://events.example.com", key_of_a_newer_version: true}
route:
  receiver: default
  group_by: [alertname]
  routes:
    - {receiver: triaged, continue: true, group_by: [alertname, service]}
    - matchers: ['severity=~"page|critical"', 'team!="infra"']
      receiver: pager
      routes:
        - {match: {team: payments}, match_re: {service: "pay.*"}, receiver: payments-pager, group_by: ['...']}
        - {matchers: [team="quiet"], receiver: default}
        - {matchers: ['{team="both",tier=~"1|2"}'], group_by: [], continue: true}
        - {matchers: [team="both"], receiver: payments-pager}
    - {matchers: ['note=~".*\"quoted\\n.*"'], receiver: pager}
receivers:
  - name: default
  - {name: triaged, webhook_configs: [{url: <secret>}]}
  - {name: pager, pagerduty_configs: [{routing_key: <secret>}], slack_configs: [{}]}
  - {name: payments-pager, pagerduty_configs: [{service_key: <secret>}]}
`

func labelsOf(pairs ...string) map[string]string {
	out := map[string]string{"alertname": "HighErrorRate", "severity": "page", "service": "checkout"}
	for i := 0; i < len(pairs); i += 2 {
		out[pairs[i]] = pairs[i+1]
	}
	return out
}

// The keys were checked against Alertmanager's own dispatch package.
func TestPagerKeys(t *testing.T) {
	tr, err := parseTree(routesYAML)
	if err != nil {
		t.Fatal(err)
	}
	const page = `{}/{severity=~"page|critical",team!="infra"}`
	for name, tc := range map[string]struct {
		labels map[string]string
		want   []string
	}{
		"pager":          {labelsOf(), []string{page + `:{alertname="HighErrorRate"}`}},
		"grouped by all": {labelsOf("team", "payments", "service", "pay-api"), []string{page + `/{service=~"^(?:pay.*)$",team="payments"}:{alertname="HighErrorRate", service="pay-api", severity="page", team="payments"}`}},
		"not a pager":    {labelsOf("team", "quiet"), nil},
		"does not page":  {labelsOf("severity", "warning"), nil},
		"continue":       {labelsOf("team", "both", "tier", "1"), []string{page + `/{team="both",tier=~"1|2"}:{}`, page + `/{team="both"}:{alertname="HighErrorRate"}`}},
		"quoted":         {labelsOf("severity", "none", "note", "a \"quoted\n"), []string{`{}/{note=~".*\"quoted\\n.*"}:{alertname="HighErrorRate"}`}},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, tr.pagerKeys(tc.labels)); diff != "" {
				t.Errorf("keys (-want +got):\n%s", diff)
			}
		})
	}
}

func TestBadConfigurations(t *testing.T) {
	for name, text := range map[string]string{
		"no route":     "receivers: []",
		"not YAML":     "route: [",
		"bad matcher":  "route: {matchers: ['=x']}",
		"bad regexp":   "route: {match_re: {a: '('}}",
		"empty":        "",
		"bad operator": "route: {matchers: ['a=~\"(\"']}",
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := parseTree(text); err == nil {
				t.Error("want an error")
			}
		})
	}
}

// fake answers as /api/v2/status does.
type fake struct {
	status int
	body   string
	err    error
	asked  int
}

func (f *fake) RoundTrip(r *http.Request) (*http.Response, error) {
	f.asked++
	if f.err != nil {
		return nil, f.err
	}
	if r.URL.Path != "/am/api/v2/status" {
		return nil, fmt.Errorf("asked for %s", r.URL.Path)
	}
	body := f.body
	if body == "" {
		b, _ := json.Marshal(map[string]any{"config": map[string]string{"original": routesYAML}, "versionInfo": map[string]string{"version": "0.34.2"}})
		body = string(b)
	}
	return &http.Response{StatusCode: max(f.status, 200), Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body)), Request: r}, nil
}

func newPagers(t *testing.T, f *fake, now *time.Time) *Pagers {
	t.Helper()
	c := DefaultConfig()
	c.Name, c.URL = "main", "http://user:hunter2@alertmanager.example/am/"
	p, err := New(Options{Configs: []Config{c}, Transport: f, Now: func() time.Time { return *now }})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestDedupKeys(t *testing.T) {
	f, now := &fake{}, time.Date(2026, 3, 1, 3, 0, 0, 0, time.UTC)
	p := newPagers(t, f, &now)
	alerts := []triage.Alert{{Labels: labelsOf()}, {Labels: labelsOf("service", "pricing")}}
	want := []string{DedupKey(`{}/{severity=~"page|critical",team!="infra"}:{alertname="HighErrorRate"}`)}
	ask := func() ([]string, error) { return p.DedupKeys(t.Context(), alerts) }
	for range 3 {
		if got, err := ask(); err != nil || !cmp.Equal(got, want) {
			t.Fatalf("want %v, got %v (%v)", want, got, err)
		}
	}
	if f.asked != 1 {
		t.Errorf("asked %d times within the refresh time; want 1", f.asked)
	}
	// A dead Alertmanager leaves the old tree in use, and is not asked over and over.
	now = now.Add(2 * time.Minute)
	f.err = errors.New("connection refused")
	for range 3 {
		if got, err := ask(); err != nil || !cmp.Equal(got, want) {
			t.Fatalf("with an old tree: want %v, got %v (%v)", want, got, err)
		}
	}
	if f.asked != 2 {
		t.Errorf("asked %d times; want 2", f.asked)
	}
	now = now.Add(25 * time.Hour)
	if got, err := ask(); err == nil || strings.Contains(err.Error(), "hunter2") || !strings.Contains(err.Error(), "main") {
		t.Errorf("a tree of yesterday is none: want an error that names the server, got %v (%v)", got, err)
	}
	f.err = nil
	now = now.Add(time.Minute)
	if got, err := ask(); err != nil || !cmp.Equal(got, want) {
		t.Errorf("when it is back: want %v, got %v (%v)", want, got, err)
	}
}

func TestLies(t *testing.T) {
	now := time.Date(2026, 3, 1, 3, 0, 0, 0, time.UTC)
	for name, f := range map[string]*fake{
		"500":         {status: 500, body: "hunter2"},
		"login page":  {body: "<html>hunter2"},
		"wrong types": {body: `{"config":{"original":17}}`},
		"other json":  {body: `[]`},
		"no config":   {body: `{}`},
	} {
		t.Run(name, func(t *testing.T) {
			keys, err := newPagers(t, f, &now).DedupKeys(t.Context(), []triage.Alert{{Labels: labelsOf()}})
			if err == nil || len(keys) > 0 || strings.Contains(err.Error(), "hunter2") {
				t.Errorf("want an error without the body, got %v (%v)", keys, err)
			}
		})
	}
}

func TestHangingServerIsLeftInTime(t *testing.T) {
	hang := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }))
	defer hang.Close()
	defer hang.CloseClientConnections()
	c := DefaultConfig()
	c.Name, c.URL, c.Timeout = "main", hang.URL, model.Duration(50*time.Millisecond)
	p, err := New(Options{Configs: []Config{c}})
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	if _, err := p.DedupKeys(t.Context(), nil); err == nil || time.Since(began) > 5*time.Second {
		t.Errorf("want an error soon, got %v after %s", err, time.Since(began))
	}
}

func FuzzParseTree(f *testing.F) {
	f.Add(routesYAML, "team", "payments")
	f.Add("route: {group_by: ['...']}", "a", "b")
	f.Fuzz(func(t *testing.T, text, name, value string) {
		tr, err := parseTree(text)
		if err != nil {
			return
		}
		tr.pagerKeys(map[string]string{name: value, "alertname": "x"})
	})
}
