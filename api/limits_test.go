package api_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/prometheus/common/model"

	"github.com/triaged-dev/triaged/api"
)

func TestGiantBodies(t *testing.T) {
	small := func(o *api.Options) {
		o.Config.Limits.RecordBytes, o.Config.Limits.BatchBytes, o.Config.Limits.BatchRecords = 200, 2000, 3
	}
	fat := `{"kind":"deploy","service":"a","started_at":"2026-03-01T03:02:10Z","title":"` + strings.Repeat("x", 300) + `"}`
	for name, tc := range map[string]struct {
		target, body, ct string
		status           int
		part             string
	}{
		"record":          {"/api/v1/changes", fat, "", 413, "200 bytes"},
		"batch":           {"/api/v1/changes", `[` + goodChange + strings.Repeat(" ", 2000) + `]`, "", 413, "2000 bytes"},
		"too many":        {"/api/v1/changes", `[1,2,3,4]`, "", 413, "3 records"},
		"too many lines":  {"/api/v1/changes", "1\n2\n3\n4", "application/x-ndjson", 413, "3 records"},
		"record in batch": {"/api/v1/changes", `[` + goodChange + `,` + fat + `]`, "", 200, "one record may have 200"},
		"alerts":          {"/api/v1/alerts", `{"alerts":["` + strings.Repeat("x", 2000) + `"]}`, "", 413, "2000 bytes"},
		"feedback":        {"/api/v1/incidents/inc-1/feedback", fat, "", 413, "200 bytes"},
		"question":        {"/api/v1/triage", fat, "", 413, "200 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			for _, chunked := range []bool{false, true} {
				h := newHarness(t, small)
				r := local(http.MethodPost, tc.target, tc.body)
				if tc.ct != "" {
					r.Header.Set("Content-Type", tc.ct)
				}
				if chunked {
					r.ContentLength = -1
				}
				rec := h.do(r)
				if rec.Code != tc.status || !strings.Contains(rec.Body.String(), tc.part) {
					t.Errorf("chunked %v: want %d and %q, got %d: %s", chunked, tc.status, tc.part, rec.Code, rec.Body)
				}
			}
		})
	}
}

// A body that never ends is given up on, over a real connection, and the slot it held is free again.
func TestSlowBody(t *testing.T) {
	h := newHarness(t, func(o *api.Options) {
		o.Config.Limits.BodyTimeout = model.Duration(50 * time.Millisecond)
		o.Config.Limits.InFlight = 1
	})
	srv := httptest.NewServer(h.api.Handler())
	defer srv.Close()
	conn, err := net.Dial("tcp", srv.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := fmt.Fprintf(conn, "POST /api/v1/changes HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{\"kind\":"); err != nil {
		t.Fatal(err)
	}
	answers := bufio.NewReader(conn)
	resp, err := http.ReadResponse(answers, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(resp.Body)
	if err := conn.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := answers.ReadByte(); !errors.Is(err, io.EOF) && !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("the connection of one who still owes its body must be closed, got %v", err)
	}
	if resp.StatusCode != http.StatusRequestTimeout || !strings.Contains(string(body), "#request-timeout") {
		t.Errorf("want 408, got %d: %s", resp.StatusCode, body)
	}
	wantStatus(t, h.call(http.MethodPost, "/api/v1/changes", goodChange), 200)
}

// When the bound on requests in flight is reached, more are told to come again; health and reads are not held up.
func TestInFlightBound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t, func(o *api.Options) { o.Config.Limits.InFlight = 2 })
		h.hold = make(chan struct{})
		done := make(chan int)
		for range 2 {
			go func() { done <- h.call(http.MethodPost, "/api/v1/changes", goodChange).Code }()
		}
		synctest.Wait()
		rec := h.call(http.MethodPost, "/api/v1/changes", goodChange)
		wantProblem(t, rec, 503, "busy")
		if rec.Header().Get("Retry-After") == "" {
			t.Error("want Retry-After")
		}
		wantStatus(t, h.call(http.MethodGet, "/-/healthy", ""), 200)
		wantStatus(t, h.call(http.MethodGet, "/api/v1/changes", ""), 200)
		close(h.hold)
		for range 2 {
			if got := <-done; got != 200 {
				t.Errorf("want the ones in flight answered, got %d", got)
			}
		}
		wantStatus(t, h.call(http.MethodPost, "/api/v1/changes", goodChange), 200)
	})
}

// A store that hangs is not waited for longer than the timeout, and nothing is acknowledged.
func TestStoreTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t, func(o *api.Options) { o.Config.Limits.Timeout = model.Duration(3 * time.Second) })
		h.hold = make(chan struct{})
		began := time.Now()
		wantProblem(t, h.call(http.MethodPost, "/api/v1/changes", goodChange), 503, "unavailable")
		if took := time.Since(began); took != 3*time.Second {
			t.Errorf("want 3s, got %v", took)
		}
	})
}

func TestRatePerToken(t *testing.T) {
	clock := now
	h := newHarness(t, func(o *api.Options) {
		withTokens(o)
		o.Config.Limits.RequestsPerSecond, o.Config.Limits.Burst = 0.5, 3
		o.Now = func() time.Time { return clock }
	})
	send := func(s api.Scope) *httptest.ResponseRecorder {
		r := local(http.MethodGet, "/api/v1/topology", "")
		r.Header.Set("Authorization", "Bearer "+tokenOf(s))
		return h.do(r)
	}
	for range 3 {
		wantStatus(t, send(api.ScopeRead), 200)
	}
	rec := send(api.ScopeRead)
	wantProblem(t, rec, 429, "rate-limited")
	if got := rec.Header().Get("Retry-After"); got != "2" {
		t.Errorf("want Retry-After: 2, got %q", got)
	}
	wantStatus(t, send(api.ScopeAdmin), 200)
	clock = clock.Add(2 * time.Second)
	wantStatus(t, send(api.ScopeRead), 200)
}

func TestMetrics(t *testing.T) {
	h := newHarness(t, nil)
	h.call(http.MethodPost, "/api/v1/changes", `[`+goodChange+`,1]`)
	h.call(http.MethodGet, "/api/v1/changes/none", "")
	h.call("BREW", "/pot", "")
	want := `
# HELP triaged_http_records_total Changes and anomalies pushed, by result: accepted or rejected.
# TYPE triaged_http_records_total counter
triaged_http_records_total{result="accepted"} 1
triaged_http_records_total{result="rejected"} 1
`
	if err := testutil.GatherAndCompare(h.reg, strings.NewReader(want), "triaged_http_records_total"); err != nil {
		t.Error(err)
	}
	text := h.call(http.MethodGet, "/metrics", "").Body.String()
	for _, line := range []string{
		`triaged_http_request_duration_seconds_count{code="200",handler="/api/v1/changes",method="POST"} 1`,
		`triaged_http_request_duration_seconds_count{code="404",handler="/api/v1/changes/{id...}",method="GET"} 1`,
		`triaged_http_request_duration_seconds_count{code="404",handler="other",method="other"} 1`,
		`triaged_http_rejected_total{reason="not-found"} 2`,
		`triaged_http_requests_in_flight{lane="intake"} 0`,
	} {
		if !strings.Contains(text, line+"\n") {
			t.Errorf("want %s", line)
		}
	}
	if problems, err := testutil.GatherAndLint(h.reg); err != nil || len(problems) > 0 {
		t.Errorf("lint: %v, %v", problems, err)
	}
}
