package main

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	_ "modernc.org/sqlite" // the bare library, for the limit

	"github.com/triaged-dev/triaged/triage"
)

// benchKafka measures Kafka → decode → fold → journal (fsync) → window → commit, against the reader and decoder alone, and
// against the journal alone given the same changes in the same batches.
func benchKafka(ctx context.Context, o options, r *results) error {
	n := 40_000
	partitions, sizes := []int32{1, 4, 16}, []int{512, 1024, 4096}
	if o.short {
		n, partitions, sizes = 5_000, []int32{4}, []int{1024}
	}
	for _, p := range partitions {
		for _, size := range sizes {
			name := fmt.Sprintf("IngestKafka/partitions=%d/bytes=%d", p, size)
			if strings.HasPrefix(o.only, "IngestKafka") && o.only != name {
				continue
			}
			if err := kafkaLine(ctx, r, name, p, size, n*1024/max(size, 1024)); err != nil {
				return err
			}
		}
	}
	return nil
}

func kafkaLine(ctx context.Context, r *results, name string, partitions int32, size, n int) error {
	dir, err := os.MkdirTemp("", "proof")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	b, err := newBroker(partitions)
	if err != nil {
		return err
	}
	defer b.cluster.Close()
	events, err := b.fill(ctx, n, size, "k")
	if err != nil {
		return err
	}
	reading, _, err := b.drain(ctx, "bare", n, func(context.Context, []triage.Event) error { return nil })
	if err != nil {
		return err
	}
	s, err := newStack(ctx, dir)
	if err != nil {
		return err
	}
	before := cpuTime()
	ours, batches, err := b.drain(ctx, "ours", n, s.collector.Emit)
	cpu := cpuTime() - before
	if err := firstOf(err, s.close()); err != nil {
		return err
	}
	writing, err := appendAll(ctx, filepath.Join(dir, "bare.db"), events, batches)
	if err != nil {
		return err
	}
	rate := func(d time.Duration) float64 { return float64(n) / d.Seconds() }
	limit, by := rate(reading), "the same reader and decoder doing nothing else"
	if w := rate(writing); w < limit {
		limit, by = w, "the journal alone, the same changes in the same batches"
	}
	l := line{
		Name: name, Ours: rate(ours), Unit: "events/s", Limit: limit, By: by,
		Note: fmt.Sprintf("reader %s/s, journal %s/s, %d batches of %d on average, %.0f µs of CPU per event, the broker's share included",
			figure(rate(reading)), figure(rate(writing)), len(batches), n/len(batches), float64(cpu.Microseconds())/float64(n)),
	}
	if size <= 1024 {
		l.Budget = 15_000
	}
	r.add(l)
	return nil
}

// cpuTime is what this process has used so far. Unlike the time of the clock it says something on a busy machine, too.
func cpuTime() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func firstOf(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// appendAll writes events into a fresh journal in batches of the given sizes, one after the other.
func appendAll(ctx context.Context, path string, events []triage.Event, batches []int) (time.Duration, error) {
	j, err := openJournal(ctx, path)
	if err != nil {
		return 0, err
	}
	done := make(chan error, 1)
	go func() { done <- j.Run(ctx) }()
	entries := make([]triage.Entry, len(events))
	for i, e := range events {
		entries[i].Event = e
	}
	began := time.Now()
	for _, n := range batches {
		n = min(n, len(entries))
		if err := j.Append(ctx, entries[:n]); err != nil {
			return 0, err
		}
		entries = entries[n:]
	}
	took := time.Since(began)
	return took, firstOf(j.Close(), <-done)
}

// benchJournal measures the journal against the bare library: one table with id and body, the same bytes, the same batches,
// the same durability.
func benchJournal(ctx context.Context, o options, r *results) error {
	for _, batch := range []int{1, 100, 1000} {
		n := min(batch*200, 40_000)
		if o.short {
			n = min(batch*20, 5_000)
		}
		dir, err := os.MkdirTemp("", "proof")
		if err != nil {
			return err
		}
		events := make([]triage.Event, n)
		for i := range events {
			c := makeChange(fmt.Sprintf("j:%08d", i), i%2000, time.Now(), 1024)
			events[i].Change = &c
		}
		var batches []int
		for range n / batch {
			batches = append(batches, batch)
		}
		ours, err := appendAll(ctx, filepath.Join(dir, "ours.db"), events, batches)
		if err != nil {
			return err
		}
		bare, err := appendBare(ctx, filepath.Join(dir, "bare.db"), events, batch)
		if err := firstOf(err, os.RemoveAll(dir)); err != nil {
			return err
		}
		r.add(line{
			Name: fmt.Sprintf("JournalAppend/batch=%d", batch), Ours: float64(n) / ours.Seconds(), Unit: "entries/s", Limit: float64(n) / bare.Seconds(),
			By: "SQLite alone, a table of id and body, encoded beforehand, the same batches and fsync",
		})
	}
	return nil
}

func appendBare(ctx context.Context, path string, events []triage.Event, batch int) (time.Duration, error) {
	db, err := sql.Open("sqlite", "file:"+path+"?_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)&_pragma=cache_size(-32768)&_pragma=wal_autocheckpoint(8192)")
	if err != nil {
		return 0, err
	}
	defer db.Close()
	db.SetMaxOpenConns(1)
	if _, err := db.ExecContext(ctx, "CREATE TABLE t (seq INTEGER PRIMARY KEY, id TEXT UNIQUE, body BLOB)"); err != nil {
		return 0, err
	}
	bodies := make([][]byte, len(events))
	for i, e := range events {
		if bodies[i], err = json.Marshal(e.Change); err != nil {
			return 0, err
		}
	}
	insert, err := db.PrepareContext(ctx, "INSERT INTO t (id, body) VALUES (?,?)")
	if err != nil {
		return 0, err
	}
	defer insert.Close()
	began := time.Now()
	for from := 0; from < len(events); from += batch {
		tx, err := db.BeginTx(ctx, nil)
		if err != nil {
			return 0, err
		}
		in := tx.StmtContext(ctx, insert)
		for i := from; i < min(len(events), from+batch); i++ {
			if _, err := in.ExecContext(ctx, string(events[i].Change.ID), bodies[i]); err != nil {
				return 0, err
			}
		}
		if err := tx.Commit(); err != nil {
			return 0, err
		}
	}
	return time.Since(began), nil
}
