package github

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
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
	g.hub.set("repos/lumen-shop/checkout/actions/runs/5", object{"id": 5, "name": "CI", "path": ".github/workflows/deploy.yml", "status": "completed", "conclusion": "failure", "event": "push", "head_sha": sha("a"),
		"created_at": "2026-03-01T02:59:00Z", "run_started_at": "2026-03-01T02:59:00Z", "updated_at": ts, "run_attempt": 1})
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

func TestRollbacksAreRecognised(t *testing.T) {
	g := newRig(t)
	t0 := g.at.Add(-time.Hour)
	cmp := func(a, b, status string) {
		g.hub.set("repos/lumen-shop/checkout/compare/"+sha(a)+"..."+sha(b), fakeCompare(status, []string{"Faster totals (#12)"}, fakeFile("src/total.go", 10, 2)))
	}
	cmp("a", "b", "ahead")
	cmp("b", "c", "ahead")
	cmp("c", "a", "behind")
	cmp("a", "c", "ahead")
	cmp("c", "d", "diverged")
	cmp("d", "b", "diverged")
	g.hub.set("repos/lumen-shop/checkout/commits/"+sha("a")+"/pulls", []any{})
	var ds []object
	deploy := func(id int64, commit string) {
		ds = append(ds, fakeDeployment(id, sha(commit), "production", t0.Add(time.Duration(id)*time.Minute), nil))
		g.hub.set(fmt.Sprintf("%s/%d/statuses", deploys, id), []any{fakeStatus(id, "success", t0.Add(time.Duration(id)*time.Minute+30*time.Second))})
		g.hub.set(deploys, newest(ds...))
	}
	for i, step := range []struct{ commit, kind, undoes string }{
		{"a", "deploy", ""},
		{"b", "deploy", ""},
		{"c", "deploy", ""},
		{"a", "rollback", "[github:lumen-shop/checkout/deployment/3 github:lumen-shop/checkout/deployment/2]"},
		{"c", "deploy", ""}, // forward again, though it ran here before
		{"c", "deploy", ""}, // the same once more
		{"d", "deploy", ""}, // a hotfix branch
		{"b", "rollback", ""},
	} {
		id := int64(i + 1)
		deploy(id, step.commit)
		cs := g.expect(step.commit, time.Minute, fmt.Sprintf("deployment/%d %s succeeded", id, step.kind))
		if len(cs) == 1 && step.undoes != "" && fmt.Sprint(cs[0].Undoes) != step.undoes {
			t.Errorf("%s: want it to undo %s, got %v", step.commit, step.undoes, cs[0].Undoes)
		}
	}
}

func TestDeploymentIsEnriched(t *testing.T) {
	g := newRig(t, Repository{Name: repoName1, MigrationPaths: []string{"db/migrations/"}})
	t0 := g.at.Add(-time.Hour)
	a, b := fakeDeployment(1, sha("a"), "production", t0, object{"ref": "v1.9.0"}), fakeDeployment(2, sha("b"), "production", g.at, object{"ref": "v2.0.0"})
	other := fakeDeployment(3, sha("f"), "staging", g.at.Add(-time.Minute), nil)
	g.hub.set(deploys, newest(a, b, other))
	g.hub.set(deploys+"/1/statuses", []any{fakeStatus(1, "inactive", g.at), fakeStatus(1, "success", t0)})
	g.hub.set(deploys+"/2/statuses", []any{fakeStatus(2, "success", g.at)})
	g.hub.set(deploys+"/3/statuses", []any{})
	g.hub.set("repos/lumen-shop/checkout/compare/"+sha("a")+"..."+sha("b"), fakeCompare("ahead",
		[]string{"Add column (#31)", "Merge pull request #32 from lumen-shop/x\n\nCache totals", "wip"},
		fakeFile("db/migrations/0007.sql", 12, 0), fakeFile("src/total.go", 8, 5)))
	g.hub.set("repos/lumen-shop/checkout/commits/"+fmt.Sprintf("%040d", 3)+"/pulls", []any{
		object{"number": 33, "title": "Rounding", "merged_at": "2026-03-01T02:00:00Z"}, object{"number": 34, "title": "Not merged"}})
	var got triage.Change
	for _, c := range g.poll(0) {
		if c.ID == "github:lumen-shop/checkout/deployment/2" {
			got = c
		}
	}
	for _, x := range []struct{ what, want, got string }{
		{"version", "v2.0.0", got.Version},
		{"previous version", "v1.9.0", got.PreviousVersion},
		{"pull requests", "33,32,31", got.Labels["pr"]},
		{"titles", "Rounding; Cache totals; Add column", got.Labels["pr_titles"]},
		{"migrations", "db/migrations/0007.sql", got.Labels["migration_paths"]},
		{"reversible", "no", string(got.Reversible.Value)},
		{"size", "{2 25 [db/migrations/0007.sql src/total.go]}", fmt.Sprint(got.Size)},
		{"compare", "https://github.com/lumen-shop/checkout/compare/aaaaaaaaaaaa...bbbbbbbbbbbb", got.Labels["compare"]},
	} {
		if x.want != x.got {
			t.Errorf("%s: want %q, got %q", x.what, x.want, x.got)
		}
	}
}

