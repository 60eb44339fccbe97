package collector

import (
	"slices"
	"testing"

	"github.com/triaged-dev/triaged/triage"
)

// change is one of a service in production, told by a source.
func change(id triage.ChangeID, minutes float64, kind triage.Kind, title string, labels map[string]string) triage.Change {
	return triage.Change{
		ID: id, Source: "ci", Kind: kind, Status: triage.StatusSucceeded, Scope: triage.Scope{Service: "inventory", Environment: "production"},
		StartedAt: at(minutes), FinishedAt: at(minutes + 1), ObservedAt: at(minutes), Title: title, Labels: labels,
	}
}

func edit(c triage.Change, do func(*triage.Change)) triage.Change {
	do(&c)
	return c
}

// Whatever brings a tracked value back, or says that it takes something back, is an undo, by whatever kind of change it comes; what
// only looks like one is not. Each entry is a history whose last change undoes those named, whether it comes at once or one by one.
func TestEveryKindOfUndo(t *testing.T) {
	type l = map[string]string
	version := func(id triage.ChangeID, m float64, kind triage.Kind, v string) triage.Change {
		return edit(change(id, m, kind, "", nil), func(c *triage.Change) { c.Version = v })
	}
	digest := func(id triage.ChangeID, m float64, kind triage.Kind, d string) triage.Change {
		return edit(change(id, m, kind, "", nil), func(c *triage.Change) { c.Digest = "sha256:" + d })
	}
	image := func(id triage.ChangeID, m float64, tag string) triage.Change {
		return change(id, m, triage.KindDeploy, "", l{"image": "reg.example:5000/shop/inventory:" + tag})
	}
	set := func(id triage.ChangeID, m float64, name string) triage.Change {
		return edit(version(id, m, triage.KindDeploy, "stable"), func(c *triage.Change) { c.Namespace = "shop"; c.Labels = l{"replicaset": name} })
	}
	percent := func(id triage.ChangeID, m, p float64) triage.Change {
		return edit(change(id, m, triage.KindFlag, "", l{"flag": "new-pool"}), func(c *triage.Change) { c.RolloutPercent = &p })
	}
	commit := func(id triage.ChangeID, m float64, sha, title string) triage.Change {
		return edit(change(id, m, triage.KindDeploy, title, l{"sha": sha}), func(c *triage.Change) { c.Version = sha[:7] })
	}
	const shaA, shaB, shaC = "1111111a4f0e4a4a5b7a8c5a5e2f1d7c0a9b8e7d", "2222222b4f0e4a4a5b7a8c5a5e2f1d7c0a9b8e7d", "3333333c4f0e4a4a5b7a8c5a5e2f1d7c0a9b8e7d"
	flag := func(id triage.ChangeID, m float64, from, to string) triage.Change {
		return change(id, m, triage.KindFlag, "", l{"flag": "new-pool", "from": from, "to": to})
	}
	scale := func(id triage.ChangeID, m float64, from, to string) triage.Change {
		return change(id, m, triage.KindScale, "", l{"deployment": "inventory", "from": from, "replicas": to})
	}
	pool := change("b", 10, triage.KindConfig, "db pool size 20 → 5", nil)
	tests := []struct {
		name   string
		emit   []triage.Change
		undoes []triage.ChangeID // by the last
	}{
		{"deploy by version", []triage.Change{version("a", 0, triage.KindDeploy, "v1"), version("b", 10, triage.KindDeploy, "v2"), version("c", 20, triage.KindDeploy, "v1")}, []triage.ChangeID{"b"}},
		{"deploy by version, a step further on", []triage.Change{version("a", 0, triage.KindDeploy, "v1"), version("b", 10, triage.KindDeploy, "v2"), version("c", 20, triage.KindDeploy, "v3")}, nil},
		{"deploy by version, in another namespace", []triage.Change{
			edit(version("a", 0, triage.KindDeploy, "v1"), func(c *triage.Change) { c.Namespace = "x" }),
			edit(version("b", 10, triage.KindDeploy, "v2"), func(c *triage.Change) { c.Namespace = "x" }),
			edit(version("c", 20, triage.KindDeploy, "v1"), func(c *triage.Change) { c.Namespace = "y" }),
		}, nil},
		{"deploy by what it says it came from", []triage.Change{
			edit(version("b", 10, triage.KindDeploy, "v2"), func(c *triage.Change) { c.PreviousVersion = "v1" }), version("c", 20, triage.KindDeploy, "v1"),
		}, []triage.ChangeID{"b"}},
		{"deploy by digest", []triage.Change{digest("a", 0, triage.KindDeploy, "d1"), digest("b", 10, triage.KindDeploy, "d2"), digest("c", 20, triage.KindDeploy, "d1")}, []triage.ChangeID{"b"}},
		{"deploy by digest, a new one", []triage.Change{digest("a", 0, triage.KindDeploy, "d1"), digest("b", 10, triage.KindDeploy, "d2"), digest("c", 20, triage.KindDeploy, "d3")}, nil},
		{"deploy by image tag", []triage.Change{image("a", 0, "v40"), image("b", 10, "v41"), image("c", 20, "v40")}, []triage.ChangeID{"b"}},
		{"deploy by image tag, a moving one", []triage.Change{image("a", 0, "latest"), image("b", 10, "v41"), image("c", 20, "latest")}, nil},
		{"back to a ReplicaSet of the same tag", []triage.Change{set("a", 0, "inventory-7d9"), set("b", 10, "inventory-5c6"), set("c", 20, "inventory-7d9")}, []triage.ChangeID{"b"}},
		{"a third ReplicaSet of the same tag", []triage.Change{set("a", 0, "inventory-7d9"), set("b", 10, "inventory-5c6"), set("c", 20, "inventory-9f9")}, nil},
		{"kind rollback, from and to unknown", []triage.Change{version("b", 10, triage.KindDeploy, "v2"), change("c", 20, triage.KindRollback, "", nil)}, []triage.ChangeID{"b"}},
		{"kind rollback, to a version from before the window", []triage.Change{version("b", 10, triage.KindDeploy, "v2"), version("c", 20, triage.KindRollback, "v1")}, []triage.ChangeID{"b"}},
		{"kind rollback, of another version than is known", []triage.Change{
			version("b", 10, triage.KindDeploy, "v2"), edit(version("c", 20, triage.KindRollback, "v4"), func(c *triage.Change) { c.PreviousVersion = "v5" }),
		}, nil},
		{"kind rollback of a deploy, where only a configuration is known", []triage.Change{pool, version("c", 20, triage.KindRollback, "v1")}, nil},
		{"kind rollback that failed", []triage.Change{version("b", 10, triage.KindDeploy, "v2"), failed(version("c", 20, triage.KindRollback, "v1"))}, nil},
		{"config by version", []triage.Change{version("a", 0, triage.KindConfig, "r7"), version("b", 10, triage.KindConfig, "r8"), version("c", 20, triage.KindConfig, "r7")}, []triage.ChangeID{"b"}},
		{"config by digest", []triage.Change{digest("a", 0, triage.KindConfig, "c1"), digest("b", 10, triage.KindConfig, "c2"), digest("c", 20, triage.KindConfig, "c1")}, []triage.ChangeID{"b"}},
		{"config by from and to, without a key", []triage.Change{
			change("b", 10, triage.KindConfig, "", l{"from": "20", "to": "5"}), change("c", 20, triage.KindConfig, "", l{"from": "5", "to": "20"}),
		}, []triage.ChangeID{"b"}},
		{"config by from and to, to a third value", []triage.Change{
			change("b", 10, triage.KindConfig, "", l{"from": "20", "to": "5"}), change("c", 20, triage.KindConfig, "", l{"from": "5", "to": "12"}),
		}, nil},
		{"config by from and to, about something else", []triage.Change{
			change("b", 10, triage.KindConfig, "db pool size", l{"from": "20", "to": "5"}), change("c", 20, triage.KindConfig, "retries of calls", l{"from": "5", "to": "20"}),
		}, nil},
		{"config by key", []triage.Change{
			change("b", 10, triage.KindConfig, "", l{"key": "db.pool", "from": "20", "to": "5"}), change("c", 20, triage.KindConfig, "", l{"key": "db.pool", "to": "20"}),
		}, []triage.ChangeID{"b"}},
		{"config by key, known from before", []triage.Change{
			change("a", 0, triage.KindConfig, "", l{"key": "db.pool", "to": "20"}), change("b", 10, triage.KindConfig, "", l{"key": "db.pool", "to": "5"}),
			change("c", 20, triage.KindConfig, "", l{"key": "db.pool", "to": "20"}),
		}, []triage.ChangeID{"b"}},
		{"config by another key", []triage.Change{
			change("b", 10, triage.KindConfig, "", l{"key": "db.pool", "from": "20", "to": "5"}), change("c", 20, triage.KindConfig, "", l{"key": "db.retries", "from": "5", "to": "20"}),
		}, nil},
		{"config that says so", []triage.Change{pool, change("c", 20, triage.KindConfig, "revert: db pool size back to 20", nil)}, []triage.ChangeID{"b"}},
		{"config that says so, of an earlier one", []triage.Change{
			pool, change("x", 15, triage.KindConfig, "cache ttl 60 → 30", nil), change("c", 20, triage.KindConfig, "revert: db pool size back to 20", nil),
		}, []triage.ChangeID{"b"}},
		{"config that says so of something else", []triage.Change{pool, change("c", 20, triage.KindConfig, "revert: cache ttl back to 60", nil)}, nil},
		{"config that says so of the last one", []triage.Change{pool, change("c", 20, triage.KindConfig, "Revert last config change", nil)}, []triage.ChangeID{"b"}},
		{"config that speaks of reverting", []triage.Change{pool, change("c", 20, triage.KindConfig, "revert button: db pool page", nil)}, nil},
		{"config that forbids reverting", []triage.Change{pool, change("c", 20, triage.KindConfig, "do not revert db pool size", nil)}, nil},
		{"config undone by a command", []triage.Change{pool, change("c", 20, triage.KindCommand, "rollback: db pool size", nil)}, []triage.ChangeID{"b"}},
		{"config undone by kind rollback with its key", []triage.Change{
			change("b", 10, triage.KindConfig, "", l{"key": "db.pool"}), change("c", 20, triage.KindRollback, "", l{"key": "db.pool"}),
		}, []triage.ChangeID{"b"}},
		{"flag by from and to", []triage.Change{flag("b", 10, "off", "on"), flag("c", 20, "on", "off")}, []triage.ChangeID{"b"}},
		{"flag by from and to, in other words", []triage.Change{flag("b", 10, "false", "100 %"), flag("c", 20, "100", "0 %")}, []triage.ChangeID{"b"}},
		{"flag from one variant to a third", []triage.Change{flag("b", 10, "red", "blue"), flag("c", 20, "blue", "green")}, nil},
		{"flag off, what it was is not said", []triage.Change{flag("b", 10, "", "on"), flag("c", 20, "", "off")}, []triage.ChangeID{"b"}},
		{"another flag", []triage.Change{flag("b", 10, "off", "on"), change("c", 20, triage.KindFlag, "", l{"flag": "new-cart", "from": "on", "to": "off"})}, nil},
		{"flag in another environment", []triage.Change{flag("b", 10, "off", "on"), edit(flag("c", 20, "on", "off"), func(c *triage.Change) { c.Environment = "staging" })}, nil},
		{"flag of another segment", []triage.Change{flag("b", 10, "off", "on"), edit(flag("c", 20, "on", "off"), func(c *triage.Change) { c.Labels["segment"] = "beta" })}, nil},
		{"flag by percent", []triage.Change{percent("a", 0, 10), percent("b", 10, 50), percent("c", 20, 10)}, []triage.ChangeID{"b"}},
		{"flag by percent, to nothing", []triage.Change{percent("b", 10, 50), percent("c", 20, 0)}, []triage.ChangeID{"b"}},
		{"flag by percent, further on", []triage.Change{percent("a", 0, 10), percent("b", 10, 50), percent("c", 20, 100)}, nil},
		{"flag pushed as a configuration", []triage.Change{flag("b", 10, "off", "on"), change("c", 20, triage.KindConfig, "", l{"flag": "new-pool", "from": "on", "to": "off"})}, []triage.ChangeID{"b"}},
		{"scale by replicas", []triage.Change{scale("b", 10, "6", "2"), scale("c", 20, "2", "6")}, []triage.ChangeID{"b"}},
		{"scale by replicas as Prometheus shows them", []triage.Change{
			version("a", 0, triage.KindScale, "6 replicas"), version("b", 10, triage.KindScale, "2 replicas"), version("c", 20, triage.KindScale, "6 replicas"),
		}, []triage.ChangeID{"b"}},
		{"scale by a command with replicas", []triage.Change{scale("b", 10, "6", "2"), change("c", 20, triage.KindCommand, "kubectl scale", l{"replicas": "6"})}, []triage.ChangeID{"b"}},
		{"scale further", []triage.Change{scale("b", 10, "6", "4"), scale("c", 20, "4", "2")}, nil},
		{"scale of another workload", []triage.Change{scale("b", 10, "6", "2"), change("c", 20, triage.KindScale, "", l{"deployment": "inventory-worker", "from": "2", "replicas": "6"})}, nil},
		{"scale by an autoscaler", []triage.Change{scale("b", 10, "6", "2"), edit(scale("c", 20, "2", "6"), func(c *triage.Change) { c.Labels["controller"] = "hpa" })}, nil},
		{"infrastructure by revision", []triage.Change{version("a", 0, triage.KindInfra, "rev-7"), version("b", 10, triage.KindInfra, "rev-8"), version("c", 20, triage.KindInfra, "rev-7")}, []triage.ChangeID{"b"}},
		{"infrastructure by its run's message", []triage.Change{
			edit(change("b", 10, triage.KindInfra, "shrink instance class", nil), func(c *triage.Change) { c.Version = "run-1" }),
			edit(change("c", 20, triage.KindInfra, `Revert "shrink instance class"`, nil), func(c *triage.Change) { c.Version = "run-2" }),
		}, []triage.ChangeID{"b"}},
		{"infrastructure by a message about another run", []triage.Change{
			edit(change("b", 10, triage.KindInfra, "shrink instance class", nil), func(c *triage.Change) { c.Version = "run-1" }),
			edit(change("c", 20, triage.KindInfra, `Revert "open port 443"`, nil), func(c *triage.Change) { c.Version = "run-2" }),
		}, nil},
		{"infrastructure by a resource's value", []triage.Change{
			change("b", 10, triage.KindInfra, "", l{"resource": "aws_db.main", "from": "m5.large", "to": "t3.small"}),
			change("c", 20, triage.KindInfra, "", l{"resource": "aws_db.main", "from": "t3.small", "to": "m5.large"}),
		}, []triage.ChangeID{"b"}},
		{"Helm by revision", []triage.Change{
			change("a", 0, triage.KindDeploy, "Upgrade complete", l{"revision": "11"}), change("b", 10, triage.KindDeploy, "Upgrade complete", l{"revision": "12"}),
			change("c", 20, triage.KindDeploy, "Rollback to 11", l{"revision": "13"}),
		}, []triage.ChangeID{"b"}},
		{"Helm, the next revision", []triage.Change{
			change("a", 0, triage.KindDeploy, "Upgrade complete", l{"revision": "11"}), change("b", 10, triage.KindDeploy, "Upgrade complete", l{"revision": "12"}),
		}, nil},
		{"Git's revert of a commit", []triage.Change{
			commit("a", 0, shaA, "feat: batch writes"), commit("b", 10, shaB, "chore: bump"),
			edit(commit("c", 20, shaC, `Revert "feat: batch writes"`), func(c *triage.Change) {
				c.Labels["commit_message"] = "This reverts commit " + shaA + "."
			}),
		}, []triage.ChangeID{"a"}},
		{"Git's revert of a commit that never ran", []triage.Change{
			commit("b", 10, shaB, "chore: bump"),
			edit(commit("c", 20, shaC, `Revert "feat: other"`), func(c *triage.Change) { c.Labels["commit_message"] = "This reverts commit " + shaA + "." }),
		}, nil},
		{"a pull request's revert", []triage.Change{
			edit(commit("b", 10, shaB, "deploy main"), func(c *triage.Change) { c.Labels["pr_titles"] = "Add batch writes; Bump go" }),
			edit(commit("c", 20, shaC, "deploy main"), func(c *triage.Change) { c.Labels["pr_titles"] = `Revert "Add batch writes"` }),
		}, []triage.ChangeID{"b"}},
		{"Argo CD back to the revision before", []triage.Change{
			edit(commit("a", 0, shaA, "Argo CD sync of inventory to "+shaA[:7]), func(c *triage.Change) { c.Version = shaA }),
			edit(commit("b", 10, shaB, "Argo CD sync of inventory to "+shaB[:7]), func(c *triage.Change) { c.Version = shaB }),
			edit(commit("c", 20, shaA, "Argo CD sync of inventory to "+shaA[:7]), func(c *triage.Change) { c.Version = shaA }),
		}, []triage.ChangeID{"b"}},
		{"a migration down is no undo: what was written stays", []triage.Change{
			version("a", 0, triage.KindMigration, "41"), version("b", 10, triage.KindMigration, "42"),
			edit(version("c", 20, triage.KindMigration, "41"), func(c *triage.Change) { c.Title = "revert: migration 42 down" }),
		}, nil},
		{"what its source says", []triage.Change{
			change("b", 10, triage.KindInfra, "resize", nil), edit(change("c", 20, triage.KindCommand, "as before", nil), func(c *triage.Change) { c.Undoes = []triage.ChangeID{"b"} }),
		}, []triage.ChangeID{"b"}},
		{"an undo of an undo", []triage.Change{
			version("a", 0, triage.KindDeploy, "v1"), version("b", 10, triage.KindDeploy, "v2"), version("x", 20, triage.KindRollback, "v1"), version("c", 30, triage.KindDeploy, "v2"),
		}, []triage.ChangeID{"x"}},
		{"a day later", []triage.Change{change("b", 20-25*60, triage.KindConfig, "db pool size 20 → 5", nil), change("c", 20, triage.KindConfig, "revert: db pool size", nil)}, nil},
	}
	for _, tt := range tests {
		for _, together := range []bool{false, true} {
			t.Run(tt.name+map[bool]string{false: ", one by one", true: ", at once"}[together], func(t *testing.T) {
				j := newMemJournal()
				c := startCollector(t, j, nil)
				if together {
					emit(t, c, tt.emit...)
				} else {
					for _, e := range tt.emit {
						emit(t, c, e)
					}
				}
				last, err := j.Changes(t.Context(), []triage.ChangeID{tt.emit[len(tt.emit)-1].ID})
				if err != nil || len(last) != 1 {
					t.Fatal(last, err)
				}
				if !slices.Equal(last[0].Undoes, tt.undoes) {
					t.Errorf("want it to undo %v, got %v", tt.undoes, last[0].Undoes)
				}
				undone, err := j.Changes(t.Context(), tt.undoes)
				if err != nil || len(undone) != len(tt.undoes) {
					t.Fatal(undone, err)
				}
				for _, u := range undone {
					if !slices.Contains(u.RevertedBy, last[0].ID) {
						t.Errorf("%s does not say that %s took it back: %v", u.ID, last[0].ID, u.RevertedBy)
					}
				}
			})
		}
	}
}
