package correlate

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/triaged-dev/triaged/triage"
)

var epoch = time.Date(2026, 3, 1, 3, 0, 0, 0, time.UTC)

func minute(n int) time.Time { return epoch.Add(time.Duration(n) * time.Minute) }

// Stretches known to be bad reach the ranking merged, with the pending time before each, and never into the present trouble.
func TestEpisodes(t *testing.T) {
	in := Input{Symptom: &triage.Symptom{ForS: 300}, Earlier: []triage.Alert{
		{StartsAt: minute(-200), EndsAt: minute(-180)}, {StartsAt: minute(-178), EndsAt: minute(-170)}, {StartsAt: minute(-20)}, {StartsAt: minute(-10), EndsAt: minute(2)},
	}}
	g := gathering{in: &in, fired: minute(0), req: triage.Request{Incident: triage.Incident{Episodes: []triage.Span{{From: minute(-60), To: minute(-40)}}}}}
	g.episodes(nil)
	want := []triage.Span{{From: minute(-205), To: minute(-170)}, {From: minute(-65), To: minute(-40)}, {From: minute(-15), To: minute(-5)}}
	if len(in.Episodes) != len(want) {
		t.Fatalf("want %v, got %v", want, in.Episodes)
	}
	for i, s := range in.Episodes {
		if !s.From.Equal(want[i].From) || !s.To.Equal(want[i].To) {
			t.Errorf("want %v, got %v", want[i], s)
		}
	}
}

type incidentLog []triage.Incident

func (l incidentLog) Incidents(context.Context, triage.IncidentQuery) ([]triage.Incident, string, error) {
	return l, "", nil
}

// Other incidents in reach that were over are no baseline either; this one, one elsewhere and one still open are no past.
func TestOtherIncidentsAreNoBaseline(t *testing.T) {
	i := func(id, service string, from, to int) triage.Incident {
		inc := triage.Incident{ID: id, Scope: triage.Scope{Service: service}, OpenedAt: minute(from)}
		if to != 0 {
			inc.RecoveredAt = minute(to)
		}
		return inc
	}
	log := incidentLog{i("me", "cart", -30, -20), i("callee", "pricing", -50, -45), i("far", "blog", -40, -35), i("open", "cart", -10, 0), i("ended", "cart", -70, -65)}
	in := Input{Scope: triage.Scope{Service: "cart"}}
	g := gathering{
		c: &Correlator{Options: Options{Config: DefaultConfig(), Incidents: log}}, in: &in, fired: minute(0), reach: []string{"cart", "pricing"},
		req: triage.Request{Incident: triage.Incident{ID: "me"}},
	}
	g.episodes(g.othersTroubles(t.Context()))
	want := []triage.Span{{From: minute(-70), To: minute(-65)}, {From: minute(-50), To: minute(-45)}}
	if !slices.Equal(in.Episodes, want) {
		t.Errorf("want %v, got %v", want, in.Episodes)
	}
}

// The onset is sought by the alerts of this episode alone.
func TestOnsetBelongsToTheEpisode(t *testing.T) {
	c, err := New(Options{Window: &fakeWindow{}})
	if err != nil {
		t.Fatal(err)
	}
	a := func(name string, at int, s triage.AlertStatus) triage.Alert {
		return triage.Alert{Labels: map[string]string{"alertname": name, "service": "cart"}, StartsAt: minute(at), Status: s}
	}
	inc := triage.Incident{EpisodeAt: minute(0), Alerts: []triage.Alert{a("Old", -60, triage.AlertResolved), a("New", 0, triage.AlertFiring)}}
	in := c.input(triage.Request{Incident: inc, At: minute(1)}, minute(1))
	if len(in.Alerts) != 1 || in.Alerts[0].Name() != "New" {
		t.Errorf("want only the alert of this episode, got %+v", in.Alerts)
	}
}

// A name that nobody uses is said to be unknown; it gets nobody else's changes.
func TestUnknownServiceIsSaidSo(t *testing.T) {
	flag := triage.Change{ID: "f", Kind: triage.KindFlag, Scope: triage.Scope{Service: "pricing"}, StartedAt: minute(-2), ObservedAt: minute(-2), Title: "flag on"}
	edges := triage.NewTopology([]triage.Edge{{From: "web", To: "cart"}})
	ask := func(service string) triage.Report {
		t.Helper()
		c, err := New(Options{Window: &fakeWindow{changes: []triage.Change{flag}}, Topology: fixedTopology(edges), Coverage: nothingHeard{}, Directory: triage.NewDirectory(nil, nil)})
		if err != nil {
			t.Fatal(err)
		}
		answer, err := c.Triage(t.Context(), triage.Request{At: minute(0), Incident: triage.Incident{
			Scope: triage.Scope{Service: service}, Alerts: []triage.Alert{{Labels: map[string]string{"alertname": "adhoc", "service": service}, StartsAt: minute(0)}},
		}})
		if err != nil {
			t.Fatal(err)
		}
		if again := Rank(InputOf(answer.Input)); again.Unknown != answer.Report.Unknown {
			t.Errorf("the case forgets that %s is unknown", service)
		}
		return answer.Report
	}
	r := ask("nosuch")
	if !r.Unknown || len(r.Suspects) != 0 || !strings.Contains(strings.Join(r.Notes, " "), "nosuch is not known here") {
		t.Errorf("want it said that nosuch is unknown, got unknown=%v, %d suspects, %q", r.Unknown, len(r.Suspects), r.Notes)
	}
	for _, known := range []string{"pricing", "cart"} {
		if r := ask(known); r.Unknown {
			t.Errorf("%s is known", known)
		}
	}
	// Nor is a missing Prometheus passed over in silence.
	found := false
	for _, c := range r.Coverage {
		found = found || c.Source == "metrics" && c.State == triage.SourceNotConfigured
	}
	if !found {
		t.Errorf("want it said that nothing was measured, got %+v", r.Coverage)
	}
}

type nothingHeard struct{}

func (nothingHeard) Coverage(time.Time, time.Time) []triage.Coverage { return nil }

// The headline keeps how bad it was while it goes back.
func TestHeadlineKeepsThePeak(t *testing.T) {
	in := flagScene()
	in.At = t0.Add(5 * time.Minute)
	s := series("checkout", triage.SignalErrors, .002, .0005, .14, before("4m50s"))
	for i := range 20 { // back to usual
		s.Values = append(s.Values, .002+.0001*float64(i%3))
	}
	s.Role = triage.RoleSymptom
	in.Symptom = &triage.Symptom{RuleFound: true, Expr: "x", ForS: 60, EvalIntervalS: 15, ScrapeIntervalS: 15, LongestRangeS: 60, Series: []triage.Series{s}}
	got := Rank(in).Symptom
	if got.Peak == nil || *got.Peak < .14 || got.Now == nil || *got.Now > .01 {
		t.Fatalf("want a peak of 14 %% and .2 %% now, got %+v", got)
	}
	if !strings.Contains(got.Sentence, "→ 14") || !strings.Contains(got.Sentence, ", now 0.2") {
		t.Errorf("got %q", got.Sentence)
	}
}
