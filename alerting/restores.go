package alerting

import (
	"context"
	"slices"
	"time"

	"github.com/triaged-dev/triaged/triage"
)

const (
	restoresFrom  = 10  // fewer of the team's own say nothing of the slow ones
	restoresRead  = 500 // latest incidents looked through
	restoresEvery = time.Hour
)

// restores are how long the team's own verified undos took to show, by kind of what was undone. Used by one goroutine.
type restores struct {
	took map[triage.Kind][]time.Duration
	read time.Time
}

// p90 is the time within which nine of ten took effect, and how many there were; 0, 0 where there were too few.
func (r *restores) p90(k triage.Kind) (time.Duration, int) {
	d := r.took[k]
	if len(d) < restoresFrom {
		return 0, 0
	}
	return d[(len(d)*9+9)/10-1], len(d)
}

// refresh reads the latest incidents again once an hour. What cannot be read leaves what was known.
func (r *restores) refresh(ctx context.Context, store Store, now time.Time) error {
	if !r.read.IsZero() && now.Sub(r.read) < restoresEvery {
		return nil
	}
	r.read = now
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
	r.took = took
	return nil
}
