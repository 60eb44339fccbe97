package collector

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/triaged-dev/triaged/triage"
)

// drawChange draws a normal Change from few values, so that the drawn ones often agree and often conflict.
func drawChange(t *rapid.T, name string) triage.Change {
	word := rapid.SampledFrom([]string{"", "a", "b", "bb", "ccc"})
	when := rapid.Custom(func(t *rapid.T) time.Time {
		n := rapid.IntRange(-1, 4).Draw(t, "minute")
		if n < 0 {
			return time.Time{}
		}
		return at(float64(n))
	})
	draw := func(what string) string { return word.Draw(t, name+" "+what) }
	c := triage.Change{
		Source: draw("source"), Kind: rapid.SampledFrom(triage.Kinds()).Draw(t, name+" kind"),
		Status:    rapid.SampledFrom(append(triage.Statuses(), "")).Draw(t, name+" status"),
		Scope:     triage.Scope{Service: draw("service"), Environment: draw("environment"), Region: draw("region"), Global: rapid.Bool().Draw(t, name+" global")},
		StartedAt: when.Draw(t, name+" start"), FinishedAt: when.Draw(t, name+" finish"), ObservedAt: when.Draw(t, name+" observed"),
		TimeUncertaintyS: float64(rapid.IntRange(0, 3).Draw(t, name+" uncertainty")),
		Version:          draw("version"), PreviousVersion: draw("previous"), Digest: draw("digest"), Title: draw("title"), URL: draw("url"), Actor: draw("actor"),
		Size:       triage.Size{Files: rapid.IntRange(0, 2).Draw(t, name+" files"), Paths: rapid.SliceOfN(word, 0, 3).Draw(t, name+" paths")},
		Reversible: triage.Reversible{Value: rapid.SampledFrom([]triage.ReversibleValue{"", "yes", "no", "unknown"}).Draw(t, name+" reversible"), Reason: draw("reason")},
		Labels:     rapid.MapOfN(rapid.SampledFrom([]string{"sha", "flag", "x"}), word, 0, 3).Draw(t, name+" labels"),
	}
	if rapid.Bool().Draw(t, name+" was only seen") {
		c.Seen = triage.Seen{In: draw("metric"), Surely: rapid.SampledFrom(triage.Sureties()).Draw(t, name+" surely"), LateS: float64(rapid.IntRange(0, 2).Draw(t, name+" late"))}
	}
	if p := rapid.IntRange(-1, 2).Draw(t, name+" percent"); p >= 0 {
		f := float64(p * 50)
		c.RolloutPercent = &f
	}
	for range rapid.IntRange(0, 3).Draw(t, name+" steps") {
		c.Steps = append(c.Steps, triage.Step{At: at(float64(rapid.IntRange(0, 3).Draw(t, "step"))), Region: draw("step region")})
	}
	for range rapid.IntRange(0, 3).Draw(t, name+" refs") {
		c.Refs = append(c.Refs, triage.Ref{System: "s", ID: fmt.Sprint(rapid.IntRange(0, 2).Draw(t, "ref")), URL: draw("ref url")})
	}
	for range rapid.IntRange(0, 2).Draw(t, name+" undoes") {
		c.Undoes = append(c.Undoes, triage.ChangeID(draw("undone")+"1"))
	}
	return normal(c)
}

// Reports come in any order, in any grouping and more than once; the Change they make must not depend on it.
func TestMergeLaws(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b, c := drawChange(t, "a"), drawChange(t, "b"), drawChange(t, "c")
		equal := func(law string, x, y triage.Change) {
			if d := cmp.Diff(x, y); d != "" {
				t.Fatalf("merge is not %s:\n%s", law, d)
			}
		}
		equal("idempotent", a, merge(a, a))
		equal("commutative", merge(a, b), merge(b, a))
		equal("associative", merge(merge(a, b), c), merge(a, merge(b, c)))
		equal("absorbing", merge(a, b), merge(merge(a, b), b))
		equal("closed over the normal form", merge(a, b), normal(merge(a, b)))
	})
}

