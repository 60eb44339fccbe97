package collector

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/triaged-dev/triaged/triage"
)

// fakeSource does what run says, and reports what status holds.
type fakeSource struct {
	name string
	run  func(ctx context.Context, n int, emit triage.Emit) error // n counts the runs from 1

	mu     sync.Mutex
	runs   []time.Time
	status triage.SourceStatus
}

func (s *fakeSource) Name() string { return s.name }
func (s *fakeSource) Type() string { return "fake" }

func (s *fakeSource) Run(ctx context.Context, emit triage.Emit) error {
	s.mu.Lock()
	s.runs = append(s.runs, time.Now())
	n := len(s.runs)
	s.mu.Unlock()
	return s.run(ctx, n, emit)
}

func (s *fakeSource) Status() triage.SourceStatus {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.status
}

func (s *fakeSource) set(st triage.SourceStatus) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.status = st
}

func (s *fakeSource) started() []time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]time.Time(nil), s.runs...)
}

func untilDone(ctx context.Context, _ int, _ triage.Emit) error {
	<-ctx.Done()
	return ctx.Err()
}

// A source that keeps failing, in whatever way, is started again and again, ever more slowly up to once a minute; the log says so
// once when it falls and once when it is back, and meanwhile it is down in Coverage.
func TestRestarts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := &fakeSource{name: "flaky", run: func(ctx context.Context, n int, emit triage.Emit) error {
			switch {
			case n <= 4:
				return errors.New("broken")
			case n <= 8:
				panic("broken differently")
			case n <= 12:
				return nil
			}
			if err := emit(ctx, events(deploy("d", 0, "v1"))); err != nil {
				return err
			}
			return untilDone(ctx, n, emit)
		}}
		var log bytes.Buffer
		c := startCollector(t, newMemJournal(), func(o *Options) {
			o.Now = time.Now
			o.Logger = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelInfo}))
		})
		c.SetSources([]Source{src})
		time.Sleep(90 * time.Second)
		synctest.Wait()
		if cov := c.Coverage(time.Now().Add(-time.Hour), time.Now()); len(cov) != 1 || cov[0].State != triage.SourceDown || cov[0].Detail == "" {
			t.Errorf("while it fails: got coverage %+v, want down and why", cov)
		}
		time.Sleep(15 * time.Minute)
		synctest.Wait()
		runs := src.started()
		if len(runs) != 13 {
			t.Fatalf("started %d times, want 13", len(runs))
		}
		for i := 1; i < len(runs); i++ {
			gap, most := runs[i].Sub(runs[i-1]), min(time.Second<<(i-1), time.Minute)
			if gap < most/2 || gap > most {
				t.Errorf("pause %d was %s, want between %s and %s", i, gap, most/2, most)
			}
		}
		if cov := c.Coverage(time.Now().Add(-time.Hour), time.Now()); cov[0].State != triage.SourceOK {
			t.Errorf("afterwards: got coverage %+v, want ok", cov)
		}
		if n := strings.Count(log.String(), "source stopped"); n != 1 || strings.Count(log.String(), "source is running again") != 1 {
			t.Errorf("want one line for the fall and one for the recovery, got:\n%s", log.String())
		}
		for reason, want := range map[string]float64{"error": 4, "panic": 4, "exit": 4} {
			if n := testutil.ToFloat64(c.metrics.errors.WithLabelValues("flaky", reason)); n != want {
				t.Errorf("counted %g of %s, want %g", n, reason, want)
			}
		}
	})
}

// On reload the old sources have stopped before the new ones start: two readers of one queue would fight.
func TestSetSourcesReplaces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := startCollector(t, newMemJournal(), func(o *Options) { o.Now = time.Now })
		var stopped time.Time
		slow := &fakeSource{name: "old", run: func(ctx context.Context, _ int, _ triage.Emit) error {
			<-ctx.Done()
			time.Sleep(3 * time.Second)
			stopped = time.Now()
			return ctx.Err()
		}}
		next := &fakeSource{name: "new", run: untilDone}
		c.SetSources([]Source{slow})
		synctest.Wait()
		c.SetSources([]Source{next})
		synctest.Wait()
		if started := next.started(); len(started) != 1 || stopped.IsZero() || started[0].Before(stopped) {
			t.Errorf("new started at %v, old stopped at %s", started, stopped)
		}
		if got := c.Sources(); len(got) != 1 || got[0].Name != "new" {
			t.Errorf("sources are %+v, want new", got)
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		if len(slow.started()) != 1 {
			t.Error("the old source was started again")
		}
	})
}

