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
	var wg sync.WaitGroup
	results := make(map[triage.ChangeID]error)
	var mu sync.Mutex
	send := func(id triage.ChangeID, minute float64) {
		wg.Go(func() {
			err := c.Emit(t.Context(), events(deploy(id, minute, string(id))))
			mu.Lock()
			defer mu.Unlock()
			results[id] = err
		})
	}
	send("first", 0)
	for len(c.queue) > 0 || !c.inAppend(j) {
		time.Sleep(0)
	}
	send("poison", 1)
	send("good", 2)
	for len(c.queue) < 2 {
		time.Sleep(0)
	}
	close(gate)
	wg.Wait()
	if results["first"] != nil || results["good"] != nil || results["poison"] == nil {
		t.Errorf("got %v, want an error for poison alone", results)
	}
	if got := find(t, c, triage.ChangeQuery{}); ids(got) != "first good" {
		t.Errorf("found %s, want first good", ids(got))
	}
}