// What the API will not say must not keep the deployment itself back.
func TestDeploymentGoesOutUnenriched(t *testing.T) {
	g := newRig(t)
	g.hub.set(deploys, newest(fakeDeployment(1, sha("a"), "production", g.at.Add(-time.Hour), nil), fakeDeployment(2, sha("b"), "production", g.at, nil)))
	g.hub.set(deploys+"/1/statuses", []any{fakeStatus(1, "success", g.at.Add(-time.Hour))})
	g.hub.set(deploys+"/2/statuses", []any{fakeStatus(2, "success", g.at)})
	g.hub.fail("repos/lumen-shop/checkout/compare/"+sha("a")+"..."+sha("b"), fault{status: 500})
	g.expect("compare fails", 0, "deployment/1 deploy succeeded; deployment/2 deploy succeeded")
	g.hub.heal()
	g.hub.set("repos/lumen-shop/checkout/compare/"+sha("a")+"..."+sha("b"), fakeCompare("behind", nil))
	g.hub.set("repos/lumen-shop/checkout/commits/"+sha("a")+"/pulls", []any{})
	g.expect("compare is back", time.Minute, "deployment/2 rollback succeeded")
	g.expect("quiet", time.Minute, "")
}

// A deployment of Actions that waits for an approval has changed nothing; one that is never approved never becomes a change.
func TestWaitingForApprovalIsNoChange(t *testing.T) {
	g := newRig(t)
	t0 := g.at
	bot := object{"creator": object{"login": "github-actions[bot]"}}
	g.hub.set(deploys, newest(fakeDeployment(1, sha("a"), "production", t0, bot)))
	g.hub.set(deploys+"/1/statuses", []any{fakeStatus(1, "waiting", t0)})
	g.hub.set("repos/lumen-shop/checkout/commits/"+sha("a")+"/pulls", []any{})
	g.expect("waits", 30*time.Second, "")
	g.hub.set(deploys+"/1/statuses", []any{fakeStatus(2, "in_progress", t0.Add(20*time.Minute)), fakeStatus(1, "waiting", t0)})
	cs := g.expect("approved", 20*time.Minute, "deployment/1 deploy started")
	if !cs[0].StartedAt.Equal(t0.Add(20 * time.Minute)) {
		t.Errorf("want it to start with its job, got %s", cs[0].StartedAt)
	}
}

// Refused approval: Actions marks the deployment as failed though no job ever started.
func TestRefusedApprovalIsNoChange(t *testing.T) {
	g := newRig(t)
	g.hub.set(deploys, newest(fakeDeployment(1, sha("a"), "production", g.at, object{"performed_via_github_app": object{"slug": "github-actions"}})))
	g.hub.set(deploys+"/1/statuses", []any{fakeStatus(2, "failure", g.at.Add(time.Minute)), fakeStatus(1, "waiting", g.at)})
	g.expect("refused", 2*time.Minute, "")
	g.hub.requests()
	g.expect("closed", time.Minute, "")
	if n := len(g.hub.requests()); n != 1 {
		t.Errorf("want only the list to be asked for, got %d requests", n)
	}
}

