package hooks

import (
	"sync"
	"time"

	"github.com/triaged-dev/triaged/triage"
)

// maxEnds bounds the ends remembered, at about 200 B each.
const maxEnds = 4096

// ends remembers when Changes were first said to have ended. A sender that repeats a result with every interval would else move the
// end for ever, and each system that is quiet would look freshly deployed. Another result is news and counts.
type ends struct {
	mu   sync.Mutex
	at   map[end]time.Time
	ring []end
	next int
}

// end is one result of one Change.
type end struct {
	id     triage.ChangeID
	status triage.Status
}

// once gives an event the end that was first told with the same result; what else it says stays.
func (s *ends) once(e triage.Event) triage.Event {
	c := e.Change
	if c == nil || c.ID == "" || c.FinishedAt.IsZero() || !c.Status.Terminal() {
		return e
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	key := end{c.ID, c.Status}
	first, known := s.at[key]
	if known && first.Before(c.FinishedAt) {
		again := *c
		again.FinishedAt = first
		return triage.Event{Change: &again}
	}
	if s.at == nil {
		s.at = make(map[end]time.Time)
	}
	s.at[key] = c.FinishedAt
	if known {
		return e
	}
	if len(s.ring) < maxEnds {
		s.ring = append(s.ring, key)
		return e
	}
	delete(s.at, s.ring[s.next])
	s.ring[s.next] = key
	s.next = (s.next + 1) % maxEnds
	return e
}
