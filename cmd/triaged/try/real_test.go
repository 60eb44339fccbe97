package try_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/common/config"

	"github.com/triaged-dev/triaged/cmd/triaged/try"
	"github.com/triaged-dev/triaged/test/casegen/backfill"
	"github.com/triaged-dev/triaged/triage"
)

// serveFortnight runs a real Prometheus over the made-up fortnight until the test ends.
func serveFortnight(t *testing.T) (w *backfill.World, url string) {
	t.Helper()
	if testing.Short() {
		t.Skip("-short: no real peer is started")
	}
	path, err := exec.LookPath("prometheus")
	if err != nil {
		if os.Getenv("REQUIRE_PEERS") == "1" {
			t.Fatal("prometheus is not installed and REQUIRE_PEERS=1")
		}
		t.Skip("prometheus is not installed: nothing is tested against the real one")
	}
	dir := t.TempDir()
	w = backfill.New(time.Now(), 1)
	if err := w.WriteBlocks(t.Context(), filepath.Join(dir, "data")); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"prometheus.yml": backfill.Config, "rules.yml": backfill.Rules} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return w, serve(t, path, "--config.file="+filepath.Join(dir, "prometheus.yml"), "--storage.tsdb.path="+filepath.Join(dir, "data"),
		"--storage.tsdb.retention.time=100y", "--log.level=error")
}

// serve runs a server of the Prometheus family on a free port until the test ends.
func serve(t *testing.T, path string, args ...string) (url string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	l.Close()
	cmd := exec.Command(path, append(args, "--web.listen-address="+address)...)
	var log bytes.Buffer
	cmd.Stdout, cmd.Stderr = &log, &log
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("%s said:\n%s", filepath.Base(path), log.String())
		}
	})
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(20 * time.Second); ; <-tick.C {
		if resp, err := http.Get("http://" + address + "/-/ready"); err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return "http://" + address
			}
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s is not ready after 20 s", filepath.Base(path))
		}
	}
}

func options(url string, out *bytes.Buffer) try.Options {
	return try.Options{
		Prometheus: url, Days: 14, MaxPages: 50, Budget: 6000, HTTPConfig: config.DefaultHTTPClientConfig, Format: "json", Out: out, Err: out,
	}
}

func decode(t *testing.T, out *bytes.Buffer) try.Result {
	t.Helper()
	var r try.Result
	if err := json.Unmarshal(out.Bytes(), &r); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return r
}

