package collector

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/triaged-dev/triaged/triage"
)

// rollout is what three systems say of one deploy: GitHub (a deployment and three statuses), CI by a CloudEvent on Kafka, and
// the ReplicaSet that Prometheus saw. GitHub and Prometheus share no key; the CloudEvent has the keys of both.
func rollout() []triage.Change {
	scope := triage.Scope{Service: "checkout", Environment: "production"}
	refs := []triage.Ref{{System: "github-deployment", ID: "acme/shop/7", URL: "https://github.example/d/7"}}
	github := func(observed float64) triage.Change {
		return triage.Change{
			ID: "github:acme/shop/deployment/7", Source: "github", Kind: triage.KindDeploy, Scope: scope, Refs: refs,
			Labels: map[string]string{"sha": "4f2c1d7aa0"}, ObservedAt: at(observed), Title: "Deploy 4f2c1d7",
		}
	}
	created, running, success, inactive := github(0), github(0.3), github(4.2), github(30)
	created.Status, created.StartedAt = triage.StatusStarted, at(0.1)
	running.Status, running.StartedAt = triage.StatusStarted, at(0.2)
	success.Status, success.FinishedAt = triage.StatusSucceeded, at(4)
	inactive.Status, inactive.FinishedAt = triage.StatusSuperseded, at(29)
	return []triage.Change{
		created, running, success, inactive,
		{
			ID: "https://ci.acme.example#812", Source: "kafka", Kind: triage.KindDeploy, Status: triage.StatusSucceeded,
			Scope: triage.Scope{Service: "checkout-svc", Environment: "prod"}, FinishedAt: at(5), ObservedAt: at(5.1), Version: "v812", Digest: "sha256:9e",
			Title: "checkout v812: new pricing", Labels: map[string]string{"sha": "4f2c1d7aa0", "pipeline": "main"},
			Refs: []triage.Ref{{System: "ci-run", ID: "812"}}, Size: triage.Size{Files: 3, Lines: 40},
		},
		{
			ID: "prometheus:rs/checkout-5d8f", Source: "prometheus", Kind: triage.KindDeploy, Status: triage.StatusStarted,
			Scope:     triage.Scope{Service: "checkout", Environment: "production", Cluster: "eu1", Namespace: "shop"},
			StartedAt: at(1.5), TimeUncertaintyS: 30, ObservedAt: at(2.5), Version: "v812-4f2c1d7", Digest: "sha256:9e",
			Steps: []triage.Step{{At: at(1.5), Percent: 10}, {At: at(3), Percent: 100}},
		},
	}
}

func shopDirectory() *triage.Directory {
	return triage.NewDirectory(map[string]triage.Service{"checkout": {Aliases: []string{"checkout-svc"}}, "payments": {}}, nil)
}

// Whatever the order, the grouping and the repetitions, one rollout is one Change with one body, and every id it ever had finds it.
func TestOneRolloutIsOneChange(t *testing.T) {
	var want *triage.Change
	rapid.Check(t, func(rt *rapid.T) {
		reports := rollout()
		for range rapid.IntRange(0, 4).Draw(rt, "repetitions") {
			reports = append(reports, reports[rapid.IntRange(0, 5).Draw(rt, "repeated")])
		}
		reports = rapid.Permutation(reports).Draw(rt, "order")
		j := newMemJournal()
		c, stop := newRunning(rt, j)
		defer stop()
		for rest := reports; len(rest) > 0; {
			n := rapid.IntRange(1, len(rest)).Draw(rt, "batch")
			if err := c.Emit(t.Context(), events(rest[:n]...)); err != nil {
				rt.Fatal(err)
			}
			rest = rest[n:]
		}
		found, _, err := c.Find(t.Context(), triage.ChangeQuery{})
		if err != nil {
			rt.Fatal(err)
		}
		if len(found) != 1 || len(j.bodies) != 1 || c.size() != 1 {
			rt.Fatalf("got %d changes found (%s), %d journalled, %d in the index; want one", len(found), ids(found), len(j.bodies), c.size())
		}
		got := found[0]
		for _, r := range reports {
			to, err := j.ResolveChange(t.Context(), r.ID)
			if err != nil || to != got.ID {
				rt.Fatalf("id %s resolves to %q, %v; want %s", r.ID, to, err, got.ID)
			}
			if !c.inWindow(r.ID) {
				rt.Fatalf("id %s is not found in the window", r.ID)
			}
		}
		got.ID = ""
		if want == nil {
			want = &got
		}
		if d := cmp.Diff(*want, got); d != "" {
			rt.Fatalf("the body depends on the order:\n%s", d)
		}
	})
	if want.Version != "v812-4f2c1d7" || want.Status != triage.StatusSucceeded || !want.StartedAt.Equal(at(0.1)) || !want.FinishedAt.Equal(at(5)) ||
		want.Cluster != "eu1" || want.Labels["service_raw"] != "checkout-svc" || len(want.Refs) != 2 || len(want.Steps) != 2 {
		t.Errorf("merged body is not what the reports say: %+v", *want)
	}
}

