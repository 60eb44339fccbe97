package correlate

import (
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/triaged-dev/triaged/triage"
)

func TestGuiltyFlagIsNamedAndTurnedBack(t *testing.T) {
	r := Rank(flagScene())
	checkSums(t, r)
	if l := r.Leader(); l == nil || l.ID() != "flag-1" || l.Probability < 0.9 {
		t.Fatalf("want flag-1 first with p ≥ .9\n%s", dump(r))
	}
	rec := r.Recommendation
	if rec.Verdict != triage.VerdictAct || rec.Action != triage.ActionFlagOff || rec.Target == nil || rec.Target.To != "0 %" || rec.Target.Name != "new-pricing" {
		t.Errorf("want the flag set back to 0 %%, got %+v", rec)
	}
	if rec.Owner != "team-pricing · #pricing-oncall" {
		t.Errorf("owner: got %q", rec.Owner)
	}
	truth := before("4m50s")
	if r.Onset.Earliest.After(truth) || r.Onset.Latest.Before(truth) || !r.Onset.Latest.Before(t0) {
		t.Errorf("onset %v must contain %v and end before the page", r.Onset.Interval, truth)
	}
	if d := r.Onset.Best.Sub(truth); d < -30*time.Second || d > 30*time.Second {
		t.Errorf("best onset is %s off", d)
	}
	if !strings.Contains(r.Symptom.Sentence, "checkout errors 0.") || !strings.Contains(r.Symptom.Sentence, "UTC (paged 03:07)") {
		t.Errorf("symptom sentence: %q", r.Symptom.Sentence)
	}
}

// Without the guilty change nothing else may be blamed in its place.
func TestNothingIsBlamedWhenTheCauseIsNotAmongTheChanges(t *testing.T) {
	in := flagScene()
	in.Changes = in.Changes[1:]
	r := Rank(in)
	checkSums(t, r)
	outside := r.None.Probability
	for _, s := range r.Suspects {
		if s.Anomaly != nil {
			outside += s.Probability
		}
	}
	if outside < 0.9 {
		t.Errorf("want none with its anomalies at ≥ .9, got %.3f\n%s", outside, dump(r))
	}
	if l := r.Leader(); l == nil || l.Anomaly == nil || l.Anomaly.Service != "pricing" {
		t.Errorf("want the fault at pricing to lead as an anomaly\n%s", dump(r))
	}
	if r.Recommendation.Action.Reversal() {
		t.Errorf("no reversal may be advised: %+v", r.Recommendation)
	}
}

// What was seen to begin after the onset is never a suspect, however near, and undoing it is advised against.
func TestNothingAfterTheOnsetIsBlamed(t *testing.T) {
	in := flagScene()
	in.Changes = []triage.Change{change("late", triage.KindDeploy, "checkout", "3m20s"), change("unsure", triage.KindDeploy, "checkout", "3m20s")}
	in.Changes[1].TimeUncertaintyS = 120
	r := Rank(in)
	if find(r, "late") != nil {
		t.Errorf("a change begun after the onset is listed\n%s", dump(r))
	}
	if find(r, "unsure") == nil {
		t.Errorf("a change whose clock may be two minutes off must stay a suspect\n%s", dump(r))
	}
	if !slices.ContainsFunc(r.Recommendation.Avoid, func(a triage.Avoid) bool {
		return a.Target == "late" && a.Class == triage.VerdictWillNotHelp
	}) {
		t.Errorf("want undoing it advised against: %+v", r.Recommendation.Avoid)
	}
}

// A change that a source reported only when it had ended may have begun before the onset.
func TestFinishOnlyChangesKeepTheirUnknownStart(t *testing.T) {
	in := flagScene()
	late := triage.Change{ID: "end-only", Kind: triage.KindDeploy, Scope: triage.Scope{Service: "pricing"}, FinishedAt: before("3m"), ObservedAt: before("3m"), Status: triage.StatusSucceeded}
	in.Changes = append(in.Changes[1:], late)
	r := Rank(in)
	if l := r.Leader(); l == nil || l.ID() != "end-only" {
		t.Errorf("want the deploy that ended after the onset first\n%s", dump(r))
	}
}

