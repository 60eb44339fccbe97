package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// optional finds a tool that not every machine can have, or skips.
func optional(t *testing.T, name, install string) string {
	t.Helper()
	if testing.Short() {
		t.Skip("-short: no tool is started")
	}
	path, err := exec.LookPath(name)
	if err != nil {
		t.Skipf("%s is not installed: %s", name, install)
	}
	return path
}

// output runs a tool to its end and fails the test with what it said.
func output(t *testing.T, dir, name string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), "REDOCLY_TELEMETRY=off", "SCHEMATHESIS_REPORT=false")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", filepath.Base(name), err, lastOf(string(out)))
	}
	return string(out)
}

func lastOf(s string) string { return s[max(0, len(s)-8000):] }

// The description passes a linter, warnings included.
func TestDescriptionIsLinted(t *testing.T) {
	t.Parallel()
	tool := optional(t, "redocly", "npm install -g @redocly/cli (Node 20)")
	out := output(t, ".", tool, "lint", "--max-problems=1000", "../../api/openapi.yaml")
	if strings.Contains(out, "warning") {
		t.Error(lastOf(out))
	}
}

// The daemon does what its description says: a thousand requests made from it, whole and broken, without one answer that it does not
// describe. Left out are streams, MCP and reloads. Not promised is that whatever fits the schema is taken (a change needs a time, which a
// schema does not say), nor that all else is refused: null reads as absent, and what others send is read as far as it goes.
func TestDaemonKeepsItsDescription(t *testing.T) {
	t.Parallel()
	tool := optional(t, "schemathesis", "pip install schemathesis")
	const token = "0123456789abcdef0123"
	d := startDaemon(t, `
auth: {tokens: [{name: tester, token: `+token+`, scopes: [admin]}]}
hooks: [{name: broken, type: launchdarkly, bearer_token: `+token+`}]
`)
	ask := func(method, path, body string) (out map[string]any) {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), method, string(d.asker)+path, bytes.NewReader([]byte(body)))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+token)
		r.Header.Set("Content-Type", "application/json")
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if err := json.NewDecoder(resp.Body).Decode(&out); err != nil {
			t.Fatalf("%s %s: %v", method, path, err)
		}
		return out
	}
	now := time.Now().UTC()
	ask("POST", "/api/v1/changes", fmt.Sprintf(`{"id":"ci:1","kind":"deploy","service":"checkout","started_at":%q}`, now.Add(-time.Minute).Format(time.RFC3339)))
	ask("POST", "/api/v1/alerts", fmt.Sprintf(`{"alerts":[{"labels":{"alertname":"Errors","service":"checkout","severity":"page"},"startsAt":%q}]}`, now.Format(time.RFC3339)))
	ask("POST", "/hooks/broken", `{`)
	first := func(list string) string {
		var id string
		eventually(t, 30*time.Second, "something in "+list, func() error {
			items, _ := ask("GET", list, "")["items"].([]any)
			if len(items) == 0 {
				return fmt.Errorf("no items")
			}
			item, _ := items[0].(map[string]any)
			id = fmt.Sprint(item["id"])
			return nil
		})
		return id
	}
	incident, quarantined := first("/api/v1/incidents"), first("/api/v1/quarantine")
	eventually(t, 30*time.Second, "a report", func() error {
		if items, _ := ask("GET", "/api/v1/incidents/"+incident+"/reports", "")["items"].([]any); len(items) == 0 {
			return fmt.Errorf("no reports")
		}
		return nil
	})
	var conf strings.Builder
	known := func(path, parameters string) {
		fmt.Fprintf(&conf, "[[operations]]\ninclude-path = %q\nparameters = { %s }\n", path, parameters)
	}
	known("/api/v1/changes/{id}", `"path.id" = "ci:1"`)
	known("/api/v1/quarantine/{id}/retry", fmt.Sprintf(`"path.id" = %q`, quarantined))
	known("/hooks/{name}", `"path.name" = "broken"`)
	for _, rest := range []string{"", "/case", "/feedback", "/postmortem", "/reports", "/timeline", "/timeline.png", "/update"} {
		known("/api/v1/incidents/{id}"+rest, fmt.Sprintf(`"path.id" = %q`, incident))
	}
	known("/api/v1/incidents/{id}/reports/{n}", fmt.Sprintf(`"path.id" = %q, "path.n" = 1`, incident))
	// Nobody was told anything here, and there is no sign-in: these have nothing to find.
	for _, path := range []string{"/feedback/{token}", "/api/v1/deliveries/{id}/resend", "/auth/login", "/auth/callback", "/auth/logout"} {
		fmt.Fprintf(&conf, "[[operations]]\ninclude-path = %q\nwarnings = false\n", path)
	}
	dir := t.TempDir()
	description, err := filepath.Abs("../../api/openapi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	out := output(t, dir, tool, "--config-file", write(t, filepath.Join(dir, "schemathesis.toml"), conf.String()), "run", description,
		"--url", string(d.asker), "--header", "Authorization: Bearer "+token, "--seed", "1", "--no-color", "--request-timeout", "30",
		"--phases", "examples,coverage", "--checks", "all", "--exclude-checks", "positive_data_acceptance,negative_data_rejection",
		"--warnings", "missing_auth,missing_test_data", "--workers", "2",
		"--exclude-path", "/api/v1/events", "--exclude-path", "/mcp", "--exclude-path", "/-/reload")
	if strings.Contains(out, "WARNINGS") || !strings.Contains(out, "generated") {
		t.Error(lastOf(out))
	}
}
