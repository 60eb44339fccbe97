package collector

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/triaged-dev/triaged/triage"
)

var errDisk = errors.New("disk full")

// What the journal refused must be nowhere: not found, not folded into, not announced. Sent again it must be taken.
func TestJournalErrorChangesNothing(t *testing.T) {
	full := true
	j := &brokenJournal{memJournal: newMemJournal(), refuse: func([]triage.Entry) error {
		if full {
			return errDisk
		}
		return nil
	}}
	c := startCollector(t, j, nil)
	heard, cancel := c.Subscribe(10)
	defer cancel()
	a, b := deploy("a", 0, "v1"), deploy("b", 1, "v1")
	a.Refs = []triage.Ref{{System: "run", ID: "1"}}
	b.Refs = a.Refs
	if err := c.Emit(t.Context(), events(a)); !errors.Is(err, errDisk) {
		t.Fatalf("Emit: %v, want the journal's error", err)
	}
	if got := find(t, c, triage.ChangeQuery{}); len(got) != 0 || c.size() != 0 || len(heard) != 0 {
		t.Fatalf("found %s, %d announced; want nothing", ids(got), len(heard))
	}
	if n := testutil.ToFloat64(c.metrics.errors.WithLabelValues("push", "store")); n != 1 {
		t.Errorf("counted %g errors, want 1", n)
	}
	full = false
	emit(t, c, b) // shares a key with what was refused, which must not lend it its id
	emit(t, c, a)
	if got := find(t, c, triage.ChangeQuery{}); ids(got) != "b" {
		t.Errorf("found %s, want b", ids(got))
	}
	if e := <-heard; e.Change.ID != "b" {
		t.Errorf("heard of %s, want b", e.Change.ID)
	}
}

// One report that the journal cannot take must not fail those that happened to be committed with it.
func TestRefusedEntryFailsAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gate := make(chan struct{})
		first := true
		j := &brokenJournal{memJournal: newMemJournal(), refuse: func(entries []triage.Entry) error {
			if first { // holds the committer until the others are waiting together
				first = false
				<-gate
			}
			for _, e := range entries {
				if e.Event.Change.ID == "poison" {
					return errors.New("entry refused")
				}
			}
			return nil
		}}
		c := startCollector(t, j, nil)
		results := make([]error, 3)
		var wg sync.WaitGroup
		for i, id := range []triage.ChangeID{"first", "poison", "good"} {
			wg.Go(func() { results[i] = c.Emit(t.Context(), events(deploy(id, float64(i), string(id)))) })
			synctest.Wait()
		}
		close(gate)
		wg.Wait()
		if results[0] != nil || results[1] == nil || results[2] != nil {
			t.Errorf("got %v, want an error for the second alone", results)
		}
		if got := find(t, c, triage.ChangeQuery{}); ids(got) != "first good" {
			t.Errorf("found %s, want first good", ids(got))
		}
		if len(j.appends) != 2 {
			t.Errorf("got %d appends, want first and good", len(j.appends))
		}
	})
}

// While the journal hangs, calls wait together; beyond the queue they wait to be queued; either way their context frees them.
// What waited is committed at once.
func TestBackpressure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gate := make(chan struct{})
		j := &brokenJournal{memJournal: newMemJournal(), refuse: func([]triage.Entry) error {
			<-gate
			return nil
		}}
		c := startCollector(t, j, func(o *Options) { o.Config.QueueSize = 2 })
		errs := make([]error, 5)
		var wg sync.WaitGroup
		for i := range errs {
			wg.Go(func() {
				ctx, cancel := context.WithTimeout(t.Context(), time.Duration(i+1)*time.Second)
				defer cancel()
				if i < 3 {
					ctx = t.Context()
				}
				errs[i] = c.Emit(ctx, events(deploy(triage.ChangeID(fmt.Sprint(i)), float64(i), fmt.Sprint(i))))
			})
			synctest.Wait()
		}
		if len(c.queue) != 2 {
			t.Fatalf("%d calls queued, want 2", len(c.queue))
		}
		time.Sleep(10 * time.Second)
		synctest.Wait()
		for i, want := range []error{nil, nil, nil, context.DeadlineExceeded, context.DeadlineExceeded} {
			if i >= 3 && !errors.Is(errs[i], want) {
				t.Errorf("call %d: got %v, want %v", i, errs[i], want)
			}
		}
		close(gate)
		wg.Wait()
		if errs[0] != nil || errs[1] != nil || errs[2] != nil || len(j.appends) != 2 || len(j.appends[1]) != 2 {
			t.Errorf("got %v in %d appends, want the first three stored, two of them at once", errs[:3], len(j.appends))
		}
	})
}

