package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/triaged-dev/triaged/triage"
)

// The action's script is run as a runner would: its inputs by the names in action.yml, start and end as two steps.
func TestGitHubAction(t *testing.T) {
	for _, tool := range []string{"bash", "curl", "jq"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("%s is not installed: the action is not run", tool)
		}
	}
	d := startDaemon(t, "\nauth: {tokens: [{name: ci, token: ci-token-0123456789, scopes: ['write:changes', read]}], anonymous: [read]}\n")
	raw, err := os.ReadFile("../../deploy/github-action/action.yml")
	if err != nil {
		t.Fatal(err)
	}
	var action struct {
		Inputs map[string]struct{ Default string }
		Runs   struct {
			Using string
			Steps []struct {
				Run string
				Env map[string]string
			}
		}
	}
	if err := yaml.Unmarshal(raw, &action); err != nil {
		t.Fatal(err)
	}
	if action.Runs.Using != "composite" || len(action.Runs.Steps) != 1 {
		t.Fatalf("action: %+v", action.Runs)
	}
	step := func(with map[string]string) (string, error) {
		cmd := exec.CommandContext(t.Context(), "bash", "-c", action.Runs.Steps[0].Run)
		cmd.Env = append(os.Environ(), "GITHUB_ACTION_PATH="+filepath.Join("..", "..", "deploy", "github-action"), "GITHUB_REPOSITORY=acme/checkout", "GITHUB_RUN_ID=7", "GITHUB_JOB=deploy",
			"GITHUB_SERVER_URL=https://github.example.com", "GITHUB_SHA=9c1f2be4d0f4a4a5b7a8c5a5e2f1d7c0a9b8e7d6", "GITHUB_REF_NAME=main", "GITHUB_OUTPUT="+filepath.Join(t.TempDir(), "output"), "NO_PROXY=127.0.0.1")
		for name, expression := range action.Runs.Steps[0].Env {
			input := strings.TrimSuffix(strings.TrimPrefix(expression, "${{ inputs."), " }}")
			value, given := with[input]
			if !given {
				value = action.Inputs[input].Default
			}
			cmd.Env = append(cmd.Env, name+"="+value)
		}
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	with := map[string]string{"url": string(d.asker) + "/", "token": "ci-token-0123456789", "service": "checkout", "environment": "production", "title": "it's \"quoted\"; $(touch x)"}
	for _, status := range []string{"started", "success"} {
		with["status"] = status
		if out, err := step(with); err != nil || strings.Contains(out, "warning") || strings.Contains(out, "ci-token") {
			t.Fatalf("%s: %v %s", status, err, out)
		}
	}
	got := d.changes(t)
	if len(got) != 1 {
		t.Fatalf("want start and end as one change, got %+v", got)
	}
	if c := got[0]; c.Status != triage.StatusSucceeded || c.StartedAt.IsZero() || c.FinishedAt.IsZero() || c.Version != "9c1f2be" || c.Title != with["title"] || c.Labels["sha"] == "" || c.URL != "https://github.example.com/acme/checkout/actions/runs/7" {
		t.Errorf("got %+v", c)
	}
	with["token"] = "a-wrong-token-0123456789"
	if out, err := step(with); err != nil || !strings.Contains(out, "::warning") || strings.Contains(out, "a-wrong-token") {
		t.Errorf("refused: want a warning and no failure, got %v %s", err, out)
	}
	with["fail"] = "true"
	if out, err := step(with); err == nil {
		t.Errorf("fail: true, and the step passed: %s", out)
	}
}

// The snippet for Terraform runs what it says, under the name it was given.
func TestTerraformSnippet(t *testing.T) {
	dir := t.TempDir()
	for name, script := range map[string]string{"triaged": "#!/bin/sh\nprintf '%s|' \"$@\"\n", "terraform": "#!/bin/sh\n"} {
		if err := os.Chmod(write(t, filepath.Join(dir, name), script), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.CommandContext(t.Context(), "sh", "../../deploy/github-action/snippets/terraform.sh", "network", "production", "-auto-approve")
	cmd.Env = append(os.Environ(), "PATH="+dir+":"+os.Getenv("PATH"))
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "change|run|--kind=infra|--service=network|--environment=production|") || !strings.HasSuffix(string(out), "--|terraform|apply|-auto-approve|") {
		t.Errorf("%v: %s", err, out)
	}
}
