package main

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/triaged-dev/triaged/triage"
)

// An alert that fired before must say so in its report, and the case of the report must hold the note.
func TestReportTellsTheAlertsHistory(t *testing.T) {
	d := startDaemon(t, "incidents: {second_looks: [], reopen_within: 0s, close_after: 0s, recovered_hold: 0s}\n")
	now := time.Now().UTC().Truncate(time.Second)
	first := alertBody("Errors", "payments", now.Add(-2*time.Hour))
	d.post(t, "/api/v1/alerts", first)
	firstReport(t, d.asker, 10*time.Second)
	resolved := first["alerts"].([]any)[0].(map[string]any)
	resolved["status"], resolved["endsAt"] = "resolved", now.Add(-110*time.Minute).Format(time.RFC3339)
	first["status"] = "resolved"
	d.post(t, "/api/v1/alerts", first)
	d.post(t, "/api/v1/alerts", alertBody("Errors", "payments", now))

	var rep triage.Report
	var c triage.Case
	eventually(t, 10*time.Second, "a report of the second firing", func() error {
		var page struct{ Items []triage.Incident }
		if err := d.get("/api/v1/incidents", &page); err != nil {
			return err
		}
		i := slices.IndexFunc(page.Items, func(i triage.Incident) bool { return i.Alerts[0].StartsAt.Equal(now) && i.Reports > 0 })
		if i < 0 {
			return errors.New("none yet")
		}
		return errors.Join(d.get("/api/v1/incidents/"+page.Items[i].ID+"/reports/1", &rep), d.get("/api/v1/incidents/"+page.Items[i].ID+"/case", &c))
	})
	const want = "Errors fired once in the 14 d before, 1 cleared alone, 0 came after a change of the service; last time it cleared alone after 10 min"
	if !slices.Contains(rep.Notes, want) {
		t.Errorf("want the note %q, got %q", want, rep.Notes)
	}
	if c.Ask == nil || !slices.ContainsFunc(c.Ask.Notes, func(n string) bool { return strings.HasPrefix(n, "Errors fired once") }) {
		t.Errorf("the case lacks the note: %+v", c.Ask)
	}
}

// A note that is added after the ranking stands where a replay of the case has it: after what the ranking was given, before what it
// said itself.
func TestNoteStandsWhereAReplayHasIt(t *testing.T) {
	answer := triage.Answer{
		Report: triage.Report{Notes: []string{"given", "by the ranking"}},
		Input:  triage.Case{Ask: &triage.CaseAsk{Notes: []string{"given"}}},
	}
	withNote(&answer, "fired before")
	if want := []string{"given", "fired before", "by the ranking"}; !slices.Equal(answer.Report.Notes, want) {
		t.Errorf("want %q, got %q", want, answer.Report.Notes)
	}
	if want := []string{"given", "fired before"}; !slices.Equal(answer.Input.Ask.Notes, want) {
		t.Errorf("want %q in the case, got %q", want, answer.Input.Ask.Notes)
	}
	bare := triage.Answer{Report: triage.Report{Notes: []string{"a"}}}
	withNote(&bare, "b")
	if !slices.Equal(bare.Report.Notes, []string{"a", "b"}) {
		t.Errorf("got %q", bare.Report.Notes)
	}
}
