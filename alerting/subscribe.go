package alerting

import (
	"sync"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/triaged-dev/triaged/triage"
)

// Update says that an incident changed; Report is set when it was by a new report.
type Update struct {
	Incident triage.Incident `json:"incident"`
	Report   *triage.Report  `json:"report,omitempty"`
}

type subscribers struct {
	lost prometheus.Counter

	mu   sync.Mutex
	subs map[chan Update]struct{}
}

// Subscribe hands out every stored change of an incident from now on. A reader slower than its buffer loses updates, which
// are counted. The function returned ends the subscription and closes the channel; it may be called more than once.
func (a *Alerting) Subscribe(buffer int) (<-chan Update, func()) {
	ch := make(chan Update, max(buffer, 1))
	s := &a.subs
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.subs == nil {
		s.subs = make(map[chan Update]struct{})
	}
	s.subs[ch] = struct{}{}
	return ch, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if _, ok := s.subs[ch]; ok {
			delete(s.subs, ch)
			close(ch)
		}
	}
}

func (s *subscribers) publish(u Update) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for ch := range s.subs {
		select {
		case ch <- u:
		default:
			s.lost.Inc()
		}
	}
}
