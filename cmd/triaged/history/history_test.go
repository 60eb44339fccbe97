package history

import (
	"context"
	"testing"
	"time"

	"github.com/triaged-dev/triaged/triage"
)

var t0 = time.Date(2026, 3, 1, 3, 0, 0, 0, time.UTC)

func at(minutes int) time.Time { return t0.Add(time.Duration(minutes) * time.Minute) }

func firing(from, to int) triage.Alert {
	return triage.Alert{Labels: map[string]string{"alertname": "High5xx"}, StartsAt: at(from), EndsAt: at(to)}
}

func change(minute int, service, title string) triage.Change {
	return triage.Change{ID: triage.ChangeID(title), Kind: triage.KindDeploy, Scope: triage.Scope{Service: service}, StartedAt: at(minute), Title: title}
}

var (
	topology = triage.NewTopology([]triage.Edge{{From: "checkout", To: "pricing"}, {From: "frontend", To: "checkout"}})
	changes  = []triage.Change{
		change(-10, "checkout", "v2"), change(12, "pricing", "pricing back to v7"), change(205, "frontend", "frontend v9"),
		{ID: "hpa", Kind: triage.KindScale, Scope: triage.Scope{Service: "checkout"}, StartedAt: at(206), Labels: map[string]string{"controller": "hpa"}},
	}
)

// One firing came after a deploy and ended with a change below; one cleared while only a caller and an autoscaler changed; one
// still lasts.
func TestOf(t *testing.T) {
	h := Of([]triage.Alert{firing(0, 20), firing(200, 210), {StartsAt: at(400)}}, changes, "checkout", topology)
	if want := (History{Fired: 3, Alone: 1, Followed: 1, Last: at(400)}); h != want {
		t.Errorf("want %+v, got %+v", want, h)
	}
	if h := Of([]triage.Alert{firing(0, 20)}, changes, "checkout", topology); h.EndedBy != "ended after 20 min, 8 min after: deploy pricing back to v7" {
		t.Errorf("ended by %q", h.EndedBy)
	}
	if h := Of([]triage.Alert{firing(0, 20)}, changes, "", topology); h.Followed != 0 || h.Alone != 1 {
		t.Errorf("without a service nothing is followed: %+v", h)
	}
}

func TestNoisy(t *testing.T) {
	for _, tc := range []struct {
		h    History
		want bool
	}{
		{History{Fired: 2, Alone: 2}, false},
		{History{Fired: 3, Alone: 3}, true},
		{History{Fired: 5, Alone: 4}, true},
		{History{Fired: 5, Alone: 3}, false},
	} {
		if got := tc.h.Noisy(); got != tc.want {
			t.Errorf("%+v: want %v, got %v", tc.h, tc.want, got)
		}
	}
}

type store struct {
	alerts  []triage.Alert
	changes []triage.Change
	next    string
}

func (s store) AlertHistory(_ context.Context, name, service string, _ time.Time) ([]triage.Alert, error) {
	return s.alerts, nil
}

func (s store) FindChanges(context.Context, triage.ChangeQuery) ([]triage.Change, string, error) {
	return s.changes, s.next, nil
}

func TestNote(t *testing.T) {
	inc := triage.Incident{Scope: triage.Scope{Service: "checkout"}, Alerts: []triage.Alert{firing(400, 0)}}
	for _, tc := range []struct {
		name  string
		store store
		want  string
	}{
		{"never before", store{alerts: []triage.Alert{inc.Alerts[0]}}, ""},
		{
			"twice before",
			store{alerts: []triage.Alert{inc.Alerts[0], firing(200, 210), firing(0, 20)}, changes: changes},
			"High5xx fired twice in the 14 d before, 1 cleared alone, 1 came after a change of the service; last time it cleared alone after 10 min",
		},
		{"too many changes to be sure", store{alerts: []triage.Alert{firing(0, 20)}, changes: changes, next: "more"}, "High5xx fired once in the 14 d before"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := Note(t.Context(), tc.store, topology, inc)
			if err != nil || got != tc.want {
				t.Errorf("want %q, got %q, %v", tc.want, got, err)
			}
		})
	}
}
