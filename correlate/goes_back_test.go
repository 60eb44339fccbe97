package correlate

import (
	"strings"
	"testing"

	"github.com/triaged-dev/triaged/triage"
)

// What was asked for is not advised against, and is no change that the advice would take along; once it is taken back itself the
// advice stands as before.
func TestNoWordAgainstTheUndo(t *testing.T) {
	off := change("flag-2", triage.KindFlag, "pricing", "30s")
	off.Labels, off.Undoes = map[string]string{"flag": "new-pricing"}, []triage.ChangeID{"flag-1"}
	back := change("rb-1", triage.KindRollback, "checkout", "40s")
	in := flagScene()
	in.Changes = append(in.Changes, off, back)
	r := Rank(in)
	for _, a := range r.Recommendation.Avoid {
		if a.Target == off.ID || a.Target == back.ID {
			t.Errorf("it advises against what takes something back: %+v", a)
		}
	}
	for _, u := range r.Recommendation.AlsoUndoes {
		if u.ChangeID == off.ID {
			t.Errorf("an undo is nothing that undoing takes along: %+v", u)
		}
	}
	if !strings.Contains(r.Recommendation.Reason, "was undone at") {
		t.Errorf("want it to wait for what the undo does, got %q", r.Recommendation.Reason)
	}
	on := change("flag-3", triage.KindFlag, "pricing", "10s")
	on.Labels, on.Undoes = map[string]string{"flag": "new-pricing"}, []triage.ChangeID{"flag-2"}
	in.Changes = append(in.Changes, on)
	if again := Rank(in); strings.Contains(again.Recommendation.Reason, "was undone at") {
		t.Errorf("the undo was taken back, so it undoes nothing: %q", again.Recommendation.Reason)
	}
}
