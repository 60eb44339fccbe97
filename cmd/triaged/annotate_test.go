package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/triaged-dev/triaged/triage"
)

// Grafana gets every change as it comes, and what a report says at its onset, with tags by service; its own annotations come back as
// no news.
func TestGrafanaGetsChangesAndReports(t *testing.T) {
	var mu sync.Mutex
	var posted []map[string]any
	grafana := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		raw, err := io.ReadAll(r.Body)
		var a map[string]any
		if err != nil || r.URL.Path != "/api/annotations" && !strings.HasPrefix(r.URL.Path, "/api/annotations/") || r.Header.Get("Authorization") != "Bearer glsa-token" || json.Unmarshal(raw, &a) != nil {
			http.Error(w, "no", http.StatusBadRequest)
			return
		}
		mu.Lock()
		defer mu.Unlock()
		posted = append(posted, a)
		fmt.Fprintf(w, `{"message":"Annotation added","id":%d}`, len(posted))
	}))
	defer grafana.Close()
	d := startDaemon(t, `
receivers: [{name: graphs, grafana_configs: [{url: "`+grafana.URL+`", token: glsa-token}]}]
route: {receiver: graphs, mode: live}
hooks: [{name: grafana, type: grafana, bearer_token: tok}]
`)
	now := time.Now().UTC()
	d.post(t, "/api/v1/changes", triage.Change{ID: "ci:7", Kind: triage.KindFlag, Scope: triage.Scope{Service: "checkout"}, StartedAt: now.Add(-5 * time.Minute), Title: "flag new-pricing turned on"})
	tagged := func(tag string) error {
		mu.Lock()
		defer mu.Unlock()
		for _, a := range posted {
			if strings.Contains(fmt.Sprint(a["tags"]), tag) && strings.Contains(fmt.Sprint(a["tags"]), "service:checkout") {
				return nil
			}
		}
		return fmt.Errorf("no annotation tagged %s among %v", tag, posted)
	}
	eventually(t, 20*time.Second, "the change is on the graphs", func() error { return tagged("change:ci:7") })
	if status, answer := d.tryHook(t, "/api/v2/alerts", http.Header{"Content-Type": {"application/json"}}, []byte(`[{"labels":{"alertname":"Errors","service":"checkout","severity":"critical"},"startsAt":"`+now.Add(-2*time.Minute).Format(time.RFC3339)+`"}]`)); status != 200 {
		t.Fatalf("%d %s", status, answer)
	}
	eventually(t, 30*time.Second, "the report is on the graphs", func() error { return tagged("report") })
	mu.Lock()
	own, err := json.Marshal(posted[0])
	mu.Unlock()
	if err != nil {
		t.Fatal(err)
	}
	if answer := d.hook(t, "/hooks/grafana", bearer, own); !strings.Contains(answer, "our own") {
		t.Errorf("what we wrote comes back as news: %s", answer)
	}
}
