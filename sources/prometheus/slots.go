package prometheus

import (
	"context"
	"slices"
	"sync"
)

// turn is whose question goes first where several wait for a slot: the lower number, among equals the one that came first.
// A question under way is never put aside for another.
type turn int

// The turns. What the caller of Signals gives lies between the first and the last.
const (
	turnFirst    turn = -1  // the alert's own rule and series
	turnOptional turn = 100 // what an answer can do without
)

type turnKey struct{}

// inTurn marks what is asked with the context.
func inTurn(ctx context.Context, t turn) context.Context { return context.WithValue(ctx, turnKey{}, t) }

func turnOf(ctx context.Context) turn {
	t, _ := ctx.Value(turnKey{}).(turn)
	return t
}

// slots bound how many questions are under way.
type slots struct {
	mu      sync.Mutex
	free    int
	waiting []*waiter // by turn, then by when they came
}

type waiter struct {
	turn    turn
	granted chan struct{} // closed once it has its slot
}

func newSlots(n int) *slots { return &slots{free: n} }

// acquire waits for a slot until ctx ends.
func (s *slots) acquire(ctx context.Context) error {
	w := s.queue(turnOf(ctx))
	if w == nil {
		return nil
	}
	select {
	case <-w.granted:
		return nil
	case <-ctx.Done():
	}
	if s.leave(w) {
		return ctx.Err()
	}
	return nil // it was granted meanwhile
}

// queue takes a slot, and returns nil, or a place in the queue.
func (s *slots) queue(t turn) *waiter {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.free > 0 {
		s.free--
		return nil
	}
	w := &waiter{turn: t, granted: make(chan struct{})}
	at := len(s.waiting)
	for at > 0 && s.waiting[at-1].turn > t {
		at--
	}
	s.waiting = slices.Insert(s.waiting, at, w)
	return w
}

// leave gives up the place in the queue; false where there was a slot already.
func (s *slots) leave(w *waiter) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	at := slices.Index(s.waiting, w)
	if at < 0 {
		return false
	}
	s.waiting = slices.Delete(s.waiting, at, at+1)
	return true
}

// release gives the slot to whose turn it is.
func (s *slots) release() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.waiting) == 0 {
		s.free++
		return
	}
	w := s.waiting[0]
	s.waiting = slices.Delete(s.waiting, 0, 1)
	close(w.granted)
}
