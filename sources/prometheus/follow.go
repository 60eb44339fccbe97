package prometheus

import (
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/triaged-dev/triaged/triage"
)

const (
	firstLook  = 3 * time.Hour    // at start: as long as changes stay in memory by default
	usualLook  = 20 * time.Minute // afterwards: a rollout that began within it is still watched for its end
	forgetSeen = 2 * firstLook
)

// follower hands over changes and conditions as they are seen, each again only when it has changed. One goroutine owns it.
type follower struct {
	s    *Source
	last time.Time            // end of the last look that was complete
	seen map[string]seenEvent // by id
}

type seenEvent struct {
	body string // without observed_at
	at   time.Time
}

func newFollower(s *Source) *follower { return &follower{s: s, seen: make(map[string]seenEvent)} }

// evaluate looks from where the last complete look ended, and a little before. What is not taken is handed over again next time.
func (f *follower) evaluate(ctx context.Context, emit triage.Emit) error {
	now := f.s.now()
	from := f.last.Add(-usualLook)
	if oldest := now.Add(-firstLook); from.Before(oldest) {
		from = oldest
	}
	changes, err := f.s.changes(ctx, f.s.bg, from, now)
	anomalies, err2 := f.conditions(ctx, from, now)
	if err == nil {
		err = err2
	}
	var events []triage.Event
	fresh := make(map[triage.Surely]int)
	for i := range changes {
		c := changes[i]
		c.ObservedAt = time.Time{}
		if _, known := f.seen[string(c.ID)]; f.isNew(string(c.ID), c, now) {
			if !known {
				fresh[c.Seen.Surely]++
			}
			events = append(events, triage.Event{Change: &changes[i]})
		}
	}
	for i := range anomalies {
		a := anomalies[i]
		a.ObservedAt = time.Time{}
		if f.isNew("anomaly\x00"+string(a.ID), a, now) {
			events = append(events, triage.Event{Anomaly: &anomalies[i]})
		}
	}
	if len(events) > 0 {
		if emitErr := emit(ctx, events); emitErr != nil {
			for _, e := range events {
				f.forget(e)
			}
			return fmt.Errorf("hand over changes seen in metrics: %w", emitErr)
		}
		f.s.emitted(len(events))
		for surely, n := range fresh {
			f.s.client.m.changes.WithLabelValues(string(surely)).Add(float64(n))
		}
	}
	for id, e := range f.seen {
		if now.Sub(e.at) > forgetSeen {
			delete(f.seen, id)
		}
	}
	if err == nil {
		f.last = now
	}
	return err
}

func (f *follower) conditions(ctx context.Context, from, to time.Time) ([]triage.Anomaly, error) {
	found, err := f.s.discover(ctx, f.s.bg)
	if err != nil {
		return nil, err
	}
	r, err := f.s.newChangeReader(ctx, f.s.bg, found, from, to)
	if err != nil {
		return nil, err
	}
	return r.conditions(ctx)
}

// isNew reports whether this was not handed over yet in this form, and remembers it.
func (f *follower) isNew(id string, v any, now time.Time) bool {
	body, err := json.Marshal(v)
	if err != nil {
		return true
	}
	same := f.seen[id].body == string(body)
	f.seen[id] = seenEvent{string(body), now}
	return !same
}

func (f *follower) forget(e triage.Event) {
	if e.Change != nil {
		delete(f.seen, string(e.Change.ID))
	} else {
		delete(f.seen, "anomaly\x00"+string(e.Anomaly.ID))
	}
}

// ignoreRegexp joins anchored patterns; nil matches nothing.
func ignoreRegexp(patterns []string) (*regexp.Regexp, error) {
	if len(patterns) == 0 {
		return nil, nil
	}
	return regexp.Compile("^(?:" + strings.Join(patterns, "|") + ")$")
}