// newRunning is startCollector for a property, where each try needs its own.
func newRunning(rt *rapid.T, j Journal) (*Collector, func()) {
	c, err := New(Options{Journal: j, Directory: shopDirectory(), Now: func() time.Time { return at(60) }})
	if err != nil {
		rt.Fatal(err)
	}
	if err := c.Load(context.Background()); err != nil {
		rt.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx) }()
	return c, func() {
		cancel()
		<-done
	}
}

// The first id journalled stays, also when a third report unites two changes that were journalled already.
func TestBridgeKeepsEarliestID(t *testing.T) {
	all := rollout()
	github, event, replicaSet := all[2], all[4], all[5]
	j := newMemJournal()
	c := startCollector(t, j, func(o *Options) { o.Directory = shopDirectory() })
	emit(t, c, replicaSet)
	emit(t, c, github)
	if got := find(t, c, triage.ChangeQuery{}); len(got) != 2 {
		t.Fatalf("before the bridge: got %s, want two changes", ids(got))
	}
	emit(t, c, event)
	got := find(t, c, triage.ChangeQuery{})
	if ids(got) != string(replicaSet.ID) {
		t.Fatalf("got %s, want %s alone", ids(got), replicaSet.ID)
	}
	for _, alias := range []triage.ChangeID{github.ID, event.ID} {
		if to, err := j.ResolveChange(t.Context(), alias); err != nil || to != replicaSet.ID {
			t.Errorf("%s resolves to %q, %v; want %s", alias, to, err, replicaSet.ID)
		}
	}
	// The aliases hold after a restart: a further status under an alias finds its Change.
	c = startCollector(t, j, func(o *Options) { o.Directory = shopDirectory() })
	failed := github
	failed.Status, failed.FinishedAt = triage.StatusFailed, at(12)
	emit(t, c, failed)
	got = find(t, c, triage.ChangeQuery{})
	if ids(got) != string(replicaSet.ID) || got[0].Status != triage.StatusFailed || got[0].Digest == "" {
		t.Errorf("after restart: got %+v", got)
	}
}

func TestNeverFolded(t *testing.T) {
	base := deploy("a", 0, "v1")
	base.Refs = []triage.Ref{{System: "run", ID: "1"}}
	base.Cluster = "eu1"
	tests := []struct {
		name   string
		change func(*triage.Change)
		folds  bool
	}{
		{"nothing contradicts", func(c *triage.Change) {}, true},
		{"service not known", func(c *triage.Change) { c.Service = "" }, true},
		{"another service", func(c *triage.Change) { c.Service = "payments" }, false},
		{"another environment", func(c *triage.Change) { c.Environment = "staging" }, false},
		{"another cluster", func(c *triage.Change) { c.Cluster = "us1" }, false},
		{"every service", func(c *triage.Change) { c.Service, c.Global = "", true }, false},
		{"a migration of the same run", func(c *triage.Change) { c.Kind = triage.KindMigration }, false},
		{"a rollback is a deploy", func(c *triage.Change) { c.Kind = triage.KindRollback }, true},
		{"59 minutes after its end", func(c *triage.Change) { c.StartedAt, c.FinishedAt = at(60), at(60) }, true},
		{"62 minutes after its end", func(c *triage.Change) { c.StartedAt, c.FinishedAt = at(63), at(63) }, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			other := base
			other.ID = "b"
			tt.change(&other)
			for _, pair := range [][]triage.Change{{base, other}, {other, base}} {
				c := startCollector(t, newMemJournal(), nil)
				emit(t, c, pair[0])
				emit(t, c, pair[1])
				want := 2
				if tt.folds {
					want = 1
				}
				if got := find(t, c, triage.ChangeQuery{}); len(got) != want {
					t.Errorf("%s then %s: got %d changes, want %d", pair[0].ID, pair[1].ID, len(got), want)
				}
			}
		})
	}
}

