package collector

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/triaged-dev/triaged/triage"
)

// memJournal is a Journal in memory that keeps bodies as JSON, as the real one does, so that nothing is shared by accident.
type memJournal struct {
	mu          sync.Mutex
	bodies      map[triage.ChangeID][]byte
	aliases     map[triage.ChangeID]triage.ChangeID
	anomalies   map[triage.AnomalyID]triage.Anomaly
	quarantined []triage.Quarantined
	appends     [][]triage.Entry
	reads       int // of bodies
}

func newMemJournal() *memJournal {
	return &memJournal{
		bodies: make(map[triage.ChangeID][]byte), aliases: make(map[triage.ChangeID]triage.ChangeID), anomalies: make(map[triage.AnomalyID]triage.Anomaly),
	}
}

var errNotFound = errors.New("not found")

func (j *memJournal) Append(ctx context.Context, entries []triage.Entry) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.appends = append(j.appends, entries)
	for _, e := range entries {
		if a := e.Event.Anomaly; a != nil {
			j.anomalies[a.ID] = *a
			continue
		}
		body, err := json.Marshal(e.Event.Change)
		if err != nil {
			return err
		}
		id := e.Event.Change.ID
		j.bodies[id] = body
		delete(j.aliases, id)
		for _, a := range e.Aliases {
			delete(j.bodies, a)
			for from, to := range j.aliases {
				if to == a {
					j.aliases[from] = id
				}
			}
			j.aliases[a] = id
		}
	}
	return nil
}

func (j *memJournal) all() []triage.Change {
	var out []triage.Change
	for _, body := range j.bodies {
		var c triage.Change
		if err := json.Unmarshal(body, &c); err != nil {
			panic(err)
		}
		out = append(out, c)
	}
	return out
}

func (j *memJournal) Index(_ context.Context, since time.Time, yield func(triage.IndexEntry) error) error {
	j.mu.Lock()
	all := j.all()
	j.mu.Unlock()
	slices.SortFunc(all, func(a, b triage.Change) int {
		return cmp.Or(a.LastActivity().Compare(b.LastActivity()), cmp.Compare(a.ID, b.ID))
	})
	for _, c := range all {
		if c.LastActivity().Before(since) {
			continue
		}
		start, _, _ := c.StartInterval(triage.AssumedRollout)
		e := triage.IndexEntry{ID: c.ID, Kind: c.Kind, Scope: c.Scope, Start: start, LastActivity: c.LastActivity()}
		for _, k := range c.JoinKeys() {
			e.JoinKeys = append(e.JoinKeys, triage.HashJoinKey(k))
		}
		if err := yield(e); err != nil {
			return err
		}
	}
	return nil
}

func (j *memJournal) AliasesSince(_ context.Context, _ time.Time, yield func(alias, id triage.ChangeID) error) error {
	j.mu.Lock()
	aliases := maps.Clone(j.aliases)
	j.mu.Unlock()
	for _, a := range slices.Sorted(maps.Keys(aliases)) {
		if err := yield(a, aliases[a]); err != nil {
			return err
		}
	}
	return nil
}

func (j *memJournal) ResolveChange(_ context.Context, id triage.ChangeID) (triage.ChangeID, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if to, ok := j.aliases[id]; ok {
		return to, nil
	}
	if _, ok := j.bodies[id]; ok {
		return id, nil
	}
	return "", errNotFound
}

func (j *memJournal) Changes(_ context.Context, ids []triage.ChangeID) ([]triage.Change, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	var out []triage.Change
	for _, id := range ids {
		j.reads++
		if body, ok := j.bodies[id]; ok {
			var c triage.Change
			if err := json.Unmarshal(body, &c); err != nil {
				return nil, err
			}
			out = append(out, c)
		}
	}
	return out, nil
}

