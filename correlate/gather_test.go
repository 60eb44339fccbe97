package correlate

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/triaged-dev/triaged/triage"
)

// askedMetrics answers as edit says and remembers what it was asked.
type askedMetrics struct {
	fakeMetrics
	mu     sync.Mutex
	asked  []triage.SignalQuery
	answer func(ctx context.Context, q triage.SignalQuery, before int) ([]triage.Series, error)
}

func (m *askedMetrics) Signals(ctx context.Context, q triage.SignalQuery) ([]triage.Series, error) {
	m.mu.Lock()
	before := 0
	for _, was := range m.asked {
		if kindOf(was) == kindOf(q) {
			before++
		}
	}
	m.asked = append(m.asked, q)
	m.mu.Unlock()
	if m.answer != nil {
		return m.answer(ctx, q, before)
	}
	return m.fakeMetrics.Signals(ctx, q)
}

func kindOf(q triage.SignalQuery) string { return fmt.Sprint(q.Edges, q.SplitBy, q.Turn) }

func (m *askedMetrics) query(kind func(triage.SignalQuery) bool) (triage.SignalQuery, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	i := slices.IndexFunc(m.asked, kind)
	if i < 0 {
		return triage.SignalQuery{}, false
	}
	return m.asked[i], true
}

// replays checks that the exported case, written and read again, ranks to the report that was given.
func replays(t *testing.T, a triage.Answer) {
	t.Helper()
	data, err := json.Marshal(a.Input)
	if err != nil {
		t.Fatal(err)
	}
	var c triage.Case
	if err := json.Unmarshal(data, &c); err != nil {
		t.Fatal(err)
	}
	if want, got := bytesOf(t, a.Report), bytesOf(t, Rank(InputOf(c))); got != want {
		t.Errorf("the exported case ranks to other bytes\nwant %s\ngot  %s", want, got)
	}
}

