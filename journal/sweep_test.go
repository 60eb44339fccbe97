package journal

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/triaged-dev/triaged/triage"
)

// What is past its retention goes, what is within it stays, and a change outlives its body.
func TestSweep(t *testing.T) {
	j := newJournal(t)
	ctx := t.Context()
	ago := func(days int) time.Time { return t0.Add(-time.Duration(days) * day) }
	for _, days := range []int{1, 29, 31, 89, 91, 399, 401} {
		id := fmt.Sprintf("%d", days)
		c := deploy(id, -time.Duration(days)*day)
		a := anomaly(id, -time.Duration(days)*day)
		mustAppend(t, j, entry(c, triage.ChangeID("alias-"+id)), triage.Entry{Event: triage.Event{Anomaly: &a}})
		state := triage.IncidentClosed
		if days == 399 {
			state = triage.IncidentOpen
		}
		alert := triage.Alert{Labels: map[string]string{"alertname": "A", "n": id}, StartsAt: ago(days), EndsAt: ago(days).Add(time.Hour)}
		i := triage.Incident{ID: id, State: state, OpenedAt: ago(days), UpdatedAt: ago(days), Alerts: []triage.Alert{alert}}
		answer := triage.Answer{Report: triage.Report{IncidentID: id, Number: 1, CreatedAt: ago(days)}}
		var ds []triage.Delivery
		for _, s := range []triage.DeliveryState{triage.DeliveryDelivered, triage.DeliveryDead, triage.DeliveryHeld, triage.DeliveryPending, triage.DeliveryShadow} {
			ds = append(ds, triage.Delivery{ID: id + string(s), IncidentID: id, State: s, CreatedAt: ago(days)})
		}
		if err := j.SaveReport(ctx, i, answer, ds); err != nil {
			t.Fatal(err)
		}
		if err := j.SaveFeedback(ctx, triage.Feedback{IncidentID: id, Verdict: triage.FeedbackConfirm, ChangeID: c.ID, At: ago(days)}); err != nil {
			t.Fatal(err)
		}
		if err := j.Quarantine(ctx, triage.Quarantined{Source: id, Body: []byte("x"), At: ago(days)}); err != nil {
			t.Fatal(err)
		}
	}
	ongoing := triage.Incident{ID: "ongoing", State: triage.IncidentMitigating, OpenedAt: ago(500), UpdatedAt: ago(450)}
	if err := j.SaveIncident(ctx, ongoing); err != nil {
		t.Fatal(err)
	}
	s := &sweeper{j: j}
	for range 2 { // a second round finds nothing more
		if err := s.round(ctx); err != nil {
			t.Fatal(err)
		}
	}
	column := func(query string) (out []string) {
		t.Helper()
		got, err := readAll(ctx, j, "test", func(r rowScanner) (s string, err error) { return s, r.Scan(&s) }, query)
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	for query, want := range map[string][]string{
		"SELECT id FROM changes ORDER BY seq":                                            {"1", "29", "31", "89"},
		"SELECT c.id FROM bodies b JOIN changes c ON c.seq=b.seq ORDER BY c.seq":         {"1", "29"},
		"SELECT count(*) FROM bodies":                                                    {"2"},
		"SELECT id FROM anomalies ORDER BY seq":                                          {"1", "29"},
		"SELECT incident_id FROM reports ORDER BY rowid":                                 {"1", "29", "31", "89", "91", "399"},
		"SELECT id FROM incidents ORDER BY opened_at DESC":                               {"1", "29", "31", "89", "91", "399", "ongoing"},
		"SELECT incident_id FROM feedback ORDER BY rowid":                                {"1", "29", "31", "89", "91", "399"},
		"SELECT incident_id FROM alerts ORDER BY starts_at DESC":                         {"1", "29", "31", "89", "91", "399"},
		"SELECT source FROM quarantine ORDER BY seq":                                     {"1", "29"},
		"SELECT count(*) FROM quarantine_bodies":                                         {"2"},
		"SELECT state FROM deliveries WHERE incident_id='401' ORDER BY state":            {"dead", "held", "pending"},
		"SELECT count(*) FROM deliveries WHERE incident_id='399'":                        {"5"},
		"SELECT alias FROM aliases WHERE alias IN ('alias-399', 'alias-401') ORDER BY 1": {"alias-399", "alias-401"}, // written now
	} {
		if got := column(query); !slices.Equal(want, got) {
			t.Errorf("%s: want %v, got %v", query, want, got)
		}
	}
	if n := testutil.ToFloat64(j.metrics.sweptRows.WithLabelValues("changes")); n != 3 {
		t.Errorf("changes removed: %v", n)
	}
	// Past the body's retention, the times, the scope and the title are still known, and text is found.
	want := deploy("31", -31*day)
	want.Refs = nil
	got := changes(t, j, "31")
	found, _, err := j.FindChanges(ctx, triage.ChangeQuery{From: ago(32), To: ago(30), Text: "checkout V812"})
	if err != nil || len(got) != 1 || len(found) != 1 {
		t.Fatalf("change without body: %v, %v, %v", got, found, err)
	}
	for _, c := range []triage.Change{got[0], found[0]} {
		if fmt.Sprintf("%+v", c) != fmt.Sprintf("%+v", want) {
			t.Errorf("change without body:\nwant %+v\ngot  %+v", want, c)
		}
	}
	// Stored again, it has a body again.
	mustAppend(t, j, entry(deploy("31", -31*day)))
	if got := changes(t, j, "31"); len(got[0].Refs) != 1 {
		t.Errorf("change stored again: %+v", got[0])
	}
	if got, err := j.Outcomes(ctx); err != nil || len(got) != 1 || got[0].N != 6 {
		t.Errorf("labels outlive their changes: %+v, %v", got, err)
	}
}

// More than one step's worth is removed in steps, and all of it.
func TestSweepManySteps(t *testing.T) {
	j := newJournal(t)
	es := make([]triage.Entry, 0, 1700)
	for i := range cap(es) {
		days := 40
		if i%2 == 0 {
			days = 100
		}
		es = append(es, entry(deploy(fmt.Sprint(i), -time.Duration(days)*day)))
	}
	mustAppend(t, j, es...)
	if err := (&sweeper{j: j}).round(t.Context()); err != nil {
		t.Fatal(err)
	}
	var rows, bodies int
	if err := j.rdb.QueryRowContext(t.Context(), "SELECT (SELECT count(*) FROM changes), (SELECT count(*) FROM bodies)").Scan(&rows, &bodies); err != nil || rows != 850 || bodies != 0 {
		t.Errorf("left: %d changes, %d bodies, %v", rows, bodies, err)
	}
}
