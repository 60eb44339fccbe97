package collector

import (
	"context"
	"fmt"
	"time"

	"github.com/triaged-dev/triaged/triage"
)

const (
	groupEvents   = 2000 // events in one commit, where several calls wait; a single larger call is committed whole
	sweepInterval = 10 * time.Second
	drainTimeout  = 10 * time.Second // for commits after the end of Run's context
)

// request is one call of Emit on its way through the committer.
type request struct {
	reports   []report
	anomalies []triage.Anomaly
	done      chan error // buffered, so that the committer never waits for one who has left
}

func (r *request) events() int { return len(r.reports) + len(r.anomalies) }

// Emit takes events: folds them, makes them durable, puts them into the window. Nil means all of that is done. A record that
// can never be taken is quarantined and does not fail the others. Emit blocks while the queue is full or the journal busy; when
// ctx ends first its error is returned, and the events may or may not have been stored: emitting them again is harmless.
// Before Run it blocks; after Run it returns ErrStopped.
func (c *Collector) Emit(ctx context.Context, events []triage.Event) error {
	return c.emit(ctx, "", events)
}

// emit is Emit for the named source; the empty name is whoever pushes.
func (c *Collector) emit(ctx context.Context, source string, events []triage.Event) error {
	if len(events) == 0 {
		return nil
	}
	now := c.now()
	req, err := c.prepare(ctx, source, events, now)
	if err == nil && req.events() > 0 {
		err = c.submit(ctx, req)
	}
	if err != nil {
		if ctx.Err() == nil {
			c.metrics.errors.WithLabelValues(c.label(source), "store").Inc()
		}
		return err
	}
	for i := range req.reports {
		ch := &req.reports[i].change
		name := c.sourceLabel(source, ch.Source)
		c.metrics.events.WithLabelValues(name, string(ch.Kind)).Inc()
		c.sup.heard(name, ch.LastActivity(), now)
		if c.told != nil {
			c.told(name, *ch, now)
		}
	}
	for i := range req.anomalies {
		a := &req.anomalies[i]
		name := c.sourceLabel(source, a.Source)
		c.metrics.events.WithLabelValues(name, "anomaly").Inc()
		c.sup.heard(name, a.Onset.Best, now)
	}
	return nil
}

// prepare does in the caller's goroutine whatever does not need the committer: names, times, hashes, and what the journal has
// under ids that the window does not know.
func (c *Collector) prepare(ctx context.Context, source string, events []triage.Event, now time.Time) (*request, error) {
	dir := c.dir.Load()
	req := &request{done: make(chan error, 1), reports: make([]report, 0, len(events))}
	name := source
	if name == "" {
		name = pushSource
	}
	for i, e := range events {
		var skewed bool
		var bad error
		var body any
		switch {
		case e.Change != nil && e.Anomaly == nil:
			ch, s, err := normalise(*e.Change, name, dir, now)
			skewed, bad, body = s, err, e.Change
			if err == nil {
				req.reports = append(req.reports, report{change: ch, event: i})
			}
		case e.Anomaly != nil && e.Change == nil:
			a, s, err := normaliseAnomaly(*e.Anomaly, name, dir, now)
			skewed, bad, body = s, err, e.Anomaly
			if err == nil {
				req.anomalies = append(req.anomalies, a)
			}
		default:
			bad, body = fmt.Errorf("event %d must hold a change or an anomaly, exactly one of them", i), e
		}
		if skewed {
			c.metrics.skew.Inc()
		}
		if bad != nil {
			if err := c.quarantine(ctx, source, refused(name, body, bad, now)); err != nil {
				return nil, err
			}
		}
	}
	for i := range req.reports {
		r := &req.reports[i]
		r.keys = joinKeys(&r.change)
		if err := c.tracks.ensure(ctx, c.journal, c.known, &r.change); err != nil {
			return nil, err
		}
	}
	return req, c.revive(ctx, req.reports)
}

// revive finds what the journal knows under ids that have left the window, so that a late word about an old change does not
// replace it.
func (c *Collector) revive(ctx context.Context, reports []report) error {
	for i := range reports {
		id := reports[i].change.ID
		if !c.known.mayHave(id) || c.inWindow(id) {
			continue
		}
		if to, err := c.journal.ResolveChange(ctx, id); err == nil {
			id = to // an error is either "no such id" or one that the next line meets too
		}
		found, err := c.journal.Changes(ctx, []triage.ChangeID{id})
		if err != nil {
			return fmt.Errorf("read change %s from the journal: %w", id, err)
		}
		if len(found) > 0 {
			reports[i].prior = &found[0]
		}
	}
	return nil
}

func (c *Collector) inWindow(id triage.ChangeID) bool {
	c.mu.RLock()
	defer c.mu.RUnlock()
	if c.window.find(id) != 0 {
		return true
	}
	found := false
	c.window.keys.each(idKey(id), func(uint32) bool { found = true; return false })
	return found
}

