package kafka

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"github.com/segmentio/kafka-go"
)

// State keeps a few bytes across restarts. A key that was never set is nil, or any error.
type State interface {
	State(ctx context.Context, key string) ([]byte, error)
	SetState(ctx context.Context, key string, value []byte) error
}

const (
	carefulAfter = 3           // ends in a row that nobody asked for
	mostTries    = 3           // times the process may end over one record
	calmAfter    = time.Minute // of life, after which the ends before had another reason
	stateTimeout = 5 * time.Second
)

// lives finds the record over which the process ends again and again: it is read, kills the process before its offset is committed, and
// is the first to be read after the restart. After three ends in a row the records that may be it are taken one by one, each noted on
// the disk before it is touched; the one that is noted in three ends is set aside. Ends with other reasons cost only the pace of some
// seconds: as soon as as many records as could have been under way have passed, or a minute, all is as usual.
type lives struct {
	key   string
	store State // nil: nothing is known of earlier lives

	mu     sync.Mutex
	life   life
	poison string    // place of the record to set aside
	left   int       // records still to be taken one by one
	began  time.Time // zero once calm
}

// life is what is kept. It is written when a source starts and reset when it stops.
type life struct {
	Ends   int    `json:"ends"`             // of the process that were not asked for, and the one that will end this life if it is none
	Trying string `json:"trying,omitempty"` // place of the record being read
	Tries  int    `json:"tries,omitempty"`
}

// begin notes a new life and reads of the ones before.
func (l *lives) begin(ctx context.Context, now time.Time, inFlight int) {
	if l.store == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.life = life{}
	if b, err := l.store.State(ctx, l.key); err == nil && b != nil {
		if json.Unmarshal(b, &l.life) != nil {
			l.life = life{}
		}
	}
	l.poison, l.left, l.began = "", 0, now
	if l.life.Tries >= mostTries {
		l.poison = l.life.Trying
	}
	if l.life.Ends >= carefulAfter {
		l.left = inFlight
	}
	l.life.Ends++
	l.write(ctx)
}

// careful says whether records are taken one by one.
func (l *lives) careful() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.left > 0
}

// note keeps which record is touched next.
func (l *lives) note(ctx context.Context, place string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.life.Trying != place {
		l.life.Trying, l.life.Tries = place, 0
	}
	l.life.Tries++
	l.write(ctx)
}

// passed says that a noted record was taken and committed.
func (l *lives) passed(ctx context.Context) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.left--; l.left == 0 {
		l.calm(ctx)
	}
}

// look ends the care after a while without an end.
func (l *lives) look(ctx context.Context, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.began.IsZero() && now.Sub(l.began) > calmAfter {
		l.calm(ctx)
	}
}

// calm makes this life the first. It needs the lock.
func (l *lives) calm(ctx context.Context) {
	l.life, l.left, l.began = life{Ends: 1}, 0, time.Time{}
	l.write(ctx)
}

// end notes an end that was asked for.
func (l *lives) end(ctx context.Context) {
	if l.store == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.life = life{}
	l.write(context.WithoutCancel(ctx))
}

// write needs the lock. What cannot be written is not known after a restart, which then takes one more.
func (l *lives) write(ctx context.Context) {
	if l.store == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, stateTimeout)
	defer cancel()
	if b, err := json.Marshal(l.life); err == nil {
		_ = l.store.SetState(ctx, l.key, b)
	}
}

// verdict is the reason why a record is set aside unread, nil for nearly all.
func (l *lives) verdict(place func() string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.poison == "" || l.poison != place() {
		return nil
	}
	return fmt.Errorf("triaged ended %d times in a row while it read this record, which was set aside", mostTries)
}

// place is how a record is called in the quarantine and in the log.
func place(m kafka.Message) string {
	return fmt.Sprintf("topic=%s partition=%d offset=%d", m.Topic, m.Partition, m.Offset)
}
