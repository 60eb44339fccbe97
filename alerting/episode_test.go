package alerting

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/triaged-dev/triaged/triage"
)

// A reopened incident starts anew: what ended before says nothing of when this began, and is kept as an episode of its own.
func TestReopenedIncidentStartsAnEpisode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, newFakeStore(), nil)
		first := alert("checkout", time.Now(), "alertname", "Slow")
		b.accept(t, first)
		synctest.Wait()
		began := first.StartsAt
		time.Sleep(8 * time.Minute)
		first.Status, first.EndsAt = triage.AlertResolved, time.Now()
		b.accept(t, first)
		synctest.Wait()
		ended := time.Now()
		time.Sleep(6 * time.Minute)
		second := alert("checkout", time.Now(), "alertname", "Slow", "route", "/pay")
		b.accept(t, second)
		synctest.Wait()
		incs := b.store.all()
		if len(incs) != 1 || incs[0].Reopened != 1 {
			t.Fatalf("want one incident, reopened once, got %+v", incs)
		}
		inc := incs[0]
		if len(inc.Episodes) != 1 || !inc.Episodes[0].From.Equal(began) || !inc.Episodes[0].To.Equal(ended) {
			t.Errorf("want the episode %s to %s, got %+v", began, ended, inc.Episodes)
		}
		if now := inc.Current(); !inc.EpisodeAt.Equal(second.StartsAt) || len(now) != 1 || now[0].Labels["route"] != "/pay" {
			t.Errorf("want only the second alert in the episode from %s, got %s %+v", second.StartsAt, inc.EpisodeAt, now)
		}
	})
}

// Recovering makes no outage smaller: the severity is that of its worst until it is opened again.
func TestSeverityDoesNotSink(t *testing.T) {
	share := func(v float64) triage.Report {
		return triage.Report{Symptom: triage.SymptomSummary{Signal: triage.SignalErrors, Now: &v}}
	}
	inc := triage.Incident{Scope: triage.Scope{Service: "checkout"}, Pages: true, Alerts: []triage.Alert{alert("checkout", t0)}}
	worst := ProposeSeverity(SeverityInput{Incident: inc, Report: share(.4)})
	later := ProposeSeverity(SeverityInput{Incident: inc, Report: share(.001), Peak: &worst})
	if worst.Level != "P0" || later.Level != worst.Level {
		t.Errorf("want P0 and P0, got %+v and %+v", worst, later)
	}
	if last := later.Reasons[len(later.Reasons)-1]; last != "at its worst; now P2" {
		t.Errorf("want it said that it is better now, got %q", last)
	}
	again := ProposeSeverity(SeverityInput{Incident: inc, Report: share(.001), Peak: &later})
	if len(again.Reasons) != len(later.Reasons) {
		t.Errorf("the reasons grow: %q", again.Reasons)
	}
}
