package service

import (
	"context"
	"sync"
)

// limiter lets so many in at once, and makes the others wait in line. The limit is given with each entry, because it is
// configuration that changes while the process runs.
type limiter struct {
	mu   sync.Mutex
	in   int
	line []chan struct{}
}

// enter waits for a place, in a line of at most longest. It reports whether there was one.
func (l *limiter) enter(ctx context.Context, limit, longest int) bool {
	l.mu.Lock()
	if l.in < limit {
		l.in++
		l.mu.Unlock()
		return true
	}
	if len(l.line) >= longest {
		l.mu.Unlock()
		return false
	}
	turn := make(chan struct{})
	l.line = append(l.line, turn)
	l.mu.Unlock()
	select {
	case <-turn:
		return true
	case <-ctx.Done():
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for i, t := range l.line {
		if t == turn {
			l.line = append(l.line[:i], l.line[i+1:]...)
			return false
		}
	}
	l.next() // our turn came in the same moment
	return false
}

func (l *limiter) leave() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.next()
}

// next hands the place to the first in line, or frees it. It needs the lock.
func (l *limiter) next() {
	if len(l.line) == 0 {
		l.in--
		return
	}
	close(l.line[0])
	l.line = l.line[1:]
}

func (l *limiter) waiting() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.line)
}
