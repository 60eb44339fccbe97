package collector

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/triaged-dev/triaged/triage"
)

const (
	pushSource    = "push"          // the source of whatever comes by HTTP and names none of its own
	silentFactor  = 5               // times its usual gap a source is quiet before it is called silent
	silentAtLeast = 5 * time.Minute // and never sooner than this
)

// Coverage says how well each source could be heard between two times. A source's own word comes first: down, rate_limited or
// late. One that thinks it is well is down all the same if it has never answered and nothing was heard of it, and silent if at
// the end of the interval nothing had been heard for longer than max(5 × its usual gap, 5 min); the usual gap is the median time
// between its events, known from the tenth on. Whoever pushes is listed once anything was pushed.
func (c *Collector) Coverage(from, to time.Time) []triage.Coverage {
	var out []triage.Coverage
	for _, s := range c.statuses() {
		state, detail := s.judged(to)
		out = append(out, triage.Coverage{
			Source: s.Name, State: state, From: from, To: to, LagS: s.LagS, LastEvent: s.last(to), UsualGapS: s.UsualGapS, Detail: detail,
		})
	}
	return out
}

// Sources says how every source is doing now, by name, judged as Coverage does.
func (c *Collector) Sources() []triage.SourceStatus {
	all, now := c.statuses(), c.now()
	out := make([]triage.SourceStatus, len(all))
	for i, s := range all {
		out[i] = s.SourceStatus
		out[i].State, out[i].Detail = s.judged(now)
	}
	return out
}

type status struct {
	triage.SourceStatus
	heard *heard // a copy
}

// judged is the source's own word, where it is not contradicted by what was heard of it until then.
func (s status) judged(to time.Time) (triage.SourceState, string) {
	state, last := cmp.Or(s.State, triage.SourceOK), s.last(to)
	if state != triage.SourceOK {
		return state, s.Detail
	}
	if s.LastSuccess.IsZero() && (s.heard == nil || s.heard.events == 0) {
		return triage.SourceDown, "has not answered since the start"
	}
	gap := time.Duration(s.UsualGapS * float64(time.Second))
	if quiet := to.Sub(last); gap > 0 && !last.IsZero() && quiet > max(silentFactor*gap, silentAtLeast) {
		return triage.SourceSilent, fmt.Sprintf("nothing heard for %s; usually there is something every %s", short(quiet), short(gap))
	}
	return state, s.Detail
}

// last is the latest event by then, of which the source or we know.
func (s status) last(to time.Time) time.Time {
	t := time.Time{}
	if s.heard != nil {
		t = s.heard.lastBefore(to)
	}
	if s.LastEvent.After(t) && !s.LastEvent.After(to) {
		t = s.LastEvent
	}
	return t
}

func (c *Collector) statuses() []status {
	sources, down, heardOf := c.sup.snapshot()
	out := make([]status, 0, len(sources)+1)
	listed := make(map[string]bool)
	for _, src := range sources {
		st := src.Status()
		st.Name, st.Type = src.Name(), cmp.Or(st.Type, src.Type())
		if why := down[st.Name]; why != "" {
			st.State, st.Detail = triage.SourceDown, why
		}
		listed[st.Name] = true
		out = append(out, complete(st, heardOf[st.Name]))
	}
	if h := heardOf[pushSource]; h != nil && !listed[pushSource] {
		out = append(out, complete(triage.SourceStatus{Name: pushSource, Type: "push", State: triage.SourceOK, LastSuccess: h.last}, h))
	}
	slices.SortFunc(out, func(a, b status) int { return cmp.Compare(a.Name, b.Name) })
	return out
}

// complete fills what a source does not say of itself with what was heard of it.
func complete(st triage.SourceStatus, h *heard) status {
	if h != nil {
		if h.last.After(st.LastEvent) {
			st.LastEvent = h.last
		}
		if st.UsualGapS == 0 {
			st.UsualGapS = h.usualGap().Seconds()
		}
		st.Events, st.Quarantined = max(st.Events, h.events), max(st.Quarantined, h.quarantined)
	}
	return status{SourceStatus: st, heard: h}
}

// Quarantine keeps a record that could not be taken and counts it. Should the journal fail too, that is logged: there is nobody
// left to tell.
func (c *Collector) Quarantine(ctx context.Context, q triage.Quarantined) {
	if q.At.IsZero() {
		q.At = c.now()
	}
	if err := c.quarantine(ctx, q.Source, q); err != nil {
		c.log.Error("a record that could not be taken is lost: the journal did not take it either", "source", q.Source, "origin", q.Origin, "reason", q.Reason, "err", err)
	}
}

func (c *Collector) quarantine(ctx context.Context, source string, q triage.Quarantined) error {
	name := c.sourceLabel(source, q.Source)
	c.metrics.quarantined.WithLabelValues(name).Inc()
	c.sup.quarantined(name)
	if err := c.journal.Quarantine(ctx, q); err != nil {
		return fmt.Errorf("quarantine a record of %s: %w", q.Source, err)
	}
	return nil
}

// short writes a duration as a person would say it: to the minute above ten minutes, to the second below.
func short(d time.Duration) string {
	if d >= 10*time.Minute {
		h, m := d.Round(time.Minute)/time.Hour, d.Round(time.Minute)%time.Hour/time.Minute
		if h > 0 {
			return fmt.Sprintf("%d h %d min", h, m)
		}
		return fmt.Sprintf("%d min", m)
	}
	return d.Round(time.Second).String()
}
