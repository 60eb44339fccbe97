package demo

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/triaged-dev/triaged/triage"
)

const topic = "changes"

// broker is an in-process Kafka broker that speaks the real protocol over TCP, with one topic of changes.
type broker struct {
	cluster *kfake.Cluster
	writer  *kafka.Writer
}

func startBroker() (*broker, error) {
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(2, topic))
	if err != nil {
		return nil, fmt.Errorf("start the demo's Kafka broker: %w", err)
	}
	return &broker{cluster: cluster, writer: &kafka.Writer{
		Addr: kafka.TCP(cluster.ListenAddrs()...), Topic: topic, RequiredAcks: kafka.RequireAll,
		Balancer: &kafka.Hash{}, BatchTimeout: 5 * time.Millisecond,
	}}, nil
}

// publish writes changes as any deploy tool would: the triaged format, stamped with the time they were observed.
func (b *broker) publish(ctx context.Context, changes []triage.Change) error {
	msgs := make([]kafka.Message, 0, len(changes))
	for _, c := range changes {
		value, err := json.Marshal(triage.Event{Change: &c})
		if err != nil {
			return fmt.Errorf("encode change %s: %w", c.ID, err)
		}
		at := c.ObservedAt
		if at.IsZero() {
			at = c.OccurredAt()
		}
		msgs = append(msgs, kafka.Message{Key: []byte(c.Service), Value: value, Time: at})
	}
	if err := b.writer.WriteMessages(ctx, msgs...); err != nil {
		return fmt.Errorf("publish changes: %w", err)
	}
	return nil
}

func (b *broker) Close() error {
	err := b.writer.Close()
	b.cluster.Close()
	return err
}
