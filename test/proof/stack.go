package main

import (
	"context"
	"fmt"
	"path/filepath"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/triaged-dev/triaged/collector"
	"github.com/triaged-dev/triaged/journal"
	"github.com/triaged-dev/triaged/sources/kafka"
	"github.com/triaged-dev/triaged/triage"
)

// stack is the daemon's way of a change, in this process: journal and collector as serve wires them.
type stack struct {
	journal   *journal.Journal
	collector *collector.Collector
	cancel    context.CancelFunc
	running   sync.WaitGroup
}

func newStack(ctx context.Context, dir string) (*stack, error) {
	j, err := openJournal(ctx, filepath.Join(dir, "triaged.db"))
	if err != nil {
		return nil, err
	}
	col, err := collector.New(collector.Options{Config: collector.DefaultConfig(), Journal: j})
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	s := &stack{journal: j, collector: col, cancel: cancel}
	s.running.Go(func() { _ = j.Run(context.WithoutCancel(ctx)) }) // ends with Close
	if err := col.Load(ctx); err != nil {
		return nil, err
	}
	s.running.Go(func() { _ = col.Run(ctx) })
	return s, nil
}

func (s *stack) close() error {
	s.cancel()
	err := s.journal.Close()
	s.running.Wait()
	return err
}

func openJournal(ctx context.Context, path string) (*journal.Journal, error) {
	cfg := journal.DefaultConfig()
	cfg.Path = path
	return journal.Open(ctx, journal.Options{Config: cfg})
}

// broker is an in-process Kafka that speaks the protocol over TCP.
type broker struct {
	cluster *kfake.Cluster
	topic   string
}

func newBroker(partitions int32, options ...kfake.Opt) (*broker, error) {
	c, err := kfake.NewCluster(append([]kfake.Opt{kfake.NumBrokers(1), kfake.SeedTopics(partitions, "changes")}, options...)...)
	if err != nil {
		return nil, fmt.Errorf("start a Kafka broker: %w", err)
	}
	return &broker{cluster: c, topic: "changes"}, nil
}

func (b *broker) config(group string) kafka.Config {
	cfg := kafka.DefaultConfig()
	cfg.Name, cfg.GroupID, cfg.Brokers = "bench", group, b.cluster.ListenAddrs()
	cfg.Start = kafka.StartEarliest
	cfg.Topics = []kafka.TopicConfig{{Topic: b.topic, Format: kafka.FormatTriaged}}
	return cfg
}

// fill writes n changes of about size bytes and returns them.
func (b *broker) fill(ctx context.Context, n, size int, prefix string) ([]triage.Event, error) {
	w, err := kafka.NewWriter(b.config("writer"))
	if err != nil {
		return nil, err
	}
	defer w.Close()
	events := make([]triage.Event, n)
	const batch = 2000
	for from := 0; from < n; from += batch {
		records := make([]kafka.Record, 0, batch)
		for i := from; i < min(n, from+batch); i++ {
			c := makeChange(fmt.Sprintf("%s:%08d", prefix, i), i%2000, time.Now(), size)
			events[i] = triage.Event{Change: &c}
			records = append(records, kafka.Record{Topic: b.topic, Key: []byte(c.Service + c.Version), Value: envelope(c)})
		}
		if err := w.Write(ctx, records...); err != nil {
			return nil, err
		}
	}
	return events, nil
}

// drain runs our Kafka source until it has handed over n events, and returns how long that took from its first event, and the
// sizes of the batches it handed over. Joining the group and leaving it are not counted.
func (b *broker) drain(ctx context.Context, group string, n int, emit triage.Emit) (took time.Duration, batches []int, err error) {
	src, err := kafka.New(kafka.Options{Config: b.config(group)})
	if err != nil {
		return 0, nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	var first time.Time
	seen := 0
	_ = src.Run(ctx, func(ctx context.Context, events []triage.Event) error {
		if first.IsZero() {
			first = time.Now()
		}
		if err := emit(ctx, events); err != nil {
			return err
		}
		batches = append(batches, len(events))
		if seen += len(events); seen >= n {
			took = time.Since(first)
			cancel()
		}
		return nil
	})
	if seen < n {
		return 0, nil, fmt.Errorf("only %d of %d events arrived", seen, n)
	}
	return took, batches, nil
}
