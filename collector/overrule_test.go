package collector

import (
	"testing"

	"github.com/triaged-dev/triaged/triage"
)

// Whoever may push changes may add to what another source reported, and cannot rewrite it: not its outcome, not its times, neither by its
// id nor by what joins them. What says otherwise stands beside it and names it.
func TestPushedReportOverrulesNobody(t *testing.T) {
	report := func(source string, change func(*triage.Change)) triage.Change {
		c := triage.Change{
			ID: triage.ChangeID(source + ":7"), Source: source, Kind: triage.KindDeploy, Status: triage.StatusSucceeded,
			Scope: triage.Scope{Service: "checkout", Environment: "production"}, StartedAt: at(0), FinishedAt: at(2), ObservedAt: at(2.1),
			Refs: []triage.Ref{{System: "github-deployment", ID: "acme/shop/7"}},
		}
		if source != "github" {
			c.ObservedAt = at(2.5)
			c.Labels = map[string]string{triage.LabelPushedBy: source}
		}
		change(&c)
		return c
	}
	for name, tc := range map[string]struct {
		change func(*triage.Change)
		joins  bool
	}{
		"adds a version":       {func(c *triage.Change) { c.Version = "v812" }, true},
		"says failed":          {func(c *triage.Change) { c.Status = triage.StatusFailed }, false},
		"moves the start away": {func(c *triage.Change) { c.StartedAt = at(-40) }, false},
		"moves the end":        {func(c *triage.Change) { c.FinishedAt = at(50) }, false},
		"takes the id": {func(c *triage.Change) {
			c.ID, c.StartedAt, c.Status = "github:7", at(-2000), triage.StatusFailed
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			journal := newMemJournal()
			c := startCollector(t, journal, nil)
			want := report("github", func(*triage.Change) {})
			emit(t, c, want)
			emit(t, c, report("evil", tc.change))
			stored, err := journal.Changes(t.Context(), []triage.ChangeID{"github:7"})
			if err != nil || len(stored) != 1 {
				t.Fatalf("stored: %v, %v", stored, err)
			}
			got := stored[0]
			if got.Status != want.Status || !got.StartedAt.Equal(want.StartedAt) || !got.FinishedAt.Equal(want.FinishedAt) || got.Source != "github" {
				t.Errorf("rewritten: %+v", got)
			}
			if (got.Version == "v812") != tc.joins {
				t.Errorf("want joined: %v, got version %q", tc.joins, got.Version)
			}
		})
	}
}
