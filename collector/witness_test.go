package collector

import (
	"testing"

	"github.com/triaged-dev/triaged/triage"
)

// What nobody names the same way is one change all the same, in whatever order it is heard: a configuration, a size, a rollout; and
// what is not the same stays two.
func TestSeenChangeIsTheToldOne(t *testing.T) {
	scope := triage.Scope{Service: "inventory", Environment: "production"}
	config := triage.Change{
		ID: "ci:1", Source: "ci", Kind: triage.KindConfig, Scope: scope, StartedAt: at(10), ObservedAt: at(10), Status: triage.StatusSucceeded,
		Title: "pool 20 → 5", Labels: map[string]string{"key": "db_pool_size", "from": "20", "to": "5"},
	}
	written := triage.Change{
		ID: "prometheus:configmap//shop/inventory-config@7", Source: "prometheus", Kind: triage.KindConfig, Scope: scope, StartedAt: at(11), FinishedAt: at(11.5),
		ObservedAt: at(13), TimeUncertaintyS: 60, Status: triage.StatusSucceeded, Title: "ConfigMap inventory-config changed",
		Labels: map[string]string{"configmap": "inventory-config"}, Seen: triage.Seen{In: "kube_configmap_metadata_resource_version", Surely: triage.SurelyLikely, LateS: 150},
	}
	scaled := func(id triage.ChangeID, source, to string, seen bool) triage.Change {
		c := triage.Change{
			ID: id, Source: source, Kind: triage.KindScale, Scope: scope, StartedAt: at(10), ObservedAt: at(10), Status: triage.StatusSucceeded, Version: to + " replicas",
		}
		if seen {
			c.Seen = triage.Seen{In: "kube_deployment_spec_replicas", Surely: triage.SurelyCertain}
		}
		return c
	}
	rollout := func(version string, minute float64) triage.Change {
		return triage.Change{
			ID: "prometheus:replicaset//shop/inventory-5c6b", Source: "prometheus", Kind: triage.KindDeploy, Scope: scope, StartedAt: at(minute), ObservedAt: at(minute + 1),
			Status: triage.StatusStarted, Version: version, Labels: map[string]string{"replicaset": "inventory-5c6b"},
			Seen: triage.Seen{In: "kube_replicaset_created", Surely: triage.SurelyCertain},
		}
	}
	deployed := triage.Change{
		ID: "ci:2", Source: "ci", Kind: triage.KindDeploy, Scope: scope, StartedAt: at(10), FinishedAt: at(16), ObservedAt: at(10), Status: triage.StatusSucceeded, Version: "v812",
	}
	with := func(c triage.Change, edit func(*triage.Change)) triage.Change { edit(&c); return c }
	for _, tt := range []struct {
		name       string
		told, seen triage.Change
		one        bool
	}{
		{"a configuration and its ConfigMap", config, written, true},
		{"half an hour later", config, with(written, func(c *triage.Change) { c.StartedAt, c.FinishedAt = at(40), at(40) }), false},
		{"seen across a gap of its metric", config, with(written, func(c *triage.Change) { c.StartedAt, c.FinishedAt, c.TimeUncertaintyS = at(20), at(25), 600 }), true},
		{"of another service", config, with(written, func(c *triage.Change) { c.Service = "cart" }), false},
		{"of no known service", config, with(written, func(c *triage.Change) { c.Service, c.Namespace = "", "shop" }), false},
		{"in another cluster", with(config, func(c *triage.Change) { c.Cluster = "us1" }), with(written, func(c *triage.Change) { c.Cluster = "eu1" }), false},
		{"two that were told", config, with(written, func(c *triage.Change) { c.Seen = triage.Seen{} }), false},
		{"two that were seen", with(config, func(c *triage.Change) { c.Seen = written.Seen }), written, false},
		{"the same size", scaled("ci:3", "ci", "5", false), scaled("prometheus:d@1", "prometheus", "5", true), true},
		{"another size", scaled("ci:3", "ci", "5", false), scaled("prometheus:d@1", "prometheus", "6", true), false},
		{"a rollout under a longer name of its version", deployed, rollout("812-4f2c1d7", 14), true},
		{"a rollout without a version", deployed, rollout("", 14), true},
		{"a rollout of another version", deployed, rollout("v813", 14), false},
		{"a rollout before it was told", deployed, rollout("", 5), false},
		{"a configuration and a rollout", config, rollout("", 11), false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for _, order := range [][]triage.Change{{tt.told, tt.seen}, {tt.seen, tt.told}, {tt.told, tt.seen, tt.seen, tt.told}} {
				c := startCollector(t, newMemJournal(), nil)
				for _, one := range order {
					emit(t, c, one)
				}
				got := find(t, c, triage.ChangeQuery{})
				if want := map[bool]int{true: 1, false: 2}[tt.one]; len(got) != want {
					t.Fatalf("%s first: got %s, want %d", order[0].ID, ids(got), want)
				}
				if tt.one && (!got[0].Seen.IsZero() || got[0].Title != tt.told.Title || !got[0].StartedAt.Equal(tt.told.StartedAt)) {
					t.Errorf("what was told counts: %+v", got[0])
				}
			}
		})
	}
}

// A sender that repeats its result, through whatever door and after a restart, moves no end.
func TestRepeatedResultMovesNoEnd(t *testing.T) {
	j := newMemJournal()
	result := func(minute float64, status triage.Status) triage.Change {
		c := deploy("flux:Kustomization/shop/apps@abc", minute, "abc123")
		c.StartedAt, c.FinishedAt, c.ObservedAt, c.Status = at(0), at(minute), at(minute), status
		return c
	}
	for _, minute := range []float64{5, 15, 25} { // a new process each time
		c := startCollector(t, j, nil)
		emit(t, c, result(minute, triage.StatusSucceeded))
		if got := find(t, c, triage.ChangeQuery{}); len(got) != 1 || !got[0].FinishedAt.Equal(at(5)) {
			t.Fatalf("after the result of minute %g: %v", minute, got)
		}
	}
	c := startCollector(t, j, nil)
	emit(t, c, result(30, triage.StatusFailed)) // another result is news
	emit(t, c, result(35, triage.StatusSucceeded))
	if got := find(t, c, triage.ChangeQuery{}); len(got) != 1 || got[0].Status != triage.StatusFailed || !got[0].FinishedAt.Equal(at(30)) {
		t.Errorf("%v", got)
	}
}
