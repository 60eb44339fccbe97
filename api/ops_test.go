package api_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/triaged-dev/triaged/api"
	"github.com/triaged-dev/triaged/triage"
)

type readiness struct {
	Ready  bool
	Checks []struct {
		Name   string
		OK     bool
		Reason string
	}
	Warnings []string
}

func TestReadySaysWhyNot(t *testing.T) {
	var reason error
	h := newHarness(t, func(o *api.Options) {
		withTokens(o)
		o.Ready = []api.Check{{Name: "journal", Err: func() error { return nil }}, {Name: "collector", Err: func() error { return reason }}}
	})
	rec := h.call(http.MethodGet, "/-/ready", "")
	wantStatus(t, rec, 200)
	if got := decodeAs[readiness](t, rec); !got.Ready || len(got.Checks) != 2 || len(got.Warnings) != 0 {
		t.Errorf("want ready without warnings, got %+v", got)
	}
	reason = errors.New("the window is still being loaded")
	rec = h.call(http.MethodGet, "/-/ready", "")
	wantStatus(t, rec, 503)
	if got := decodeAs[readiness](t, rec); got.Ready || !got.Checks[0].OK || got.Checks[1].OK || got.Checks[1].Reason != reason.Error() {
		t.Errorf("want the collector named with its reason, got %+v", got)
	}
	reason = nil
	h.api.Drain()
	h.api.Drain()
	rec = h.call(http.MethodGet, "/-/ready", "")
	wantStatus(t, rec, 503)
	if !strings.Contains(rec.Body.String(), "shutting down") {
		t.Errorf("want shutting down, got %s", rec.Body)
	}
}

// With verbose whoever may read is told what works less well than it should, each with what to do; a probe is told nothing of it.
func TestReadyDetails(t *testing.T) {
	h := newHarness(t, func(o *api.Options) { withTokens(o) })
	h.sources = []triage.SourceStatus{{Name: "kafka/deploys", State: triage.SourceSilent, Detail: "nothing for 3 h", Quarantined: 2}, {Name: "github", State: triage.SourceOK}}
	h.incidents = map[string]triage.Incident{"inc-1": {ID: "inc-1", Alerts: []triage.Alert{{Labels: map[string]string{"alertname": "Odd"}}}}}
	if body := h.call(http.MethodGet, "/-/ready", "").Body.String(); strings.Contains(body, "kafka") || strings.Contains(body, "details") {
		t.Errorf("a probe is told %s", body)
	}
	wantProblem(t, h.call(http.MethodGet, "/-/ready?verbose=1", ""), 401, "unauthenticated")
	wantProblem(t, h.call(http.MethodGet, "/-/ready?verbose=loud", ""), 400, "invalid-parameter", "verbose")
	req := local(http.MethodGet, "/-/ready?verbose=true", "")
	req.Header.Set("Authorization", "Bearer "+tokenOf(api.ScopeRead))
	rec := h.do(req)
	wantStatus(t, rec, 200)
	got := decodeAs[struct {
		Details []struct{ Name, Reason, Fix string }
	}](t, rec)
	said := fmt.Sprintf("%+v", got.Details)
	for _, want := range []string{"source kafka/deploys", "silent: nothing for 3 h", "still sends", "quarantine of kafka/deploys", "2 records", "posts were not delivered", "send them again", "1 of the last 1 name no service, like Odd", "service label"} {
		if !strings.Contains(said, want) {
			t.Errorf("want %q in %s", want, said)
		}
	}
	if strings.Contains(said, "github") {
		t.Errorf("what is well needs no word: %s", said)
	}
}