// Where two senders share neither commit nor image, the version they both name makes one Change of what they say soon after one
// another; a sender that names a version twice means two, in whatever order they come.
func TestVersionUnitesTwoSenders(t *testing.T) {
	seen := deploy("prometheus:rs/1", 2, "1.44.0")
	seen.Source = "prometheus"
	for _, tt := range []struct {
		name   string
		change func(*triage.Change)
		folds  bool
	}{
		{"two senders, with and without a v", func(*triage.Change) {}, true},
		{"of one sender", func(c *triage.Change) { c.Source = "prometheus" }, false},
		{"another version", func(c *triage.Change) { c.Version = "v1.44.1" }, false},
		{"another service", func(c *triage.Change) { c.Service = "payments" }, false},
		{"an environment that is not known", func(c *triage.Change) { c.Environment = "" }, false},
		{"another cluster", func(c *triage.Change) { c.Cluster = "us1" }, true}, // the other names none
		{"a flag", func(c *triage.Change) { c.Kind = triage.KindFlag }, false},
		{"half an hour apart", func(c *triage.Change) { c.StartedAt, c.FinishedAt = at(40), at(41) }, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			told := deploy("github:1", 0, "v1.44.0")
			told.Source = "github"
			tt.change(&told)
			for _, pair := range [][]triage.Change{{told, seen}, {seen, told}} {
				c := startCollector(t, newMemJournal(), nil)
				emit(t, c, pair[0])
				emit(t, c, pair[1])
				got := find(t, c, triage.ChangeQuery{})
				if want := map[bool]int{true: 1, false: 2}[tt.folds]; len(got) != want {
					t.Fatalf("%s then %s: got %s, want %d", pair[0].ID, pair[1].ID, ids(got), want)
				}
				if tt.folds && got[0].Labels[labelSources] != "github,prometheus" {
					t.Errorf("told by %q", got[0].Labels[labelSources])
				}
			}
		})
	}
	nameless := func(id triage.ChangeID, minutes float64, version string) triage.Change {
		c := deploy(id, minutes, version)
		c.Source = string(id[:2])
		return c
	}
	for version, want := range map[string]int{"latest": 2, "2": 2, "main": 2, "v4": 1, "46": 1, "v46": 1, "1.2": 1} {
		c := startCollector(t, newMemJournal(), nil)
		emit(t, c, nameless("ci:1", 0, version))
		emit(t, c, nameless("gh:1", 1, version))
		got := find(t, c, triage.ChangeQuery{})
		if len(got) != want {
			t.Errorf("%s told by two: want %d, got %s", version, want, ids(got))
		}
		for _, g := range got {
			if g.Labels[labelNoop] != "" {
				t.Errorf("%s told by two is one rollout, and no restart: %s", version, g.ID)
			}
		}
	}
	rapid.Check(t, func(rt *rapid.T) {
		c := startCollector(t, newMemJournal(), nil)
		all := rapid.Permutation([]triage.Change{nameless("ci:1", 0, "v1.2"), nameless("ci:2", 3, "v1.2"), nameless("gh:1", 1, "v1.2")}).Draw(rt, "order")
		for _, ch := range all {
			emit(t, c, ch)
		}
		if got := find(t, c, triage.ChangeQuery{}); len(got) != 2 {
			rt.Fatalf("want the two of ci and none besides, got %s", ids(got))
		}
	})
}

