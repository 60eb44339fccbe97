package correlate

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/triaged-dev/triaged/triage"
	"github.com/triaged-dev/triaged/triage/say"
)

func TestRecommendation(t *testing.T) {
	percent := func(p float64) *float64 { return &p }
	yes, no := true, false
	for _, tc := range []struct {
		name    string
		mod     func(*Input)
		verdict triage.Verdict
		action  triage.Action
		says    string // in reason, steps, check or avoid
	}{
		{"flag back to its previous value", nil, triage.VerdictAct, triage.ActionFlagOff, "set new-pricing back to 0 %"},
		{"config revert", func(in *Input) { in.Changes[0].Kind = triage.KindConfig }, triage.VerdictAct, triage.ActionConfigRevert, "restore the configuration"},
		{"rollback", func(in *Input) {
			in.Changes[0].Kind, in.Changes[0].Version, in.Changes[0].PreviousVersion = triage.KindDeploy, "v2", "v1"
			in.Changes[0].Cluster, in.Changes[0].Namespace = "prod-eu1", "shop"
		}, triage.VerdictAct, triage.ActionRollback, "return pricing to v1 in prod-eu1/shop"},
		{"a rollback that is itself the trigger", func(in *Input) {
			in.Changes[0].Kind, in.Changes[0].PreviousVersion = triage.KindRollback, "v3"
		}, triage.VerdictHarmful, triage.ActionDoNotRollBack, "brings back what was taken out"},
		{"a rollback known to be safe to undo", func(in *Input) {
			in.Changes[0].Kind, in.Changes[0].PreviousVersion = triage.KindRollback, "v3"
			in.Changes[0].Reversible.Value = triage.ReversibleYes
		}, triage.VerdictAct, triage.ActionRollback, "return pricing to v3"},
		{"auto-sync is said", func(in *Input) {
			in.Changes[0].Kind = triage.KindDeploy
			in.Services = map[string]triage.Service{"pricing": {AutoSync: &yes}}
		}, triage.VerdictAct, triage.ActionRollback, "auto-sync would apply it again"},
		{"unknown GitOps ownership is said", func(in *Input) {
			in.Changes[0].Kind = triage.KindDeploy
			in.Services = map[string]triage.Service{"pricing": {}}
		}, triage.VerdictAct, triage.ActionRollback, "check whether a GitOps controller owns it"},
		{"no GitOps", func(in *Input) {
			in.Changes[0].Kind = triage.KindDeploy
			in.Services = map[string]triage.Service{"pricing": {AutoSync: &no}}
		}, triage.VerdictAct, triage.ActionRollback, "return pricing to 0 %"},
		{"migration", func(in *Input) { in.Changes[0].Kind = triage.KindMigration }, triage.VerdictHarmful, triage.ActionDoNotRollBack, "a migration changed data or schema"},
		{"irreversible", func(in *Input) {
			in.Changes[0].Reversible = triage.Reversible{Value: triage.ReversibleNo, Reason: "rows were deleted"}
		}, triage.VerdictHarmful, triage.ActionDoNotRollBack, "rows were deleted"},
		{"deploy with its migration", func(in *Input) {
			in.Changes[0].Kind = triage.KindDeploy
			in.Changes = append(in.Changes, change("mig", triage.KindMigration, "pricing", "12m"))
		}, triage.VerdictHarmful, triage.ActionDoNotRollBack, "migration pricing ran with or after it"},
		{"undone already", func(in *Input) {
			in.Changes[0].RevertedBy = []triage.ChangeID{"undo"}
			in.Changes = append(in.Changes, change("undo", triage.KindFlag, "pricing", "60s"))
		}, triage.VerdictCannotTell, triage.ActionInvestigate, "was undone at"},
		{"thin evidence", func(in *Input) { in.Series = nil }, triage.VerdictCannotTell, triage.ActionInvestigate, "nothing measures it"},
		{"longer search", func(in *Input) { in.Widened, in.Symptom, in.Series = true, nil, nil }, triage.VerdictCannotTell, triage.ActionInvestigate, "no series says when the trouble began"},
		{"longer search for a late alert, near the measured onset", func(in *Input) { in.Widened = true }, triage.VerdictAct, triage.ActionFlagOff, "errors of pricing"},
		{"a global push with nothing measured but what it reaches", func(in *Input) {
			flag := &in.Changes[0]
			flag.Kind, flag.Service, flag.Global = triage.KindConfig, "", true
			for _, s := range []string{"cart", "login"} {
				in.Series = append(in.Series, series(s, triage.SignalErrors, 0.1, 0.02, 20, before("4m50s")))
			}
		}, triage.VerdictAct, triage.ActionConfigRevert, "services that shifted with the symptom"},
		{"still rolling out on thin evidence", func(in *Input) {
			in.Series, in.Symptom.Series = nil, nil
			c := &in.Changes[0]
			c.Kind, c.Status, c.FinishedAt, c.RolloutPercent = triage.KindDeploy, triage.StatusStarted, time.Time{}, percent(30)
			in.Changes = in.Changes[:1]
		}, triage.VerdictAct, triage.ActionPauseRollout, "hold deploy new-pricing"},
		{"two flags that tie", func(in *Input) {
			other := in.Changes[0]
			other.ID, other.Labels = "flag-2", map[string]string{"flag": "fast-path"}
			in.Changes = append(in.Changes, other)
		}, triage.VerdictCannotTell, triage.ActionInvestigate, "cheap and safe to undo: flag fast-path"},
		{"infrastructure without a known way back", func(in *Input) { in.Changes[0].Kind = triage.KindInfra }, triage.VerdictAct, triage.ActionFixForward, "errors of pricing"},
		{"nothing seen at all", func(in *Input) { in.Changes, in.Series = nil, nil }, triage.VerdictCannotTell, triage.ActionInvestigate, "no change was seen in the 30 min before the onset"},
		// That no change of it was seen is not known to mean that there was none: nothing is said against a rollback.
		{"it began elsewhere by itself", func(in *Input) { in.Changes = in.Changes[1:] }, triage.VerdictCannotTell, triage.ActionInvestigate, "pricing shifted on its own account"},
		{"a vendor's trouble", func(in *Input) {
			in.Changes, in.Services = in.Changes[1:], map[string]triage.Service{"pricing": {External: true}}
		}, triage.VerdictWillNotHelp, triage.ActionDoNotRollBack, "status page"},
		{"a vendor's trouble, and nothing was seen", func(in *Input) {
			in.Changes, in.Services = nil, map[string]triage.Service{"pricing": {External: true}}
		}, triage.VerdictCannotTell, triage.ActionInvestigate, "pricing, which is not ours"},
		{"a vendor's trouble, and a source is deaf", func(in *Input) {
			in.Changes, in.Services = in.Changes[1:], map[string]triage.Service{"pricing": {External: true}}
			in.Coverage = []triage.Coverage{{Source: "terraform", State: triage.SourceDown}}
		}, triage.VerdictCannotTell, triage.ActionInvestigate, "terraform could not be heard as usual"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			in := flagScene()
			in.Changes = slices.Clone(in.Changes)
			if tc.mod != nil {
				tc.mod(&in)
			}
			r := Rank(in)
			rec := r.Recommendation
			if rec.Verdict != tc.verdict || rec.Action != tc.action {
				t.Fatalf("want %s %s, got\n%s", tc.verdict, tc.action, dump(r))
			}
			var text strings.Builder
			text.WriteString(rec.Reason + "\n" + strings.Join(say.Instructions(rec.Steps), "\n") + "\n" + rec.Check)
			for _, a := range rec.Avoid {
				text.WriteString("\n" + a.Reason)
			}
			if !strings.Contains(text.String(), tc.says) {
				t.Errorf("want it to say %q, got\n%s", tc.says, text.String())
			}
			if rec.Action.Reversal() != (rec.Target != nil && rec.Verdict == triage.VerdictAct && rec.Action != triage.ActionPauseRollout && rec.Action != triage.ActionFixForward) {
				t.Errorf("a reversal needs a target: %+v", rec)
			}
		})
	}
}

