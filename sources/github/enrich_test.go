package github

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/triaged-dev/triaged/triage"
)

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
		object{"number": 33, "title": "Rounding", "merged_at": "2026-03-01T02:00:00Z"}, object{"number": 34, "title": "Not merged"},
	})
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

// Re-running a workflow makes a second deployment with the same run: it must not be joined with the first by it.
func TestRerunIsAChangeOfItsOwn(t *testing.T) {
	g := newRig(t)
	g.hub.set(deploys, newest(fakeDeployment(1, sha("a"), "production", g.at.Add(-20*time.Minute), nil), fakeDeployment(2, sha("a"), "production", g.at, nil), fakeDeployment(3, sha("a"), "staging", g.at, nil)))
	for id := int64(1); id <= 3; id++ {
		st := fakeStatus(id, "success", g.at)
		st["log_url"] = fmt.Sprintf("https://github.com/lumen-shop/checkout/actions/runs/500/job/%d", id)
		g.hub.set(fmt.Sprintf("%s/%d/statuses", deploys, id), []any{st})
	}
	g.hub.set("repos/lumen-shop/checkout/commits/"+sha("a")+"/pulls", []any{})
	want := map[triage.ChangeID]bool{"github:lumen-shop/checkout/deployment/1": true, "github:lumen-shop/checkout/deployment/2": false, "github:lumen-shop/checkout/deployment/3": true}
	for _, c := range g.poll(0) {
		if has := slices.ContainsFunc(c.Refs, func(r triage.Ref) bool { return r.System == "github-run" }); has != want[c.ID] {
			t.Errorf("%s: want the run's key %v, got %v", c.ID, want[c.ID], c.Refs)
		}
		delete(want, c.ID)
	}
	if len(want) > 0 {
		t.Errorf("not handed over: %v", want)
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
