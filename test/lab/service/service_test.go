package service

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestTheLimiterKeepsItsLimitAndItsLine(t *testing.T) {
	var l limiter
	if !l.enter(t.Context(), 1, 1) {
		t.Fatal("the first has a place")
	}
	if l.enter(t.Context(), 1, 0) {
		t.Fatal("the second has none where nobody may wait")
	}
	in := make(chan bool)
	go func() { in <- l.enter(t.Context(), 1, 1) }()
	for l.waiting() == 0 {
		time.Sleep(time.Millisecond)
	}
	l.leave()
	if !<-in {
		t.Fatal("who waits is let in when another leaves")
	}
	short, cancel := context.WithTimeout(t.Context(), 5*time.Millisecond)
	defer cancel()
	if l.enter(short, 1, 1) || l.waiting() != 0 {
		t.Fatal("who gives up stands in line no more")
	}
	l.leave()
	if !l.enter(t.Context(), 1, 0) {
		t.Fatal("the place is free again")
	}
}

func TestACacheForgetsInTime(t *testing.T) {
	c := newCache()
	c.set("a", []byte("1"), time.Hour)
	c.set("b", []byte("2"), time.Nanosecond)
	c.set("c", []byte("3"), 0)
	time.Sleep(time.Millisecond)
	if v, ok := c.get("a"); !ok || string(v) != "1" {
		t.Errorf("a: %q, %v", v, ok)
	}
	for _, key := range []string{"b", "c"} {
		if _, ok := c.get(key); ok {
			t.Errorf("%s must be gone", key)
		}
	}
}

// begin runs a service as the lab does, in this process, and returns where it listens.
func begin(t *testing.T, dir string, s Settings, reg Registry) (listen, metrics string) {
	t.Helper()
	s.Listen, s.Registry = "127.0.0.1:0", filepath.Join(dir, "registry.json")
	write := func(path string, v any) {
		raw, err := json.Marshal(v)
		if err == nil {
			err = os.WriteFile(path, raw, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	write(s.Registry, reg)
	path := filepath.Join(dir, s.Name+".json")
	write(path, s)
	r, w := io.Pipe()
	ended := make(chan error, 1)
	ctx, cancel := context.WithCancel(t.Context())
	go func() { ended <- Run(ctx, path, w) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("%s: %v", s.Name, err)
		}
	})
	line, err := bufio.NewReader(r).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	listen, metrics, _ = strings.Cut(strings.TrimSpace(line), " ")
	return listen, metrics
}

func body(t *testing.T, method, url string, want int) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode != want {
		t.Fatalf("%s %s: status %d", method, url, resp.StatusCode)
	}
	return string(raw)
}

// Two services as they run in the lab: fees asks the store, is cold at first and warm then, and says both in its metrics.
func TestFeesAndTheStore(t *testing.T) {
	dir := t.TempDir()
	store, _ := begin(t, dir, Settings{Name: "store", Version: "7.2.3"}, Registry{})
	fees, metrics := begin(t, dir, Settings{Name: "fees", Version: "v40"}, Registry{Instances: map[string][]string{"store": {store}}})
	for range 3 {
		body(t, http.MethodPost, "http://"+fees+"/quote?event=7", http.StatusOK)
	}
	said := body(t, http.MethodGet, "http://"+metrics+"/metrics", http.StatusOK)
	for _, want := range []string{
		`http_requests_total{code="200",handler="/quote",method="POST"} 3`,
		`cache_requests_total{cache="store",result="miss"} 1`,
		`db_query_duration_seconds_count{query="redis set",status="ok"} 1`,
		`fees_build_info{branch="main",version="v40"} 1`,
	} {
		if !strings.Contains(said, want) {
			t.Errorf("no %s in\n%s", want, said)
		}
	}
}

func TestABadBuildFailsItsRequests(t *testing.T) {
	fees, metrics := begin(t, t.TempDir(), Settings{Name: "fees", Version: "v41", Build: Build{ErrorShare: 1}}, Registry{})
	body(t, http.MethodPost, "http://"+fees+"/quote?event=7", http.StatusInternalServerError)
	if said := body(t, http.MethodGet, "http://"+metrics+"/metrics", http.StatusOK); !strings.Contains(said, `http_requests_total{code="500",handler="/quote",method="POST"} 1`) {
		t.Error(said)
	}
}

func TestTheBrokerHandsOverWhatItWasGiven(t *testing.T) {
	p := &process{name: "broker", meter: newMeter(&Settings{Name: "broker"}, classic)}
	b := p.newBroker()
	ask := func(path string) *http.Request {
		return httptest.NewRequestWithContext(t.Context(), http.MethodPost, path, nil)
	}
	if code := b.publish(ask("/publish?queue=issue")); code != http.StatusAccepted {
		t.Errorf("publish: %d", code)
	}
	if code := b.publish(ask("/publish?queue=nobody")); code != http.StatusServiceUnavailable {
		t.Errorf("publish to a queue that is none: %d", code)
	}
	if code := b.take(ask("/take?queue=issue&consumer=issuer")); code != http.StatusOK {
		t.Errorf("take: %d", code)
	}
	if code := b.take(ask("/take?queue=issue&consumer=issuer")); code != http.StatusNoContent {
		t.Errorf("take of nothing: %d", code)
	}
}
