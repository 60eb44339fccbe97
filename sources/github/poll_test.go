package github

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/triaged-dev/triaged/triage"
)

func (m *memory) State(_ context.Context, key string) ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if v, ok := m.m[key]; ok {
		return v, nil
	}
	return nil, errors.New("no such key")
}

func (m *memory) SetState(_ context.Context, key string, value []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.sets++
	if m.err != nil {
		return m.err
	}
	m.m[key] = value
	return nil
}

const (
	repoName1 = "lumen-shop/checkout"
	deploys   = "repos/lumen-shop/checkout/deployments"
)

// rig is a source in front of a fake GitHub, polled by hand, with its own clock.
type rig struct {
	t     *testing.T
	at    time.Time
	hub   *fakeGitHub
	store *memory
	rec   *recorder
	s     *Source
	reg   *prometheus.Registry
	odd   []triage.Quarantined
	cfg   Config
}

func newRig(t *testing.T, repos ...Repository) *rig {
	t.Helper()
	g := &rig{t: t, at: time.Date(2026, 3, 1, 3, 0, 0, 0, time.UTC), store: newMemory(), rec: &recorder{}}
	g.hub = newFake(g.now)
	g.cfg = DefaultConfig()
	if len(repos) == 0 {
		repos = []Repository{{Name: repoName1}}
	}
	g.cfg.Repositories = repos
	g.start()
	return g
}

func (g *rig) now() time.Time { return g.at }

// start makes a new source over the same store: a restart.
func (g *rig) start() {
	g.reg = prometheus.NewRegistry()
	g.s = newTestSource(g.t, Options{
		Config: g.cfg, State: g.store, Registerer: g.reg, Now: g.now, Transport: withToken{"t0ken", g.hub},
		Quarantine: func(_ context.Context, q triage.Quarantined) { g.odd = append(g.odd, q) },
	})
}

// poll lets d pass, polls everything that is due, and returns what was handed over.
func (g *rig) poll(d time.Duration) []triage.Change {
	g.t.Helper()
	g.at = g.at.Add(d)
	g.rec.changes = nil
	g.s.round(g.t.Context(), g.rec.emit)
	return g.rec.changes
}

func ids(cs []triage.Change) string {
	var out []string
	for _, c := range cs {
		out = append(out, fmt.Sprintf("%s %s %s", strings.TrimPrefix(string(c.ID), "github:lumen-shop/checkout/"), c.Kind, c.Status))
	}
	slices.Sort(out)
	return strings.Join(out, "; ")
}

func (g *rig) expect(what string, d time.Duration, want string) []triage.Change {
	g.t.Helper()
	cs := g.poll(d)
	if got := ids(cs); got != want {
		g.t.Fatalf("%s: want %q, got %q (status %+v)", what, want, got, g.s.Status())
	}
	return cs
}

func TestDeploymentIsFollowedToItsEnd(t *testing.T) {
	g := newRig(t)
	t0 := g.at
	d := fakeDeployment(1, sha("a"), "production", t0.Add(-10*time.Second), nil)
	g.hub.set(deploys, newest(d))
	g.hub.set(deploys+"/1/statuses", []any{})
	g.expect("created", 0, "deployment/1 deploy started")
	g.hub.set(deploys+"/1/statuses", []any{fakeStatus(1, "in_progress", t0.Add(5*time.Second))})
	cs := g.expect("runs", 30*time.Second, "deployment/1 deploy started")
	if want := t0.Add(5 * time.Second); !cs[0].StartedAt.Equal(want) {
		t.Errorf("want start %s, got %s", want, cs[0].StartedAt)
	}
	g.expect("nothing new", 30*time.Second, "")
	g.hub.set(deploys+"/1/statuses", []any{fakeStatus(2, "success", t0.Add(80*time.Second)), fakeStatus(1, "in_progress", t0.Add(5*time.Second))})
	cs = g.expect("done", 30*time.Second, "deployment/1 deploy succeeded")
	if want := t0.Add(80 * time.Second); !cs[0].FinishedAt.Equal(want) || !cs[0].StartedAt.Equal(t0.Add(5*time.Second)) {
		t.Errorf("want the interval of the statuses, got %s to %s", cs[0].StartedAt, cs[0].FinishedAt)
	}
	g.hub.requests()
	g.expect("closed", 30*time.Second, "")
	if got := g.hub.requests(); !slices.Equal(got, []string{deploys + " 304"}) {
		t.Errorf("a closed deployment is not asked about again: got %v", got)
	}
}

