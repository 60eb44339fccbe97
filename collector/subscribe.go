package collector

import (
	"sync"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/triaged-dev/triaged/triage"
)

// subscribers are those who want to hear of stored events. None of them can hold up the committer.
type subscribers struct {
	mu  sync.Mutex
	all map[chan triage.Event]struct{}
}

// Subscribe returns a channel of stored events, as they are after folding, and a function that ends the subscription and closes
// the channel. A reader that falls more than buffer events behind loses the newest; that is counted.
func (c *Collector) Subscribe(buffer int) (<-chan triage.Event, func()) {
	ch := make(chan triage.Event, max(buffer, 1))
	s := &c.subs
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.all == nil {
		s.all = make(map[chan triage.Event]struct{})
	}
	s.all[ch] = struct{}{}
	return ch, sync.OnceFunc(func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.all, ch)
		close(ch)
	})
}

func (s *subscribers) send(entries []triage.Entry, lost prometheus.Counter) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for ch := range s.all {
		for _, e := range entries {
			select {
			case ch <- e.Event:
			default:
				lost.Inc()
			}
		}
	}
}