// What a source emits is stored before it is told so, and is counted as its own.
func TestSourceEmits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := newMemJournal()
		src := &fakeSource{name: "ci-prod"}
		src.run = func(ctx context.Context, _ int, emit triage.Emit) error {
			d := deploy("d", 0, "v1")
			d.Source = ""
			if err := emit(ctx, events(d)); err != nil {
				return err
			}
			if len(j.bodies) != 1 {
				t.Error("emit returned before the change was stored")
			}
			return untilDone(ctx, 0, emit)
		}
		c := startCollector(t, j, nil)
		c.SetSources([]Source{src})
		synctest.Wait()
		if got := find(t, c, triage.ChangeQuery{}); ids(got) != "d" || got[0].Source != "ci-prod" {
			t.Errorf("got %+v", got)
		}
		if n := testutil.ToFloat64(c.metrics.events.WithLabelValues("ci-prod", "deploy")); n != 1 {
			t.Errorf("counted %g events, want 1", n)
		}
		if st := c.Sources()[0]; st.Events != 1 || !st.LastEvent.Equal(at(1)) || st.Type != "fake" {
			t.Errorf("got status %+v", st)
		}
	})
}

func TestReady(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, err := New(Options{Journal: newMemJournal()})
		if err != nil {
			t.Fatal(err)
		}
		expect := func(when, want string) {
			t.Helper()
			err := c.Ready()
			if (want == "") != (err == nil) || (err != nil && !strings.Contains(err.Error(), want)) {
				t.Errorf("%s: got %v, want %q", when, err, want)
			}
		}
		a, b := &fakeSource{name: "a", run: untilDone}, &fakeSource{name: "b", run: untilDone}
		c.SetSources([]Source{a, b})
		expect("at first", "being loaded")
		if err := c.Load(t.Context()); err != nil {
			t.Fatal(err)
		}
		expect("loaded", "not running")
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- c.Run(ctx) }()
		synctest.Wait()
		expect("running", "first success of a, b")
		a.set(triage.SourceStatus{LastSuccess: time.Now()})
		expect("a spoke", "first success of b")
		time.Sleep(31 * time.Second)
		expect("after the wait", "")
		c.SetSources([]Source{a})
		expect("after a reload", "")
		c.SetSources([]Source{a, &fakeSource{name: "is down", run: untilDone}})
		expect("after a reload while a source is down", "")
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func TestMetrics(t *testing.T) {
	reg := prometheus.NewPedanticRegistry()
	j := newMemJournal()
	c := startCollector(t, j, func(o *Options) { o.Registerer = reg })
	src := &fakeSource{name: "github", run: untilDone}
	src.set(triage.SourceStatus{LastSuccess: at(59), LagS: 7})
	c.SetSources([]Source{src})
	claims := deploy("c", 3, "v3")
	claims.Source = "github" // a webhook of that source comes by way of Emit
	emit(t, c, deploy("a", 0, "v1"), deploy("a", 0, "v1"), claims)
	want := `
# HELP triaged_collector_events_total Events taken and stored, by source and kind of change (or anomaly).
# TYPE triaged_collector_events_total counter
triaged_collector_events_total{kind="deploy",source="github"} 1
triaged_collector_events_total{kind="deploy",source="push"} 2
# HELP triaged_collector_folded_total Reports folded into a change that was known already.
# TYPE triaged_collector_folded_total counter
triaged_collector_folded_total 1
# HELP triaged_collector_lag_seconds How far the source is behind the other side.
# TYPE triaged_collector_lag_seconds gauge
triaged_collector_lag_seconds{source="github"} 7
# HELP triaged_collector_last_success_timestamp_seconds When the source last spoke to the other side.
# TYPE triaged_collector_last_success_timestamp_seconds gauge
triaged_collector_last_success_timestamp_seconds{source="github"} 1.79367834e+09
# HELP triaged_window_changes Changes in the window.
# TYPE triaged_window_changes gauge
triaged_window_changes 2
`
	err := testutil.GatherAndCompare(reg, strings.NewReader(want), "triaged_collector_events_total", "triaged_collector_folded_total",
		"triaged_collector_lag_seconds", "triaged_collector_last_success_timestamp_seconds", "triaged_window_changes")
	if err != nil {
		t.Error(err)
	}
	problems, err := testutil.GatherAndLint(reg)
	if err != nil || len(problems) > 0 {
		t.Errorf("lint: %v %v", problems, err)
	}
}