// Adding 50 changes that neither reach the symptom nor shifted anything moves nobody by more than .02.
func TestUnreachableShiftlessChangesMoveLittle(t *testing.T) {
	for _, tc := range []struct {
		name string
		in   Input
	}{
		{"guilty flag", flagScene()},
		{"nothing to blame", func() Input { in := flagScene(); in.Changes = in.Changes[1:]; return in }()},
		{"no series", func() Input { in := flagScene(); in.Series, in.Symptom = nil, nil; return in }()},
	} {
		t.Run(tc.name, func(t *testing.T) {
			was := Rank(tc.in)
			in := tc.in
			in.Changes = slices.Clone(in.Changes)
			for i := range 50 {
				in.Changes = append(in.Changes, change(fmt.Sprintf("far-%02d", i), triage.KindDeploy, fmt.Sprintf("far-%d", i%7), fmt.Sprintf("%ds", 245+20*i)))
			}
			now := Rank(in)
			checkSums(t, now)
			if d := math.Abs(was.None.Probability - now.None.Probability); d > 0.02 {
				t.Errorf("none moved by %.3f", d)
			}
			if a, b := was.Leader(), now.Leader(); a.ID() != b.ID() || math.Abs(a.Probability-b.Probability) > 0.02 {
				t.Errorf("leader %s %.3f became %s %.3f", a.ID(), a.Probability, b.ID(), b.Probability)
			}
		})
	}
}

// How long the list of suspects is decides nothing: 222 changes that fit alike say the same with 20 listed and with all. What is not
// listed keeps its share, and none gets nothing of it.
func TestTheLengthOfTheListDecidesNothing(t *testing.T) {
	in := flagScene()
	in.Series = nil
	in.Changes = nil
	for i := range 222 {
		in.Changes = append(in.Changes, change(fmt.Sprintf("dep-%03d", i), triage.KindDeploy, "checkout", "6m"))
	}
	var reports []triage.Report
	for _, limit := range []int{3, 20, 400} {
		in.Config = DefaultConfig()
		in.Config.MaxSuspects = limit
		r := Rank(in)
		sum := r.None.Probability + r.Unlisted.Probability
		for _, s := range r.Suspects {
			sum += s.Probability
		}
		if math.Abs(sum-1) > 1e-6 || len(r.Suspects)+r.Unlisted.Changes != 222 {
			t.Errorf("%d listed: want 1 and 222 changes, got %v, %d and %d", limit, sum, len(r.Suspects), r.Unlisted.Changes)
		}
		reports = append(reports, r)
	}
	for _, r := range reports[1:] {
		first := reports[0]
		if r.None.Probability != first.None.Probability || r.Standing().Word != first.Standing().Word || !reflect.DeepEqual(r.Recommendation, first.Recommendation) {
			t.Errorf("want %v %s %+v,\n got %v %s %+v", first.None.Probability, first.Standing().Word, first.Recommendation, r.None.Probability, r.Standing().Word, r.Recommendation)
		}
	}
}

// Renaming every service, or shifting every time, changes no probability.
func TestNamesAndTimesDoNotMatter(t *testing.T) {
	in := flagScene()
	want := Rank(in)
	data, err := json.Marshal(in.Case("x"))
	if err != nil {
		t.Fatal(err)
	}
	text := string(data)
	for i, name := range []string{"checkout", "pricing", "db", "search", "web"} {
		text = strings.ReplaceAll(text, `"`+name+`"`, fmt.Sprintf(`"svc-%c"`, 'e'-i))
	}
	var c triage.Case
	if err := json.Unmarshal([]byte(text), &c); err != nil {
		t.Fatal(err)
	}
	checkSame(t, "renamed", want, Rank(InputOf(c)))

	shifted := shiftTimes(t, in, 1234567*time.Second)
	checkSame(t, "shifted", want, Rank(shifted))
}

