package triage

import (
	"fmt"
	"math"
	"testing"
)

// said makes a first report that names, and advises to undo, the change; "" names none.
func saidFirst(id ChangeID) Report {
	now := .14
	r := Report{None: None{Probability: 1}, Symptom: SymptomSummary{Now: &now}}
	if id != "" {
		r.None.Probability = .1
		r.Suspects = []Suspect{{Rank: 1, Change: &Change{ID: id, Kind: KindFlag}, Probability: .9, For: []Evidence{{Factor: "split", Contribution: 2000, Direct: true}}}}
		r.Recommendation = Recommendation{Verdict: VerdictAct, Action: ActionFlagOff, Target: &Target{ChangeID: id}}
	}
	return r
}

// What was said is held against how each incident ended, and counts as much as that end is worth.
func TestLedger(t *testing.T) {
	closed := Incident{State: IncidentClosed, Scope: Scope{Service: "checkout"}}
	checked := func(first Report, undid ChangeID, o CheckOutcome) Report {
		first.Checked = []Checked{{Undid: undid, Outcome: o}}
		return first
	}
	a, none := saidFirst("a"), saidFirst("")
	for name, tc := range map[string]struct {
		inc    Incident
		first  Report
		last   Report
		said   []Feedback
		basis  Basis
		blame  string // hits/n
		undo   string
		missed string
	}{
		"a person confirms":              {closed, a, a, []Feedback{{Verdict: FeedbackConfirm, ChangeID: "a"}}, BasisLabel, "0/1", "0/1", "0/1"},
		"a person confirms another":      {closed, a, a, []Feedback{{Verdict: FeedbackConfirm, ChangeID: "b"}}, BasisLabel, "1/1", "1/1", "1/1"},
		"a person rejects":               {closed, a, a, []Feedback{{Verdict: FeedbackReject, ChangeID: "a"}}, BasisLabel, "1/1", "1/1", "0/0"},
		"a person rejects another":       {closed, a, a, []Feedback{{Verdict: FeedbackReject, ChangeID: "b"}}, BasisLabel, "0/0", "0/0", "0/0"},
		"a person outweighs the undo":    {closed, a, checked(a, "a", CheckVerified), []Feedback{{Verdict: FeedbackNone}}, BasisLabel, "1/1", "1/1", "0/0"},
		"the undo is verified":           {closed, a, checked(a, "a", CheckVerified), nil, BasisVerified, "0/0.8", "0/0.8", "0/0.8"},
		"another undo is verified":       {closed, a, checked(a, "b", CheckVerified), nil, BasisVerified, "0.8/0.8", "0.8/0.8", "0.8/0.8"},
		"it was named by nobody":         {closed, none, checked(none, "b", CheckVerified), nil, BasisVerified, "0/0.8", "0/0", "0.8/0.8"},
		"the undo did not help":          {closed, a, checked(a, "a", CheckNotHelped), nil, BasisNotHelped, "0.7/0.7", "0.7/0.7", "0/0"},
		"another undo did not help":      {closed, a, checked(a, "b", CheckNotHelped), nil, BasisNotHelped, "0/0", "0/0", "0/0"},
		"it followed the undo":           {closed, a, checked(a, "a", CheckConsistent), nil, BasisFollowed, "0/0.4", "0/0.4", "0/0.4"},
		"it had turned before":           {closed, a, checked(a, "a", CheckElsewhere), nil, BasisByItself, "0.3/0.3", "0.3/0.3", "0/0"},
		"it ended, all stayed in place":  {closed, a, a, nil, BasisByItself, "0.3/0.3", "0.3/0.3", "0/0"},
		"it ended, nothing was named":    {closed, none, none, nil, BasisByItself, "0/0.3", "0/0", "0/0"},
		"it is not over":                 {Incident{State: IncidentOpen}, a, a, nil, "", "0/0", "0/0", "0/0"},
		"the undo cannot be measured":    {closed, a, checked(a, "a", CheckUnmeasured), nil, "", "0/0", "0/0", "0/0"},
		"the undo was itself taken back": {closed, a, checked(a, "a", CheckRedone), nil, "", "0/0", "0/0", "0/0"},
	} {
		t.Run(name, func(t *testing.T) {
			l := NewLedger()
			l.Add(tc.inc, tc.first, tc.last, tc.said)
			got, want := fmt.Sprintf("%g/%g %g/%g %g/%g", l.FalseBlame.Hits, l.FalseBlame.N, l.WrongUndo.Hits, l.WrongUndo.N, l.Missed.Hits, l.Missed.N), tc.blame+" "+tc.undo+" "+tc.missed
			if got != want {
				t.Errorf("false blame, wrong undo, missed: want %s, got %s", want, got)
			}
			if tc.basis != "" && l.ByBasis[tc.basis] != 1 || tc.basis == "" && l.Known != 0 {
				t.Errorf("want it known by %q, got %v of %d", tc.basis, l.ByBasis, l.Known)
			}
			if s := tc.inc.Service; s != "" && l.ByService[s].FalseBlame != l.FalseBlame {
				t.Errorf("by service: got %+v", l.ByService)
			}
		})
	}
}

func TestBlindness(t *testing.T) {
	r := saidFirst("a")
	if got := Blindness(r); len(got) != 1 || got[0] != AllSeen {
		t.Errorf("got %q", got)
	}
	r.Symptom.Now, r.Deadline = nil, true
	r.Coverage = []Coverage{{Source: "github", State: SourceRateLimited}, {Source: "kafka", State: SourceOK}}
	if got, want := fmt.Sprint(Blindness(r)), "[evidence cut short by the deadline github rate limited the symptom's own series]"; got != want {
		t.Errorf("want %s, got %s", want, got)
	}
}

// Half a label makes the interval as wide as half as many would, and what is known by nothing says nothing.
func TestShareInterval(t *testing.T) {
	low, high := Share{9, 10}.Interval()
	l, h := Wilson(9, 10)
	if low != l || high != h {
		t.Errorf("of whole labels: want %g to %g, got %g to %g", l, h, low, high)
	}
	if hl, hh := (Share{4.5, 5}).Interval(); hl >= low || hh <= high {
		t.Errorf("half as much must be wider: %g to %g", hl, hh)
	}
	if low, high = (Share{}).Interval(); low != 0 || high != 1 || !math.IsNaN((Share{}).Rate()) {
		t.Errorf("of nothing: %g to %g", low, high)
	}
}
