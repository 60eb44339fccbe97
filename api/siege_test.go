package api_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/triaged-dev/triaged/api"
)

// besieged serves an API on a real port, with a bound on connections.
func besieged(t *testing.T, connections int) (base string, h *harness) {
	t.Helper()
	h = newHarness(t, withTokens)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	bound := api.NewConnections(connections, nil)
	mux := http.NewServeMux()
	mux.Handle("/incidents/", h.api.Protect(api.ScopeFeedback, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(w, r.Body)
	})))
	mux.Handle("/", h.api.Handler())
	srv := &http.Server{Handler: mux, ReadHeaderTimeout: api.ReadHeaderTimeout, ConnState: bound.State}
	go func() { _ = srv.Serve(bound.Listen(l)) }()
	t.Cleanup(func() { _ = srv.Close() })
	return l.Addr().String(), h
}

// hold opens a connection that sends the head of a request and one byte of its body, and then nothing.
func hold(t *testing.T, addr, path, headers string) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	if _, err := fmt.Fprintf(c, "POST %s HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n%s\r\n", path, headers); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(c, "1\r\n["); err != nil {
		t.Fatal(err)
	}
	return c
}

// send makes an honest request and returns its status.
func send(t *testing.T, addr, path, token, body string) int {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+addr+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Authorization", "Bearer "+token)
	resp, err := (&http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}).Do(r)
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	defer resp.Body.Close()
	return resp.StatusCode
}

// Nobody who is unknown, and nobody with a token for something else, can keep alerts, changes or reload from being taken by
// holding bodies open: each is charged to whom it belongs, as it arrives, and holds no place while it does.
func TestHeldBodiesSilenceNobody(t *testing.T) {
	for name, attack := range map[string]struct{ path, headers string }{
		"anonymous feedback links": {"/feedback/x", "Transfer-Encoding: chunked\r\n"},
		"no token":                 {"/api/v1/changes", "Transfer-Encoding: chunked\r\n"},
		"slow changes":             {"/api/v1/changes", "Authorization: Bearer " + tokenOf(api.ScopeWriteChanges) + "\r\nTransfer-Encoding: chunked\r\n"},
		"announced, not sent":      {"/api/v1/changes", "Authorization: Bearer " + tokenOf(api.ScopeWriteChanges) + "\r\nContent-Length: 16000000\r\n"},
		"slow feedback":            {"/api/v1/incidents/inc-1/feedback", "Authorization: Bearer " + tokenOf(api.ScopeFeedback) + "\r\nTransfer-Encoding: chunked\r\n"},
		"slow forms of pages":      {"/incidents/inc-1", "Authorization: Bearer " + tokenOf(api.ScopeFeedback) + "\r\nTransfer-Encoding: chunked\r\n"},
		"slow alerts":              {"/api/v1/alerts", "Authorization: Bearer " + tokenOf(api.ScopeWriteAlerts) + "\r\nContent-Length: 16000000\r\n"},
	} {
		t.Run(name, func(t *testing.T) {
			addr, _ := besieged(t, 1024)
			for range 200 {
				hold(t, addr, attack.path, attack.headers)
			}
			for _, honest := range []struct {
				path  string
				scope api.Scope
				body  string
			}{
				{"/api/v1/alerts", api.ScopeWriteAlerts, `{"alerts":[]}`},
				{"/api/v1/changes", api.ScopeWriteChanges, goodChange},
				{"/-/reload", api.ScopeAdmin, ""},
			} {
				if got := send(t, addr, honest.path, tokenOf(honest.scope), honest.body); got != http.StatusOK {
					t.Errorf("%s beside 200 held bodies: want 200, got %d", honest.path, got)
				}
			}
		})
	}
}

// More connections than there may be cost whoever opened most of them, and the next honest one gets in.
func TestConnectionsAreBounded(t *testing.T) {
	addr, _ := besieged(t, 50)
	attack := "Authorization: Bearer " + tokenOf(api.ScopeWriteChanges) + "\r\nTransfer-Encoding: chunked\r\n"
	first := hold(t, addr, "/api/v1/changes", attack)
	for range 200 {
		hold(t, addr, "/api/v1/changes", attack)
		idle, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = idle.Close() })
	}
	if got := send(t, addr, "/api/v1/alerts", tokenOf(api.ScopeWriteAlerts), `{"alerts":[]}`); got != http.StatusOK {
		t.Errorf("want alerts taken, got %d", got)
	}
	_ = first.SetReadDeadline(time.Now().Add(5 * time.Second))
	if _, err := io.ReadAll(first); err != nil && strings.Contains(err.Error(), "timeout") {
		t.Error("want the oldest held connection closed")
	}
}