func (j *memJournal) FindChanges(_ context.Context, q triage.ChangeQuery) ([]triage.Change, string, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	var out []triage.Change
	for _, c := range j.all() {
		start, last := activity(&c)
		if (q.To.IsZero() || !start.After(q.To)) && !last.Before(q.From) && (q.Kind == "" || c.Kind == q.Kind) &&
			(len(q.Services) == 0 || c.Global || c.Service == "" || slices.Contains(q.Services, c.Service)) {
			out = append(out, c)
		}
	}
	slices.SortFunc(out, byTime)
	return out, "", nil
}

func (j *memJournal) FindAnomalies(_ context.Context, q triage.ChangeQuery) ([]triage.Anomaly, string, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	s := anomalyStore{byID: make(map[triage.AnomalyID]*triage.Anomaly)}
	for id, a := range j.anomalies {
		s.byID[id] = &a
	}
	q.Limit = 0
	return s.find(q), "", nil
}

func (j *memJournal) Quarantine(_ context.Context, q triage.Quarantined) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.quarantined = append(j.quarantined, q)
	return nil
}

func (j *memJournal) QuarantinedRecord(_ context.Context, id string) (triage.Quarantined, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, q := range j.quarantined {
		if q.ID == id {
			return q, nil
		}
	}
	return triage.Quarantined{}, errNotFound
}

func (j *memJournal) Release(_ context.Context, id string) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.quarantined = slices.DeleteFunc(j.quarantined, func(q triage.Quarantined) bool { return q.ID == id })
	return nil
}

// brokenJournal refuses what refuse says, and otherwise is the good one.
type brokenJournal struct {
	*memJournal
	refuse func([]triage.Entry) error
}

func (j *brokenJournal) Append(ctx context.Context, entries []triage.Entry) error {
	if err := j.refuse(entries); err != nil {
		return err
	}
	return j.memJournal.Append(ctx, entries)
}

// t0 is when everything in these tests happens.
var t0 = time.Date(2026, 11, 3, 3, 0, 0, 0, time.UTC)

func at(minutes float64) time.Time { return t0.Add(time.Duration(minutes * float64(time.Minute))) }

// startCollector runs a Collector on the journal until the test ends. Its clock stands at now.
func startCollector(t testing.TB, j Journal, change func(*Options)) *Collector {
	t.Helper()
	o := Options{Config: DefaultConfig(), Journal: j, Now: func() time.Time { return at(60) }, Logger: slog.New(slog.DiscardHandler)}
	if change != nil {
		change(&o)
	}
	c, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	return c
}

func emit(t testing.TB, c *Collector, changes ...triage.Change) {
	t.Helper()
	if err := c.Emit(t.Context(), events(changes...)); err != nil {
		t.Fatalf("Emit: %v", err)
	}
}

func events(changes ...triage.Change) []triage.Event {
	out := make([]triage.Event, len(changes))
	for i := range changes {
		out[i] = triage.Event{Change: &changes[i]}
	}
	return out
}

func find(t testing.TB, c *Collector, q triage.ChangeQuery) []triage.Change {
	t.Helper()
	found, _, err := c.Find(t.Context(), q)
	if err != nil {
		t.Fatalf("Find: %v", err)
	}
	return found
}

func ids(changes []triage.Change) string {
	var out []string
	for _, c := range changes {
		out = append(out, string(c.ID))
	}
	return strings.Join(out, " ")
}

// deploy is a successful deploy of checkout.
func deploy(id triage.ChangeID, minutes float64, version string) triage.Change {
	return triage.Change{
		ID: id, Source: "ci", Kind: triage.KindDeploy, Status: triage.StatusSucceeded, Scope: triage.Scope{Service: "checkout", Environment: "production"},
		StartedAt: at(minutes), FinishedAt: at(minutes + 1), ObservedAt: at(minutes + 1), Version: version,
	}
}

// clock is a clock that stands until it is set.
type clock struct{ at atomic.Int64 }

func newClock(at time.Time) *clock {
	c := &clock{}
	c.set(at)
	return c
}

func (c *clock) set(t time.Time) { c.at.Store(t.UnixNano()) }
func (c *clock) now() time.Time  { return time.Unix(0, c.at.Load()) }
