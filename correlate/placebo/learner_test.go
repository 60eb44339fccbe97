package placebo

import (
	"context"
	"errors"
	"maps"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/prometheus/common/model"

	"github.com/triaged-dev/triaged/correlate"
	"github.com/triaged-dev/triaged/triage"
)

var now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// world is a small installation: pricing is slow for a minute after each of its rollouts.
type world struct {
	changes   []triage.Change
	incidents []triage.Incident
	state     map[string][]byte
	past      []triage.Change
	firings   []triage.Alert
	asked     []triage.SignalQuery
	fail      error
	down      bool // for what happened in the past
}

func (w *world) Topology() triage.Topology {
	return triage.NewTopology([]triage.Edge{{From: "checkout", To: "pricing"}, {From: "blog", To: "images"}})
}

func (w *world) FindChanges(_ context.Context, q triage.ChangeQuery) ([]triage.Change, string, error) {
	return slices.DeleteFunc(slices.Clone(w.changes), func(c triage.Change) bool {
		return c.OccurredAt().Before(q.From) || c.OccurredAt().After(q.To)
	}), "", nil
}

func (w *world) Incidents(_ context.Context, q triage.IncidentQuery) ([]triage.Incident, string, error) {
	return slices.DeleteFunc(slices.Clone(w.incidents), func(i triage.Incident) bool {
		return len(q.States) > 0 && !slices.Contains(q.States, i.State)
	}), "", nil
}

func (w *world) State(_ context.Context, key string) ([]byte, error) { return w.state[key], nil }
func (w *world) SetState(_ context.Context, key string, v []byte) error {
	w.state[key] = v
	return w.fail
}

func (w *world) PastChanges(_ context.Context, from, to time.Time) ([]triage.Change, error) {
	return slices.DeleteFunc(slices.Clone(w.past), func(c triage.Change) bool { return c.StartedAt.Before(from) || !c.StartedAt.Before(to) }), nil
}

func (w *world) PastFirings(_ context.Context, from, to time.Time) ([]triage.Alert, error) {
	if w.down {
		return nil, errors.New("down")
	}
	return slices.DeleteFunc(slices.Clone(w.firings), func(a triage.Alert) bool { return a.StartsAt.Before(from) || !a.StartsAt.Before(to) }), nil
}

func (w *world) Signals(_ context.Context, q triage.SignalQuery) ([]triage.Series, error) {
	if w.asked = append(w.asked, q); w.fail != nil {
		return nil, w.fail
	}
	s := triage.Series{
		Metric: "latency", Labels: map[string]string{"service": q.Services[0]}, Signal: triage.SignalLatency, Better: triage.BetterLower,
		Stamp: triage.StampEnd, StepS: 15, Start: q.From,
	}
	for t := q.From; !t.After(q.To); t = t.Add(15 * time.Second) {
		v := 0.1 * (1 + 0.02*math.Sin(float64(t.Unix())))
		for _, c := range slices.Concat(w.changes, w.past) {
			if d := t.Sub(c.StartedAt); c.Service == q.Services[0] && d > 0 && d <= time.Minute {
				v *= 40
			}
		}
		s.Values = append(s.Values, v)
	}
	return []triage.Series{s}, nil
}

func rollout(id, service string, ago time.Duration) triage.Change {
	at := now.Add(-ago)
	return triage.Change{ID: triage.ChangeID(id), Kind: triage.KindDeploy, Scope: triage.Scope{Service: service}, StartedAt: at, FinishedAt: at, ObservedAt: at, Status: triage.StatusSucceeded}
}

