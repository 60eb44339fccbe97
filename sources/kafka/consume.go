package kafka

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/segmentio/kafka-go"

	"github.com/triaged-dev/triaged/triage"
)

const (
	commitTimeout   = 5 * time.Second
	quarantineTries = 3
	maxValue        = 5 << 20 // bytes of a record that is decoded, as of a hook's body; decoding takes several times as much
)

// committer is the part of kafka.Reader that acknowledges.
type committer interface {
	CommitMessages(ctx context.Context, msgs ...kafka.Message) error
}

// batch is a run of records with what was read in them.
type batch struct {
	msgs        []kafka.Message
	events      []triage.Event
	quarantined int
	newest      time.Time // of the records
}

// consume takes batches off the queue until ctx ends; it returns why. The next batch is decoded while one is being stored,
// which takes about as long.
func (s *Source) consume(ctx context.Context, emit triage.Emit, reader committer, q *queue, marks *marks) error {
	if err := s.consumeOneByOne(ctx, emit, reader, q, marks); err != nil {
		return err
	}
	decoded := make(chan batch)
	var decoding sync.WaitGroup
	defer decoding.Wait()
	decoding.Go(func() {
		for {
			msgs, err := q.take(ctx)
			if err != nil {
				return
			}
			select {
			case decoded <- s.decodeAll(ctx, msgs):
			case <-ctx.Done():
				return
			}
		}
	})
	for {
		select {
		case b := <-decoded:
			if err := s.deliver(ctx, emit, reader, b, marks); err != nil {
				return err
			}
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// consumeOneByOne takes records singly for as long as one of them may be what ends the process.
func (s *Source) consumeOneByOne(ctx context.Context, emit triage.Emit, reader committer, q *queue, marks *marks) error {
	if s.lives.careful() {
		s.log.Warn("the process ended several times in a row; taking records one by one, to find the one over which it does")
	}
	for s.lives.careful() {
		msgs, err := q.take(ctx)
		if err != nil {
			return err
		}
		for i := range msgs {
			s.lives.note(ctx, place(msgs[i]))
			if err := s.deliver(ctx, emit, reader, s.decodeAll(ctx, msgs[i:i+1]), marks); err != nil {
				return err
			}
			s.lives.passed(ctx)
		}
	}
	return nil
}

// decodeAll reads a run of records and puts those that cannot be read into the quarantine.
func (s *Source) decodeAll(ctx context.Context, msgs []kafka.Message) batch {
	b := batch{msgs: msgs, events: make([]triage.Event, 0, len(msgs))}
	for _, m := range msgs {
		es, outcome, err := s.read(m)
		if outcome == outcomeQuarantined {
			b.quarantined++
			s.keep(ctx, m, err)
		}
		s.metrics.records.WithLabelValues(s.cfg.Name, outcome).Inc()
		b.events = append(b.events, es...)
		if m.Time.After(b.newest) {
			b.newest = m.Time
		}
	}
	return b
}

// deliver hands one batch on in one emit and only then commits it. It returns an error only when ctx ends.
func (s *Source) deliver(ctx context.Context, emit triage.Emit, reader committer, b batch, marks *marks) error {
	if len(b.events) > 0 {
		if err := s.hand(ctx, emit, b.events); err != nil {
			return err
		}
	}
	s.state.accepted(len(b.msgs), len(b.events), b.quarantined, b.newest, s.now())
	last := make(map[partition]kafka.Message)
	for _, m := range b.msgs {
		last[partition{m.Topic, m.Partition}] = m
	}
	commits := make([]kafka.Message, 0, len(last))
	for p, m := range last {
		marks.read(p, m.Offset+1)
		commits = append(commits, m)
	}
	s.commit(ctx, reader, commits)
	return nil
}

// hand emits until the store takes the events. While it does not, nothing is committed and nothing behind is read.
func (s *Source) hand(ctx context.Context, emit triage.Emit, events []triage.Event) error {
	delay := backoff{least: 100 * time.Millisecond, most: 10 * time.Second}
	for {
		err := emit(ctx, events)
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		s.metrics.emitErrors.WithLabelValues(s.cfg.Name).Inc()
		if s.state.set(triage.SourceLate, "the store does not take events: "+err.Error()) {
			s.log.Warn("the store does not take events; holding them and trying again", "events", len(events), "err", err)
		}
		if err := delay.wait(ctx); err != nil {
			return context.Cause(ctx)
		}
	}
}

// commit acknowledges, even while we are being stopped: what the store has taken need not come again. A failure means that the records come again, which the store bears; the next commit covers them too.
func (s *Source) commit(ctx context.Context, reader committer, msgs []kafka.Message) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), commitTimeout)
	defer cancel()
	result := "ok"
	if err := reader.CommitMessages(ctx, msgs...); err != nil {
		result = "error"
		s.log.Debug("offsets were not committed; the records may come again", "err", err)
	}
	s.metrics.commits.WithLabelValues(s.cfg.Name, result).Inc()
}

