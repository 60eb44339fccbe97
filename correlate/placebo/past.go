package placebo

import (
	"context"
	"time"

	"github.com/triaged-dev/triaged/triage"
)

// past is what the metrics remember of the time before anything was journalled.
type past struct {
	read    bool
	changes []triage.Change
	firings []triage.Alert
}

// pastStretch is read at once, a rollout of metrics and journal less than sameRollout apart is one, and so many changes are kept.
const (
	pastStretch = 24 * time.Hour
	sameRollout = 10 * time.Minute
	pastMost    = 2000
)

// readPast asks the metrics once, the latest day first. A day they do not answer for is left out: without its alerts none of its
// changes counts as innocent. Where they answered for none they may only be down, and are asked again with the next list.
func (l *Learner) readPast(ctx context.Context, from, now time.Time) past {
	l.mu.Lock()
	p := l.past
	l.mu.Unlock()
	if p.read || l.Past == nil {
		return p
	}
	answered := false
	for to := now; to.After(from) && len(p.changes) < pastMost && ctx.Err() == nil; to = to.Add(-pastStretch) {
		begin := to.Add(-pastStretch)
		if begin.Before(from) {
			begin = from
		}
		firings, changes, err := l.day(ctx, begin, to)
		if err != nil {
			l.Logger.Info("the metrics did not say what happened in the past; nothing is learned from that day", "from", begin, "to", to, "err", err)
			continue
		}
		answered = true
		p.firings, p.changes = append(p.firings, firings...), append(p.changes, changes...)
	}
	p.read = answered && ctx.Err() == nil
	l.mu.Lock()
	defer l.mu.Unlock()
	l.past = p
	return p
}

func (l *Learner) day(ctx context.Context, from, to time.Time) ([]triage.Alert, []triage.Change, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*askTime)
	defer cancel()
	firings, err := l.Past.PastFirings(ctx, from, to)
	if err != nil {
		return nil, nil, err
	}
	changes, err := l.Past.PastChanges(ctx, from, to)
	return firings, changes, err
}

// unknownTo are the changes of the past that none of those given is: same service, at about the same time.
func (p past) unknownTo(known []triage.Change) []triage.Change {
	at := make(map[string][]time.Time)
	for i := range known {
		at[known[i].Service] = append(at[known[i].Service], known[i].OccurredAt())
	}
	var out []triage.Change
next:
	for _, c := range p.changes {
		for _, t := range at[c.Service] {
			if d := c.OccurredAt().Sub(t); d < sameRollout && d > -sameRollout {
				continue next
			}
		}
		out = append(out, c)
	}
	return out
}
