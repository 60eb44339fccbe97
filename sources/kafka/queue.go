package kafka

import (
	"context"
	"sync"

	"github.com/segmentio/kafka-go"
)

// maxQueueBytes bounds the records waiting between fetching and delivery of one source: 16 MiB, plus one record of at most
// the broker's message.max.bytes, plus what kafka-go itself has fetched (1 MiB per partition, and mostUnpacked where it is compressed).
const maxQueueBytes = 16 << 20

// recordOverhead is what a record takes besides its bytes, about; a header takes as much again.
const recordOverhead = 200

func sizeOf(m kafka.Message) int {
	n := recordOverhead + len(m.Key) + len(m.Value)
	for _, h := range m.Headers {
		n += recordOverhead + len(h.Key) + len(h.Value)
	}
	return n
}

// queue hands records from the fetching goroutine to the delivering one, in order, and lets the second take all that is
// there: batches grow exactly as large as the store is slow. One producer, one consumer.
type queue struct {
	most int // records

	mu       sync.Mutex
	msgs     []kafka.Message
	bytes    int
	notEmpty chan struct{} // capacity 1: there may be something
	notFull  chan struct{} // capacity 1: there may be room
}

func newQueue(most int) *queue {
	return &queue{most: most, notEmpty: make(chan struct{}, 1), notFull: make(chan struct{}, 1)}
}

// put waits for room. It returns ctx's error when that ends first.
func (q *queue) put(ctx context.Context, m kafka.Message) error {
	for !q.tryPut(m) {
		select {
		case <-q.notFull:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

func (q *queue) tryPut(m kafka.Message) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.msgs) >= q.most || q.bytes >= maxQueueBytes {
		return false
	}
	q.msgs = append(q.msgs, m)
	q.bytes += sizeOf(m)
	signal(q.notEmpty)
	return true
}

// take waits for at least one record and returns all there are.
func (q *queue) take(ctx context.Context) ([]kafka.Message, error) {
	for {
		if msgs := q.drain(); len(msgs) > 0 {
			return msgs, nil
		}
		select {
		case <-q.notEmpty:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

func (q *queue) drain() []kafka.Message {
	q.mu.Lock()
	defer q.mu.Unlock()
	msgs := q.msgs
	q.msgs, q.bytes = nil, 0
	signal(q.notFull)
	return msgs
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
