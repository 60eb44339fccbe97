package kafka

import (
	"fmt"
	"sync"
	"time"

	"github.com/triaged-dev/triaged/triage"
)

// lateAfter is the lag from which the source calls itself late.
const lateAfter = time.Minute

// status is what the source knows of itself. Its methods lock; none does I/O.
type status struct {
	mu          sync.Mutex
	state       triage.SourceState // empty until the first attempt to connect has an outcome; shown as down
	detail      string
	lastSuccess time.Time
	lastEvent   time.Time // of the newest record taken
	caughtUp    time.Time // when the lag was last seen to be 0
	lag         int64     // records, at the last check
	events      uint64
	quarantined uint64
}

// set changes state and detail and reports whether the state is news. The detail alone is none: it names ports and addresses
// that differ each time.
func (s *status) set(state triage.SourceState, detail string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	news := s.state != state
	s.state, s.detail = state, detail
	return news
}

// connected notes that the brokers answered at now, and reports whether that is news.
func (s *status) connected(now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lastSuccess = now
	if s.state != triage.SourceDown && s.state != "" {
		return false
	}
	news := s.state != ""
	s.state, s.detail = triage.SourceOK, ""
	return news
}

// accepted notes that the store took what was in a batch of records. The lag shrinks at once and not only when it is next
// measured, or a source that has just caught up would be called late in the very report it fed.
func (s *status) accepted(records, events, quarantined int, newest, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.lag > 0 {
		if s.lag = max(0, s.lag-int64(records)); s.lag == 0 {
			s.caughtUp = now
		}
	}
	if s.state == triage.SourceLate {
		s.state, s.detail = triage.SourceOK, ""
	}
	s.events += uint64(events)
	s.quarantined += uint64(quarantined)
	if newest.After(s.lastEvent) {
		s.lastEvent = newest
	}
}

func (s *status) setLag(records int64, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lag = records
	if records == 0 {
		s.caughtUp = now
	}
}

// lagAge is how old the oldest record not yet taken can be: no older than the newest one taken, nor than the last time there
// was none.
func (s *status) lagAge(now time.Time) time.Duration {
	if s.lag == 0 {
		return 0
	}
	since := s.lastEvent
	if s.caughtUp.After(since) {
		since = s.caughtUp
	}
	if since.IsZero() {
		return 0
	}
	return max(0, now.Sub(since))
}

// Status tells how the source is doing. A source that reads but is more than a minute behind is late.
func (s *Source) Status() triage.SourceStatus {
	now := s.now()
	st := &s.state
	st.mu.Lock()
	defer st.mu.Unlock()
	age := st.lagAge(now)
	out := triage.SourceStatus{
		Name: s.cfg.Name, Type: s.Type(), State: st.state, Detail: st.detail, LagS: age.Seconds(),
		LastSuccess: st.lastSuccess, LastEvent: st.lastEvent, Events: st.events, Quarantined: st.quarantined,
	}
	if out.State == "" {
		out.State = triage.SourceDown
	}
	if out.State == triage.SourceOK && age > lateAfter {
		out.State, out.Detail = triage.SourceLate, fmt.Sprintf("%d records behind", st.lag)
	}
	return out
}