func checkSame(t *testing.T, what string, want, got triage.Report) {
	t.Helper()
	if want.None.Probability != got.None.Probability || len(want.Suspects) != len(got.Suspects) {
		t.Fatalf("%s: none %.6f of %d became %.6f of %d", what, want.None.Probability, len(want.Suspects), got.None.Probability, len(got.Suspects))
	}
	for i := range want.Suspects {
		a, b := want.Suspects[i], got.Suspects[i]
		if a.Probability != b.Probability || a.LogOdds != b.LogOdds || a.ID() != b.ID() && a.Anomaly == nil {
			t.Errorf("%s: suspect %d: %s %.6f became %s %.6f", what, i+1, a.ID(), a.Probability, b.ID(), b.Probability)
		}
	}
}

// shiftTimes moves every time of an input.
func shiftTimes(t *testing.T, in Input, by time.Duration) Input {
	t.Helper()
	mv := func(x *time.Time) {
		if !x.IsZero() {
			*x = x.Add(by)
		}
	}
	mv(&in.At)
	in.Alerts = slices.Clone(in.Alerts)
	for i := range in.Alerts {
		mv(&in.Alerts[i].StartsAt)
		mv(&in.Alerts[i].ActiveAt)
	}
	in.Changes = slices.Clone(in.Changes)
	for i := range in.Changes {
		mv(&in.Changes[i].StartedAt)
		mv(&in.Changes[i].FinishedAt)
		mv(&in.Changes[i].ObservedAt)
	}
	in.Series = slices.Clone(in.Series)
	for i := range in.Series {
		mv(&in.Series[i].Start)
	}
	s := *in.Symptom
	s.Series = slices.Clone(s.Series)
	for i := range s.Series {
		mv(&s.Series[i].Start)
	}
	in.Symptom = &s
	return in
}

// More series of one signal do not mean more suspicion.
func TestDuplicateSeriesAddNothing(t *testing.T) {
	in := flagScene()
	want := Rank(in)
	for range 3 {
		in.Series = append(slices.Clone(in.Series), in.Series...)
	}
	checkSame(t, "each series eight times", want, Rank(in))

	in = flagScene()
	quiet := series("pricing", triage.SignalErrors, 0.003, 0.002, 0, time.Time{})
	quiet.Metric = "other_errors"
	in.Series = append(slices.Clone(in.Series), quiet)
	got, _ := evidenceFor(find(Rank(in), "flag-1"), "own")
	was, _ := evidenceFor(find(want, "flag-1"), "own")
	if got > was {
		t.Errorf("a quiet series of the same signal raised own from %d to %d", was, got)
	}
}

// The order of the input does not change a byte.
func TestOrderOfTheInputDoesNotMatter(t *testing.T) {
	in := flagScene()
	in.Anomalies = []triage.Anomaly{
		{ID: "a1", Scope: triage.Scope{Service: "cache"}, Signal: triage.SignalErrors, Series: "e", Onset: triage.Interval{Best: before("5m")}, Effect: 9},
		{ID: "a2", Scope: triage.Scope{Service: "cache"}, Signal: triage.SignalLatency, Series: "l", Onset: triage.Interval{Best: before("5m")}, Effect: 7},
	}
	in.History = []triage.Outcome{{Service: "pricing", Kind: triage.KindFlag, Outcome: "confirmed", N: 0.1}, {Service: "pricing", Kind: triage.KindFlag, Outcome: "confirmed", N: 0.2}, {Service: "pricing", Kind: triage.KindFlag, Outcome: "confirmed", N: 0.7}}
	in.Alerts = append(in.Alerts, triage.Alert{Labels: map[string]string{"alertname": "Other", "service": "web"}, StartsAt: t0})
	in.Coverage = append(in.Coverage, triage.Coverage{Source: "github", State: triage.SourceDown})
	want := bytesOf(t, Rank(in))
	rng := rand.New(rand.NewPCG(1, 1))
	for range 20 {
		rng.Shuffle(len(in.Changes), func(i, j int) { in.Changes[i], in.Changes[j] = in.Changes[j], in.Changes[i] })
		rng.Shuffle(len(in.Series), func(i, j int) { in.Series[i], in.Series[j] = in.Series[j], in.Series[i] })
		rng.Shuffle(len(in.Anomalies), func(i, j int) { in.Anomalies[i], in.Anomalies[j] = in.Anomalies[j], in.Anomalies[i] })
		rng.Shuffle(len(in.History), func(i, j int) { in.History[i], in.History[j] = in.History[j], in.History[i] })
		rng.Shuffle(len(in.Alerts), func(i, j int) { in.Alerts[i], in.Alerts[j] = in.Alerts[j], in.Alerts[i] })
		rng.Shuffle(len(in.Coverage), func(i, j int) { in.Coverage[i], in.Coverage[j] = in.Coverage[j], in.Coverage[i] })
		if got := bytesOf(t, Rank(in)); got != want {
			t.Fatalf("another order, another report:\nwant %s\ngot  %s", want, got)
		}
	}
}

