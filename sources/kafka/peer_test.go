package kafka

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/common/model"
	"github.com/segmentio/kafka-go"
	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/triaged-dev/triaged/triage"
)

// waitLimit bounds every wait of these tests. It is only reached when one fails.
const waitLimit = 30 * time.Second

// peer is a Kafka cluster the suite runs against: kfake in this process, and a real broker where one can be had.
type peer struct {
	addrs  []string
	client *kafka.Client
}

func newPeer(addrs []string) *peer {
	return &peer{addrs: addrs, client: &kafka.Client{
		Addr: kafka.TCP(addrs...), Timeout: 30 * time.Second,
		Transport: &kafka.Transport{MetadataTTL: 100 * time.Millisecond},
	}}
}

func fakePeer(t *testing.T, opts ...kfake.Opt) (*peer, *kfake.Cluster) {
	t.Helper()
	c, err := kfake.NewCluster(append([]kfake.Opt{kfake.NumBrokers(1)}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return newPeer(c.ListenAddrs()), c
}

// onPeers runs one test against every cluster there is.
func onPeers(t *testing.T, test func(t *testing.T, p *peer)) {
	t.Run("kfake", func(t *testing.T) {
		p, _ := fakePeer(t)
		test(t, p)
	})
	t.Run("kafka", func(t *testing.T) { test(t, realPeer(t)) })
}

// unique names topics and groups after their test, so that tests may share a broker.
func unique(t *testing.T, what string) string {
	return strings.NewReplacer("/", "-", " ", "-", ",", "").Replace(t.Name()) + "-" + what
}

func (p *peer) createTopic(t *testing.T, topic string, partitions int) {
	t.Helper()
	p.createTopicOf(t, topic, partitions)
}

func (p *peer) createTopicOf(t *testing.T, topic string, partitions int, settings ...kafka.ConfigEntry) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), waitLimit)
	defer cancel()
	// A topic that was deleted a moment ago may still be in the way of its successor.
	for {
		res, err := p.client.CreateTopics(ctx, &kafka.CreateTopicsRequest{Topics: []kafka.TopicConfig{{Topic: topic, NumPartitions: partitions, ReplicationFactor: 1, ConfigEntries: settings}}})
		if err == nil {
			err = res.Errors[topic]
		}
		if err == nil {
			break
		}
		if ctx.Err() != nil || !strings.Contains(err.Error(), "Already Exists") {
			t.Fatalf("create topic %s: %v", topic, err)
		}
	}
	// A new topic has no leader for a moment.
	for {
		m, err := p.client.Metadata(ctx, &kafka.MetadataRequest{Topics: []string{topic}})
		if err == nil && len(m.Topics) == 1 && m.Topics[0].Error == nil && len(m.Topics[0].Partitions) == partitions {
			return
		}
		if ctx.Err() != nil {
			t.Fatalf("topic %s has no leader: %v", topic, err)
		}
	}
}

func (p *peer) config(t *testing.T, format string, topics ...string) Config {
	cfg := DefaultConfig()
	cfg.Name, cfg.Brokers, cfg.GroupID = "deploys", p.addrs, unique(t, "group")
	cfg.CheckInterval, cfg.MaxWait = model.Duration(100*time.Millisecond), model.Duration(100*time.Millisecond)
	for _, topic := range topics {
		cfg.Topics = append(cfg.Topics, TopicConfig{Topic: topic, Format: format})
	}
	return cfg
}

func (p *peer) writer(t *testing.T) *Writer {
	t.Helper()
	w, err := NewWriter(Config{Brokers: p.addrs, ClientID: "test", CheckInterval: model.Duration(time.Second)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.Close() })
	return w
}

// committed returns the group's offset of partition 0.
func (p *peer) committed(t *testing.T, group, topic string) int64 {
	t.Helper()
	res, err := p.client.OffsetFetch(t.Context(), &kafka.OffsetFetchRequest{GroupID: group, Topics: map[string][]int{topic: {0}}})
	if err != nil {
		t.Fatal(err)
	}
	if len(res.Topics[topic]) == 0 { // kfake does not know the group yet
		return -1
	}
	return res.Topics[topic][0].CommittedOffset
}

// change is a numbered deploy.
func change(service string, n int) triage.Event {
	return triage.Event{Change: &triage.Change{
		ID: triage.ChangeID(fmt.Sprintf("test:%s/%d", service, n)), Kind: triage.KindDeploy,
		Scope: triage.Scope{Service: service}, StartedAt: time.Date(2026, 3, 1, 3, 0, n, 0, time.UTC), Version: fmt.Sprint(n),
	}}
}

// run is one running Source with what came out of it.
type run struct {
	src    *Source
	events chan triage.Event
	bad    chan triage.Quarantined
	stop   func() // stops the source and waits for it
}

// start runs a source whose store takes everything; emit, if given, is asked first.
func start(t *testing.T, o Options, emit func([]triage.Event) error) *run {
	t.Helper()
	r := &run{events: make(chan triage.Event, 100_000), bad: make(chan triage.Quarantined, 1000)}
	o.Quarantine = func(_ context.Context, q triage.Quarantined) error {
		r.bad <- q
		return nil
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	src, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	r.src = src
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		done <- src.Run(ctx, func(_ context.Context, es []triage.Event) error {
			if emit != nil {
				if err := emit(es); err != nil {
					return err
				}
			}
			for _, e := range es {
				r.events <- e
			}
			return nil
		})
	}()
	r.stop = sync.OnceFunc(func() {
		cancel()
		select {
		case err := <-done:
			if err != nil {
				t.Errorf("Run returned %v", err)
			}
		case <-time.After(waitLimit):
			t.Error("Run did not end")
		}
	})
	t.Cleanup(r.stop)
	return r
}

// take returns the ids of the next n events.
func (r *run) take(t *testing.T, n int) []string {
	t.Helper()
	limit := time.After(waitLimit)
	var ids []string
	for len(ids) < n {
		select {
		case e := <-r.events:
			if e.Change == nil {
				ids = append(ids, string(e.Anomaly.ID))
				continue
			}
			ids = append(ids, string(e.Change.ID))
		case <-limit:
			t.Fatalf("want %d events, got %d: %v; status %+v", n, len(ids), ids, r.src.Status())
		}
	}
	return ids
}

// none checks, after the source was stopped, that nothing more had come.
func (r *run) none(t *testing.T) {
	t.Helper()
	r.stop()
	if n := len(r.events); n > 0 {
		t.Errorf("%d events too many, first %+v", n, <-r.events)
	}
}

// commitOffset stores a group's offset of partition 0. A broker that has just started has no coordinator for the group yet, and says so.
func (p *peer) commitOffset(t *testing.T, group, topic string, offset int64) {
	t.Helper()
	for began := time.Now(); ; time.Sleep(100 * time.Millisecond) {
		res, err := p.client.OffsetCommit(t.Context(), &kafka.OffsetCommitRequest{
			GroupID: group, GenerationID: -1, Topics: map[string][]kafka.OffsetCommit{topic: {{Partition: 0, Offset: offset}}},
		})
		if err == nil {
			err = res.Topics[topic][0].Error
		}
		var coded kafka.Error
		if err == nil {
			return
		}
		if !errors.As(err, &coded) || !coded.Temporary() || time.Since(began) > 30*time.Second {
			t.Fatalf("commit offset %d of %s: %v", offset, topic, err)
		}
	}
}