// Over two weeks with 20 pages, 12 of them set off by a change, try must name at least 8 and blame nobody falsely, gently; and
// what it says must be so.
func TestTryOnARealPrometheus(t *testing.T) {
	w, url := serveFortnight(t)
	t.Run("ended early", func(t *testing.T) { endedEarly(t, url) })
	var out bytes.Buffer
	o := options(url, &out)
	o.HTML = filepath.Join(t.TempDir(), "try.html")
	began := time.Now()
	if err := try.Run(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	took := time.Since(began)
	r := decode(t, &out)
	if r.Cost.MaxInFlight > 4 || r.Cost.Failed > 0 || r.Cost.Queries == 0 {
		t.Errorf("cost: %+v", r.Cost)
	}
	// With the default budget of 600 a minute so many take a minute and a half, however fast the server; the limit is three.
	if r.Cost.Queries > 900 {
		t.Errorf("%d queries for 20 pages", r.Cost.Queries)
	}
	if r.Summary.Pages != len(w.Pages) || len(r.Pages) != len(w.Pages) {
		t.Fatalf("want %d pages, got %d, %d answered", len(w.Pages), r.Summary.Pages, len(r.Pages))
	}
	named := 0
	for i, p := range r.Pages {
		truth := w.Pages[len(w.Pages)-1-i] // the latest first
		t.Run(fmt.Sprintf("%s %s %s", truth.Cause, truth.Alert, truth.Service), func(t *testing.T) {
			if checkPage(t, p, truth) {
				named++
			}
		})
	}
	t.Logf("named %d of 12, %d queries, at most %d at once, %s; %.1f MiB", named, r.Cost.Queries, r.Cost.MaxInFlight, took.Round(time.Millisecond), float64(r.Cost.Bytes)/(1<<20))
	if named < 8 {
		t.Errorf("named %d of the 12 pages that a change set off; want at least 8", named)
	}
	if len(r.Noisy) != 1 || r.Noisy[0].Alert != backfill.Backlog || r.Noisy[0].Fired != 3 || r.Noisy[0].Alone != 3 {
		t.Errorf("noisy: %+v", r.Noisy)
	}
	page, err := os.ReadFile(o.HTML)
	if err != nil {
		t.Fatal(err)
	}
	if m := regexp.MustCompile(`(?i)<script|<link|<img|src=|href=|url\(|@import`).Find(page); m != nil {
		t.Errorf("the page asks for something: %s", m)
	}
	for _, p := range r.Pages {
		if !bytes.Contains(page, []byte(p.Start.Format("2006-01-02T15:04:05Z07:00"))) {
			t.Errorf("the page at %s is not on the HTML page", p.Start)
		}
	}
}

// GitHub says of the same rollouts what metrics show, and a real Alertmanager says what pages: the answers stay the same, no
// rollout stands beside its own deployment, and what is routed to chat is no page.
func TestTryWithGitHubAndAlertmanager(t *testing.T) {
	w, url := serveFortnight(t)
	path, err := exec.LookPath("prometheus-alertmanager")
	if err != nil {
		if os.Getenv("REQUIRE_PEERS") == "1" {
			t.Fatal("prometheus-alertmanager is not installed and REQUIRE_PEERS=1")
		}
		t.Skip("prometheus-alertmanager is not installed")
	}
	dir := t.TempDir()
	file := filepath.Join(dir, "alertmanager.yml")
	quiet := "" // its pages go to chat only; it pages alone, or another alert would stand for it
	for _, p := range w.Pages {
		alone := !slices.ContainsFunc(w.Pages, func(o backfill.Page) bool { return o != p && o.Service == p.Service })
		if alone && (p.Changed == "" || p.Changed == p.Service) {
			quiet = p.Service
		}
	}
	if err := os.WriteFile(file, fmt.Appendf(nil, `
route:
  receiver: chat
  routes:
    - {receiver: chat, matchers: ['service=%q']}
    - {receiver: oncall, matchers: ['severity=~"page|critical"']}
receivers:
  - {name: chat, slack_configs: [{api_url: 'http://127.0.0.1:1/chat', channel: '#alerts'}]}
  - {name: oncall, pagerduty_configs: [{routing_key: 0123456789abcdef0123456789abcdef}]}
`, quiet), 0o600); err != nil {
		t.Fatal(err)
	}
	am := serve(t, path, "--config.file="+file, "--storage.path="+filepath.Join(dir, "am"), "--cluster.listen-address=", "--log.level=error")
	hub, repositories := serveDeployments(t, w)

	var out bytes.Buffer
	o := options(url, &out)
	o.Alertmanager, o.GitHub, o.GitHubAPI = am, repositories, hub
	t.Setenv("GITHUB_TOKEN", "t0ken")
	if err := try.Run(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	r := decode(t, &out)
	for _, note := range r.Notes {
		if strings.Contains(note, "GitHub") || strings.Contains(note, "Alertmanager") || strings.Contains(note, "the same") {
			t.Errorf("note: %s", note)
		}
	}
	truths := slices.DeleteFunc(slices.Clone(w.Pages), func(p backfill.Page) bool { return p.Service == quiet })
	if len(truths) == len(w.Pages) || len(r.Pages) != len(truths) {
		t.Fatalf("want %d of %d pages, got %d", len(truths), len(w.Pages), len(r.Pages))
	}
	named, rollouts, known := 0, 0, 0
	for i, p := range r.Pages {
		truth := truths[len(truths)-1-i]
		t.Run(fmt.Sprintf("%s %s %s", truth.Cause, truth.Alert, truth.Service), func(t *testing.T) {
			if !checkPage(t, p, truth) {
				return
			}
			named++
			c := p.Report.Standing().Named[0].Change
			if truth.Version == "" {
				return
			}
			rollouts++
			if strings.Contains(c.URL, "/acme/"+c.Service) && c.Labels["sources"] == "github,prometheus" {
				known++
			} else {
				t.Errorf("%s knows nothing of GitHub: url %q, labels %v", c.ID, c.URL, c.Labels)
			}
			for _, s := range p.Report.Suspects {
				if s.Change != nil && s.Change.ID != c.ID && s.Change.Service == c.Service && s.Change.Version == c.Version {
					t.Errorf("%s stands beside itself as %s", c.ID, s.Change.ID)
				}
			}
		})
	}
	t.Logf("named %d of %d pages; of %d rollouts %d carry GitHub's words", named, len(truths), rollouts, known)
	if named < 6 || known == 0 || known != rollouts {
		t.Errorf("named %d, rollouts %d of which %d carry GitHub's words", named, rollouts, known)
	}
}

// serveDeployments is a GitHub, at the HTTP level, that knows the fortnight's rollouts as deployments.
func serveDeployments(t *testing.T, w *backfill.World) (url string, repositories []string) {
	t.Helper()
	type object = map[string]any
	byRepo := make(map[string][]object)
	statuses := make(map[string][]object)
	for i, p := range w.Pages {
		if p.Version == "" {
			continue
		}
		at := p.Onset.Add(-90 * time.Second).UTC()
		id := i + 1
		repo := "/repos/acme/" + p.Changed
		byRepo[repo] = append([]object{{
			"id": id, "sha": fmt.Sprintf("%040x", id), "ref": p.Version, "task": "deploy", "environment": "production", "payload": object{}, "description": "more retries in " + p.Version,
			"created_at": at.Format(time.RFC3339), "updated_at": at.Add(time.Minute).Format(time.RFC3339),
		}}, byRepo[repo]...)
		statuses[fmt.Sprintf("%s/deployments/%d/statuses", repo, id)] = []object{{
			"id": id, "state": "success", "created_at": at.Add(time.Minute).Format(time.RFC3339), "updated_at": at.Add(time.Minute).Format(time.RFC3339),
		}}
	}
	for repo := range byRepo {
		repositories = append(repositories, strings.TrimPrefix(repo, "/repos/"))
	}
	slices.Sort(repositories)
	server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		path := strings.TrimPrefix(r.URL.Path, "/api/v3")
		answer := any([]object{})
		name, list := strings.CutSuffix(path, "/deployments")
		switch {
		case r.Header.Get("Authorization") != "Bearer t0ken":
			http.Error(rw, `{"message":"Bad credentials"}`, http.StatusUnauthorized)
			return
		case list:
			answer = byRepo[name]
		case statuses[path] != nil:
			answer = statuses[path]
		case byRepo[path] != nil:
			answer = object{"full_name": strings.TrimPrefix(path, "/repos/"), "default_branch": "main", "html_url": "https://github.example.com" + strings.TrimPrefix(path, "/repos")}
		case strings.Contains(path, "/compare/"):
			http.Error(rw, `{"message":"Not Found"}`, http.StatusNotFound)
			return
		}
		rw.Header().Set("Content-Type", "application/json; charset=utf-8")
		_ = json.NewEncoder(rw).Encode(answer)
	}))
	t.Cleanup(server.Close)
	return server.URL, repositories
}

