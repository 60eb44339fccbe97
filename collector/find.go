package collector

import (
	"context"
	"fmt"
	"slices"

	"github.com/triaged-dev/triaged/triage"
)

// Find returns the changes in the window that meet the query, sorted by OccurredAt and id. Cursors are for stores that page:
// After is not looked at. The changes share memory with the window and must not be changed.
func (c *Collector) Find(ctx context.Context, q triage.ChangeQuery) ([]triage.Change, int, error) {
	c.mu.RLock()
	matches, selected := c.window.query(q)
	c.mu.RUnlock()
	out, missing := make([]triage.Change, 0, len(matches)), []triage.ChangeID(nil)
	byID := make(map[triage.ChangeID]match)
	for _, m := range matches {
		if body, ok := c.bodies.get(m.id); ok {
			out = append(out, *body)
			continue
		}
		missing = append(missing, m.id)
		byID[m.id] = m
	}
	c.metrics.hits.Add(float64(len(out)))
	c.metrics.misses.Add(float64(len(missing)))
	if len(missing) > 0 {
		slices.Sort(missing) // what the index yields has no order; a query should look the same twice
		read, err := c.journal.Changes(ctx, missing)
		if err != nil {
			return nil, 0, fmt.Errorf("read %d changes of the window from the journal: %w", len(missing), err)
		}
		c.remember(read, byID)
		out = append(out, read...)
	}
	if q.Text != "" {
		out = slices.DeleteFunc(out, func(ch triage.Change) bool { return !containsFold(q.Text, ch.Title, ch.Version, ch.Service) })
	}
	slices.SortFunc(out, byTime)
	if q.Limit > 0 && len(out) > q.Limit {
		out = out[:q.Limit]
	}
	return out, selected, nil
}

// remember caches bodies that were read, unless they were replaced meanwhile. The lock is what keeps a replacement from coming
// between the look and the Set; Set does not block.
func (c *Collector) remember(read []triage.Change, matches map[triage.ChangeID]match) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	for i := range read {
		m, ok := matches[read[i].ID]
		if !ok || c.window.find(m.id) != m.entry || c.window.entries.at(m.entry).rev != m.rev {
			continue
		}
		body := read[i]
		c.bodies.set(&body)
	}
}

// body returns one body from the cache or the journal, nil if neither has it. It is the committer's: it may fill the cache
// without asking whether the body is still the current one.
func (c *Collector) body(ctx context.Context, id triage.ChangeID) (*triage.Change, error) {
	if body, ok := c.bodies.get(id); ok {
		c.metrics.hits.Inc()
		return body, nil
	}
	c.metrics.misses.Inc()
	found, err := c.journal.Changes(ctx, []triage.ChangeID{id})
	if err != nil {
		return nil, fmt.Errorf("read change %s from the journal: %w", id, err)
	}
	if len(found) == 0 {
		return nil, nil
	}
	return &found[0], nil
}

// FindAnomalies returns the recent anomalies that meet the query, sorted by onset and id. One that has not ended goes on.
func (c *Collector) FindAnomalies(_ context.Context, q triage.ChangeQuery) ([]triage.Anomaly, error) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.anomalies.find(q), nil
}
