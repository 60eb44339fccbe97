package kafka

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/triaged-dev/triaged/triage"
)

// BenchmarkSource reads and decodes records of about 600 bytes from an in-process broker into a store that takes everything.
// One operation is one record. Writing them is not measured, nor is leaving the group.
func BenchmarkSource(b *testing.B) {
	c, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(4, "t"))
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	cfg := DefaultConfig()
	cfg.Name, cfg.Brokers, cfg.Topics = "bench", c.ListenAddrs(), []TopicConfig{{Topic: "t", Format: FormatTriaged}}
	w, err := NewWriter(cfg)
	if err != nil {
		b.Fatal(err)
	}
	defer w.Close()
	w.w.BatchSize = 1000
	for n := 0; n < b.N; n += 1000 {
		var records []Record
		for i := n; i < min(n+1000, b.N); i++ {
			e := change(fmt.Sprint("service-", i%200), i%60)
			e.Change.ID = triage.ChangeID(fmt.Sprint("bench:", i))
			e.Change.Title = strings.Repeat("deploy of a service ", 8)
			e.Change.Labels = map[string]string{"sha": "9c1f2be4d0f4a4a5b7a8c5a5e2f1d7c0a9b8e7d6", "repo": "acme/service", "ref": "refs/heads/main", "run": fmt.Sprint(i)}
			e.Change.URL = "https://ci.example.com/acme/service/actions/runs/" + fmt.Sprint(i)
			v, err := json.Marshal(e)
			if err != nil {
				b.Fatal(err)
			}
			records = append(records, Record{Topic: "t", Key: []byte(e.Change.Service), Value: v})
		}
		if err := w.Write(context.Background(), records...); err != nil {
			b.Fatal(err)
		}
	}
	src, err := New(Options{Config: cfg})
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	all, stopped := make(chan struct{}), make(chan struct{})
	seen := 0
	b.ReportAllocs()
	b.ResetTimer()
	go func() {
		defer close(stopped)
		_ = src.Run(ctx, func(_ context.Context, es []triage.Event) error {
			if seen += len(es); seen >= b.N {
				select {
				case <-all:
				default:
					close(all)
				}
			}
			return nil
		})
	}()
	<-all
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "records/s")
	cancel()
	<-stopped
}
