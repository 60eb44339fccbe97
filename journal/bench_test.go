package journal

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/triaged-dev/triaged/triage"
)

// BenchmarkAppend measures durable appends: n entries per call from one caller, and one entry per call from many.
func BenchmarkAppend(b *testing.B) {
	for _, n := range []int{1, 100, 1000} {
		b.Run(fmt.Sprintf("entries=%d", n), func(b *testing.B) {
			j := newJournal(b)
			es := make([]triage.Entry, n)
			i := 0
			for b.Loop() {
				for k := range es {
					es[k] = entry(benchChange(i))
					i++
				}
				mustAppend(b, j, es...)
			}
			b.ReportMetric(float64(i)/b.Elapsed().Seconds(), "entries/s")
		})
	}
	for _, callers := range []int{10, 100} {
		b.Run(fmt.Sprintf("entries=1/callers=%d", callers), func(b *testing.B) {
			j := newJournal(b)
			var i atomic.Int64
			b.SetParallelism(callers) // times GOMAXPROCS
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					mustAppend(b, j, entry(benchChange(int(i.Add(1)))))
				}
			})
			b.ReportMetric(float64(i.Load())/b.Elapsed().Seconds(), "entries/s")
		})
	}
}

func benchChange(i int) triage.Change {
	c := deploy(fmt.Sprintf("ci:%016x", uint64(i)*0x9e3779b97f4a7c15), time.Duration(i)*time.Millisecond)
	c.Service = fmt.Sprintf("service-%d", i%2000)
	c.URL = "https://ci.example/runs/123456789"
	c.Labels = map[string]string{"sha": fmt.Sprintf("%040x", i), "team": "payments", "pipeline": "main", "note": "a label of ordinary length"}
	return c
}

// BenchmarkMillion measures what depends on the size of the journal, on one with a million changes.
// It takes a minute to fill it, so it runs only when asked for: TRIAGED_BENCH_MILLION=1.
func BenchmarkMillion(b *testing.B) {
	if os.Getenv("TRIAGED_BENCH_MILLION") == "" {
		b.Skip("set TRIAGED_BENCH_MILLION=1; it fills a journal of about 1 GB first")
	}
	ctx := context.Background()
	path := filepath.Join(b.TempDir(), "j.db")
	start := time.Now()
	j := run(b, openAt(b, path))
	const n = 1_000_000
	bulk(b, j, n)
	b.Logf("filled in %s, %.0f entries/s, %.0f bytes per change", time.Since(start), n/time.Since(start).Seconds(), j.size()/n)
	if err := j.Close(); err != nil {
		b.Fatal(err)
	}
	b.Run("open-clean", func(b *testing.B) {
		for b.Loop() {
			j := openAt(b, path)
			if err := j.Close(); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("open-unclean", func(b *testing.B) {
		for b.Loop() {
			if err := os.WriteFile(path+".lock", []byte("process 1\nopen\n"), 0o600); err != nil {
				b.Fatal(err)
			}
			j := openAt(b, path)
			if err := j.Close(); err != nil {
				b.Fatal(err)
			}
		}
	})
	j = run(b, openAt(b, path))
	b.Run("index", func(b *testing.B) {
		for b.Loop() {
			got := 0
			if err := j.Index(ctx, time.Time{}, func(triage.IndexEntry) error { got++; return nil }); err != nil || got != n {
				b.Fatal(got, err)
			}
		}
	})
	b.Run("check", func(b *testing.B) {
		for b.Loop() {
			if err := j.Check(ctx); err != nil {
				b.Fatal(err)
			}
		}
	})
	for name, q := range map[string]triage.ChangeQuery{
		"find-30m":       {From: at(-5 * time.Hour), To: at(-5*time.Hour + 30*time.Minute), Limit: 1000},
		"find-24h-30svc": {From: at(-24 * time.Hour), To: t0, Services: []string{"service-1", "service-2", "service-3"}, Limit: 1000},
		"find-text-all":  {Text: "no such text", Limit: 100},
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if _, _, err := j.FindChanges(ctx, q); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
