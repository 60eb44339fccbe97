package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/triaged-dev/triaged/triage"
)

// GitLab's snippet sends what can be taken: a start before the job, and after it how it ended, as one change; where nobody takes it the
// job goes on.
func TestGitLabSnippet(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile("../../deploy/github-action/snippets/gitlab-ci.yml")
	if err != nil {
		t.Fatal(err)
	}
	var jobs map[string]struct {
		Before []string `yaml:"before_script"`
		After  []string `yaml:"after_script"`
	}
	if err := yaml.Unmarshal(raw, &jobs); err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var sent []triage.Change
	status := http.StatusOK
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		body, err := io.ReadAll(r.Body)
		if err != nil || r.URL.Path != "/api/v1/changes" || r.Header.Get("Authorization") != "Bearer secret" {
			t.Errorf("%s %v, %v", r.URL, r.Header, err)
		}
		c, err := triage.DecodeChange(body, "")
		if err != nil {
			t.Errorf("%s: %v", body, err)
		}
		sent = append(sent, c)
		w.WriteHeader(status)
	}))
	defer server.Close()
	run := func(script []string, jobStatus string) string {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), "sh", "-eu", "-c", strings.Join(script, "\n"))
		cmd.Env = append(os.Environ(), "TRIAGED_URL="+server.URL+"/", "TRIAGED_TOKEN=secret", "TRIAGED_SERVICE=checkout", "TRIAGED_ENVIRONMENT=production",
			"CI_PROJECT_PATH=acme/checkout", "CI_JOB_ID=7", "CI_COMMIT_SHORT_SHA=4f2c1d7a", "CI_JOB_URL=https://gitlab.example/jobs/7", "CI_JOB_STATUS="+jobStatus)
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Errorf("%v: %s", err, out)
		}
		return string(out)
	}
	for jobStatus, want := range map[string]triage.Status{"success": triage.StatusSucceeded, "failed": triage.StatusFailed, "canceled": triage.StatusCancelled} {
		run(jobs[".triaged"].Before, "")
		run(jobs[".triaged"].After, jobStatus)
		mu.Lock()
		told := sent
		sent = nil
		mu.Unlock()
		if len(told) != 2 || told[0].ID != "gitlab-ci:acme/checkout/7" || told[1].ID != told[0].ID || told[0].Status != triage.StatusStarted || told[0].StartedAt.IsZero() ||
			told[1].Status != want || told[1].FinishedAt.IsZero() || time.Since(told[1].FinishedAt).Abs() > time.Hour {
			t.Errorf("%s: sent %+v", jobStatus, told)
		}
	}
	mu.Lock()
	status = http.StatusUnauthorized
	mu.Unlock()
	if out := run(jobs[".triaged"].Before, ""); !strings.Contains(out, "triaged: not recorded") {
		t.Errorf("a refusal is said: %s", out)
	}
}

// Jenkins' snippet runs what it says, with the flags that there are.
func TestJenkinsSnippet(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile("../../deploy/github-action/snippets/Jenkinsfile")
	if err != nil {
		t.Fatal(err)
	}
	step := regexp.MustCompile(`sh '([^']+)'`).FindSubmatch(raw)
	if step == nil {
		t.Fatal("no step")
	}
	dir := t.TempDir()
	for name, script := range map[string]string{"triaged": "#!/bin/sh\nprintf '%s\\n' \"$@\"\n", "deploy.sh": "#!/bin/sh\n"} {
		if err := os.Chmod(write(t, filepath.Join(dir, name), script), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.CommandContext(t.Context(), "sh", "-eu", "-c", string(step[1]))
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "PATH="+dir+":"+os.Getenv("PATH"), "GIT_COMMIT=4f2c1d7a", "BUILD_URL=https://jenkins.example/7/", "BUILD_TAG=jenkins-deploy-7")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	args := strings.Split(strings.TrimSpace(string(out)), "\n")
	// Sent for real, to a door that takes it, around a command that does nothing.
	var got triage.Change
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		if got, err = triage.DecodeChange(body, ""); err != nil {
			t.Errorf("%s: %v", body, err)
		}
	}))
	defer server.Close()
	args[len(args)-1] = filepath.Join(dir, "deploy.sh")
	var said lockedBuffer
	if code := run(t.Context(), append([]string{args[0], args[1], "--url=" + server.URL}, args[2:]...), streams{strings.NewReader(""), &said, &said}); code != 0 {
		t.Errorf("%q: %d: %s", args, code, said.String())
	}
	if got.ID != "jenkins:jenkins-deploy-7" || got.Version != "4f2c1d7a" || got.Service != "checkout" || got.Status != triage.StatusSucceeded || got.URL == "" {
		t.Errorf("sent %+v", got)
	}
}
