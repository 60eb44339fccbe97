package triage

import (
	"math"
	"testing"
)

func TestWilson(t *testing.T) {
	for _, tc := range []struct {
		k, n      int
		low, high float64
	}{{9, 10, .596, .982}, {0, 5, 0, .434}, {5, 5, .566, 1}, {0, 0, 0, 1}} {
		if low, high := Wilson(tc.k, tc.n); math.Abs(low-tc.low) > .001 || math.Abs(high-tc.high) > .001 {
			t.Errorf("%d of %d: want %.3f–%.3f, got %.3f–%.3f", tc.k, tc.n, tc.low, tc.high, low, high)
		}
	}
}

// TestJudge: the latest word wins, a rejection counts only against what was named, and silence is no label.
func TestJudge(t *testing.T) {
	r := Report{
		Suspects:       []Suspect{{Rank: 1, Probability: .8, Change: &Change{ID: "a"}}, {Rank: 2, Probability: .1, Change: &Change{ID: "b"}}},
		None:           None{Probability: .1},
		Recommendation: Recommendation{Verdict: VerdictAct, Action: ActionRollback, Target: &Target{ChangeID: "a"}},
	}
	said := func(pairs ...string) (out []Feedback) {
		for i := 0; i < len(pairs); i += 2 {
			out = append(out, Feedback{Verdict: pairs[i], ChangeID: ChangeID(pairs[i+1])})
		}
		return out
	}
	for _, tc := range []struct {
		name          string
		said          []Feedback
		counts, right bool
	}{
		{"confirmed", said("confirm", "a"), true, true},
		{"another", said("confirm", "b"), true, false},
		{"none", said("none", ""), true, false},
		{"changed their mind", said("confirm", "b", "confirm", "a"), true, true},
		{"rejected, then confirmed", said("reject", "a", "confirm", "a"), true, true},
		{"confirmed, then rejected", said("confirm", "a", "reject", "a"), true, false},
		{"the leader rejected", said("reject", "a"), true, false},
		{"another rejected", said("reject", "b"), false, false},
		{"an undo that helped, nobody's word", said("verified", "a"), false, false},
		{"silence", nil, false, false},
	} {
		j, ok := r.Judge(LabelOf(tc.said))
		if ok != tc.counts || j.Right() != tc.right || j.Named != "a" || j.Advised != "a" || j.Leader != "a" || j.Probability != .8 {
			t.Errorf("%s: want counts %t, right %t, got %t %t, %+v", tc.name, tc.counts, tc.right, ok, j.Right(), j)
		}
	}
	r.None.Probability, r.Suspects[0].Probability, r.Recommendation = .9, .05, Recommendation{Verdict: VerdictCannotTell, Action: ActionInvestigate}
	if j, ok := r.Judge(LabelOf(said("none", ""))); !ok || !j.Right() || j.Named != "" || j.Leader != "" || j.Probability != .9 {
		t.Errorf("none led and was right: got %t, %+v", ok, j)
	}
}
