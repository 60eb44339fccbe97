package journal

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"github.com/triaged-dev/triaged/triage"
)

var t0 = time.Date(2026, 3, 1, 3, 0, 0, 0, time.UTC)

func at(d time.Duration) time.Time { return t0.Add(d) }

// openAt opens a journal without running it; it is closed with the test.
func openAt(tb testing.TB, path string, change ...func(*Options)) *Journal {
	tb.Helper()
	o := openOptions(path)
	for _, c := range change {
		c(&o)
	}
	j, err := Open(context.Background(), o)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := j.Close(); err != nil {
			tb.Errorf("close: %v", err)
		}
	})
	return j
}

func openOptions(path string) Options {
	return Options{Config: Config{Path: path}.withDefaults(), Logger: slog.New(slog.DiscardHandler), Now: func() time.Time { return t0 }}
}

// run runs a journal until the test ends.
func run(tb testing.TB, j *Journal) *Journal {
	tb.Helper()
	ended := make(chan error, 1)
	go func() { ended <- j.Run(context.Background()) }()
	tb.Cleanup(func() {
		if err := j.Close(); err != nil {
			tb.Errorf("close: %v", err)
		}
		if err := <-ended; err != nil {
			tb.Errorf("run: %v", err)
		}
	})
	return j
}

func newJournal(tb testing.TB, change ...func(*Options)) *Journal {
	tb.Helper()
	return run(tb, openAt(tb, filepath.Join(tb.TempDir(), "j.db"), change...))
}

// deploy is a change with everything a query looks at.
func deploy(id string, start time.Duration) triage.Change {
	return triage.Change{
		ID: triage.ChangeID(id), Source: "ci", Kind: triage.KindDeploy, Status: triage.StatusSucceeded,
		Scope:     triage.Scope{Service: "checkout", Environment: "production", Region: "eu1", Cluster: "k1", Namespace: "shop"},
		StartedAt: at(start), FinishedAt: at(start + 2*time.Minute), ObservedAt: at(start + 3*time.Minute),
		Version: "v812", Title: "Deploy checkout v812", Refs: []triage.Ref{{System: "github-run", ID: id}},
	}
}

func entry(c triage.Change, aliases ...triage.ChangeID) triage.Entry {
	return triage.Entry{Event: triage.Event{Change: &c}, Aliases: aliases}
}

func mustAppend(tb testing.TB, j *Journal, es ...triage.Entry) {
	tb.Helper()
	if err := j.Append(context.Background(), es); err != nil {
		tb.Fatal(err)
	}
}

func wantErr(tb testing.TB, err, want error) {
	tb.Helper()
	if !errors.Is(err, want) {
		tb.Fatalf("error: want %v, got %v", want, err)
	}
}

// bulk stores n changes, one a second, ending at t0, in batches.
func bulk(tb testing.TB, j *Journal, n int) {
	tb.Helper()
	es := make([]triage.Entry, 0, maxBatch)
	for i := range n {
		c := deploy(fmt.Sprintf("ci:%016x", uint64(i)*0x9e3779b97f4a7c15), -time.Duration(n-i)*time.Second)
		c.Service = fmt.Sprintf("service-%d", i%2000)
		c.URL = "https://ci.example/runs/123456789"
		c.Labels = map[string]string{"sha": fmt.Sprintf("%040x", i), "team": "payments", "pipeline": "main", "note": "a label of ordinary length"}
		es = append(es, entry(c))
		if len(es) == cap(es) || i == n-1 {
			mustAppend(tb, j, es...)
			es = es[:0]
		}
	}
}
