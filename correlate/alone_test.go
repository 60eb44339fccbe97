package correlate

import (
	"strings"
	"testing"
	"time"

	"github.com/triaged-dev/triaged/triage"
)

// What one series alone puts before another change is not acted on, and the card says which; a second one that says the same is enough.
func TestOneMeasurementAloneIsNotActedOn(t *testing.T) {
	in := flagScene()
	in.Changes[0].StartedAt, in.Changes[0].FinishedAt = before("6m40s"), before("6m40s")
	near := change("flag-2", triage.KindFlag, "db", "5m")
	near.Labels = map[string]string{"flag": "db-hints"}
	in.Changes = append(in.Changes, near)
	r := Rank(in)
	if r.Suspects[0].ID() != "flag-1" || r.Suspects[0].Probability < 0.6 {
		t.Fatalf("the scene is another one: %s leads with %.2f", r.Suspects[0].ID(), r.Suspects[0].Probability)
	}
	if rec := r.Recommendation; rec.Verdict != triage.VerdictCannotTell || rec.Target != nil || len(rec.Steps) > 0 ||
		!strings.Contains(rec.Reason, "on one measurement alone, errors of pricing") || !strings.Contains(rec.Reason, "db-hints") {
		t.Errorf("advised %s %s: %s", rec.Verdict, rec.Action, rec.Reason)
	}
	running := in
	running.Changes = append([]triage.Change(nil), in.Changes...)
	half := 50.0
	running.Changes[0].RolloutPercent, running.Changes[0].FinishedAt, running.Changes[0].Status = &half, time.Time{}, triage.StatusStarted
	if rec := Rank(running).Recommendation; rec.Action != triage.ActionPauseRollout {
		t.Errorf("to hold what still rolls out is free: %s %s: %s", rec.Verdict, rec.Action, rec.Reason)
	}
	second := series("pricing", triage.SignalErrors, 0.001, 0.001, 0.3, before("4m50s"))
	second.Metric = "other_errors"
	in.Series = append(in.Series, second)
	if rec := Rank(in).Recommendation; rec.Action != triage.ActionFlagOff {
		t.Errorf("with a second measurement: %s %s: %s", rec.Verdict, rec.Action, rec.Reason)
	}
}
