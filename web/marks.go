package web

import (
	"cmp"
	"slices"
	"time"

	"github.com/triaged-dev/triaged/triage"
)

// marks are the changes of the report, of its input and around the incident, each once, that fall on the axis.
func marks(in axisInput, from, to time.Time) []mark {
	ranks := make(map[triage.ChangeID]int)
	suspected := make(map[triage.ChangeID]bool)
	var all []triage.Change
	for _, s := range in.Report.Suspects {
		if s.Change != nil {
			all = append(all, *s.Change)
			suspected[s.Change.ID] = true
		}
	}
	for _, s := range named(in.Report) {
		if s.Change != nil {
			ranks[s.Change.ID] = s.Rank
		}
	}
	// The journal knows most about a change: its later steps, its end.
	fresh := make(map[triage.ChangeID]triage.Change)
	for _, c := range in.More {
		fresh[c.ID] = c
	}
	all = slices.Concat(all, in.Case.Changes, in.More)
	seen := make(map[triage.ChangeID]bool)
	var out []mark
	for _, c := range all {
		if seen[c.ID] {
			continue
		}
		seen[c.ID] = true
		if f, ok := fresh[c.ID]; ok {
			c = f
		}
		m := newMark(c)
		m.Rank = ranks[c.ID]
		switch {
		case slices.ContainsFunc(c.Undoes, func(id triage.ChangeID) bool { return suspected[id] }):
			m.Role = roleUndo
		case m.Rank == 0 && !in.Report.Onset.Latest.IsZero() && m.From.After(in.Report.Onset.Latest):
			m.Role = roleDuring
		}
		if m.To.Before(from) && m.Rank == 0 || m.From.After(to) {
			continue
		}
		out = append(out, m)
	}
	onset := firstTime(in.Report.Onset.Best, in.Report.CreatedAt)
	slices.SortStableFunc(out, func(x, y mark) int {
		return cmp.Or(cmp.Compare(importance(x), importance(y)), cmp.Compare(x.From.Sub(onset).Abs(), y.From.Sub(onset).Abs()), cmp.Compare(x.Change.ID, y.Change.ID))
	})
	if len(out) > maxMarks {
		out = out[:maxMarks]
	}
	return out
}

// importance orders the marks by what must not be left out: suspects by rank, undos, the rest.
func importance(m mark) int {
	switch {
	case m.Rank > 0:
		return m.Rank
	case m.Role == roleUndo:
		return maxSuspects + 1
	}
	return maxSuspects + 2
}

// newMark places one change in time: a bar where it took a while, whiskers where its start is not known.
func newMark(c triage.Change) mark {
	lo, hi, observed := c.StartInterval(triage.AssumedRollout)
	m := mark{Change: c, Label: shortName(c), Lo: lo, Hi: hi, From: c.OccurredAt(), To: c.LastActivity()}
	if observed && !lo.Equal(hi) {
		m.From = c.StartedAt
	}
	if m.To.Before(m.From) {
		m.To = m.From
	}
	m.Open = c.Status == triage.StatusStarted && c.FinishedAt.IsZero()
	return m
}
