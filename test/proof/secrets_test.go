package main

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// No secret of the configuration may be seen anywhere but where it is sent: not in the log at its most talkative, not in answers,
// pages, metrics or errors, not in the journal, not in the dump of a process that is made to end with one. Every peer fails, so that
// errors are made of everything.
func TestSecretsAreNowhere(t *testing.T) {
	secrets := []string{
		"xoxb-geheim-slack-0001", "geheim-api-token-00000002", "geheim-hook-path-0003", "geheim-sign-0004",
		"geheim-basic-0005", "ghp_geheim00000000000006", "geheim-github-hook-0007", "geheim-kafka-0008", "geheim-mail-0009",
	}
	fails := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// A peer that repeats what it was sent, as some gateways do in their error pages.
		http.Error(w, fmt.Sprintf("no %s %v", r.URL, r.Header), http.StatusBadGateway)
	}))
	defer fails.Close()
	dir := t.TempDir()
	d, err := newDaemon(binary, dir, fmt.Sprintf(`
auth: {tokens: [{name: test, token: %[3]q, scopes: [admin]}]}
incidents: {second_looks: [], delivery: {backoff_min: 50ms, backoff_max: 100ms}}
correlate: {deadline: 1s}
route: {mode: live, receiver: all}
receivers:
  - name: all
    slack_configs: [{token: %[2]q, channel: C0123456789, api_url: "%[1]s/api/"}, {webhook_url: "%[1]s/services/%[4]s"}]
    email_configs: [{to: a@example.com, from: b@example.com, smarthost: "127.0.0.1:1", auth_username: triaged, auth_password: %[10]q}]
    webhook_configs: [{url: "%[1]s/hook/%[4]s", secret: %[5]q}]
window: {ready_wait: 1s}
sources:
  prometheus: [{name: prometheus, url: %[1]q, http_config: {basic_auth: {username: triaged, password: %[6]q}}}]
  github: [{name: github, api_url: %[1]q, token: %[7]q, webhook: {secret: %[8]q}, repositories: [{name: acme/shop, service: shop, environment: production}]}]
  kafka: [{name: kafka, brokers: ["127.0.0.1:1"], topics: [{topic: t, format: triaged}], sasl: {mechanism: plain, username: u, password: %[9]q}}]
`, fails.URL, secrets[0], secrets[1], secrets[2], secrets[3], secrets[4], secrets[5], secrets[6], secrets[7], secrets[8]))
	if err != nil {
		t.Fatal(err)
	}
	defer d.close()
	d.args, d.token = []string{"--log.level=debug"}, secrets[1]
	ctx := t.Context()
	if _, err := d.startReady(ctx, 20*time.Second); err != nil {
		t.Fatal(err)
	}
	if err := d.post(ctx, "/api/v1/alerts", webhook("g", "shop", time.Now(), "High")); err != nil {
		t.Fatal(err)
	}
	err = d.await(ctx, 20*time.Second, func() error { // until deliveries have failed and their errors are kept
		answer, err := d.do(ctx, "GET", "/api/v1/deliveries", nil)
		if n := strings.Count(string(answer), "last_error"); err == nil && n < 4 {
			err = fmt.Errorf("%d of 4 deliveries have failed", n)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]string{}
	for _, path := range []string{
		"/api/v1/status/config", "/api/v1/sources", "/api/v1/deliveries", "/api/v1/incidents", "/api/v1/quarantine", "/api/v1/services", "/metrics",
		"/-/ready", "/-/healthy", "/", "/incidents", "/sources", "/deliveries", "/config", "/changes", "/api/v1/nothing",
	} {
		answer, err := d.do(ctx, "GET", path, nil)
		if err != nil {
			answer = append(answer, err.Error()...)
		}
		seen["GET "+path] = string(answer)
	}
	d.token = "geheim-wrong-token-0009" // what was refused must not be repeated either
	answer, err := d.do(ctx, "GET", "/api/v1/changes", nil)
	seen["an answer to a wrong token"] = fmt.Sprint(string(answer), err)
	secrets = append(secrets, d.token)
	if err := d.signal(syscall.SIGQUIT); err != nil { // Go prints every goroutine
		t.Fatal(err)
	}
	seen["log and dump"] = d.log.String()
	if !strings.Contains(seen["log and dump"], "goroutine ") || !strings.Contains(seen["GET /api/v1/status/config"], "<secret>") {
		t.Error("there was no dump, or no configuration, to look at")
	}
	for _, name := range []string{"triaged.db", "triaged.db-wal"} {
		content, err := os.ReadFile(filepath.Join(d.dataDir(), name))
		if err == nil {
			seen["file "+name] = string(content)
		}
	}
	for where, text := range seen {
		for _, s := range secrets {
			if i := strings.Index(text, s); i >= 0 {
				t.Errorf("%s shows %s: …%s…", where, s, text[max(0, i-120):min(len(text), i+60)])
			}
		}
	}
}

// Where no token is configured, a caller who came through a proxy or names another host is not taken for one on this machine; a page
// of another site can post nothing.
func TestStrangersAreKeptOut(t *testing.T) {
	d, err := newDaemon(binary, t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer d.close()
	if _, err := d.startReady(t.Context(), 20*time.Second); err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		key, value string
		want       int
	}{
		"nobody else":   {"X-Nothing", "", http.StatusOK},
		"through proxy": {"X-Forwarded-For", "203.0.113.7", http.StatusUnauthorized},
		"rebound name":  {"Host", "evil.example", http.StatusUnauthorized},
		"other site":    {"Sec-Fetch-Site", "cross-site", http.StatusForbidden},
	} {
		t.Run(name, func(t *testing.T) {
			req, err := http.NewRequestWithContext(context.WithoutCancel(t.Context()), "POST", "http://"+d.address+"/api/v1/changes",
				strings.NewReader(`{"kind":"deploy","service":"a","started_at":"2026-03-01T03:02:10Z"}`))
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Content-Type", "application/json")
			req.Header.Set(tc.key, tc.value)
			if tc.key == "Host" {
				req.Host = tc.value
			}
			resp, err := d.client.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			if resp.StatusCode != tc.want {
				t.Errorf("want %d, got %d", tc.want, resp.StatusCode)
			}
		})
	}
}