func (w *world) learner(t *testing.T) *Learner {
	t.Helper()
	cfg := correlate.PlaceboConfig{Every: model.Duration(time.Second), History: model.Duration(14 * 24 * time.Hour)}
	l, err := New(t.Context(), Options{
		Config: func() correlate.PlaceboConfig { return cfg }, Metrics: w, Store: w, Past: w, State: w, Topology: w, Now: func() time.Time { return now },
	})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// learn looks until there is nothing left to look at.
func learn(t *testing.T, l *Learner) (looks int) {
	t.Helper()
	for {
		more, err := l.Look(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if !more {
			return looks
		}
		looks++
	}
}

func shifts(ps []triage.Placebo, after triage.PlaceboAfter, minute triage.PlaceboMinutes) []float64 {
	for _, p := range ps {
		if p.After == after && p.Minute == minute {
			return p.Shifts
		}
	}
	return nil
}

// Innocent rollouts and quiet times are measured; a rollout that an incident followed, one too young and one of a service in trouble
// are not; and it is all there after a restart.
func TestLearner(t *testing.T) {
	w := &world{state: make(map[string][]byte)}
	for i := range 6 {
		w.changes = append(w.changes, rollout("ok"+string(rune('a'+i)), "pricing", time.Duration(24*(i+1))*time.Hour))
	}
	w.changes = append(w.changes,
		rollout("young", "pricing", 10*time.Minute),
		rollout("guilty", "pricing", 80*time.Hour),
		rollout("elsewhere", "images", 80*time.Hour))
	w.incidents = []triage.Incident{{
		ID: "i", State: triage.IncidentClosed, Scope: triage.Scope{Service: "checkout"}, OpenedAt: now.Add(-80*time.Hour + 5*time.Minute), RecoveredAt: now.Add(-79 * time.Hour),
	}}
	w.past = []triage.Change{rollout("same", "pricing", 24*time.Hour+2*time.Minute), rollout("before", "pricing", 200*time.Hour), rollout("fired", "pricing", 250*time.Hour)}
	w.firings = []triage.Alert{{Labels: map[string]string{"alertname": "Slow", "service": "pricing"}, StartsAt: now.Add(-250*time.Hour + 5*time.Minute), EndsAt: now.Add(-249 * time.Hour)}}
	l := w.learner(t)
	learn(t, l)
	got := l.Placebo([]string{"images", "nosuch", "pricing"})
	first := shifts(slices.DeleteFunc(slices.Clone(got), func(p triage.Placebo) bool { return p.Service != "pricing" }), triage.PlaceboDeploy, triage.PlaceboFirst)
	if len(first) != 7 || first[0] < 1 {
		t.Errorf("first minutes of pricing's rollouts: %v, want seven shifts", first)
	}
	if n := len(shifts(got, triage.PlaceboDeploy, triage.PlaceboFirst)); n != 1 {
		t.Errorf("images: %d rollouts, want the one in another corner of the graph", n)
	}
	quiet := shifts(got, triage.PlaceboQuiet, "")
	if len(quiet) < 10 || quiet[len(quiet)/2] > 3 {
		t.Errorf("quiet times: %v", quiet)
	}
	l.save(t.Context())
	if again := w.learner(t); !slices.EqualFunc(again.Placebo([]string{"pricing"}), l.Placebo([]string{"pricing"}), func(a, b triage.Placebo) bool {
		return a.Signal == b.Signal && a.After == b.After && a.Minute == b.Minute && slices.Equal(a.Shifts, b.Shifts)
	}) {
		t.Error("something else was there after a restart")
	} else if n := learn(t, again); n != 0 {
		t.Errorf("%d occasions were looked at twice", n)
	}
}

// While something is wrong the metrics are left to those who need them.
func TestLearnerWaits(t *testing.T) {
	w := &world{state: make(map[string][]byte), changes: []triage.Change{rollout("a", "pricing", 24*time.Hour)}}
	w.incidents = []triage.Incident{{ID: "i", State: triage.IncidentOpen, OpenedAt: now}}
	l := w.learner(t)
	if n := learn(t, l); n != 0 || len(w.asked) != 0 {
		t.Errorf("%d looks during an incident", n)
	}
	w.incidents = nil
	if w.fail = errors.New("down"); learnFails(t, l) == nil {
		t.Error("a failure was not told")
	}
}

func learnFails(t *testing.T, l *Learner) error {
	t.Helper()
	_, err := l.Look(t.Context())
	return err
}

// A damaged memory is learned anew, not refused.
func TestLearnerDamaged(t *testing.T) {
	for name, state := range map[string]map[string][]byte{
		"index":   {"placebo": []byte("{")},
		"service": {"placebo": []byte(`{"seen":{"a":1},"services":["pricing"]}`), "placebo/pricing": []byte(`{"groups":[{"at":[1],"shifts":[]}]}`)},
		"missing": {"placebo": []byte(`{"seen":{"a":1},"services":["pricing"]}`)},
	} {
		w := &world{state: maps.Clone(state), changes: []triage.Change{rollout("a", "pricing", 24*time.Hour)}}
		if learn(t, w.learner(t)) == 0 {
			t.Errorf("%s: nothing was learned anew", name)
		}
	}
}

// Of each kind the latest occasions are kept, and what is older than the history goes.
func TestRecordIsBounded(t *testing.T) {
	r := record{Seen: make(map[triage.ChangeID]int64), Services: make(map[string]*learnedOf)}
	for i := range 3 * triage.PlaceboMost {
		at := now.Add(-time.Duration(i) * time.Hour)
		c := rollout("c", "pricing", 0)
		r.add(occasion{service: "pricing", change: &c, at: at}, []triage.Placebo{{Service: "pricing", Signal: triage.SignalErrors, After: triage.PlaceboDeploy, Minute: triage.PlaceboFirst, Shifts: []float64{float64(i)}}})
	}
	g := r.Services["pricing"].Groups[0]
	if len(g.At) != triage.PlaceboMost || g.Shifts[len(g.Shifts)-1] != 0 || !slices.IsSorted(g.At) {
		t.Errorf("kept %d, the latest %v", len(g.At), g.Shifts[len(g.Shifts)-1])
	}
	r.forget(now.Add(-90 * time.Minute))
	if len(g.At) != 2 {
		t.Errorf("%d left, want two of the last 90 minutes", len(g.At))
	}
}

// Metrics that were down at the start are asked for the past again.
func TestThePastIsAskedForAgain(t *testing.T) {
	w := &world{state: make(map[string][]byte), past: []triage.Change{rollout("before", "pricing", 24*time.Hour)}, down: true}
	l := w.learner(t)
	if n := learn(t, l); n != 0 {
		t.Fatalf("%d looks at a past that nobody told", n)
	}
	w.down, l.next = false, time.Time{}
	if learn(t, l); len(shifts(l.Placebo([]string{"pricing"}), triage.PlaceboDeploy, triage.PlaceboFirst)) != 1 {
		t.Error("what happened before was never learned")
	}
}
