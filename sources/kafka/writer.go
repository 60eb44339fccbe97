package kafka

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/segmentio/kafka-go"

	"github.com/triaged-dev/triaged/triage"
)

// Record is one record to write.
type Record struct {
	Topic   string
	Key     []byte // records of one key keep their order
	Value   []byte
	Headers []Header
	Time    time.Time // zero: when it is written
}

// Writer writes records and returns when every in-sync replica has them. It serves demo, benchmarks and tests; the daemon
// itself writes nothing to Kafka.
type Writer struct {
	w    *kafka.Writer
	conn *connection
}

// NewWriter uses the brokers, client id, SASL and TLS of a Config. It opens nothing.
func NewWriter(cfg Config) (*Writer, error) {
	conn, err := cfg.connect()
	if err != nil {
		return nil, err
	}
	return &Writer{conn: conn, w: &kafka.Writer{
		Addr: conn.addr(), Transport: conn.transport, Balancer: &kafka.Hash{},
		RequiredAcks: kafka.RequireAll, // the zero value acknowledges nothing, and loses records after a broker restart
		BatchTimeout: 5 * time.Millisecond, WriteBackoffMin: 50 * time.Millisecond,
	}}, nil
}

// Write writes records in order; nil means that all are durable. On an error some may be.
func (w *Writer) Write(ctx context.Context, records ...Record) error {
	msgs := make([]kafka.Message, len(records))
	for i, r := range records {
		msgs[i] = kafka.Message{Topic: r.Topic, Key: r.Key, Value: r.Value, Time: r.Time}
		for _, h := range r.Headers {
			msgs[i].Headers = append(msgs[i].Headers, kafka.Header{Key: h.Key, Value: h.Value})
		}
	}
	if err := w.w.WriteMessages(ctx, msgs...); err != nil {
		return fmt.Errorf("write %d records: %w", len(records), err)
	}
	return nil
}

// WriteEvents writes events in the format triaged, keyed by service.
func (w *Writer) WriteEvents(ctx context.Context, topic string, events ...triage.Event) error {
	records := make([]Record, len(events))
	for i, e := range events {
		value, err := json.Marshal(e)
		if err != nil {
			return fmt.Errorf("encode event: %w", err)
		}
		records[i] = Record{Topic: topic, Value: value}
		if e.Change != nil {
			records[i].Key = []byte(e.Change.Service)
		} else if e.Anomaly != nil {
			records[i].Key = []byte(e.Anomaly.Service)
		}
	}
	return w.Write(ctx, records...)
}

// Close flushes and disconnects.
func (w *Writer) Close() error {
	err := w.w.Close()
	w.conn.close()
	return err
}
