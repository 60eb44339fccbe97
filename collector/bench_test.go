package collector

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"testing"
	"time"

	"github.com/triaged-dev/triaged/triage"
)

var sizes = []int{10_000, 100_000, 1_000_000}

// benchItem is the index of an ordinary deploy: an id of 40 bytes, two join keys, one of 2000 services in one of 3 environments.
func benchItem(i int, when time.Time) item {
	return item{
		id: triage.ChangeID(fmt.Sprintf("github:acme/platform/deployment/%08d", i)), kind: triage.KindDeploy,
		scope: triage.Scope{Service: fmt.Sprintf("service-%04d", i*7919%2000), Environment: [...]string{"production", "staging", "canary"}[i%3]},
		start: when, last: when.Add(time.Minute), keys: []uint64{rand.Uint64(), rand.Uint64()},
	}
}

// filled is a window of n changes spread over its 3 h.
func filled(n int) *window {
	w := newWindow()
	for i := range n {
		w.put(benchItem(i, t0.Add(time.Duration(i)*(3*time.Hour/time.Duration(n)))))
	}
	return w
}

func BenchmarkWindowMemory(b *testing.B) {
	for _, n := range sizes {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			for range b.N {
				before := liveHeap()
				w := filled(n)
				b.ReportMetric(float64(liveHeap()-before)/float64(n), "B/change")
				runtime.KeepAlive(w)
			}
		})
	}
}

func liveHeap() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// BenchmarkWindowInsertExpire keeps the window at its size: each insertion pushes the oldest out.
func BenchmarkWindowInsertExpire(b *testing.B) {
	for _, n := range sizes {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			w := filled(n)
			step := 3 * time.Hour / time.Duration(n)
			items := make([]item, 4096)
			b.ReportAllocs()
			b.ResetTimer()
			for i := range b.N {
				if i%len(items) == 0 {
					b.StopTimer()
					for k := range items {
						items[k] = benchItem(n+i+k, t0.Add(3*time.Hour+time.Duration(i+k)*step))
					}
					b.StartTimer()
				}
				it := items[i%len(items)]
				w.put(it)
				w.evictBefore(it.last.Add(-3 * time.Hour))
			}
		})
	}
}

// BenchmarkWindowQuery asks for the last 30 minutes of one service, of 20, and of all.
func BenchmarkWindowQuery(b *testing.B) {
	for _, n := range sizes {
		w := filled(n)
		for _, services := range []int{1, 20, 0} {
			q := triage.ChangeQuery{From: t0.Add(150 * time.Minute), To: t0.Add(3 * time.Hour)}
			for i := range services {
				q.Services = append(q.Services, fmt.Sprintf("service-%04d", (n-1-i)*7919%2000))
			}
			name := fmt.Sprintf("%d/services=%d", n, services)
			if services == 0 {
				name = fmt.Sprintf("%d/all", n)
			}
			b.Run(name, func(b *testing.B) {
				b.ReportAllocs()
				for range b.N {
					if found, _ := w.query(q); len(found) == 0 {
						b.Fatal("nothing found")
					}
				}
			})
		}
	}
}

// nullJournal takes everything at once: what remains is the collector's own time per event.
type nullJournal struct{ *memJournal }

func (nullJournal) Append(context.Context, []triage.Entry) error { return nil }

func BenchmarkEmit(b *testing.B) {
	for _, batch := range []int{1, 100, 1000} {
		b.Run(fmt.Sprintf("batch=%d", batch), func(b *testing.B) {
			c := startCollector(b, nullJournal{newMemJournal()}, nil)
			for !c.known.complete.Load() {
				runtime.Gosched()
			}
			b.ReportAllocs()
			b.ResetTimer()
			for i := 0; i < b.N; i += batch {
				if err := c.Emit(context.Background(), benchEvents(i, batch)); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
		})
	}
}

func benchEvents(from, n int) []triage.Event {
	out := make([]triage.Event, n)
	for i := range out {
		k := from + i
		out[i].Change = &triage.Change{
			ID: triage.ChangeID(fmt.Sprintf("github:acme/platform/deployment/%08d", k)), Source: "github", Kind: triage.KindDeploy, Status: triage.StatusSucceeded,
			Scope:     triage.Scope{Service: fmt.Sprintf("service-%04d", k*7919%2000), Environment: "production"},
			StartedAt: at(float64(k%60) / 2), FinishedAt: at(float64(k%60)/2 + 1), ObservedAt: at(40), Version: fmt.Sprintf("v%d", k),
			Title: "Deploy to production", URL: "https://github.example/acme/platform/deployments", Labels: map[string]string{"sha": fmt.Sprintf("%040x", k)},
			Refs: []triage.Ref{{System: "github-deployment", ID: fmt.Sprint(k)}},
		}
	}
	return out
}
