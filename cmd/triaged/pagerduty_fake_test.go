package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"unicode/utf8"
)

// pagerDuty is PagerDuty's events API, where Alertmanager pages, and its REST API, where notes are written. It fails the test
// when a request breaks a documented limit.
type pagerDuty struct {
	*httptest.Server
	t *testing.T

	mu       sync.Mutex
	open     map[string]string   // dedup key → incident
	notes    map[string][]string // by incident
	changes  []map[string]any    // change events
	requests []string            // method and path
	lie      func(w http.ResponseWriter, r *http.Request) bool
}

func newPagerDuty(t *testing.T) *pagerDuty {
	return &pagerDuty{t: t, open: make(map[string]string), notes: make(map[string][]string)}
}

func startPagerDuty(t *testing.T) *pagerDuty {
	t.Helper()
	p := newPagerDuty(t)
	p.Server = httptest.NewServer(p)
	t.Cleanup(func() { p.CloseClientConnections(); p.Close() })
	return p
}

func (p *pagerDuty) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	lie := p.lie
	p.requests = append(p.requests, r.Method+" "+r.URL.Path)
	p.mu.Unlock()
	if lie != nil && lie(w, r) {
		return
	}
	var body struct {
		DedupKey   string `json:"dedup_key"`
		RoutingKey string `json:"routing_key"`
		Payload    map[string]any
		Note       struct{ Content string }
	}
	if r.Method == http.MethodPost {
		if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
			http.Error(w, "bad JSON", http.StatusBadRequest)
			return
		}
	}
	status, answer := p.do(r, body.DedupKey, body.RoutingKey, body.Payload, body.Note.Content)
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(answer)
}

func (p *pagerDuty) do(r *http.Request, dedup, routing string, payload map[string]any, note string) (int, any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	bad := func(format string, args ...any) {
		p.t.Errorf("PagerDuty would refuse %s %s: %s", r.Method, r.URL.Path, fmt.Sprintf(format, args...))
	}
	rest := !strings.HasPrefix(r.URL.Path, "/v2/")
	if rest && (r.Header.Get("Authorization") != "Token token=pd-test" || !strings.Contains(r.Header.Get("Accept"), "version=2")) {
		return http.StatusUnauthorized, map[string]any{"error": map[string]any{"message": "Unauthorized"}}
	}
	switch r.URL.Path {
	case "/v2/enqueue":
		if p.open[dedup] == "" {
			p.open[dedup] = fmt.Sprintf("PINC%03d", len(p.open)+1)
		}
		return http.StatusAccepted, map[string]string{"status": "success", "message": "Event processed", "dedup_key": dedup}
	case "/v2/change/enqueue":
		summary, _ := payload["summary"].(string)
		if n := utf8.RuneCountInString(summary); n == 0 || n > 1024 || routing == "" {
			bad("a summary of %d characters, routing key %q", n, routing)
		}
		p.changes = append(p.changes, payload)
		return http.StatusAccepted, map[string]string{"status": "success", "message": "Change event processed"}
	case "/incidents":
		list := []map[string]string{}
		if id := p.open[r.URL.Query().Get("incident_key")]; id != "" {
			list = append(list, map[string]string{"id": id, "status": "triggered"})
		}
		return http.StatusOK, map[string]any{"incidents": list}
	}
	parts := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
	if len(parts) != 3 || parts[0] != "incidents" || parts[2] != "notes" {
		return http.StatusNotFound, map[string]any{"error": map[string]any{"message": "Not Found"}}
	}
	id := parts[1]
	if r.Method == http.MethodGet {
		notes := []map[string]string{}
		for _, n := range p.notes[id] {
			notes = append(notes, map[string]string{"content": n})
		}
		return http.StatusOK, map[string]any{"notes": notes}
	}
	if !strings.Contains(r.Header.Get("From"), "@") || note == "" || len(note) > 25_000 {
		bad("a note of %d bytes from %q", len(note), r.Header.Get("From"))
	}
	p.notes[id] = append(p.notes[id], note)
	return http.StatusCreated, map[string]any{"note": map[string]string{"id": "N1", "content": note}}
}

// page opens an incident as Alertmanager's event does.
func (p *pagerDuty) page(dedup string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.open[dedup] = "PINC001"
}

// written are the notes by the dedup key of their incident.
func (p *pagerDuty) written() map[string][]string {
	p.mu.Lock()
	defer p.mu.Unlock()
	out := make(map[string][]string)
	for key, id := range p.open {
		if len(p.notes[id]) > 0 {
			out[key] = append([]string(nil), p.notes[id]...)
		}
	}
	return out
}