// Its successor makes a deployment inactive: it is reported as superseded, with its own times.
func TestSupersededKeepsItsTimes(t *testing.T) {
	g := newRig(t)
	t0 := g.at
	one := fakeDeployment(1, sha("a"), "production", t0, nil)
	g.hub.set(deploys, newest(one))
	g.hub.set(deploys+"/1/statuses", []any{fakeStatus(2, "success", t0.Add(2*time.Minute)), fakeStatus(1, "in_progress", t0.Add(time.Minute))})
	g.hub.set("repos/lumen-shop/checkout/commits/"+sha("a")+"/pulls", []any{})
	g.expect("first", 3*time.Minute, "deployment/1 deploy succeeded")
	one["updated_at"] = t0.Add(time.Hour).Format(time.RFC3339)
	g.hub.set(deploys+"/1/statuses", []any{fakeStatus(3, "inactive", t0.Add(time.Hour)), fakeStatus(2, "success", t0.Add(2*time.Minute)), fakeStatus(1, "in_progress", t0.Add(time.Minute))})
	cs := g.expect("superseded", time.Hour, "deployment/1 deploy superseded")
	if c := cs[0]; !c.StartedAt.Equal(t0.Add(time.Minute)) || !c.FinishedAt.Equal(t0.Add(2*time.Minute)) {
		t.Errorf("want its own times, got %s to %s", c.StartedAt, c.FinishedAt)
	}
}

func TestPushesByActivityAndByHead(t *testing.T) {
	r := Repository{Name: repoName1, AppliedOnPush: true, ConfigPaths: []string{"deploy/**"}}
	const repo, activities = "repos/lumen-shop/checkout", "repos/lumen-shop/checkout/activity"
	cmp := func(g *rig, a, b, status string) {
		g.hub.set(repo+"/compare/"+sha(a)+"..."+sha(b), fakeCompare(status, []string{"Pool (#7)"}, fakeFile("deploy/values.yaml", 1, 1)))
	}
	t.Run("activity", func(t *testing.T) {
		g := newRig(t, r)
		g.hub.set(deploys, []any{})
		g.hub.set(repo, object{"default_branch": "trunk"})
		move := func(id int, a, b, kind, ref string) object {
			return object{"id": id, "before": sha(a), "after": sha(b), "ref": ref, "timestamp": "2026-03-01T02:59:30Z", "activity_type": kind}
		}
		g.hub.set(activities, []any{
			move(4, "b", "a", "force_push", "refs/heads/trunk"), move(3, "a", "b", "pr_merge", "refs/heads/trunk"),
			move(2, "0", "b", "branch_creation", "refs/heads/trunk"), move(1, "a", "b", "push", "refs/heads/try"),
		})
		cmp(g, "a", "b", "ahead")
		cmp(g, "b", "a", "behind")
		cs := g.expect("moves", 0, "push/trunk/aaaaaaaaaaaa...bbbbbbbbbbbb config succeeded; push/trunk/bbbbbbbbbbbb...aaaaaaaaaaaa config succeeded")
		for _, c := range cs {
			if c.StartedAt.Format(time.TimeOnly) != "02:59:30" || c.TimeUncertaintyS != 0 || c.Size.Files != 1 {
				t.Errorf("want the exact time and one file, got %s ± %v, %v", c.StartedAt, c.TimeUncertaintyS, c.Size)
			}
		}
		g.expect("once", time.Minute, "")
	})
	t.Run("head", func(t *testing.T) {
		g := newRig(t, r)
		g.hub.set(deploys, []any{})
		g.hub.set(repo, object{"default_branch": "trunk"})
		head := func(c string) { g.hub.set(repo+"/git/ref/heads/trunk", object{"object": object{"sha": sha(c)}}) }
		head("a")
		cmp(g, "a", "b", "ahead")
		g.expect("first sight", 0, "")
		head("b")
		cs := g.expect("moved", time.Minute, "push/trunk/aaaaaaaaaaaa...bbbbbbbbbbbb config succeeded")
		if len(cs) == 1 && (!cs[0].StartedAt.Equal(g.at.Add(-30*time.Second)) || cs[0].TimeUncertaintyS != 30) {
			t.Errorf("want the middle between the polls ± 30 s, got %s ± %v", cs[0].StartedAt, cs[0].TimeUncertaintyS)
		}
		g.start()
		g.expect("restart", time.Minute, "")
	})
}

