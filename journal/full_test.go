package journal

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/triaged-dev/triaged/triage"
)

// A full disk refuses, says what to do, acknowledges nothing it did not store, and works again when there is space.
func TestDiskFull(t *testing.T) {
	j := newJournal(t)
	limit := func(pages int) {
		t.Helper()
		err := j.write(context.Background(), "limit", 0, func(w *writer) error {
			// The limit belongs to the connection and is no part of the transaction.
			return w.row(fmt.Sprintf("PRAGMA max_page_count = %d", pages), nil, new(int))
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	var pages int
	if err := j.rdb.QueryRowContext(t.Context(), "PRAGMA page_count").Scan(&pages); err != nil {
		t.Fatal(err)
	}
	limit(pages + 20)
	var acked []triage.ChangeID
	var err error
	for i := 0; err == nil; i++ {
		if i > 10_000 {
			t.Fatal("the disk never filled up")
		}
		c := deploy(fmt.Sprintf("c%d", i), 0)
		if err = j.Append(t.Context(), []triage.Entry{entry(c)}); err == nil {
			acked = append(acked, c.ID)
		}
	}
	if !strings.Contains(err.Error(), "disk full: free space there, or lower journal.retention") || !strings.Contains(err.Error(), j.Path()) {
		t.Errorf("error: %v", err)
	}
	if n := testutil.ToFloat64(j.metrics.failures.WithLabelValues("append")); n != 1 {
		t.Errorf("failures counted: %v", n)
	}
	check := func() {
		t.Helper()
		if got := changes(t, j, acked...); len(got) != len(acked) {
			t.Errorf("acknowledged %d, stored %d", len(acked), len(got))
		}
		if got := index(t, j, time.Time{}); len(got) != len(acked) {
			t.Errorf("acknowledged %d, in the index %d: something refused was stored", len(acked), len(got))
		}
		if err := j.Check(t.Context()); err != nil {
			t.Error(err)
		}
	}
	check()
	// Everyone in a batch is refused, no one is left without an answer.
	j2 := openAt(t, t.TempDir()+"/j.db")
	if err := j2.w.row("PRAGMA max_page_count = 1", nil, new(int)); err != nil {
		t.Fatal(err)
	}
	var batch []*request
	for i := range 50 {
		row, err := encodeChange(deploy(fmt.Sprintf("b%d-%s", i, strings.Repeat("x", 4096)), 0), t0)
		if err != nil {
			t.Fatal(err)
		}
		batch = append(batch, &request{entries: 1, done: make(chan error, 1), do: func(w *writer) error { return w.putChange(row, nil, 0) }})
	}
	if n, err := j2.commit(batch); n != 0 || !ofStorage(err) {
		t.Errorf("commit: %d, %v", n, err)
	}
	for _, r := range batch {
		if err := <-r.done; !ofStorage(err) {
			t.Errorf("request: %v", err)
		}
	}
	if got := index(t, j2, time.Time{}); len(got) != 0 {
		t.Errorf("stored by a batch that failed: %d", len(got))
	}

	limit(1 << 30)
	for i := range 10 {
		c := deploy(fmt.Sprintf("later%d", i), 0)
		mustAppend(t, j, entry(c))
		acked = append(acked, c.ID)
	}
	check()
}

// A database that has become read-only is refused with a remedy, and nothing is acknowledged.
func TestReadOnly(t *testing.T) {
	j := newJournal(t)
	readOnly := func(on int) {
		t.Helper()
		err := j.write(context.Background(), "limit", 0, func(w *writer) error {
			return w.script(fmt.Sprintf("PRAGMA query_only = %d", on))
		})
		if err != nil && on == 1 && !strings.Contains(err.Error(), "not writable") {
			t.Fatal(err)
		}
	}
	readOnly(1)
	err := j.Append(t.Context(), []triage.Entry{entry(deploy("a", 0))})
	if err == nil || !strings.Contains(err.Error(), "not writable: make the file and its directory writable for this user") {
		t.Errorf("append: %v", err)
	}
	if got := changes(t, j, "a"); len(got) != 0 {
		t.Errorf("stored: %v", got)
	}
}

// A write that gives up while the writer is busy does not hold up anybody.
func TestGivingUp(t *testing.T) {
	j := newJournal(t)
	hold, held := make(chan struct{}), make(chan struct{})
	first := make(chan error, 1)
	go func() {
		first <- j.write(context.Background(), "hold", 1, func(*writer) error {
			close(held)
			<-hold
			return nil
		})
	}()
	<-held
	ctx, cancel := context.WithCancelCause(context.Background())
	gone := errors.New("caller has gone")
	cancel(gone)
	wantErr(t, j.Append(ctx, []triage.Entry{entry(deploy("a", 0))}), gone)
	close(hold)
	if err := <-first; err != nil {
		t.Error(err)
	}
	if got := changes(t, j, "a"); len(got) != 0 {
		t.Errorf("a write that was never taken was stored: %v", got)
	}
	mustAppend(t, j, entry(deploy("b", 0)))
}
