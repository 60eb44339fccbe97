package main

import (
	"context"
	"errors"
	"slices"
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
	withNote(answer, note)
}

// withNote adds a note to the report and to what it was made from. The ranking puts its own notes after those it was given, so the
// new one stands between them: there a replay has it, too.
func withNote(answer *triage.Answer, note string) {
	given := 0
	if ask := answer.Input.Ask; ask != nil {
		given = min(len(ask.Notes), len(answer.Report.Notes))
		ask.Notes = append(slices.Clone(ask.Notes), note)
	} else {
		given = len(answer.Report.Notes)
	}
	answer.Report.Notes = slices.Insert(slices.Clone(answer.Report.Notes), given, note)
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