// A quiet poll must cost nothing: every request of it is answered by 304.
func TestQuietPollsAreFree(t *testing.T) {
	r := everything(repoName1)
	r.Branches = []string{"main"}
	g := newRig(t, r)
	quiet(g)
	g.poll(0)
	before := g.hub.charged()
	g.hub.requests()
	for range 20 {
		if cs := g.poll(30 * time.Second); len(cs) > 0 {
			t.Fatalf("want nothing, got %v", ids(cs))
		}
	}
	if after := g.hub.charged(); after != before {
		t.Errorf("want 20 free polls, but %d requests were charged: %v", after-before, g.hub.requests())
	}
	free := testutil.ToFloat64(g.s.metrics.requests.WithLabelValues("github", "not_modified"))
	if free < 100 {
		t.Errorf("want at least 100 requests counted as not_modified, got %v", free)
	}
}

// quiet fills the lists of everything(): one open deployment, one run, a release, a merge and a push, all reported once.
func quiet(g *rig) {
	at := g.at.Add(-time.Minute)
	ts := at.UTC().Format(time.RFC3339)
	g.hub.set(deploys, newest(fakeDeployment(1, sha("a"), "production", at, nil)))
	g.hub.set(deploys+"/1/statuses", []any{fakeStatus(1, "in_progress", at)})
	run := object{"id": 5, "name": "CI", "path": ".github/workflows/deploy.yml", "status": "in_progress", "event": "push", "head_sha": sha("a"), "head_branch": "main", "created_at": ts, "run_started_at": ts, "updated_at": ts, "run_attempt": 1}
	g.hub.set("repos/lumen-shop/checkout/actions/runs", map[string][]any{"workflow_runs": {run}})
	g.hub.set("repos/lumen-shop/checkout/releases", []any{object{"id": 6, "tag_name": "v1", "published_at": ts, "created_at": ts}})
	g.hub.set("repos/lumen-shop/checkout/pulls", []any{object{"number": 7, "title": "Tidy", "merged_at": ts, "updated_at": ts, "merge_commit_sha": sha("a"), "base": object{"ref": "main"}}})
	g.hub.set("repos/lumen-shop/checkout/commits/"+sha("a")+"/pulls", []any{})
	g.hub.set("repos/lumen-shop/checkout/activity", []any{object{"id": 8, "before": sha("9"), "after": sha("a"), "ref": "refs/heads/main", "timestamp": ts, "activity_type": "push"}})
	g.hub.set("repos/lumen-shop/checkout/compare/"+sha("9")+"..."+sha("a"), fakeCompare("ahead", []string{"Pool (#7)"}, fakeFile("deploy/values.yaml", 1, 1)))
}

func TestEveryKindIsPolled(t *testing.T) {
	r := everything(repoName1)
	r.Branches = []string{"main"}
	g := newRig(t, r)
	quiet(g)
	g.expect("first poll", 0, "deployment/1 deploy started; pull/7 deploy succeeded; push/main/999999999999...aaaaaaaaaaaa config succeeded; release/6 deploy succeeded; run/5 deploy started")
	ts := g.at.Add(20 * time.Second).UTC().Format(time.RFC3339)
	g.hub.set("repos/lumen-shop/checkout/actions/runs", map[string][]any{"workflow_runs": {}}) // left the list while it ran
	g.hub.set("repos/lumen-shop/checkout/actions/runs/5", object{
		"id": 5, "name": "CI", "path": ".github/workflows/deploy.yml", "status": "completed", "conclusion": "failure", "event": "push", "head_sha": sha("a"),
		"created_at": "2026-03-01T02:59:00Z", "run_started_at": "2026-03-01T02:59:00Z", "updated_at": ts, "run_attempt": 1,
	})
	g.expect("run ends", 30*time.Second, "run/5 deploy failed")
	g.hub.requests()
	g.expect("run forgotten", 30*time.Second, "")
	for _, q := range g.hub.requests() {
		if strings.Contains(q, "actions/runs/5") {
			t.Errorf("a run that ended is not asked about again: %s", q)
		}
	}
}