// A graph is never whole. With one declared edge a change on a service that nobody declared is a candidate all the same; that no
// call is known is held against it, and its service is measured.
func TestChangesOffTheGraphAreWeighed(t *testing.T) {
	o, w, req := parts()
	w.changes = []triage.Change{change("cache-deploy", triage.KindDeploy, "cache", "6m"), change("far-away", triage.KindDeploy, "reports", "25m")}
	o.Topology = fixedTopology(triage.NewTopology([]triage.Edge{{From: "web", To: "checkout"}}))
	m := &askedMetrics{fakeMetrics: o.Metrics.(fakeMetrics)}
	o.Metrics = m
	a, err := newCorrelator(t, o).Triage(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	s := find(a.Report, "cache-deploy")
	if s == nil || find(a.Report, "far-away") == nil {
		t.Fatalf("want both changes weighed\n%s", dump(a.Report))
	}
	if n, _ := evidenceFor(s, "topology"); n >= 0 {
		t.Errorf("want that no call is known to count against it, got %d", n)
	}
	q, ok := m.query(func(q triage.SignalQuery) bool { return !q.Edges && len(q.SplitBy) == 0 })
	if !ok || !slices.Contains(q.Services, "cache") {
		t.Errorf("want its service measured, asked for %v", q.Services)
	}
	replays(t, a)
}

// Of many changes off the graph the nearest are weighed, and none of those on it is lost for them.
func TestChangesOffTheGraphAreBounded(t *testing.T) {
	o, w, req := parts()
	for i := range 3 * maxOffGraph {
		w.changes = append(w.changes, change(fmt.Sprintf("off-%04d", i), triage.KindDeploy, fmt.Sprintf("other-%d", i%50), fmt.Sprintf("%ds", 20+2*i)))
	}
	a, err := newCorrelator(t, o).Triage(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	off := 0
	for _, ch := range a.Input.Changes {
		if strings.HasPrefix(string(ch.ID), "off-") {
			off++
		}
	}
	if off != maxOffGraph {
		t.Errorf("want %d off the graph, got %d", maxOffGraph, off)
	}
	if l := a.Report.Leader(); l == nil || l.ID() != "flag-1" {
		t.Errorf("want what is on the graph still weighed\n%s", dump(a.Report))
	}
	if !strings.Contains(strings.Join(a.Report.Notes, " "), "nearest to the alert were weighed") {
		t.Errorf("the report must say that there were more: %q", a.Report.Notes)
	}
	replays(t, a)
}

// What callers see of what they call is read for the symptom, its neighbours and the other callers of what it calls. The calls seen
// are of the graph, a host outside is a vendor, and the exported case has it all.
func TestEdgesAreReadAndJoinTheGraph(t *testing.T) {
	o, _, req := parts()
	o.Topology = fixedTopology(triage.NewTopology([]triage.Edge{{From: "checkout", To: "db"}, {From: "billing", To: "db"}, {From: "web", To: "checkout"}}))
	edge := func(from, to string) triage.Series {
		return triage.Series{
			Metric: "calls failed share", Labels: map[string]string{"source": from, "destination": to}, Signal: triage.SignalErrors, Better: triage.BetterLower,
			Stamp: triage.StampEnd, StepS: 60, Start: t0.Add(-10 * time.Minute), Values: triage.Values{0, 0, 0}, Counts: triage.Values{9, 9, 9}, RangeS: 60,
		}
	}
	base := o.Metrics.(fakeMetrics)
	m := &askedMetrics{answer: func(ctx context.Context, q triage.SignalQuery, _ int) ([]triage.Series, error) {
		if q.Edges {
			return []triage.Series{edge("checkout", "api.vendor.example"), edge("billing", "db")}, nil
		}
		return base.Signals(ctx, q)
	}, fakeMetrics: base}
	o.Metrics = m
	a, err := newCorrelator(t, o).Triage(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	q, ok := m.query(func(q triage.SignalQuery) bool { return q.Edges })
	for _, name := range []string{"checkout", "web", "billing"} {
		if !ok || !slices.Contains(q.Services, name) {
			t.Errorf("want the view of %s, asked for %v", name, q.Services)
		}
	}
	if !slices.ContainsFunc(a.Input.Topology.Edges(), func(e triage.Edge) bool {
		return e.From == "checkout" && e.To == "api.vendor.example" && e.Origin == "metrics"
	}) {
		t.Errorf("want the call in the graph, got %v", a.Input.Topology.Edges())
	}
	if !a.Input.Services["api.vendor.example"].External || a.Input.Services["db"].External {
		t.Errorf("want the vendor outside and the database inside, got %v", a.Input.Services)
	}
	edges := 0
	for _, s := range a.Input.Series {
		if _, _, ok := s.Edge(); ok && len(s.Counts) == len(s.Values) && s.RangeS == 60 {
			edges++
		}
	}
	if edges != 2 {
		t.Errorf("want 2 edges in the case, got %d", edges)
	}
	replays(t, a)
}

// A metrics source that does not know the question for edges answers another one: that must not double a service's own series.
func TestAnAnswerToAnotherQuestionIsNotTaken(t *testing.T) {
	o, _, req := parts()
	a, err := newCorrelator(t, o).Triage(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	if want, got := len(o.Metrics.(fakeMetrics).series), len(a.Input.Series); got > want {
		t.Errorf("want at most the %d series there are, got %d", want, got)
	}
}

// What fails while there is time is asked once more; half an answer is used and said to be half.
func TestMissingEvidenceIsAskedOnceMore(t *testing.T) {
	o, _, req := parts()
	base := o.Metrics.(fakeMetrics)
	m := &askedMetrics{fakeMetrics: base, answer: func(ctx context.Context, q triage.SignalQuery, before int) ([]triage.Series, error) {
		series, _ := base.Signals(ctx, q)
		switch {
		case q.Edges:
			return series, nil
		case before == 0:
			return nil, errors.New("connection reset")
		}
		return series, nil
	}}
	o.Metrics = m
	a, err := newCorrelator(t, o).Triage(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	if len(a.Input.Series) == 0 || slices.ContainsFunc(a.Report.Coverage, func(c triage.Coverage) bool { return c.Source == "metrics/signals" }) {
		t.Errorf("want it asked once more and complete, got %d series, %+v", len(a.Input.Series), a.Report.Coverage)
	}

	m.asked, m.answer = nil, func(ctx context.Context, q triage.SignalQuery, _ int) ([]triage.Series, error) {
		series, _ := base.Signals(ctx, q)
		if q.Edges {
			return nil, nil
		}
		return series[:1], fmt.Errorf("the rest: %w", context.DeadlineExceeded)
	}
	if a, err = newCorrelator(t, o).Triage(t.Context(), req); err != nil {
		t.Fatal(err)
	}
	if len(a.Input.Series) == 0 || !a.Report.Deadline || !strings.Contains(strings.Join(a.Report.Notes, " "), "metrics/signals: answered in part within the deadline") {
		t.Errorf("want what came used and said to be half, got %d series, deadline %t, %q", len(a.Input.Series), a.Report.Deadline, a.Report.Notes)
	}
	replays(t, a)
}

// A store that does not answer is part of what the report was made from: the exported case ranks to the same report.
func TestAStoreThatHangsIsInTheCase(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o, w, req := parts()
		w.changes, o.Now, o.Store = nil, time.Now, hangingStore{}
		req.At = t0
		a, err := newCorrelator(t, o).Triage(t.Context(), req)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.ContainsFunc(a.Report.Coverage, func(c triage.Coverage) bool { return c.Source == "store" && c.State == triage.SourceLate }) {
			t.Errorf("want the report to say that the store was late: %+v", a.Report.Coverage)
		}
		replays(t, a)
	})
}

type hangingStore struct{ fakeStore }

func (hangingStore) FindChanges(ctx context.Context, _ triage.ChangeQuery) ([]triage.Change, string, error) {
	<-ctx.Done()
	return nil, "", ctx.Err()
}

type fixedTold struct{ told triage.Told }

func (f fixedTold) Told(time.Time) *triage.Told { return &f.told }

// What an installation is told of its rollouts is part of what a report is made from, so it is in the case.
func TestToldIsInTheCase(t *testing.T) {
	o, _, req := parts()
	want := triage.Told{Seen: 12, Told: 9, MedianLagS: 4, P90LagS: 310}
	o.Told = fixedTold{want}
	a, err := newCorrelator(t, o).Triage(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	if in := InputOf(a.Input); in.Told == nil || *in.Told != want {
		t.Errorf("want %+v, got %+v", want, in.Told)
	}
	replays(t, a)
}
