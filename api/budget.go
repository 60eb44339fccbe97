package api

import (
	"io"
	"net/http"
	"os"
	"slices"
	"sync"
	"time"
)

// Timing of a full Budget. Honest senders deliver the largest body there may be within a second.
const (
	bodyPatience = 2 * time.Second        // a body may take this long before it has to make room for others
	bodyWait     = 3 * time.Second        // how long one waits for room; more than bodyPatience, so that stalled ones are gone by then
	bodyLook     = 100 * time.Millisecond // between two looks for one to push out
	bodyStep     = 32 << 10               // bytes read before they are charged: with every connection there may be, 32 MiB
)

// Budget bounds the bytes of request bodies of one sort, while they arrive and while they are worked on. A body is charged
// for what has arrived and not for what it announces, nobody has more than a share, and when there is no room left the
// body that has been arriving longest, of whoever holds most, has to go. So slow senders cannot keep out quick ones.
type Budget struct {
	most, share int64

	mu       sync.Mutex
	used     int64
	by       map[string]int64 // bytes by name, of those who hold some
	arriving []*Body          // oldest first; as many as there are connections at most
	freed    chan struct{}    // closed when bytes come back
	drained  bool
}

// NewBudget makes a Budget of most bytes, of which share may be one name's.
func NewBudget(most, share int64) *Budget {
	return &Budget{most: most, share: share, by: make(map[string]int64), freed: make(chan struct{})}
}

// Body is one request's body under a Budget. Its owner calls Close when the bytes are no longer held.
type Body struct {
	budget *Budget
	name   string
	src    io.Reader
	rc     *http.ResponseController
	timed  bool
	since  time.Time
	done   <-chan struct{}
	tooBig error

	held   int64 // guarded by the budget's mutex, like what follows
	pushed bool
}

// Open begins to read a body of at most limit bytes, charged to name, which has to arrive within that time. Reading fails with an
// *http.MaxBytesError, with os.ErrDeadlineExceeded, or with an error that is Temporary where there is no room.
func (b *Budget) Open(w http.ResponseWriter, r *http.Request, name string, limit int64, within time.Duration) *Body {
	x := &Body{budget: b, name: name, src: http.MaxBytesReader(w, r.Body, limit), rc: http.NewResponseController(w), since: time.Now(), done: r.Context().Done()}
	if r.ContentLength > limit {
		x.tooBig = &http.MaxBytesError{Limit: limit}
		return x
	}
	x.timed = x.rc.SetReadDeadline(time.Now().Add(within)) == nil
	b.mu.Lock()
	defer b.mu.Unlock()
	x.pushed = b.drained
	b.arriving = append(b.arriving, x)
	return x
}

// noRoomError says that a body was not read because others hold the room. Sending it again is right.
type noRoomError struct{}

func (noRoomError) Error() string   { return "too many bodies are being read" }
func (noRoomError) Temporary() bool { return true }

func (x *Body) Read(p []byte) (int, error) {
	if x.tooBig != nil {
		return 0, x.tooBig
	}
	n, err := x.src.Read(p[:min(len(p), bodyStep)])
	if n > 0 {
		if refused := x.charge(int64(n)); refused != nil {
			return 0, refused
		}
	}
	if err == io.EOF {
		x.arrived()
	} else if err != nil && x.wasPushed() {
		return n, noRoomError{}
	}
	return n, err
}

// charge books n more bytes, and waits a little for room.
func (x *Body) charge(n int64) error {
	b := x.budget
	for began := time.Now(); ; {
		b.mu.Lock()
		if x.pushed {
			b.mu.Unlock()
			return noRoomError{}
		}
		if b.used+n <= b.most && b.by[x.name]+n <= b.share {
			b.used, b.by[x.name], x.held = b.used+n, b.by[x.name]+n, x.held+n
			b.mu.Unlock()
			return nil
		}
		victim, freed := b.victim(x.name, n), b.freed
		if victim != nil {
			victim.pushed = true
		}
		b.mu.Unlock()
		if victim == x || time.Since(began) >= bodyWait {
			return noRoomError{}
		}
		if victim != nil && victim.timed {
			// Its reader wakes up, answers, and gives its bytes back.
			_ = victim.rc.SetReadDeadline(time.Unix(1, 0))
		}
		select {
		case <-freed:
		case <-time.After(bodyLook):
		case <-x.done:
			return noRoomError{}
		}
	}
}

// victim is the body that has to make room for n bytes of name: the one that has been arriving longest of whoever holds most.
// It is nil while all of them are young, or whole already. The mutex is held.
func (b *Budget) victim(name string, n int64) *Body {
	most := name
	if b.by[name]+n <= b.share {
		for other, held := range b.by {
			if held > b.by[most] || held == b.by[most] && other < most {
				most = other
			}
		}
	}
	for _, x := range b.arriving {
		if x.name == most && !x.pushed && time.Since(x.since) >= bodyPatience {
			return x
		}
	}
	return nil
}

// arrived notes that the body is whole: it can no longer be pushed out, and its time is over. The server reads on in the
// background to notice a client that goes away; that must not time out.
func (x *Body) arrived() {
	b := x.budget
	b.mu.Lock()
	defer b.mu.Unlock()
	b.leave(x)
	if x.timed && !x.pushed {
		_ = x.rc.SetReadDeadline(time.Time{})
	}
}

func (b *Budget) leave(x *Body) {
	if i := slices.Index(b.arriving, x); i >= 0 {
		b.arriving = slices.Delete(b.arriving, i, i+1)
	}
}

func (x *Body) wasPushed() bool {
	x.budget.mu.Lock()
	defer x.budget.mu.Unlock()
	return x.pushed
}

// Close gives the bytes back. Where the body did not come whole its deadline stays: the server reads the rest of it before
// it closes the connection, and a slow sender could hold it there.
func (x *Body) Close() error {
	b := x.budget
	b.mu.Lock()
	defer b.mu.Unlock()
	b.leave(x)
	if x.held == 0 {
		return nil
	}
	b.used -= x.held
	if b.by[x.name] -= x.held; b.by[x.name] == 0 {
		delete(b.by, x.name)
	}
	x.held = 0
	close(b.freed)
	b.freed = make(chan struct{})
	return nil
}

// Drain pushes out what is still arriving and lets nothing in any more: shutdown does not wait for slow senders, who send again.
func (b *Budget) Drain() {
	b.mu.Lock()
	b.drained = true
	arriving := slices.Clone(b.arriving)
	for _, x := range arriving {
		x.pushed = true
	}
	b.mu.Unlock()
	for _, x := range arriving {
		if x.timed {
			_ = x.rc.SetReadDeadline(time.Unix(1, 0))
		}
	}
}

// Used is how many bytes are held now.
func (b *Budget) Used() int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.used
}

// isTimeout tells a body that did not come in time.
func isTimeout(err error) bool { return err != nil && os.IsTimeout(err) }
