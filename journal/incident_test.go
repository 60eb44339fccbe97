package journal

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/triaged-dev/triaged/triage"
)

func incident(id string, opened time.Duration) triage.Incident {
	return triage.Incident{
		ID: id, State: triage.IncidentOpen, Title: "checkout 5xx", Scope: triage.Scope{Service: "checkout"}, Pages: true,
		OpenedAt: at(opened), UpdatedAt: at(opened), Alerts: []triage.Alert{alert("High5xx", id, opened)},
	}
}

func alert(name, instance string, starts time.Duration) triage.Alert {
	return triage.Alert{Labels: map[string]string{"alertname": name, "instance": instance}, Status: triage.AlertFiring, StartsAt: at(starts), ReceivedAt: at(starts)}
}

// pages follows the cursors of a list to its end.
func pages[T any](t *testing.T, limit int, list func(after string) ([]T, string, error)) []T {
	t.Helper()
	var all []T
	for after := ""; ; {
		rows, next, err := list(after)
		if err != nil {
			t.Fatal(err)
		}
		if len(rows) > limit || next != "" && len(rows) != limit {
			t.Fatalf("page of %d with limit %d, next %q", len(rows), limit, next)
		}
		all = append(all, rows...)
		if after = next; next == "" {
			return all
		}
	}
}

