package github

import (
	"testing"
	"time"
)

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