// Before Run an Emit waits for it; what was handed over before the end is stored; after it Emit says so.
func TestEmitAroundRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := newMemJournal()
		c, err := New(Options{Journal: j, Now: func() time.Time { return at(60) }})
		if err != nil {
			t.Fatal(err)
		}
		var early error
		var wg sync.WaitGroup
		wg.Go(func() { early = c.Emit(t.Context(), events(deploy("early", 0, "v1"))) })
		synctest.Wait()
		if err := c.Load(t.Context()); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		var run error
		wg.Go(func() { run = c.Run(ctx) })
		synctest.Wait()
		cancel()
		wg.Wait()
		if early != nil || run != nil || len(j.bodies) != 1 {
			t.Errorf("Emit %v, Run %v, %d stored; want all well", early, run, len(j.bodies))
		}
		if err := c.Emit(t.Context(), events(deploy("late", 0, "v1"))); !errors.Is(err, ErrStopped) {
			t.Errorf("after the end: %v, want ErrStopped", err)
		}
	})
}

// A message that is delivered again changes nothing, so it need not be written again; after a restart neither.
func TestRepetitionIsNotWritten(t *testing.T) {
	j := newMemJournal()
	c := startCollector(t, j, func(o *Options) { o.Directory = shopDirectory() })
	emit(t, c, rollout()...)
	before := len(j.appends)
	emit(t, c, rollout()...)
	c = startCollector(t, j, func(o *Options) { o.Directory = shopDirectory() })
	emit(t, c, rollout()...)
	if len(j.appends) != before {
		t.Errorf("%d further appends: %+v", len(j.appends)-before, j.appends[before:])
	}
}

// The window after a restart answers as before.
func TestLoadRestoresTheWindow(t *testing.T) {
	j := newMemJournal()
	c := startCollector(t, j, nil)
	global := deploy("dns", 5, "")
	global.Kind, global.Scope = triage.KindInfra, triage.Scope{Global: true}
	emit(t, c, deploy("a", 0, "v1"), deploy("b", 10, "v2"), deploy("old", -600, "v0"), global, flagChange("flag", 7, "off", "on"))
	anomaly := triage.Anomaly{ID: "x", Signal: triage.SignalErrors, Series: "errors", Scope: triage.Scope{Service: "checkout"}, Onset: triage.Interval{Best: at(9)}}
	if err := c.Emit(t.Context(), []triage.Event{{Anomaly: &anomaly}}); err != nil {
		t.Fatal(err)
	}
	q := triage.ChangeQuery{From: at(-30), To: at(60), Services: []string{"checkout"}}
	want := find(t, c, q)
	wantAnomalies, _ := c.FindAnomalies(t.Context(), q)
	if ids(want) != "a dns flag b" || len(wantAnomalies) != 1 {
		t.Fatalf("before: found %s and %d anomalies", ids(want), len(wantAnomalies))
	}
	j.reads = 0
	c = startCollector(t, j, nil)
	if j.reads != 0 {
		t.Errorf("%d bodies were read to start", j.reads)
	}
	if d := cmp.Diff(want, find(t, c, q)); d != "" {
		t.Error(d)
	}
	if got, _ := c.FindAnomalies(t.Context(), q); !cmp.Equal(got, wantAnomalies) {
		t.Errorf("anomalies: got %+v, want %+v", got, wantAnomalies)
	}
}

// What comes too late for the window is journalled all the same, and counted.
func TestLate(t *testing.T) {
	j := newMemJournal()
	c := startCollector(t, j, nil)
	emit(t, c, deploy("old", -125, "v1"), deploy("new", -115, "v2"))
	if got := find(t, c, triage.ChangeQuery{}); ids(got) != "new" || len(j.bodies) != 2 {
		t.Errorf("found %s of %d journalled, want new of 2", ids(got), len(j.bodies))
	}
	if n := testutil.ToFloat64(c.metrics.late); n != 1 {
		t.Errorf("counted %g, want 1", n)
	}
}