// What else a rollback takes along is said: later deploys of the same service, and nothing else.
func TestAlsoUndoes(t *testing.T) {
	in := flagScene()
	in.Changes[0].Kind = triage.KindDeploy
	in.Changes = append(in.Changes, change("later", triage.KindDeploy, "pricing", "2m"), change("config", triage.KindConfig, "pricing", "2m"))
	r := Rank(in)
	if got := r.Recommendation.AlsoUndoes; len(got) != 1 || got[0].ChangeID != "later" || got[0].Owner != "team-pricing · #pricing-oncall" {
		t.Errorf("want the later deploy, got %+v", got)
	}
}

// The runner-up says why it is second, and that weighs nothing.
func TestWhyTheSecondIsSecond(t *testing.T) {
	r := Rank(flagScene())
	n, sentence := evidenceFor(&r.Suspects[1], "order")
	if n != 0 || !strings.HasPrefix(sentence, "second because of ") {
		t.Errorf("got %+d %q", n, sentence)
	}
}

// Two that tie are both named as targets, so that a playbook can give the command for each.
func TestEither(t *testing.T) {
	in := flagScene()
	other := in.Changes[0]
	other.ID, other.Labels = "flag-2", map[string]string{"flag": "fast-path"}
	in.Changes = append(in.Changes, other)
	rec := Rank(in).Recommendation
	if rec.Target != nil || len(rec.Either) != 2 || len(rec.Steps) != 2 {
		t.Fatalf("want two targets and a step for each, got %+v", rec)
	}
	for i, e := range rec.Either {
		if e.Name == "" || e.To != "0 %" || !strings.Contains(rec.Steps[i].Text, e.Name) {
			t.Errorf("step %q does not name %+v", rec.Steps[i], e)
		}
	}
}