// checkPage compares what was said with what was made up, and reports whether the right change was named.
func checkPage(t *testing.T, p try.Page, truth backfill.Page) (named bool) {
	t.Helper()
	const scrape = time.Minute
	// Where the callee pages in the same minute, either may stand for the page.
	callee := p.Service == truth.Changed && p.Service != truth.Service && strings.Contains(strings.Join(p.Also, " "), truth.Service)
	if (p.Alert != truth.Alert || p.Service != truth.Service) && !callee {
		t.Fatalf("want %s %s, got %s %s (also %s)", truth.Alert, truth.Service, p.Alert, p.Service, p.Also)
	}
	if p.Start.Before(truth.Onset) || p.Start.After(truth.Onset.Add(10*time.Minute)) {
		t.Errorf("page at %s, onset at %s", p.Start, truth.Onset)
	}
	if p.End.Before(truth.End) || p.End.After(truth.End.Add(12*time.Minute)) {
		t.Errorf("ended at %s, good again at %s", p.End, truth.End)
	}
	on := p.Report.Onset
	if on.Earliest.After(truth.Onset.Add(scrape)) || on.Latest.Before(truth.Onset.Add(-scrape)) {
		t.Errorf("onset %s to %s does not hold the truth %s", on.Earliest, on.Latest, truth.Onset)
	}
	if s := p.Report.Symptom; truth.Alert != backfill.Backlog && !callee {
		if s.Before == nil || s.Now == nil || *s.Before > .05 || *s.Now < .05 || *s.Now > truth.Share+.12 {
			t.Errorf("symptom %q: the share was about %.2f", s.Sentence, truth.Share)
		}
		if regexp.MustCompile(`\d m?s → |→ [\d.]+ m?s `).MatchString(s.Sentence) {
			t.Errorf("a share is told as a time: %q", s.Sentence)
		}
	}
	if p.Report.CreatedAt.After(p.Start.Add(time.Minute)) {
		t.Errorf("the report is of %s, the page of %s", p.Report.CreatedAt, p.Start)
	}
	for _, s := range p.Report.Suspects {
		if c := s.Change; c != nil && (c.FinishedAt.After(p.Report.CreatedAt) || c.OccurredAt().After(p.Report.CreatedAt)) {
			t.Errorf("%s was known only later: %+v", c.ID, c)
		}
	}
	if p.Word != triage.WordLikely {
		return false
	}
	c := p.Report.Standing().Named[0].Change
	if c == nil || c.Service != truth.Changed || c.OccurredAt().Sub(truth.Onset).Abs() > 5*time.Minute {
		t.Fatalf("false blame: %s; the truth is %+v", p.Said, truth)
	}
	if truth.Version != "" {
		if c.Version != truth.Version || !strings.Contains(p.Said, truth.Version) {
			t.Errorf("want version %s, said %q", truth.Version, p.Said)
		}
		if !p.Undone || !strings.Contains(p.After, "rolled back") {
			t.Errorf("it was rolled back, said %q", p.After)
		}
	}
	return true
}

// Ended early, it must print what it has, and say so.
func endedEarly(t *testing.T, url string) {
	var out bytes.Buffer
	o := options(url, &out)
	ctx, cancel := context.WithCancel(t.Context())
	o.Terminal = true
	o.Err = writerFunc(func(b []byte) (int, error) {
		if strings.Contains(string(b), "page 4 of") {
			cancel()
		}
		return len(b), nil
	})
	if err := try.Run(ctx, o); err != nil {
		t.Fatal(err)
	}
	r := decode(t, &out)
	if !r.Interrupted || len(r.Pages) != 3 || r.Summary.Pages != 20 {
		t.Errorf("want 3 of 20 pages, ended early; got %d of %d, %v", len(r.Pages), r.Summary.Pages, r.Interrupted)
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(b []byte) (int, error) { return f(b) }
