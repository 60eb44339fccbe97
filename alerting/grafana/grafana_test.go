package grafana

import (
	"encoding/json"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/config"

	"github.com/triaged-dev/triaged/alerting/notifytest"
	"github.com/triaged-dev/triaged/alerting/outbox"
	"github.com/triaged-dev/triaged/triage"
)

func cfg() Config {
	c := DefaultConfig()
	c.URL, c.Token, c.Tags = "https://grafana.example.com/tools/", config.Secret("token-"+notifytest.Secret), []string{"team:shop"}
	return c
}

func TestConformance(t *testing.T) {
	notifytest.Run(t, notifytest.Subject{
		New: func(t *testing.T, transport http.RoundTripper) outbox.Notifier {
			n, err := New(Options{Config: cfg(), Transport: transport})
			if err != nil {
				t.Fatal(err)
			}
			return n
		},
		OK: func(*http.Request) *http.Response {
			return notifytest.Respond(200, nil, `{"message":"Annotation added","id":7}`)
		},
	})
}

// grafanaFake keeps annotations as Grafana does.
type grafanaFake struct {
	t     *testing.T
	kept  map[int64]annotation
	calls []string
	fail  int
}

func (g *grafanaFake) RoundTrip(r *http.Request) (*http.Response, error) {
	g.calls = append(g.calls, r.Method+" "+r.URL.Path)
	if !strings.HasPrefix(r.URL.Path, "/tools/api/annotations") || r.Header.Get("Authorization") != "Bearer token-"+notifytest.Secret {
		return notifytest.Respond(401, nil, `{}`), nil
	}
	if g.fail > 0 {
		g.fail--
		return notifytest.Respond(503, nil, `{}`), nil
	}
	var a annotation
	if r.Body != nil {
		raw, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, err
		}
		if err := json.Unmarshal(raw, &a); err != nil {
			g.t.Errorf("body: %v", err)
		}
	}
	switch r.Method {
	case http.MethodPost:
		id := int64(len(g.kept) + 1)
		g.kept[id] = a
		return notifytest.Respond(200, nil, `{"id":`+strconv.FormatInt(id, 10)+`}`), nil
	case http.MethodPatch:
		id, err := strconv.ParseInt(r.URL.Path[strings.LastIndex(r.URL.Path, "/")+1:], 10, 64)
		if _, known := g.kept[id]; err != nil || !known {
			return notifytest.Respond(404, nil, `{}`), nil
		}
		g.kept[id] = a
		return notifytest.Respond(200, nil, `{}`), nil
	}
	return notifytest.Respond(200, nil, `[]`), nil
}

// A change is written once, at its start; its end renews it, and a repetition writes nothing.
func TestChanges(t *testing.T) {
	now := time.Date(2026, 3, 2, 14, 30, 0, 0, time.UTC)
	g := &grafanaFake{t: t, kept: make(map[int64]annotation)}
	n, err := New(Options{Config: cfg(), Transport: g, Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	c := triage.Change{ID: "ci:7", Kind: triage.KindDeploy, Scope: triage.Scope{Service: "checkout", Environment: "production"}, Version: "v2", Title: "<b>v2</b>", StartedAt: now.Add(-time.Minute), URL: "https://ci.example.com/7"}
	done := c
	done.FinishedAt, done.Status = now, triage.StatusSucceeded
	old := c
	old.ID, old.StartedAt = "ci:1", now.Add(-48*time.Hour)
	for _, x := range []triage.Change{c, c, done, done, old} {
		if err := n.Change(t.Context(), x); err != nil {
			t.Fatal(err)
		}
	}
	if strings.Join(g.calls, ", ") != "POST /tools/api/annotations, PATCH /tools/api/annotations/1" {
		t.Errorf("calls: %v", g.calls)
	}
	a := g.kept[1]
	if a.Time != c.StartedAt.UnixMilli() || a.TimeEnd != now.UnixMilli() || strings.Contains(a.Text, "<b>") || !strings.HasSuffix(a.Text, "\nhttps://ci.example.com/7") {
		t.Errorf("got %+v", a)
	}
	if got := strings.Join(a.Tags, " "); got != "triaged deploy service:checkout env:production change:ci:7 team:shop version:v2" {
		t.Errorf("tags: %s", got)
	}
	g.fail = 1
	other := c
	other.ID = "ci:8"
	if err := n.Change(t.Context(), other); err == nil || strings.Contains(err.Error(), notifytest.Secret) {
		t.Errorf("want an error without the token, got %v", err)
	}
	if err := n.Change(t.Context(), other); err != nil || len(g.kept) != 2 {
		t.Errorf("what failed is written the next time it is told: %v", err)
	}
}

// A further report renews the annotation of the first, and one that somebody has deleted is made again.
func TestReports(t *testing.T) {
	g := &grafanaFake{t: t, kept: make(map[int64]annotation)}
	n, err := New(Options{Config: cfg(), Transport: g})
	if err != nil {
		t.Fatal(err)
	}
	at := time.Date(2026, 3, 2, 14, 21, 0, 0, time.UTC)
	nt := outbox.Notification{Delivery: triage.Delivery{ID: "d1"}, Incident: triage.Incident{ID: "i1", Scope: triage.Scope{Service: "checkout"}, OpenedAt: at}}
	first, err := n.Notify(t.Context(), nt)
	if err != nil || first.RemoteID != "1" || g.kept[1].Time != at.UnixMilli() {
		t.Fatalf("got %+v, %v", first, err)
	}
	nt.Earlier = []triage.Delivery{{ID: "d1", RemoteID: first.RemoteID}}
	if again, err := n.Notify(t.Context(), nt); err != nil || again.RemoteID != "1" || len(g.kept) != 1 {
		t.Errorf("got %+v, %v", again, err)
	}
	nt.Earlier[0].RemoteID = "99"
	if anew, err := n.Notify(t.Context(), nt); err != nil || anew.RemoteID != "2" {
		t.Errorf("got %+v, %v", anew, err)
	}
}

func TestConfigNamesFieldAndRemedy(t *testing.T) {
	for name, c := range map[string]Config{
		"grafana_configs.url":   {Token: "x", URL: "grafana"},
		"grafana_configs.token": {URL: "https://grafana.example.com"},
	} {
		c.HTTP = config.DefaultHTTPClientConfig
		if err := c.Validate(); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("want %s, got %v", name, err)
		}
	}
}