func TestIncidents(t *testing.T) {
	j := newJournal(t)
	ctx := t.Context()
	var all []triage.Incident // newest first
	for i := range 9 {
		in := incident(fmt.Sprintf("i%d", i), time.Duration(i/2)*time.Hour)
		if i%3 == 0 {
			in.State = triage.IncidentClosed
		}
		if i == 5 {
			in.Service = "pricing"
		}
		if err := j.SaveIncident(ctx, in); err != nil {
			t.Fatal(err)
		}
		all = append([]triage.Incident{in}, all...)
	}
	if got, err := j.Incident(ctx, "i5"); err != nil || !cmp.Equal(all[3], got) {
		t.Errorf("incident: %v, %v", got, err)
	}
	_, err := j.Incident(ctx, "nope")
	wantErr(t, err, ErrNotFound)

	for name, tc := range map[string]struct {
		q    triage.IncidentQuery
		want func(triage.Incident) bool
	}{
		"all":     {triage.IncidentQuery{}, func(triage.Incident) bool { return true }},
		"state":   {triage.IncidentQuery{States: []triage.IncidentState{triage.IncidentClosed, triage.IncidentRecovered}}, func(i triage.Incident) bool { return i.State == triage.IncidentClosed }},
		"service": {triage.IncidentQuery{Service: "pricing"}, func(i triage.Incident) bool { return i.Service == "pricing" }},
		"time": {triage.IncidentQuery{From: at(time.Hour), To: at(2 * time.Hour)}, func(i triage.Incident) bool {
			return !i.OpenedAt.Before(at(time.Hour)) && !i.OpenedAt.After(at(2*time.Hour))
		}},
		"none": {triage.IncidentQuery{From: at(100 * time.Hour)}, func(triage.Incident) bool { return false }},
	} {
		t.Run(name, func(t *testing.T) {
			tc.q.Limit = 2
			got := pages(t, 2, func(after string) ([]triage.Incident, string, error) {
				q := tc.q
				q.After = after
				return j.Incidents(ctx, q)
			})
			want := slices.DeleteFunc(slices.Clone(all), func(i triage.Incident) bool { return !tc.want(i) })
			if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
	_, _, err = j.Incidents(ctx, triage.IncidentQuery{After: position{}.cursor(listChanges)})
	if _, ok := errors.AsType[*triage.FieldError](err); !ok {
		t.Errorf("cursor of another list: %v", err)
	}
	if err := j.SaveIncident(ctx, triage.Incident{}); err == nil {
		t.Error("an incident without id was stored")
	}
}

// Each firing of an alert is in the history once, as it was last saved, wherever its incident went.
func TestAlertHistory(t *testing.T) {
	j := newJournal(t)
	ctx := t.Context()
	a, b := alert("High5xx", "a", 0), alert("High5xx", "a", time.Hour)
	i := incident("i1", 0)
	i.Alerts = []triage.Alert{a, b, alert("Slow", "a", 0)}
	other := incident("i2", 2*time.Hour)
	other.Service = "pricing"
	other.Alerts = []triage.Alert{alert("High5xx", "a", 2*time.Hour)}
	for range 2 {
		if err := errors.Join(j.SaveIncident(ctx, i), j.SaveIncident(ctx, other)); err != nil {
			t.Fatal(err)
		}
	}
	i.Alerts[0].Status, i.Alerts[0].EndsAt = triage.AlertResolved, at(10*time.Minute)
	if err := j.SaveIncident(ctx, i); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name, service string
		since         time.Duration
		want          []triage.Alert
	}{
		{"High5xx", "checkout", -time.Hour, []triage.Alert{b, i.Alerts[0]}},
		{"High5xx", "", 0, []triage.Alert{other.Alerts[0], b, i.Alerts[0]}},
		{"High5xx", "", time.Hour, []triage.Alert{other.Alerts[0], b}},
		{"Unheard", "", 0, nil},
	} {
		got, err := j.AlertHistory(ctx, tc.name, tc.service, at(tc.since))
		if diff := cmp.Diff(tc.want, got, cmpopts.EquateEmpty()); diff != "" || err != nil {
			t.Errorf("%+v: %v (-want +got):\n%s", tc, err, diff)
		}
	}
}

func answer(incidentID string, n int) triage.Answer {
	return triage.Answer{
		Report: triage.Report{IncidentID: incidentID, Number: n, CreatedAt: at(time.Duration(n) * time.Minute), ModelVersion: "1", Suspects: []triage.Suspect{}, Coverage: []triage.Coverage{}, None: triage.None{Probability: 1}},
		Input: triage.Case{
			Schema: triage.CaseSchema, ID: incidentID, Changes: []triage.Change{deploy("a", 0)}, Alerts: []triage.Alert{alert("A", "a", 0)},
			Topology: triage.NewTopology([]triage.Edge{{From: "web", To: "checkout"}}),
			Series:   []triage.Series{{Metric: "errors", Signal: triage.SignalErrors, Stamp: triage.StampEnd, StepS: 15, Start: t0, Values: slices.Repeat(triage.Values{1, 2, math.NaN()}, 1000)}},
		},
	}
}

// A report, its input, its incident and its outbox are stored together; the report never changes afterwards.
func TestReports(t *testing.T) {
	j := newJournal(t)
	ctx := t.Context()
	i := incident("i1", 0)
	for n := range 3 {
		i.Reports = n + 1
		d := triage.Delivery{ID: fmt.Sprintf("d%d", n+1), IncidentID: i.ID, ReportNumber: n + 1, Receiver: "log", State: triage.DeliveryPending, CreatedAt: at(0)}
		if err := j.SaveReport(ctx, i, answer(i.ID, n+1), []triage.Delivery{d}); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := j.Incident(ctx, i.ID); err != nil || got.Reports != 3 {
		t.Errorf("incident: %+v, %v", got, err)
	}
	want := answer(i.ID, 2)
	if got, err := j.Report(ctx, i.ID, 2); err != nil || !cmp.Equal(want.Report, got) {
		t.Errorf("report: %v\n%s", err, cmp.Diff(want.Report, got))
	}
	in, err := j.ReportInput(ctx, i.ID, 2)
	if diff := cmp.Diff(want.Input, in, cmpopts.EquateNaNs(), cmp.Comparer(func(a, b triage.Topology) bool { return slices.Equal(a.Edges(), b.Edges()) })); diff != "" || err != nil {
		t.Errorf("input: %v (-want +got):\n%s", err, diff)
	}
	all, err := j.Reports(ctx, i.ID)
	if err != nil || len(all) != 3 || all[0].Number != 1 || all[2].Number != 3 {
		t.Errorf("reports: %+v, %v", all, err)
	}
	_, err = j.Report(ctx, i.ID, 4)
	wantErr(t, err, ErrNotFound)
	_, err = j.ReportInput(ctx, "nope", 1)
	wantErr(t, err, ErrNotFound)

	// Said again: nothing changes, not even a delivery that has got further since. Said differently: refused, all of it.
	sent := triage.Delivery{ID: "d2", IncidentID: i.ID, ReportNumber: 2, State: triage.DeliveryDelivered, CreatedAt: at(0)}
	if err := j.SaveDelivery(ctx, sent); err != nil {
		t.Fatal(err)
	}
	pending := sent
	pending.State = triage.DeliveryPending
	if err := j.SaveReport(ctx, i, want, []triage.Delivery{pending}); err != nil {
		t.Errorf("the same report again: %v", err)
	}
	other := answer(i.ID, 2)
	other.Report.Cause = "another"
	i.Title = "changed"
	wantErr(t, j.SaveReport(ctx, i, other, []triage.Delivery{{ID: "d9"}}), ErrExists)
	if got, err := j.Delivery(ctx, "d2"); err != nil || got.State != triage.DeliveryDelivered {
		t.Errorf("delivery after the report was saved again: %+v, %v", got, err)
	}
	_, err = j.Delivery(ctx, "d9")
	wantErr(t, err, ErrNotFound)
	if got, err := j.Incident(ctx, i.ID); err != nil || got.Title != "checkout 5xx" {
		t.Errorf("incident of a refused report: %+v, %v", got, err)
	}

	for name, bad := range map[string]func() error{
		"another incident":    func() error { return j.SaveReport(ctx, i, answer("i2", 4), nil) },
		"no number":           func() error { return j.SaveReport(ctx, i, answer(i.ID, 0), nil) },
		"delivery without id": func() error { return j.SaveReport(ctx, i, answer(i.ID, 4), []triage.Delivery{{}}) },
		"not a number": func() error {
			a := answer(i.ID, 4)
			a.Report.None.Probability = math.NaN()
			return j.SaveReport(ctx, i, a, nil)
		},
	} {
		if err := bad(); err == nil {
			t.Errorf("%s: stored", name)
		}
	}
}

func TestDeliveries(t *testing.T) {
	j := newJournal(t)
	ctx := t.Context()
	states := []triage.DeliveryState{triage.DeliveryPending, triage.DeliveryDelivered, triage.DeliveryDead}
	var all []triage.Delivery // newest first
	for i := range 10 {
		d := triage.Delivery{
			ID: fmt.Sprintf("d%d", i), IncidentID: fmt.Sprintf("i%d", i%2), Receiver: "log", State: states[i%3],
			CreatedAt: at(time.Duration(i/2) * time.Minute), NextAttempt: at(time.Duration(10-i) * time.Minute),
		}
		if i == 9 {
			d.NextAttempt = time.Time{} // at once
		}
		if err := j.SaveDelivery(ctx, d); err != nil {
			t.Fatal(err)
		}
		all = append([]triage.Delivery{d}, all...)
	}
	ids := func(ds []triage.Delivery) (out []string) {
		for _, d := range ds {
			out = append(out, d.ID)
		}
		return out
	}
	due, err := j.DueDeliveries(ctx, at(7*time.Minute), 10)
	if want := []string{"d9", "d6", "d3"}; err != nil || !slices.Equal(want, ids(due)) {
		t.Errorf("due: want %v, got %v, %v", want, ids(due), err)
	}
	if due, err := j.DueDeliveries(ctx, at(7*time.Minute), 1); err != nil || !slices.Equal([]string{"d9"}, ids(due)) {
		t.Errorf("due, one: %v, %v", ids(due), err)
	}
	for name, tc := range map[string]struct {
		q    triage.DeliveryQuery
		want func(triage.Delivery) bool
	}{
		"all":      {triage.DeliveryQuery{}, func(triage.Delivery) bool { return true }},
		"states":   {triage.DeliveryQuery{States: states[1:]}, func(d triage.Delivery) bool { return d.State != triage.DeliveryPending }},
		"incident": {triage.DeliveryQuery{IncidentID: "i1", States: states[:2]}, func(d triage.Delivery) bool { return d.IncidentID == "i1" && d.State != triage.DeliveryDead }},
	} {
		t.Run(name, func(t *testing.T) {
			got := pages(t, 3, func(after string) ([]triage.Delivery, string, error) {
				q := tc.q
				q.Limit, q.After = 3, after
				return j.Deliveries(ctx, q)
			})
			want := slices.DeleteFunc(slices.Clone(all), func(d triage.Delivery) bool { return !tc.want(d) })
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
	d := all[0]
	d.State, d.Attempts, d.DeliveredAt = triage.DeliveryDelivered, 2, at(time.Hour)
	if err := j.SaveDelivery(ctx, d); err != nil {
		t.Fatal(err)
	}
	if got, err := j.Delivery(ctx, d.ID); err != nil || !cmp.Equal(d, got) {
		t.Errorf("delivery: %+v, %v", got, err)
	}
	if err := j.SaveDelivery(ctx, triage.Delivery{}); err == nil {
		t.Error("a delivery without id was stored")
	}
}

// The last word on a change counts, its service and kind are those it has now, and "no change" takes confirmations back.
func TestFeedbackAndOutcomes(t *testing.T) {
	j := newJournal(t)
	ctx := t.Context()
	flag := deploy("flag", 0)
	flag.Kind, flag.Service = triage.KindFlag, "pricing"
	mustAppend(t, j, entry(deploy("a", 0), "a-old"), entry(deploy("b", 0)), entry(flag))
	say := func(incident, verdict, change string, minute int) {
		t.Helper()
		f := triage.Feedback{IncidentID: incident, Verdict: verdict, ChangeID: triage.ChangeID(change), Comment: "c", At: at(time.Duration(minute) * time.Minute)}
		if err := j.SaveFeedback(ctx, f); err != nil {
			t.Fatal(err)
		}
	}
	say("i1", triage.FeedbackReject, "a", 1)
	say("i1", triage.FeedbackConfirm, "a-old", 2) // of the same change: this is the last word
	say("i1", triage.FeedbackConfirm, "a-old", 2) // and said twice
	say("i1", triage.FeedbackReject, "b", 3)
	say("i2", triage.FeedbackConfirm, "b", 1)
	say("i2", triage.FeedbackNone, "", 2) // takes it back
	say("i3", triage.FeedbackNone, "", 1)
	say("i3", triage.FeedbackConfirm, "flag", 2) // after all
	say("i4", triage.FeedbackConfirm, "flag", 2)
	say("i5", triage.FeedbackConfirm, "unknown", 2)
	say("i4", triage.FeedbackVerified, "flag", 3) // somebody has spoken about i4: the measurement adds nothing
	say("i6", triage.FeedbackVerified, "flag", 1)
	say("i6", triage.FeedbackVerified, "flag", 2) // measured again after a restart

	want := []triage.Outcome{
		{Service: "checkout", Kind: triage.KindDeploy, Outcome: "confirmed", N: 1},
		{Service: "checkout", Kind: triage.KindDeploy, Outcome: "rejected", N: 1},
		{Service: "pricing", Kind: triage.KindFlag, Outcome: "confirmed", N: 2},
		{Service: "pricing", Kind: triage.KindFlag, Outcome: "verified", N: 1},
	}
	check := func() {
		t.Helper()
		got, err := j.Outcomes(ctx)
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("outcomes: %v (-want +got):\n%s", err, diff)
		}
	}
	check()
	mustAppend(t, j, entry(deploy("merged", 0), "a")) // a is an alias now; the label follows
	check()
	if err := j.write(ctx, "forget", 0, func(w *writer) error {
		_, err := w.exec("DELETE FROM changes WHERE id='flag'")
		return err
	}); err != nil {
		t.Fatal(err)
	}
	check() // the label outlives the change

	if n, err := j.Labelled(ctx); n != 5 || err != nil {
		t.Errorf("people spoke about 5 incidents, counted %d, %v", n, err)
	}

	got, err := j.Feedback(ctx, "i1")
	if err != nil || len(got) != 3 || got[0].Verdict != triage.FeedbackReject || got[1].ChangeID != "a-old" || got[2].Comment != "c" {
		t.Errorf("feedback: %+v, %v", got, err)
	}
	if got, err := j.Feedback(context.Background(), "nope"); err != nil || got == nil || len(got) != 0 {
		t.Errorf("no feedback: %#v, %v", got, err)
	}
	if err := j.SaveFeedback(ctx, triage.Feedback{IncidentID: "i1"}); err == nil {
		t.Error("feedback without verdict was stored")
	}
}