// Whoever opens the daemon to everybody reads so in the log and in /-/ready.
func TestOpenAccessIsSaidLoudly(t *testing.T) {
	var log bytes.Buffer
	h := newHarness(t, func(o *api.Options) {
		o.Logger = slog.New(slog.NewTextHandler(&log, nil))
		o.Config.Anonymous, o.Config.TrustLoopback = []api.Scope{api.ScopeRead}, false
	})
	if got := decodeAs[readiness](t, h.call(http.MethodGet, "/-/ready", "")); len(got.Warnings) != 1 || !strings.Contains(got.Warnings[0], "auth.anonymous lets anybody") {
		t.Errorf("want the warning in /-/ready, got %+v", got)
	}
	if !strings.Contains(log.String(), "level=WARN") || !strings.Contains(log.String(), "auth.anonymous lets anybody") {
		t.Errorf("want the warning in the log, got %s", &log)
	}
	h = newHarness(t, func(o *api.Options) { o.Config.TrustLoopback = false })
	if got := decodeAs[readiness](t, h.call(http.MethodGet, "/-/ready", "")); len(got.Warnings) != 1 || !strings.Contains(got.Warnings[0], "no auth.tokens are configured") {
		t.Errorf("want to be told that nobody can get in, got %+v", got)
	}
	h = newHarness(t, nil)
	if got := decodeAs[readiness](t, h.call(http.MethodGet, "/-/ready", "")); len(got.Warnings) != 1 || !strings.Contains(got.Warnings[0], "a proxy on it") {
		t.Errorf("want to be told what trusting this machine means, got %+v", got)
	}
	h = newHarness(t, func(o *api.Options) { o.ListenAddresses = []string{":9792"} })
	if got := decodeAs[readiness](t, h.call(http.MethodGet, "/-/ready", "")); len(got.Warnings) != 2 || !strings.Contains(got.Warnings[0], "trust_loopback has no effect") {
		t.Errorf("want to be told that it has no effect, got %+v", got)
	}
}

// A daemon whose locks are stuck is not healthy, and asking again does not pile up probes.
func TestHealthyTakesTheLocks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var probes atomic.Int32
		h := newHarness(t, func(o *api.Options) {
			o.Healthy = func(context.Context) error {
				probes.Add(1)
				mu.Lock()
				defer mu.Unlock()
				return nil
			}
		})
		wantStatus(t, h.call(http.MethodGet, "/-/healthy", ""), 200)
		probes.Store(0)
		stuck := make(chan struct{})
		held := make(chan struct{})
		go func() {
			mu.Lock()
			close(held)
			<-stuck
			mu.Unlock()
		}()
		<-held
		// A goroutine waiting for a mutex keeps the bubble's clock from moving, so the wait is ended by the caller.
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan *httptest.ResponseRecorder, 2)
		for range 2 {
			go func() { done <- h.do(local(http.MethodGet, "/-/healthy", "").WithContext(ctx)) }()
		}
		go cancel()
		for range 2 {
			wantProblem(t, <-done, 503, "unavailable", "Not healthy")
		}
		close(stuck)
		synctest.Wait()
		if n := probes.Load(); n > 1 {
			t.Errorf("want one probe at a time, got %d", n)
		}
	})
}

func TestUnhealthySaysWhy(t *testing.T) {
	h := newHarness(t, func(o *api.Options) {
		o.Healthy = func(context.Context) error { return errors.New("the journal does not answer") }
	})
	wantProblem(t, h.call(http.MethodGet, "/-/healthy", ""), 503, "unavailable", "the journal does not answer")
}

func TestReload(t *testing.T) {
	err := errors.New(`sources.kafka[0].topic: must not be empty`)
	h := newHarness(t, func(o *api.Options) { o.Reload = func(context.Context) error { return err } })
	wantProblem(t, h.call(http.MethodPost, "/-/reload", ""), 422, "invalid-configuration", "sources.kafka[0].topic: must not be empty")
	err = nil
	wantStatus(t, h.call(http.MethodPost, "/-/reload", ""), 200)
}

// A panic is one failed request, told and logged, and not the end of the daemon.
func TestPanic(t *testing.T) {
	var log bytes.Buffer
	h := newHarness(t, func(o *api.Options) {
		o.Logger = slog.New(slog.NewTextHandler(&log, nil))
		o.ConfigYAML = func() string { panic("hunter2") }
	})
	rec := h.call(http.MethodGet, "/api/v1/status/config", "")
	wantProblem(t, rec, 500, "internal")
	if strings.Contains(rec.Body.String(), "hunter2") || !strings.Contains(log.String(), "hunter2") || !strings.Contains(log.String(), rec.Header().Get("X-Request-Id")) {
		t.Errorf("want the panic in the log under the request id and not in the answer, got %s\n%s", &log, rec.Body)
	}
}

