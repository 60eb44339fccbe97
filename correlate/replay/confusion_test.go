package replay

import (
	"context"
	"slices"
	"testing"

	"github.com/triaged-dev/triaged/correlate"
	"github.com/triaged-dev/triaged/triage"
)

// Every case is counted once, where its label and the advice meet.
func TestConfusion(t *testing.T) {
	advise := func(o outcome, v triage.Verdict, a triage.Action, target triage.ChangeID) outcome {
		o.report.Recommendation = triage.Recommendation{Verdict: v, Action: a}
		if target != "" {
			o.report.Recommendation.Target = &triage.Target{ChangeID: target}
		}
		return o
	}
	truth := []triage.ChangeID{"c1"}
	unsafe := made("unsafe", truth, 0.8)
	unsafe.s.expect.Unsafe = []triage.Unsafe{{ID: "c1"}}
	unsafe.s.expect.Action = []triage.Action{triage.ActionDoNotRollBack}
	paused := made("paused", truth, 0.8)
	paused.s.expect.Action = []triage.Action{triage.ActionPauseRollout}
	rows := confuse([]outcome{
		advise(made("right", truth, 0.8), triage.VerdictAct, triage.ActionRollback, "c1"),
		advise(made("wrong", truth, 0.2, 0.8), triage.VerdictAct, triage.ActionFlagOff, "c2"),
		advise(made("silent", truth, 0.4), triage.VerdictCannotTell, triage.ActionInvestigate, ""),
		advise(made("forward", truth, 0.9), triage.VerdictAct, triage.ActionFixForward, "c1"),
		advise(unsafe, triage.VerdictAct, triage.ActionRollback, "c1"),
		advise(unsafe, triage.VerdictHarmful, triage.ActionDoNotRollBack, "c1"),
		advise(made("none", nil, 0.1), triage.VerdictWillNotHelp, triage.ActionDoNotRollBack, ""),
		advise(paused, triage.VerdictAct, triage.ActionPauseRollout, "c1"),
	})
	want := []confusion{
		{Label: "reversal", Right: 1, Wrong: 1, CannotTell: 1, FixForward: 1},
		{Label: "pause", Pause: 1, AsLabelled: 1},
		{Label: "no_reversal", Wrong: 1, Harmful: 1, WillNotHelp: 1, AsLabelled: 1},
	}
	if !slices.Equal(rows, want) {
		t.Errorf("want %+v\ngot  %+v", want, rows)
	}
}

// The cases of the repository reach every verdict, every action, and every class of what is advised against; and the confusion
// table counts each of them once.
func TestCasesReachEveryAdvice(t *testing.T) {
	scenarios, err := load([]string{"../../testdata/cases/incidents", "../../testdata/cases/types", "../../testdata/cases/demo"})
	if err != nil {
		t.Fatal(err)
	}
	table := correlate.DefaultWeights()
	os, _, err := rankAll(context.Background(), scenarios, &table, Options{})
	if err != nil {
		t.Fatal(err)
	}
	seen := make(map[string]int)
	for _, o := range os {
		rec := o.report.Recommendation
		seen[string(rec.Verdict)]++
		seen[string(rec.Action)]++
		for _, a := range rec.Avoid {
			seen["avoid "+string(a.Class)]++
		}
	}
	for _, want := range []string{
		string(triage.VerdictAct), string(triage.VerdictHarmful), string(triage.VerdictWillNotHelp), string(triage.VerdictCannotTell),
		string(triage.ActionFlagOff), string(triage.ActionConfigRevert), string(triage.ActionRollback), string(triage.ActionPauseRollout),
		string(triage.ActionFixForward), string(triage.ActionDoNotRollBack), string(triage.ActionInvestigate),
		"avoid " + string(triage.VerdictHarmful), "avoid " + string(triage.VerdictWillNotHelp),
	} {
		if seen[want] == 0 {
			t.Errorf("no case reaches %q: %v", want, seen)
		}
	}
	n := 0
	for _, row := range confuse(os) {
		for _, cell := range row.cells() {
			n += cell
		}
	}
	if n != len(os) {
		t.Errorf("the table counts %d of %d cases", n, len(os))
	}
}