// After a restart nothing is handed over twice and nothing that happened meanwhile is lost.
func TestRestartNeitherLosesNorRepeats(t *testing.T) {
	g := newRig(t)
	t0 := g.at
	one := fakeDeployment(1, sha("a"), "production", t0, nil)
	g.hub.set(deploys, newest(one))
	g.hub.set(deploys+"/1/statuses", []any{fakeStatus(1, "success", t0)})
	g.hub.set("repos/lumen-shop/checkout/commits/"+sha("a")+"/pulls", []any{})
	g.expect("first", time.Minute, "deployment/1 deploy succeeded")
	g.start()
	g.expect("restarted, quiet", time.Minute, "")
	g.hub.set(deploys, newest(one, fakeDeployment(2, sha("b"), "production", g.at, nil)))
	g.hub.set(deploys+"/2/statuses", []any{})
	g.hub.set("repos/lumen-shop/checkout/compare/"+sha("a")+"..."+sha("b"), fakeCompare("ahead", nil))
	g.start()
	g.expect("restarted, news", time.Minute, "deployment/2 deploy started")
}

// Nothing is acknowledged that the store did not take.
func TestFailedEmitMovesNoCursor(t *testing.T) {
	g := newRig(t)
	g.hub.set(deploys, newest(fakeDeployment(1, sha("a"), "production", g.at, nil)))
	g.hub.set(deploys+"/1/statuses", []any{fakeStatus(1, "success", g.at)})
	g.hub.set("repos/lumen-shop/checkout/commits/"+sha("a")+"/pulls", []any{})
	g.rec.err = errors.New("journal is read-only")
	g.expect("store is down", time.Minute, "")
	if g.store.sets != 0 {
		t.Error("the cursor moved though nothing was stored")
	}
	if st := g.s.Status(); st.State != triage.SourceDown || !strings.Contains(st.Detail, "journal is read-only") {
		t.Errorf("want down with the reason, got %+v", st)
	}
	g.rec.err = nil
	g.expect("store is back", time.Hour, "deployment/1 deploy succeeded")
	g.expect("and quiet", time.Minute, "")
	if st := g.s.Status(); st.State != triage.SourceOK || st.Events != 1 {
		t.Errorf("want ok with one event, got %+v", st)
	}
}

// Where a repository has no deployments, or the token may not read them, the rest is read without them.
func TestWithoutDeployments(t *testing.T) {
	r, no := everything(repoName1), false
	r.Branches, r.Deployments = []string{"main"}, &no
	g := newRig(t, r)
	quiet(g)
	g.hub.fail(deploys, fault{status: 403, body: `{"message":"Resource not accessible by personal access token"}`})
	g.expect("the rest", 0, "pull/7 deploy succeeded; push/main/999999999999...aaaaaaaaaaaa config succeeded; release/6 deploy succeeded; run/5 deploy started")
	if st := g.s.Status(); st.State != triage.SourceOK {
		t.Errorf("want ok, got %+v", st)
	}
}

func TestPagesAreReadDownToTheKnown(t *testing.T) {
	g := newRig(t)
	g.hub.page = 3
	var ds []object
	add := func(id int64, at time.Time) {
		ds = append(ds, fakeDeployment(id, sha("a"), fmt.Sprintf("env-%d", id), at, nil))
		g.hub.set(fmt.Sprintf("%s/%d/statuses", deploys, id), []any{fakeStatus(id, "success", at)})
	}
	g.hub.set("repos/lumen-shop/checkout/commits/"+sha("a")+"/pulls", []any{})
	for id := int64(1); id <= 20; id++ {
		add(id, g.at.Add(-30*time.Hour+time.Duration(id)*90*time.Minute)) // the first three are older than the backfill
	}
	g.hub.set(deploys, newest(ds...))
	if cs := g.poll(0); len(cs) != 17 {
		t.Errorf("want the deployments of the last 24 h, got %d: %s", len(cs), ids(cs))
	}
	g.hub.requests()
	for id := int64(21); id <= 24; id++ {
		add(id, g.at)
	}
	g.hub.set(deploys, newest(ds...))
	if cs := g.poll(time.Minute); len(cs) != 4 {
		t.Errorf("want the four new ones, got %s", ids(cs))
	}
	pages := 0
	for _, q := range g.hub.requests() {
		if strings.HasPrefix(q, deploys+" ") {
			pages++
		}
	}
	if pages != 2 {
		t.Errorf("want 2 pages of the list to be read, got %d", pages)
	}
}