// stream reads the lines of an event stream.
func stream(t *testing.T, url string) (lines <-chan string, status int, contentType string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url+"/api/v1/events", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req) //nolint:bodyclose // closed by the reading goroutine
	if err != nil {
		t.Fatal(err)
	}
	out := make(chan string)
	go func() {
		defer close(out)
		defer resp.Body.Close()
		for sc := bufio.NewScanner(resp.Body); sc.Scan(); {
			out <- sc.Text()
		}
	}()
	return out, resp.StatusCode, resp.Header.Get("Content-Type")
}

func next(t *testing.T, lines <-chan string, prefix string) string {
	t.Helper()
	for line := range lines {
		if strings.HasPrefix(line, prefix) {
			return line
		}
	}
	t.Fatalf("the stream ended before %q", prefix)
	return ""
}

// The stream tells of changes, incidents and reports, frees its subscription, and ends when shutdown begins, so that
// http.Server.Shutdown does not wait for it.
func TestEventStream(t *testing.T) {
	events, updates := make(chan triage.Event), make(chan api.Update)
	stopped := make(chan string, 2)
	h := newHarness(t, func(o *api.Options) {
		o.Events = func(int) (<-chan triage.Event, func()) { return events, func() { stopped <- "events" } }
		o.Updates = func(int) (<-chan api.Update, func()) { return updates, func() { stopped <- "updates" } }
		o.Config.Limits.Streams = 1
	})
	srv := httptest.NewUnstartedServer(h.api.Handler())
	srv.Config.RegisterOnShutdown(h.api.Drain)
	srv.Config.ReadTimeout, srv.Config.WriteTimeout = api.ReadTimeout, api.WriteTimeout
	srv.Start()
	defer srv.Close()
	lines, status, ct := stream(t, srv.URL)
	if status != 200 || ct != "text/event-stream" {
		t.Fatalf("want an event stream, got %d %s", status, ct)
	}
	next(t, lines, ": connected")
	if _, status, _ := stream(t, srv.URL); status != 503 {
		t.Errorf("want a second client refused where one is allowed, got %d", status)
	}
	c := h.changes["push:flag"]
	events <- triage.Event{Change: &c}
	next(t, lines, "event: change")
	if data := next(t, lines, "data: "); !strings.Contains(data, `"id":"push:flag"`) {
		t.Errorf("got %s", data)
	}
	events <- triage.Event{Anomaly: &triage.Anomaly{ID: "a"}}
	next(t, lines, "event: anomaly")
	rep := h.reports["inc-1"][0]
	updates <- api.Update{Incident: h.incidents["inc-1"], Report: &rep}
	next(t, lines, "event: incident")
	next(t, lines, "event: report")
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	if err := srv.Config.Shutdown(ctx); err != nil {
		t.Errorf("want the shutdown not to wait for the stream, got %v", err)
	}
	next(t, lines, ": shutting down")
	for line := range lines {
		if line != "" {
			t.Errorf("want nothing after the end, got %q", line)
		}
	}
	for range 2 {
		<-stopped
	}
}

// writes is a response that can be read while it is written.
type writes struct {
	header http.Header
	out    chan string
}

func (w *writes) Header() http.Header         { return w.header }
func (w *writes) WriteHeader(int)             {}
func (w *writes) Write(b []byte) (int, error) { w.out <- string(b); return len(b), nil }
func (w *writes) Flush()                      {}

func TestEventStreamBeats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t, nil)
		w := &writes{make(http.Header), make(chan string)}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		began := time.Now()
		go func() {
			h.api.Handler().ServeHTTP(w, local(http.MethodGet, "/api/v1/events", "").WithContext(ctx))
			close(ended)
		}()
		<-w.out
		for i := range 3 {
			if got := <-w.out; got != ": heartbeat\n\n" || time.Since(began) != time.Duration(i+1)*15*time.Second {
				t.Errorf("want a heartbeat every 15s, got %q after %v", got, time.Since(began))
			}
		}
		cancel()
		<-ended
	})
}