// An exported input replays to the same bytes.
func TestExportedInputRanksToTheSameBytes(t *testing.T) {
	in := flagScene()
	in.Cause, in.Number, in.Notes, in.Lookback = "alert", 2, []string{"a note"}, 20*time.Minute
	in.ChangeRate = map[string]float64{"pricing": 12}
	in.Scope.Environment = "production"
	want := bytesOf(t, Rank(in))
	data, err := json.Marshal(in.Case("inc-1"))
	if err != nil {
		t.Fatal(err)
	}
	var c triage.Case
	if err := json.Unmarshal(data, &c); err != nil {
		t.Fatal(err)
	}
	if got := bytesOf(t, Rank(InputOf(c))); got != want {
		t.Errorf("want %s\ngot  %s", want, got)
	}
}

// Changes first observed after the report time did not exist for it, and later samples neither.
func TestTheFutureIsNotSeen(t *testing.T) {
	in := flagScene()
	want := Rank(in)
	late := change("hidden", triage.KindDeploy, "pricing", "5m20s")
	late.ObservedAt = t0.Add(time.Second)
	in.Changes = append(in.Changes, late)
	in.Series = slices.Clone(in.Series)
	for i := range in.Series {
		in.Series[i].Values = append(slices.Clone(in.Series[i].Values), 99, 99, 99)
	}
	checkSame(t, "with the future", want, Rank(in))
}

func TestEmptyInputsAreAnswered(t *testing.T) {
	for name, in := range map[string]Input{
		"nothing":        {},
		"only a time":    {At: t0},
		"only an alert":  {At: t0, Alerts: []triage.Alert{{StartsAt: t0}}},
		"only a service": {At: t0, Scope: triage.Scope{Service: "a"}},
		"only changes":   {At: t0, Changes: flagScene().Changes},
		"empty series":   {At: t0, Scope: triage.Scope{Service: "a"}, Series: []triage.Series{{}, {Labels: map[string]string{"service": "a"}, StepS: 15, Values: triage.Values{math.NaN()}}}},
	} {
		t.Run(name, func(t *testing.T) {
			r := Rank(in)
			checkSums(t, r)
			if r.Recommendation.Reason == "" || r.Suspects == nil || r.None.Evidence == nil {
				t.Errorf("a field is missing: %s", bytesOf(t, r))
			}
		})
	}
}

// However little speaks for a change in reach, none must leave it something: the model itself may be wrong.
func TestNoneIsNeverCertainWhileAChangeIsInReach(t *testing.T) {
	at := time.Date(2026, 3, 1, 3, 0, 0, 0, time.UTC)
	in := Input{
		At:     at,
		Scope:  triage.Scope{Service: "checkout"},
		Alerts: []triage.Alert{{Labels: map[string]string{"alertname": "A", "service": "checkout"}, StartsAt: at, ForS: 60}},
		Changes: []triage.Change{{
			ID: "old", Kind: triage.KindFlag, Scope: triage.Scope{Service: "checkout"}, StartedAt: at.Add(-29 * time.Minute), ObservedAt: at.Add(-29 * time.Minute),
		}},
	}
	most := DefaultWeights().NoneMost
	if got := Rank(in).None.Probability; got > most+1e-6 {
		t.Errorf("none has %.3f with a change in reach; at most %.2f", got, most)
	}
	in.Changes = nil
	if got := Rank(in).None.Probability; got != 1 {
		t.Errorf("without any change none must have everything, got %.3f", got)
	}
}