// read decodes one record. err is set for the outcome quarantined only.
func (s *Source) read(m kafka.Message) (events []triage.Event, outcome string, err error) {
	if isNotice(m) {
		return nil, outcomeQuarantined, errors.New(string(m.Headers[0].Value))
	}
	if err := s.lives.verdict(func() string { return place(m) }); err != nil {
		return nil, outcomeQuarantined, err
	}
	if len(m.Value) > maxValue {
		return nil, outcomeQuarantined, fmt.Errorf("the record has %d bytes; at most %d are read", len(m.Value), maxValue)
	}
	if len(m.Value) == 0 {
		return nil, outcomeTombstone, nil
	}
	events, err = s.decode(m)
	s.sign(events)
	if reason, skip := triage.IsIgnored(err); skip {
		s.log.Debug("record ignored", "topic", m.Topic, "partition", m.Partition, "offset", m.Offset, "reason", reason)
		return nil, outcomeIgnored, nil
	}
	if err != nil {
		return nil, outcomeQuarantined, err
	}
	return events, outcomeDecoded, nil
}

// sign fills in the source and the id where the record gives none.
func (s *Source) sign(events []triage.Event) {
	for i := range events {
		if c := events[i].Change; c != nil {
			if c.Source == "" {
				c.Source = s.cfg.Name
			}
			if c.ID == "" {
				c.ID = c.DeriveID()
			}
		}
		if a := events[i].Anomaly; a != nil && a.Source == "" {
			a.Source = s.cfg.Name
		}
	}
}

// Redecode reads a quarantined record as its topic is read now.
func (s *Source) Redecode(q triage.Quarantined) ([]triage.Event, error) {
	place, _, _ := strings.Cut(q.Origin, " ")
	m := kafka.Message{Topic: strings.TrimPrefix(place, "topic="), Value: q.Body, Time: q.RecordTime}
	if s.decoders[m.Topic] == nil {
		return nil, &triage.FieldError{Field: "topic", Value: m.Topic, Remedy: "is not read by source " + s.cfg.Name + " any more"}
	}
	for _, name := range slices.Sorted(maps.Keys(q.Headers)) {
		m.Headers = append(m.Headers, kafka.Header{Key: name, Value: []byte(q.Headers[name])})
	}
	events, err := s.decode(m)
	s.sign(events)
	return events, err
}

// decode calls the topic's decoder. A decoder that panics has met a bad record, and one record must not stop the daemon.
func (s *Source) decode(m kafka.Message) (events []triage.Event, err error) {
	defer func() {
		if r := recover(); r != nil {
			events, err = nil, fmt.Errorf("decoder gave up: %v", r)
		}
	}()
	headers := make([]Header, len(m.Headers))
	for i, h := range m.Headers {
		headers[i] = Header{Key: h.Key, Value: h.Value}
	}
	return s.decoders[m.Topic](headers, payload(m.Value), m.Time)
}

// confluentFrame is what serialisers of Confluent's schema registry put in front: a zero byte and the number of the schema.
const confluentFrame = 5

// payload is the record's value without what a producer's library put in front of the JSON: the frame of a schema registry, a byte
// order mark, or both. Avro and Protobuf under the same frame are no JSON, and stay as they are.
func payload(value []byte) []byte {
	out := value
	if len(value) > confluentFrame && value[0] == 0 {
		out = value[confluentFrame:]
	}
	out = bytes.TrimPrefix(out, []byte("\xef\xbb\xbf"))
	if first := bytes.TrimLeft(out, " \t\r\n"); len(first) == 0 || first[0] != '{' && first[0] != '[' {
		return value
	}
	return out
}

// keep puts a bad record into the quarantine.
func (s *Source) keep(ctx context.Context, m kafka.Message, reason error) {
	origin := place(m)
	if s.quarantine == nil {
		s.log.Warn("record could not be read and is passed over", "origin", origin, "err", reason)
		return
	}
	sum := sha256.Sum256([]byte(s.cfg.Name + "\x00" + origin + "\x00" + m.Time.UTC().Format(time.RFC3339Nano)))
	rec := triage.Quarantined{
		ID: hex.EncodeToString(sum[:8]), Source: s.cfg.Name, Origin: origin, Reason: reason.Error(), At: s.now(), RecordTime: m.Time.UTC(),
	}
	rec.SetBody(m.Value)
	rec.Cut = rec.Cut || isNotice(m)
	for _, h := range m.Headers {
		rec.KeepHeader(h.Key, string(h.Value))
	}
	delay := backoff{least: 50 * time.Millisecond, most: time.Second}
	for try := 1; ; try++ {
		err := s.quarantine(ctx, rec)
		if err == nil {
			return
		}
		if try == quarantineTries || delay.wait(ctx) != nil {
			s.metrics.quarantineErr.WithLabelValues(s.cfg.Name).Inc()
			s.log.Error("record could neither be read nor quarantined and is passed over", "origin", origin, "reason", reason, "err", err)
			return
		}
	}
}

// decodeTriaged reads our own format.
func decodeTriaged(_ []Header, value []byte, _ time.Time) ([]triage.Event, error) {
	e, err := triage.DecodeEvent(value)
	if err != nil {
		return nil, err
	}
	return []triage.Event{e}, nil
}