// Why nothing is advised tells what was not measured from what did not move, and that from what moved too little.
func TestDoubtSaysWhatWasMeasured(t *testing.T) {
	m := newRanking(flagScene())
	for want, own := range map[string]ownShift{
		"nothing measures it":           {ratio: 1},
		"nothing measured on it moved":  {observed: true, ratio: 0.5},
		"moved too little or too brief": {observed: true, ratio: 3},
	} {
		if _, got := m.doubt(&candidate{ch: &m.in.Changes[0], own: own}, &none{}, 0.9, 0.5); !strings.Contains(got, want) {
			t.Errorf("want %q, got %q", want, got)
		}
	}
}

// What a change reaches stands for what it has no measurement of, from three services and most of those watched.
func TestWitnessed(t *testing.T) {
	for _, tc := range []struct {
		shifted, seen int
		want          bool
	}{{2, 2, false}, {3, 3, true}, {3, 5, true}, {3, 6, false}, {0, 0, false}} {
		if got := witnessed(tc.shifted, tc.seen); got != tc.want {
			t.Errorf("%d of %d: want %t, got %t", tc.shifted, tc.seen, tc.want, got)
		}
	}
}

// A change is of the longer search only when it was over before the usual lookback, or when no onset was measured.
func TestLongerSearchOnly(t *testing.T) {
	for ago, want := range map[string]bool{"5m": false, "30m": false, "45m": true, "20h": true} {
		for _, widened := range []bool{false, true} {
			in := flagScene()
			in.Widened = widened
			in.Changes = append(in.Changes, change("it", triage.KindConfig, "pricing", ago))
			m := newRanking(in)
			for _, c := range m.candidates {
				if c.ch.ID == "it" && m.long(c) != want {
					t.Errorf("%s before the alert: want %t, got %t", ago, want, !want)
				}
			}
		}
	}
}

// A shift of the changed service minutes before the symptom's is not acted on; one that came with it is.
func TestShiftsBelongTogether(t *testing.T) {
	m := newRanking(flagScene())
	p := m.services["pricing"].signals[signalIndex(triage.SignalErrors)][0]
	for _, tc := range []struct {
		before ms
		want   bool
	}{{0, true}, {apart / 2, true}, {apart + 2*p.step, false}} {
		c := candidate{own: ownShift{best: p, at: m.onset.best - tc.before}}
		if got := m.together(&c); got != tc.want {
			t.Errorf("%s before the symptom: want %v, got %v", tc.before.duration(), tc.want, got)
		}
	}
}

// What an autoscaler did by itself is mostly a reaction, and whoever undoes it fights the controller.
func TestAControllersScalingIsAReaction(t *testing.T) {
	in := flagScene()
	in.Changes[0].Kind, in.Changes[0].Labels = triage.KindScale, nil
	asked := Rank(in)
	in.Changes[0].Labels = map[string]string{"controller": "horizontalpodautoscaler"}
	itself := Rank(in)
	a, b := find(asked, "flag-1"), find(itself, "flag-1")
	if a == nil || b == nil || b.Probability >= a.Probability {
		t.Fatalf("as likely as what somebody asked for: %+v, %+v", a, b)
	}
	if rec := itself.Recommendation; rec.Action == triage.ActionConfigRevert {
		t.Errorf("advised to undo it: %s", rec.Reason)
	}
	if asked.Recommendation.Action != triage.ActionConfigRevert {
		t.Errorf("the scene is another one: %s", asked.Recommendation.Action)
	}
}