// The names of who told of a change stay within what a label may hold, whichever way they were united.
func TestFirstNamesAreBounded(t *testing.T) {
	long := func(c string) string { return strings.Repeat(c, triage.MaxText/2) }
	if got := firstNames([]string{long("a"), long("b"), "c"}); got != long("a") {
		t.Errorf("got %d bytes", len(got))
	}
	if got := firstNames([]string{"a", "b", "c"}); got != "a,b,c" {
		t.Errorf("got %s", got)
	}
}

// One id for two services cannot be one Change; both are kept, each under the same id however often it comes.
func TestSameIDOfAnotherService(t *testing.T) {
	j := newMemJournal()
	c := startCollector(t, j, nil)
	a, b := deploy("run-1", 0, "v1"), deploy("run-1", 0, "v1")
	b.Service = "payments"
	for range 3 {
		emit(t, c, a, b)
		emit(t, c, b)
	}
	got := find(t, c, triage.ChangeQuery{})
	if len(got) != 2 || len(j.bodies) != 2 {
		t.Fatalf("got %s, want two changes", ids(got))
	}
	if got := find(t, c, triage.ChangeQuery{Services: []string{"payments"}}); len(got) != 1 || got[0].ID == "run-1" {
		t.Errorf("payments: got %s, want one with an id of its own", ids(got))
	}
}

// Deploy v1, deploy v2, back to v1 within the hour: the commit of the first and the third is the same, the changes are not.
func TestGoingBackIsNotFolded(t *testing.T) {
	withSHA := func(c triage.Change, sha string, ref string) triage.Change {
		c.Labels = map[string]string{"sha": sha}
		if ref != "" {
			c.Refs = []triage.Ref{{System: "github-deployment", ID: ref}}
		}
		return c
	}
	for _, tt := range []struct{ name, r1, r2, r3 string }{{"told by what lay between", "", "", ""}, {"told by the deployment ids", "1", "2", "3"}} {
		t.Run(tt.name, func(t *testing.T) {
			c := startCollector(t, newMemJournal(), nil)
			all := []triage.Change{
				withSHA(deploy("one", 0, "v1"), "aaa1", tt.r1), withSHA(deploy("two", 10, "v2"), "bbb2", tt.r2), withSHA(deploy("three", 20, "v1"), "aaa1", tt.r3),
			}
			for _, d := range all {
				emit(t, c, d)
			}
			got := find(t, c, triage.ChangeQuery{})
			if ids(got) != "one two three" {
				t.Fatalf("got %s, want one two three", ids(got))
			}
			if !slices.Equal(got[2].Undoes, []triage.ChangeID{"two"}) || !slices.Equal(got[1].RevertedBy, []triage.ChangeID{"three"}) {
				t.Errorf("got undoes %v, reverted_by %v; want [two] and [three]", got[2].Undoes, got[1].RevertedBy)
			}
		})
	}
}

// A word about a Change that left the window long ago updates it and does not replace it.
func TestLateWordAboutAnOldChange(t *testing.T) {
	j := newMemJournal()
	clock := newClock(at(1))
	c := startCollector(t, j, func(o *Options) { o.Now = clock.now })
	old := deploy("d", 0, "v1")
	old.Title = "the title"
	emit(t, c, old)
	clock.set(at(600))
	c.sweep()
	if c.size() != 0 {
		t.Fatal("the change is still in the window")
	}
	emit(t, c, triage.Change{ID: "d", Source: "ci", Kind: triage.KindDeploy, Status: triage.StatusSuperseded, Scope: old.Scope, FinishedAt: at(599)})
	got, err := j.Changes(t.Context(), []triage.ChangeID{"d"})
	if err != nil || len(got) != 1 {
		t.Fatal(got, err)
	}
	if got[0].Title != "the title" || got[0].Status != triage.StatusSucceeded || !got[0].FinishedAt.Equal(at(1)) || got[0].Labels[labelSupersededAt] == "" {
		t.Errorf("got %+v", got[0])
	}
}
