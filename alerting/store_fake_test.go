package alerting

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/triaged-dev/triaged/triage"
)

var errNotFound = errors.New("not found")

// fakeStore keeps everything in maps. It survives the Alerting on it, as the journal survives a restart.
type fakeStore struct {
	mu         sync.Mutex
	incidents  map[string]triage.Incident
	reports    map[string][]triage.Report
	deliveries map[string]triage.Delivery
	saves      int           // SaveIncident calls
	slow       time.Duration // of one SaveIncident
	inFlight   int
	maxFlight  int
	broken     bool // every write fails
}

func newFakeStore() *fakeStore {
	return &fakeStore{incidents: map[string]triage.Incident{}, reports: map[string][]triage.Report{}, deliveries: map[string]triage.Delivery{}}
}

var errDiskFull = errors.New("disk full")

func (s *fakeStore) SaveIncident(ctx context.Context, inc triage.Incident) error {
	s.mu.Lock()
	s.saves++
	s.inFlight++
	s.maxFlight = max(s.maxFlight, s.inFlight)
	s.mu.Unlock()
	if s.slow > 0 {
		time.Sleep(s.slow)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.inFlight--
	if s.broken {
		return errDiskFull
	}
	inc.Alerts = slices.Clone(inc.Alerts)
	s.incidents[inc.ID] = inc
	return ctx.Err()
}

func (s *fakeStore) Incident(_ context.Context, id string) (triage.Incident, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	inc, ok := s.incidents[id]
	if !ok {
		return inc, errNotFound
	}
	inc.Alerts = slices.Clone(inc.Alerts)
	return inc, nil
}

func (s *fakeStore) Incidents(_ context.Context, q triage.IncidentQuery) ([]triage.Incident, string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []triage.Incident
	for _, inc := range s.incidents {
		if (len(q.States) == 0 || slices.Contains(q.States, inc.State)) && (q.After == "" || inc.ID < q.After) {
			inc.Alerts = slices.Clone(inc.Alerts)
			out = append(out, inc)
		}
	}
	slices.SortFunc(out, func(a, b triage.Incident) int { return cmp.Compare(b.ID, a.ID) })
	if q.Limit > 0 && len(out) > q.Limit {
		return out[:q.Limit], out[q.Limit-1].ID, nil
	}
	return out, "", nil
}

func (s *fakeStore) SaveReport(ctx context.Context, inc triage.Incident, a triage.Answer, ds []triage.Delivery) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.broken {
		return errDiskFull
	}
	if want := len(s.reports[inc.ID]) + 1; a.Report.Number != want {
		return fmt.Errorf("report number: want %d, got %d", want, a.Report.Number)
	}
	inc.Alerts = slices.Clone(inc.Alerts)
	s.incidents[inc.ID] = inc
	s.reports[inc.ID] = append(s.reports[inc.ID], a.Report)
	for _, d := range ds {
		s.deliveries[d.ID] = d
	}
	return ctx.Err()
}

func (s *fakeStore) Report(_ context.Context, id string, n int) (triage.Report, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if n < 1 || n > len(s.reports[id]) {
		return triage.Report{}, errNotFound
	}
	return s.reports[id][n-1], nil
}

func (s *fakeStore) DueDeliveries(_ context.Context, now time.Time, limit int) ([]triage.Delivery, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []triage.Delivery
	for _, d := range s.deliveries {
		if d.State == triage.DeliveryPending && !d.NextAttempt.After(now) {
			out = append(out, d)
		}
	}
	slices.SortFunc(out, func(a, b triage.Delivery) int {
		return cmp.Or(a.NextAttempt.Compare(b.NextAttempt), cmp.Compare(a.ID, b.ID))
	})
	return out[:min(limit, len(out))], nil
}

func (s *fakeStore) SaveDelivery(_ context.Context, d triage.Delivery) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.broken {
		return errDiskFull
	}
	s.deliveries[d.ID] = d
	return nil
}

func (s *fakeStore) Delivery(_ context.Context, id string) (triage.Delivery, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	d, ok := s.deliveries[id]
	if !ok {
		return d, errNotFound
	}
	return d, nil
}

func (s *fakeStore) Deliveries(_ context.Context, q triage.DeliveryQuery) ([]triage.Delivery, string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []triage.Delivery
	for _, d := range s.deliveries {
		if (len(q.States) == 0 || slices.Contains(q.States, d.State)) && (q.IncidentID == "" || q.IncidentID == d.IncidentID) && (q.After == "" || d.ID > q.After) {
			out = append(out, d)
		}
	}
	slices.SortFunc(out, func(a, b triage.Delivery) int { return cmp.Compare(a.ID, b.ID) })
	if q.Limit > 0 && len(out) > q.Limit {
		return out[:q.Limit], out[q.Limit-1].ID, nil
	}
	return out, "", nil
}

func (s *fakeStore) writes() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.saves
}

func (s *fakeStore) all() []triage.Incident {
	incs, _, _ := s.Incidents(context.Background(), triage.IncidentQuery{})
	return incs
}

func (s *fakeStore) setBroken(b bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.broken = b
}

func (s *fakeStore) states() map[triage.DeliveryState]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := map[triage.DeliveryState]int{}
	for _, d := range s.deliveries {
		out[d.State]++
	}
	return out
}