func TestMergeKeeps(t *testing.T) {
	started := triage.Change{Kind: triage.KindDeploy, Status: triage.StatusStarted, StartedAt: at(0), TimeUncertaintyS: 2}
	tests := []struct {
		name       string
		a, b       triage.Change
		status     triage.Status
		start, end time.Time
		unsure     float64
	}{
		{
			"the end, whenever the start is heard", started,
			triage.Change{Kind: triage.KindDeploy, Status: triage.StatusSucceeded, FinishedAt: at(5), TimeUncertaintyS: 30},
			triage.StatusSucceeded, at(0), at(5), 2,
		},
		{
			"success, when a newer one takes its place days later",
			triage.Change{Kind: triage.KindDeploy, Status: triage.StatusSucceeded, StartedAt: at(0), FinishedAt: at(5)},
			triage.Change{Kind: triage.KindDeploy, Status: triage.StatusSuperseded, FinishedAt: at(5000)},
			triage.StatusSucceeded, at(0), at(5), 0,
		},
		{
			"the later of two ends",
			triage.Change{Kind: triage.KindDeploy, Status: triage.StatusFailed, FinishedAt: at(5)},
			triage.Change{Kind: triage.KindDeploy, Status: triage.StatusSucceeded, FinishedAt: at(9), StartedAt: at(6)},
			triage.StatusSucceeded, at(6), at(9), 0,
		},
		{
			"the first end, when a result is told again",
			triage.Change{Kind: triage.KindDeploy, Status: triage.StatusSucceeded, StartedAt: at(0), FinishedAt: at(5)},
			triage.Change{Kind: triage.KindDeploy, Status: triage.StatusSucceeded, FinishedAt: at(15)},
			triage.StatusSucceeded, at(0), at(5), 0,
		},
		{ // CI is done when it has applied, the cluster when the pods are there
			"the last end of two who tell",
			triage.Change{Source: "ci", Kind: triage.KindDeploy, Status: triage.StatusSucceeded, StartedAt: at(0), FinishedAt: at(1)},
			triage.Change{Source: "prometheus", Kind: triage.KindDeploy, Status: triage.StatusSucceeded, FinishedAt: at(5)},
			triage.StatusSucceeded, at(0), at(5), 0,
		},
		{
			"the earliest of starts as sure as each other", started,
			triage.Change{Kind: triage.KindDeploy, StartedAt: at(-1), TimeUncertaintyS: 3, Status: triage.StatusStarted},
			triage.StatusStarted, at(-1),
			time.Time{},
			3,
		},
		{ // two scrapes a minute apart know less of when a version came than who rolled it out
			"the surest start, though another may have been earlier", started,
			triage.Change{Kind: triage.KindDeploy, StartedAt: at(-1), TimeUncertaintyS: 60, Status: triage.StatusStarted},
			triage.StatusStarted, at(0),
			time.Time{},
			2,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := merge(normal(tt.a), normal(tt.b))
			if m.Status != tt.status || !m.StartedAt.Equal(tt.start) || !m.FinishedAt.Equal(tt.end) || m.TimeUncertaintyS != tt.unsure {
				t.Errorf("got %s from %s to %s ±%gs, want %s from %s to %s ±%gs",
					m.Status, m.StartedAt, m.FinishedAt, m.TimeUncertaintyS, tt.status, tt.start, tt.end, tt.unsure)
			}
		})
	}
}

// What the collector derived must not survive a merge as if a source had said it.
func TestNormalTakesBackWhatWasDerived(t *testing.T) {
	derived := triage.Change{
		Kind: triage.KindDeploy, Status: triage.StatusSucceeded, StartedAt: at(1), FinishedAt: at(1), PreviousVersion: "v1",
		Labels: map[string]string{labelPreviousFrom: "history", labelNoop: "true", labelStartedSeen: at(2).Format(time.RFC3339Nano), "team": "x"},
	}
	got := normal(derived)
	want := triage.Change{
		Kind: triage.KindDeploy, Status: triage.StatusSucceeded, StartedAt: at(2), FinishedAt: at(1), Labels: map[string]string{"team": "x"},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if len(derived.Labels) != 4 {
		t.Error("normal changed the labels of its argument")
	}
}