func (c *Collector) submit(ctx context.Context, req *request) error {
	select {
	case c.queue <- req:
	case <-c.stopped:
		return ErrStopped
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case err := <-req.done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	case <-c.stopped:
		select { // it may have been answered just before the end
		case err := <-req.done:
			return err
		default:
			return ErrStopped
		}
	}
}

// commitLoop is the committer: the only goroutine that changes the window. It takes whatever has gathered, commits it at once
// and answers. When ctx ends it commits what is waiting and leaves.
func (c *Collector) commitLoop(ctx context.Context) {
	defer close(c.stopped)
	defer c.bodies.close()
	sweep := time.NewTicker(sweepInterval)
	defer sweep.Stop()
	for {
		select {
		case req := <-c.queue:
			c.commitGroup(ctx, c.gather(req))
		case <-sweep.C:
			c.sweep()
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTimeout)
			defer cancel()
			for {
				select {
				case req := <-c.queue:
					c.commitGroup(last, c.gather(req))
				default:
					return
				}
			}
		}
	}
}

func (c *Collector) gather(first *request) []*request {
	group := []*request{first}
	for n := first.events(); n < groupEvents; {
		select {
		case req := <-c.queue:
			group = append(group, req)
			n += req.events()
		default:
			return group
		}
	}
	return group
}

// commitGroup commits the requests together. If that fails, each on its own: one that the journal refuses cannot fail its neighbours.
func (c *Collector) commitGroup(ctx context.Context, group []*request) {
	err := c.commit(ctx, group)
	if err == nil || len(group) == 1 || ctx.Err() != nil {
		for _, req := range group {
			req.done <- err
		}
		return
	}
	for _, req := range group {
		req.done <- c.commit(ctx, []*request{req})
	}
}

// commit folds, appends and publishes. On error nothing has changed.
func (c *Collector) commit(ctx context.Context, group []*request) error {
	n := 0
	for _, req := range group {
		n += len(req.reports)
	}
	f := newFold(c, n)
	for _, req := range group {
		for _, r := range req.reports {
			if err := f.add(ctx, r); err != nil {
				return err
			}
		}
	}
	if err := f.derive(ctx); err != nil {
		return err
	}
	entries := f.entries()
	for _, req := range group {
		for i := range req.anomalies {
			entries = append(entries, triage.Entry{Event: triage.Event{Anomaly: &req.anomalies[i]}})
		}
	}
	if len(entries) > 0 {
		if err := c.journal.Append(ctx, entries); err != nil {
			return fmt.Errorf("store %d events: %w", len(entries), err)
		}
	}
	c.publish(f, group)
	c.metrics.commits.Observe(float64(len(entries)))
	c.subs.send(entries, c.metrics.lost)
	return nil
}

// publish makes a stored fold visible.
func (c *Collector) publish(f *fold, group []*request) {
	now := c.now()
	cut := now.Add(-c.retention)
	late, evicted, lost := 0, 0, 0
	c.mu.Lock()
	for _, d := range f.drafts {
		if d.gone {
			continue
		}
		for _, i := range d.absorbed {
			c.bodies.drop(c.window.id(i))
			c.window.remove(i)
		}
		c.known.add(d.change.ID)
		for _, a := range d.aliases {
			c.known.add(a)
		}
		if d.last.Before(cut) {
			if !d.linkOnly {
				late++
			}
			if d.entry != 0 {
				c.window.remove(d.entry)
			}
			continue
		}
		c.window.put(item{id: d.change.ID, kind: d.change.Kind, scope: d.change.Scope, start: d.start, last: d.last, keys: d.allKeys()})
		c.bodies.set(&d.change)
	}
	if n := c.window.count - c.cfg.MaxChanges; n > 0 {
		evicted = c.window.evictOldest(n)
	}
	for _, req := range group {
		for i := range req.anomalies {
			if a := &req.anomalies[i]; !anomalyEnd(a).Before(cut) {
				lost += c.anomalies.put(a)
			}
		}
	}
	c.mu.Unlock()

	c.tracks.store(f.tracks, c.known)
	c.bodies.settle()
	c.metrics.folded.Add(float64(f.folded))
	c.metrics.late.Add(float64(late))
	c.metrics.overflow.Add(float64(evicted))
	c.metrics.anomalyLost.Add(float64(lost))
	switch {
	case evicted > 0 && !c.overflowing:
		c.overflowing = true
		c.log.Warn("window is full: the oldest changes are evicted before their time and are in the journal only", "max_changes", c.cfg.MaxChanges)
	case c.overflowing && c.window.count < c.cfg.MaxChanges*9/10:
		c.overflowing = false
		c.log.Info("window is no longer full", "changes", c.window.count)
	}
}

// sweep evicts what has been quiet for longer than the retention.
func (c *Collector) sweep() {
	cut := c.now().Add(-c.retention)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.window.evictBefore(cut)
	c.anomalies.evictBefore(cut)
}
