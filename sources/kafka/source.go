package kafka

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/segmentio/kafka-go"

	"github.com/triaged-dev/triaged/triage"
)

// Header is one record header. It is an alias of a plain struct so that decoders written elsewhere take it as it is.
type Header = struct {
	Key   string
	Value []byte
}

// Decoder reads one record. A *triage.Ignored error is counted and acknowledged; any other sends the record to the
// quarantine. The value is never empty; it must not be kept. recordTime is the broker's or the producer's timestamp.
type Decoder func(headers []Header, value []byte, recordTime time.Time) ([]triage.Event, error)

// Options are what a Source needs.
type Options struct {
	Config Config
	// Decoders by format, as the configuration spells it: cloudevents, cdevents, mapping:<name>. The format triaged is built in.
	Decoders map[string]Decoder
	// Retention is how far back start: retention reaches. 0: 3 h.
	Retention time.Duration
	// Quarantine keeps a record that could not be read. An error is counted and logged, and the record passed over.
	Quarantine func(context.Context, triage.Quarantined) error
	State      State // nil: a record that ends the process does so after every restart
	Logger     *slog.Logger
	Registerer prometheus.Registerer // nil allowed
	Now        func() time.Time      // nil: time.Now
}

// Source reads the topics of one cluster. It implements collector.Source.
type Source struct {
	cfg        Config
	decoders   map[string]Decoder // by topic
	retention  time.Duration
	quarantine func(context.Context, triage.Quarantined) error
	log        *slog.Logger
	metrics    *metrics
	now        func() time.Time

	lives lives
	state status
	// blockedSince is when committing start offsets was first refused because the group has members. Only Run's goroutine uses it.
	blockedSince time.Time
	// reseek holds the partitions found reset while reading, for the next session to place anew. A session's watch
	// writes it, prepare reads it after that has ended.
	reseek map[partition]bool
}

// fetched is how many records kafka-go holds ready, each of at most maxValue where it was compressed.
const fetched = 32

// partition names one partition of one topic.
type partition struct {
	topic string
	id    int
}

// errResubscribe ends a session that should simply begin again: partitions were added, or a log was reset.
var errResubscribe = errors.New("the subscription has changed")