func TestPushTime(t *testing.T) {
	last := time.Date(2026, 3, 1, 10, 0, 0, 0, time.UTC)
	now := last.Add(30 * time.Second)
	for name, x := range map[string]struct {
		c    committed
		at   time.Duration // after last
		half time.Duration
	}{
		"old commit":       {committed{date: last.Add(-5 * time.Minute)}, 15 * time.Second, 15 * time.Second},
		"fresh commit":     {committed{date: last.Add(10 * time.Second)}, 20 * time.Second, 10 * time.Second},
		"merged by GitHub": {committed{date: last.Add(10 * time.Second), byGitHub: true}, 10 * time.Second, 0},
		"from the future":  {committed{date: now.Add(time.Hour), byGitHub: true}, 15 * time.Second, 15 * time.Second},
		"unknown":          {committed{}, 15 * time.Second, 15 * time.Second},
	} {
		at, half := pushTime(x.c, last, now)
		if !at.Equal(last.Add(x.at)) || half != x.half {
			t.Errorf("%s: want +%s ± %s, got +%s ± %s", name, x.at, x.half, at.Sub(last), half)
		}
	}
}

// Run must end when its context does, wake for a webhook, and keep its interval otherwise.
func TestRunWakesAndEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub := newFake(time.Now)
		hub.set(deploys, []any{})
		cfg := DefaultConfig()
		cfg.Repositories = []Repository{{Name: repoName1}}
		cfg.Webhook = &Webhook{Secret: testSecret}
		s, err := New(Options{Config: cfg, Transport: withToken{"t0ken", hub}})
		if err != nil {
			t.Fatal(err)
		}
		defer s.stopCaches()()
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- s.Run(ctx, (&recorder{}).emit) }()
		synctest.Wait()
		if n := len(hub.requests()); n != 1 {
			t.Errorf("want one request at once, got %d", n)
		}
		time.Sleep(29 * time.Second)
		synctest.Wait()
		if n := len(hub.requests()); n != 0 {
			t.Errorf("want none before the interval is over, got %d", n)
		}
		s.poke(s.repos[0])
		synctest.Wait()
		if n := len(hub.requests()); n != 1 {
			t.Errorf("want a webhook to bring a poll forward, got %d requests", n)
		}
		time.Sleep(31 * time.Second)
		synctest.Wait()
		if n := len(hub.requests()); n != 1 {
			t.Errorf("want the next poll after the interval, got %d", n)
		}
		cancel()
		if err := <-done; err != nil {
			t.Errorf("want nil when the context ends, got %v", err)
		}
	})
}

// A server that never answers must not stop the loop for good, nor hold up the other repositories.
func TestHangingServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub := newFake(time.Now)
		hub.set("repos/lumen-shop/search/deployments", newest(fakeDeployment(9, sha("a"), "production", time.Now(), nil)))
		hub.set("repos/lumen-shop/search/deployments/9/statuses", []any{})
		hub.fail(deploys, fault{hang: true})
		cfg := DefaultConfig()
		cfg.Repositories = []Repository{{Name: repoName1}, {Name: "lumen-shop/search"}}
		s, err := New(Options{Config: cfg, Transport: withToken{"t0ken", hub}})
		if err != nil {
			t.Fatal(err)
		}
		defer s.stopCaches()()
		rec := &recorder{}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- s.Run(ctx, rec.emit) }()
		time.Sleep(16 * time.Second)
		synctest.Wait()
		if st := s.Status(); st.State != triage.SourceLate || !strings.Contains(st.Detail, "no answer within 15s") {
			t.Errorf("want late, no answer; got %+v", st)
		}
		if len(rec.changes) != 1 {
			t.Errorf("want the other repository's deployment, got %d", len(rec.changes))
		}
		hub.heal()
		hub.set(deploys, []any{})
		time.Sleep(time.Minute)
		synctest.Wait()
		if st := s.Status(); st.State != triage.SourceOK {
			t.Errorf("want ok when the server is back, got %+v", st)
		}
		cancel()
		<-done
	})
}

var _ http.RoundTripper = (*fakeGitHub)(nil)
