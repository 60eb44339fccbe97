package main

import (
	"context"
	"errors"
	"time"

	"github.com/triaged-dev/triaged/cmd/triaged/history"
	"github.com/triaged-dev/triaged/journal"
	"github.com/triaged-dev/triaged/triage"
)

// historyTime is what the note on an alert's past may take of the time a report has.
const historyTime = 300 * time.Millisecond

// remember adds to the report how its alert behaved before. It stands in the case, too, so that it replays to the same report.
// A report without it is better than a late one.
func (p *parts) remember(ctx context.Context, inc triage.Incident, answer *triage.Answer) {
	ctx, cancel := context.WithTimeout(ctx, historyTime)
	defer cancel()
	note, err := history.Note(ctx, p.store, p.Topology(), inc)
	if err != nil {
		p.log.Warn("reporting without the alert's history", "incident", inc.ID, "err", err)
		return
	}
	if note == "" {
		return
	}
	answer.Report.Notes = append(answer.Report.Notes, note)
	if answer.Input.Ask != nil {
		answer.Input.Ask.Notes = append(answer.Input.Ask.Notes, note)
	}
}

// states are the journal's small values as alerting reads them: what was never set is nil.
type states struct{ *journal.Journal }

func (s states) State(ctx context.Context, key string) ([]byte, error) {
	value, err := s.Journal.State(ctx, key)
	if errors.Is(err, journal.ErrNotFound) {
		return nil, nil
	}
	return value, err
}
