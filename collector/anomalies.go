package collector

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/triaged-dev/triaged/triage"
)

// anomalyStore holds the recent anomalies by id, bounded in age and number. They are few where changes are many, so a query
// looks at all of them. Like the window it has no lock of its own.
type anomalyStore struct {
	byID map[triage.AnomalyID]*triage.Anomaly
	max  int
}

// put adds or replaces an Anomaly, and returns how many had to give way for it.
func (s *anomalyStore) put(a *triage.Anomaly) (dropped int) {
	s.byID[a.ID] = a
	if len(s.byID) <= s.max {
		return 0
	}
	// A tenth at once, so that the sort is paid for by many puts.
	all := make([]*triage.Anomaly, 0, len(s.byID))
	for _, v := range s.byID {
		all = append(all, v)
	}
	slices.SortFunc(all, func(a, b *triage.Anomaly) int {
		return cmp.Or(anomalyEnd(a).Compare(anomalyEnd(b)), cmp.Compare(a.ID, b.ID))
	})
	dropped = max(1, s.max/10)
	for _, v := range all[:dropped] {
		delete(s.byID, v.ID)
	}
	return dropped
}

// evictBefore removes the anomalies of which nothing was seen since the cut.
func (s *anomalyStore) evictBefore(cut time.Time) {
	for id, a := range s.byID {
		if anomalyEnd(a).Before(cut) {
			delete(s.byID, id)
		}
	}
}

// anomalyEnd is the last time the Anomaly was known to exist.
func anomalyEnd(a *triage.Anomaly) time.Time {
	t := a.Onset.Best
	for _, u := range [...]time.Time{a.Onset.Latest, a.EndedAt} {
		if u.After(t) {
			t = u
		}
	}
	if a.EndedAt.IsZero() && a.ObservedAt.After(t) {
		t = a.ObservedAt
	}
	return t
}

// find returns the anomalies that meet the query, sorted by onset and id. One that has not ended goes on.
func (s *anomalyStore) find(q triage.ChangeQuery) []triage.Anomaly {
	var out []triage.Anomaly
	for _, a := range s.byID {
		if matchesAnomaly(a, q) {
			out = append(out, *a)
		}
	}
	slices.SortFunc(out, func(a, b triage.Anomaly) int {
		return cmp.Or(a.Onset.Best.Compare(b.Onset.Best), cmp.Compare(a.ID, b.ID))
	})
	if q.Limit > 0 && len(out) > q.Limit {
		out = out[:q.Limit]
	}
	return out
}

func matchesAnomaly(a *triage.Anomaly, q triage.ChangeQuery) bool {
	start := a.Onset.Best
	if !a.Onset.Earliest.IsZero() && a.Onset.Earliest.Before(start) {
		start = a.Onset.Earliest
	}
	switch {
	case !q.To.IsZero() && start.After(q.To):
		return false
	case !q.From.IsZero() && !a.EndedAt.IsZero() && a.EndedAt.Before(q.From):
		return false
	case q.Environment != "" && a.Environment != "" && a.Environment != q.Environment:
		return false
	case len(q.Services) > 0 && a.Service != "" && !a.Global && !slices.Contains(q.Services, a.Service):
		return false
	}
	return q.Text == "" || containsFold(q.Text, a.Series, string(a.Signal), a.Service)
}

// containsFold reports whether text is a part of one of the strings, in any case.
func containsFold(text string, in ...string) bool {
	text = strings.ToLower(text)
	for _, s := range in {
		if strings.Contains(strings.ToLower(s), text) {
			return true
		}
	}
	return false
}
