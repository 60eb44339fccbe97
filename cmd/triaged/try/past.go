package try

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"github.com/triaged-dev/triaged/triage"
)

// past are the changes of the whole time, by time. As a window it answers with what was known at the end of the question.
type past []triage.Change

// heardAfter is how long after it began a change is seen in metrics: half a look, a scrape of kube-state-metrics, a scrape.
const heardAfter = 90 * time.Second

// newPast sorts the changes and says when each would have been heard of. What is read back now was not read then.
func newPast(cs []triage.Change) past {
	out := slices.Clone(cs)
	for i, c := range out {
		out[i].ObservedAt = c.OccurredAt().Add(heardAfter)
	}
	slices.SortFunc(out, func(a, b triage.Change) int {
		return cmp.Or(a.OccurredAt().Compare(b.OccurredAt()), cmp.Compare(a.ID, b.ID))
	})
	return slices.CompactFunc(out, func(a, b triage.Change) bool { return a.ID == b.ID })
}

// Find are the changes of the question's time, each as it stood at the end of it: how it ended later was not known.
func (p past) Find(_ context.Context, q triage.ChangeQuery) ([]triage.Change, int, error) {
	i, _ := slices.BinarySearchFunc(p, q.From, func(c triage.Change, t time.Time) int { return c.OccurredAt().Compare(t) })
	var out []triage.Change
	for _, c := range p[max(0, i-maxBefore):] {
		if c.OccurredAt().After(q.To) {
			break
		}
		c = asOf(c, q.To)
		if c.LastActivity().Before(q.From) || c.ObservedAt.After(q.To) || !wanted(c, q) {
			continue
		}
		out = append(out, c)
	}
	selected := len(out)
	if q.Near != nil && q.Limit > 0 && selected > q.Limit {
		out = nearest(out, *q.Near, q.Limit)
	}
	return out, selected, nil
}

// nearest keeps n changes: those of the service and global ones first, then those nearest to the time.
func nearest(cs []triage.Change, near triage.Near, n int) []triage.Change {
	other := func(c triage.Change) int {
		if c.Global || c.Service == near.Service {
			return 0
		}
		return 1
	}
	slices.SortFunc(cs, func(a, b triage.Change) int {
		return cmp.Or(cmp.Compare(other(a), other(b)), cmp.Compare(near.At.Sub(a.OccurredAt()).Abs(), near.At.Sub(b.OccurredAt()).Abs()), cmp.Compare(a.ID, b.ID))
	})
	return cs[:n]
}

// maxBefore is how many changes before the time asked for are looked at, since a long rollout may still move in it.
const maxBefore = 200

func wanted(c triage.Change, q triage.ChangeQuery) bool {
	if len(q.Services) > 0 && c.Service != "" && !c.Global && !slices.Contains(q.Services, c.Service) {
		return false
	}
	if q.Environment != "" && c.Environment != "" && c.Environment != q.Environment {
		return false
	}
	return (q.Kind == "" || c.Kind == q.Kind) && (q.Text == "" || strings.Contains(strings.ToLower(c.Title), strings.ToLower(q.Text)))
}

// asOf is the change as it was known at the time given.
func asOf(c triage.Change, at time.Time) triage.Change {
	if c.FinishedAt.After(at) {
		c.FinishedAt = time.Time{}
		if c.Status.Terminal() {
			c.Status = triage.StatusStarted
		}
	}
	c.Steps = slices.DeleteFunc(slices.Clone(c.Steps), func(s triage.Step) bool { return s.At.After(at) })
	c.RevertedBy = nil
	return c
}

// FindAnomalies has none: series are judged where they are asked for.
func (p past) FindAnomalies(context.Context, triage.ChangeQuery) ([]triage.Anomaly, error) {
	return nil, nil
}

// FindChanges is Find for a longer time; it has one page.
func (p past) FindChanges(ctx context.Context, q triage.ChangeQuery) ([]triage.Change, string, error) {
	cs, _, err := p.Find(ctx, q)
	return cs, "", err
}

// Outcomes has none: nobody has said yet what it was.
func (p past) Outcomes(context.Context) ([]triage.Outcome, error) { return nil, nil }

// window is the past with its anomalies, as the ranking asks for them.
type window struct {
	past
	anomalies []triage.Anomaly
}

// FindAnomalies are those that began in the question's time.
func (w window) FindAnomalies(_ context.Context, q triage.ChangeQuery) ([]triage.Anomaly, error) {
	var out []triage.Anomaly
	for _, a := range w.anomalies {
		if a.Onset.Latest.Before(q.From) || a.Onset.Best.Add(heardAfter).After(q.To) {
			continue
		}
		if len(q.Services) == 0 || a.Service == "" || slices.Contains(q.Services, a.Service) {
			a.ObservedAt, a.EndedAt = a.Onset.Best.Add(heardAfter), time.Time{}
			out = append(out, a)
		}
	}
	return out, nil
}
