package github

import (
	"errors"
	"fmt"
	"time"

	"github.com/triaged-dev/triaged/triage"
)

// warnAhead is how long before a token ends we begin to say so.
const warnAhead = 14 * 24 * time.Hour

// Status says how the source is doing: limited, down when no repository can be read, late when some cannot.
func (s *Source) Status() triage.SourceStatus {
	now := s.now()
	s.mu.Lock()
	st := triage.SourceStatus{
		Name: s.cfg.Name, Type: s.Type(), State: triage.SourceOK,
		LastEvent: s.lastEvent, Events: s.events, Quarantined: s.quarantined,
	}
	s.mu.Unlock()

	var failing, waiting int
	var first *repo
	var firstErr error
	oldest := now // last success of the repository that is furthest behind
	for _, r := range s.repos {
		success, err := r.health()
		if success.After(st.LastSuccess) {
			st.LastSuccess = success
		}
		if _, limited := errors.AsType[*LimitError](err); err != nil && !limited {
			failing++
			if first == nil {
				first, firstErr = r, err
			}
		}
		if success.IsZero() {
			waiting++
		} else if success.Before(oldest) {
			oldest = success
		}
	}
	if s.cfg.PollInterval > 0 && waiting < len(s.repos) {
		st.LagS = max(now.Sub(oldest)-s.interval(), 0).Seconds()
	}
	limit := s.api.limits.err(now)
	switch {
	case limit != nil:
		st.State = triage.SourceRateLimited
		st.Detail = limit.Error()
	case len(s.repos) > 0 && failing == len(s.repos):
		st.State = triage.SourceDown
		st.Detail = fmt.Sprintf("%s: %v", first.cfg.Name, firstErr)
	case failing > 0:
		st.State = triage.SourceLate
		st.Detail = fmt.Sprintf("%d of %d repositories cannot be read; %s: %v", failing, len(s.repos), first.cfg.Name, firstErr)
	case s.cfg.PollInterval > 0 && waiting == 0 && st.LagS > (3*s.interval()).Seconds():
		st.State = triage.SourceLate
		st.Detail = fmt.Sprintf("the last complete poll is %s old", now.Sub(oldest).Round(time.Second))
	case s.cfg.PollInterval > 0 && waiting > 0:
		st.Detail = fmt.Sprintf("%d of %d repositories not read yet", waiting, len(s.repos))
	}
	if warn := s.expiryWarning(now); warn != "" {
		if st.Detail != "" {
			st.Detail += "; "
		}
		st.Detail += warn
	}
	return st
}

// expiryWarning is a sentence from 14 days before the token ends.
func (s *Source) expiryWarning(now time.Time) string {
	at := s.api.limits.tokenExpiry()
	switch left := at.Sub(now); {
	case at.IsZero() || left > warnAhead:
		return ""
	case left <= 0:
		return "the token expired on " + at.UTC().Format(time.DateOnly)
	default:
		return fmt.Sprintf("the token expires on %s, in %d days: make a new one", at.UTC().Format(time.DateOnly), int(left.Hours()/24))
	}
}

// noteExpiry logs the warning once per token.
func (s *Source) noteExpiry() {
	warn := s.expiryWarning(s.now())
	at := s.api.limits.tokenExpiry()
	s.mu.Lock()
	again := s.expiryNoted.Equal(at)
	if warn != "" {
		s.expiryNoted = at
	}
	s.mu.Unlock()
	if warn != "" && !again {
		s.log.Warn("GitHub token ends soon", "detail", warn, "expires_at", at)
	}
}
