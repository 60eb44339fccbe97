package verify

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/triaged-dev/triaged/triage"
)

const (
	restoresFrom  = 10  // fewer of the team's own say nothing of the slow ones
	restoresRead  = 500 // latest incidents looked through
	restoresEvery = time.Hour
)

// restores are how long the team's own verified undos took to show, by kind of what was undone.
type restores struct {
	mu   sync.Mutex
	took map[triage.Kind][]time.Duration
	read time.Time
}

// p90 is the time within which nine of ten took effect, and how many there were; 0, 0 where there were too few.
func (r *restores) p90(k triage.Kind) (time.Duration, int) {
	r.mu.Lock()
	d := r.took[k]
	r.mu.Unlock()
	if len(d) < restoresFrom {
		return 0, 0
	}
	return d[(len(d)*9+9)/10-1], len(d)
}

// refresh reads the latest incidents again once an hour. What cannot be read leaves what was known.
func (r *restores) refresh(ctx context.Context, store Past, now time.Time) error {
	r.mu.Lock()
	fresh := !r.read.IsZero() && now.Sub(r.read) < restoresEvery
	if !fresh {
		r.read = now
	}
	r.mu.Unlock()
	if fresh {
		return nil
	}
	incidents, _, err := store.Incidents(ctx, triage.IncidentQuery{States: []triage.IncidentState{triage.IncidentRecovered, triage.IncidentClosed}, Limit: restoresRead})
	if err != nil {
		return err
	}
	took := make(map[triage.Kind][]time.Duration)
	for _, inc := range incidents {
		if inc.Reports == 0 {
			continue
		}
		rep, err := store.Report(ctx, inc.ID, inc.Reports)
		if err != nil {
			return err
		}
		for _, c := range rep.Checked {
			for _, s := range rep.Suspects {
				if c.Outcome == triage.CheckVerified && s.Change != nil && s.Change.ID == c.Undid && !c.Turned.Before(c.At) {
					took[s.Change.Kind] = append(took[s.Change.Kind], c.Turned.Sub(c.At))
				}
			}
		}
	}
	for _, d := range took {
		slices.Sort(d)
	}
	r.mu.Lock()
	r.took = took
	r.mu.Unlock()
	return nil
}