// New checks the configuration and that every format has its decoder. It opens nothing.
func New(o Options) (*Source, error) {
	if err := o.Config.Validate(); err != nil {
		return nil, err
	}
	s := &Source{
		cfg: o.Config, decoders: make(map[string]Decoder), retention: o.Retention, quarantine: o.Quarantine,
		log: o.Logger, metrics: newMetrics(o.Registerer), now: o.Now, reseek: make(map[partition]bool),
		lives: lives{key: "kafka/" + o.Config.Name + "/lives", store: o.State},
	}
	if s.retention <= 0 {
		s.retention = 3 * time.Hour
	}
	if s.now == nil {
		s.now = time.Now
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	s.log = s.log.With("source", s.cfg.Name)
	for i, t := range s.cfg.Topics {
		d := o.Decoders[t.Format]
		if t.Format == FormatTriaged {
			d = decodeTriaged
		}
		if d == nil {
			return nil, fmt.Errorf("topics[%d].format: %q: there is no such mapping", i, t.Format)
		}
		s.decoders[t.Topic] = d
	}
	s.state.state, s.state.detail = "", "not yet connected" // so that the first failure is news
	return s, nil
}

// Name is the configured name.
func (s *Source) Name() string { return s.cfg.Name }

// Type is "kafka".
func (s *Source) Type() string { return "kafka" }

// Run reads until ctx ends and then returns nil. Errors of brokers and of emit are never returned: they are waited out,
// and seen in Status. Events arrive in the order of their partition, at least once.
func (s *Source) Run(ctx context.Context, emit triage.Emit) error {
	delay := backoff{least: 250 * time.Millisecond, most: 10 * time.Second}
	s.lives.begin(ctx, s.now(), 2*s.cfg.BatchSize) // one batch may be decoded while another is being stored
	defer s.lives.end(ctx)
	for ctx.Err() == nil {
		began := s.now()
		err := s.session(ctx, emit)
		if ctx.Err() != nil {
			break
		}
		if errors.Is(err, errResubscribe) {
			continue
		}
		if s.now().Sub(began) > time.Minute {
			delay.reset()
		}
		s.trouble(err)
		if delay.wait(ctx) != nil {
			break
		}
	}
	s.state.set(triage.SourceDown, "stopped")
	return nil
}

// session joins the group once and reads until ctx ends, the subscription changes or the cluster cannot be reached at all.
func (s *Source) session(ctx context.Context, emit triage.Emit) error {
	conn, err := s.cfg.connect()
	if err != nil {
		return err
	}
	defer conn.close()
	marks, err := s.prepare(ctx, conn)
	if err != nil {
		return err
	}
	codecs.partitions.Add(int64(len(marks.end)))
	defer codecs.partitions.Add(-int64(len(marks.end)))
	reader := kafka.NewReader(kafka.ReaderConfig{
		Brokers: s.cfg.Brokers, GroupID: s.cfg.GroupID, GroupTopics: marks.topics(), Dialer: conn.dialer,
		MaxWait: time.Duration(s.cfg.MaxWait), JoinGroupBackoff: time.Duration(s.cfg.JoinGroupBackoff),
		SessionTimeout: time.Duration(s.cfg.SessionTimeout), RebalanceTimeout: time.Duration(s.cfg.SessionTimeout),
		HeartbeatInterval: time.Duration(s.cfg.SessionTimeout) / 5,
		StartOffset:       kafka.FirstOffset, MaxBytes: 1 << 20, QueueCapacity: fetched,
		ReadBackoffMin: 50 * time.Millisecond, ReadBackoffMax: time.Second,
		ErrorLogger: clientLog(s.log, s.now),
	})
	s.metrics.sessions.WithLabelValues(s.cfg.Name).Inc()
	s.reached()

	ctx, cancel := context.WithCancelCause(ctx)
	q := newQueue(s.cfg.BatchSize)
	var wg sync.WaitGroup
	wg.Go(func() { s.fetch(ctx, reader, q) })
	wg.Go(func() {
		if err := s.watch(ctx, conn, marks); err != nil {
			cancel(err)
		}
	})
	err = s.consume(ctx, emit, reader, q, marks)
	cancel(nil)
	wg.Wait()
	if cerr := reader.Close(); cerr != nil {
		s.log.Warn("leaving the consumer group went wrong; the broker will notice by itself", "err", cerr)
	}
	return err
}

// fetch moves records into the queue. A broker's error is waited out: kafka-go reconnects by itself.
func (s *Source) fetch(ctx context.Context, reader *kafka.Reader, q *queue) {
	delay := backoff{least: 100 * time.Millisecond, most: 2 * time.Second}
	for {
		m, err := reader.FetchMessage(ctx)
		if err == nil {
			delay.reset()
			s.reached()
			err = q.put(ctx, m)
		}
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			s.trouble(err)
			if delay.wait(ctx) != nil {
				return
			}
		}
	}
}

// trouble notes that the cluster cannot be read now. It is logged when it changes, not every time.
func (s *Source) trouble(err error) {
	s.metrics.clientErrors.WithLabelValues(s.cfg.Name).Inc()
	if s.state.set(triage.SourceDown, "cannot read: "+err.Error()) {
		s.log.Warn("kafka cannot be read; trying again", "err", err)
	}
}

// reached notes that the brokers answer.
func (s *Source) reached() {
	if s.state.connected(s.now()) {
		s.log.Info("kafka can be read again")
	}
}

// backoff doubles its delay from least to most, with jitter of a quarter.
type backoff struct {
	least, most time.Duration
	next        time.Duration
}

func (b *backoff) reset() { b.next = 0 }

func (b *backoff) wait(ctx context.Context) error {
	b.next = min(max(2*b.next, b.least), b.most)
	t := time.NewTimer(b.next - rand.N(b.next/4+1))
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