func TestOverflowEvictsTheOldest(t *testing.T) {
	j := newMemJournal()
	c := startCollector(t, j, func(o *Options) { o.Config.MaxChanges = 1000 })
	for i := range 1200 {
		emit(t, c, deploy(triage.ChangeID(fmt.Sprintf("d%04d", i)), float64(i)/30, fmt.Sprint(i)))
	}
	got := find(t, c, triage.ChangeQuery{})
	if len(got) != 1000 || got[0].ID != "d0200" || len(j.bodies) != 1200 {
		t.Errorf("found %d from %s on, %d journalled; want 1000 from d0200 on, 1200", len(got), got[0].ID, len(j.bodies))
	}
	if n := testutil.ToFloat64(c.metrics.overflow); n != 200 {
		t.Errorf("counted %g, want 200", n)
	}
}

// A cache too small for the bodies costs reads and nothing else.
func TestFindWithoutCache(t *testing.T) {
	j := newMemJournal()
	c := startCollector(t, j, nil)
	for i := range 50 {
		emit(t, c, deploy(triage.ChangeID(fmt.Sprintf("d%02d", i)), float64(i), fmt.Sprint(i)))
	}
	want := find(t, c, triage.ChangeQuery{})
	for _, ch := range want {
		c.bodies.drop(ch.ID)
	}
	c.bodies.settle()
	j.reads = 0
	if d := cmp.Diff(want, find(t, c, triage.ChangeQuery{})); d != "" || len(want) != 50 {
		t.Error(d)
	}
	if j.reads != 50 {
		t.Errorf("%d bodies read, want 50", j.reads)
	}
	if got := find(t, c, triage.ChangeQuery{Text: "7", Limit: 2}); ids(got) != "d07 d17" {
		t.Errorf("by text: found %s, want d07 d17", ids(got))
	}
}

// A reader that read a body before it was replaced must not put the old one into the cache.
func TestStaleBodyIsNotCached(t *testing.T) {
	c := startCollector(t, newMemJournal(), nil)
	emit(t, c, deploy("d", 0, "v1"))
	c.mu.RLock()
	found, _ := c.window.query(triage.ChangeQuery{})
	m := found[0]
	c.mu.RUnlock()
	old := deploy("d", 0, "v1")
	newer := old
	newer.Status, newer.FinishedAt = triage.StatusFailed, at(9)
	emit(t, c, newer)
	c.remember([]triage.Change{old}, map[triage.ChangeID]match{"d": m})
	c.bodies.settle()
	if got := find(t, c, triage.ChangeQuery{}); got[0].Status != triage.StatusFailed {
		t.Errorf("found %s, want the newer body", got[0].Status)
	}
}

// A subscriber that does not read loses events, is not waited for, and that is counted.
func TestSubscribe(t *testing.T) {
	c := startCollector(t, newMemJournal(), nil)
	slow, cancel := c.Subscribe(1)
	emit(t, c, deploy("a", 0, "v1"), deploy("b", 1, "v2"))
	if e := <-slow; e.Change.ID != "a" {
		t.Errorf("heard of %s, want a", e.Change.ID)
	}
	if n := testutil.ToFloat64(c.metrics.lost); n != 1 {
		t.Errorf("counted %g lost, want 1", n)
	}
	cancel()
	cancel()
	if _, open := <-slow; open {
		t.Error("the channel is still open")
	}
	emit(t, c, deploy("c", 2, "v3"))
}

// Many at once: every report is found afterwards, once. Meant for the race detector.
func TestConcurrentUse(t *testing.T) {
	j := newMemJournal()
	c := startCollector(t, j, nil)
	var wg sync.WaitGroup
	const emitters, each = 8, 60
	for e := range emitters {
		wg.Go(func() {
			for i := range each {
				d := deploy(triage.ChangeID(fmt.Sprintf("e%d-%d", e, i)), float64(i)/2, fmt.Sprintf("v%d-%d", e, i))
				d.Refs = []triage.Ref{{System: "shared", ID: fmt.Sprint(i)}} // folds across emitters
				if err := c.Emit(t.Context(), events(d)); err != nil {
					t.Error(err)
				}
			}
		})
		wg.Go(func() {
			for range each {
				if _, _, err := c.Find(t.Context(), triage.ChangeQuery{Services: []string{"checkout"}}); err != nil {
					t.Error(err)
				}
				c.Coverage(at(0), at(60))
				c.Sources()
				c.SetDirectory(nil)
			}
		})
	}
	wg.Wait()
	if got := find(t, c, triage.ChangeQuery{}); len(got) != each || len(j.bodies) != each {
		t.Errorf("found %d of %d journalled, want %d", len(got), len(j.bodies), each)
	}
	for e := range emitters {
		for i := range each {
			if id := triage.ChangeID(fmt.Sprintf("e%d-%d", e, i)); !c.inWindow(id) {
				t.Errorf("%s is lost", id)
			}
		}
	}
}
