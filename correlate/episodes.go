package correlate

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/triaged-dev/triaged/triage"
)

// episodes collects the stretches known to have been bad: earlier episodes of the incident, earlier firings of the alert with the
// pending time before each, and other incidents in reach. A second outage of the same version has the first in its past, which must
// not pass for usual.
func (g *gathering) episodes(others []triage.Span) {
	in := g.in
	pending := firstAlert(in.Alerts).ForS
	if in.Symptom != nil && in.Symptom.ForS > 0 {
		pending = in.Symptom.ForS
	}
	lead := time.Duration(pending * float64(time.Second))
	var all []triage.Span
	add := func(from, to time.Time) {
		if from = from.Add(-lead); to.After(g.fired.Add(-lead)) {
			to = g.fired.Add(-lead) // the stretch before this alert is this episode's
		}
		if !from.IsZero() && from.Before(to) {
			all = append(all, triage.Span{From: from.UTC(), To: to.UTC()})
		}
	}
	for _, s := range g.req.Incident.Episodes {
		add(s.From, s.To)
	}
	for _, a := range in.Earlier {
		if !a.EndsAt.IsZero() && a.StartsAt.Before(g.fired) {
			add(a.StartsAt, a.EndsAt)
		}
	}
	for _, s := range others {
		add(s.From, s.To)
	}
	in.Episodes = merged(all)
}

// othersMost is how many other incidents are read.
const othersMost = 100

// othersTroubles are the incidents that were over before this one, of services that have to do with it, as far back as series are read.
func (g *gathering) othersTroubles(ctx context.Context) []triage.Span {
	if g.c.Incidents == nil {
		return nil
	}
	from := g.fired.Add(-time.Duration(g.c.Config.SeriesHistory) - g.declared())
	found, _, err := g.c.Incidents.Incidents(ctx, triage.IncidentQuery{From: from.Add(-earlierLead), To: g.fired, Limit: othersMost})
	if err != nil {
		g.missed("history", err)
		return nil
	}
	var out []triage.Span
	for _, i := range found {
		near := g.reach == nil || i.Service == "" || i.Service == g.in.Scope.Service || slices.Contains(g.reach, i.Service)
		if i.ID == g.req.Incident.ID || !near {
			continue
		}
		out = append(out, i.Episodes...)
		began := i.OpenedAt
		if !i.EpisodeAt.IsZero() {
			began = i.EpisodeAt
		}
		if !i.RecoveredAt.IsZero() && i.RecoveredAt.Before(g.fired) {
			out = append(out, triage.Span{From: began, To: i.RecoveredAt})
		}
	}
	return out
}

// earlierLead is how long before the series an incident may have been opened and still lie in them.
const earlierLead = 6 * time.Hour

// merged joins spans that touch, oldest first.
func merged(spans []triage.Span) []triage.Span {
	slices.SortFunc(spans, func(a, b triage.Span) int { return a.From.Compare(b.From) })
	var out []triage.Span
	for _, s := range spans {
		if n := len(out); n > 0 && !s.From.After(out[n-1].To) {
			if s.To.After(out[n-1].To) {
				out[n-1].To = s.To
			}
			continue
		}
		out = append(out, s)
	}
	return out
}

// knownSpan is how far back a service that changed is still known.
const knownSpan = 14 * 24 * time.Hour

// known finds out whether anything here names the service of a question that no alert stands behind. For a name that nobody uses every
// change would be as near as any other: only what reaches everybody is weighed then, and the report says that the name is unknown.
func (g *gathering) known(ctx context.Context) error {
	name := g.in.Scope.Service
	if name == "" || g.req.Incident.ID != "" || g.in.Topology.Has(name) { // an incident's alerts name their service
		return nil
	}
	if _, ok := g.in.Services[name]; ok {
		return nil
	}
	names := func(cs []triage.Change) bool {
		return slices.ContainsFunc(cs, func(c triage.Change) bool { return c.Service == name })
	}
	q := triage.ChangeQuery{From: g.in.At.Add(-knownSpan), To: g.in.At, Services: []string{name}, Limit: storePage}
	found, _, err := g.c.Window.Find(ctx, q)
	if err != nil {
		return fmt.Errorf("find changes in the window: %w", err)
	}
	if names(found) {
		return nil
	}
	if g.c.Store != nil {
		q.Newest = true
		if found, _, err = g.c.Store.FindChanges(ctx, q); err != nil || names(found) {
			return nil //nolint:nilerr // a store that does not answer proves nothing
		}
	}
	if g.c.Metrics != nil {
		series, err := g.c.Metrics.Signals(ctx, triage.SignalQuery{Services: []string{name}, From: g.in.At.Add(-10 * time.Minute), To: g.in.At})
		if err != nil || slices.ContainsFunc(series, func(s triage.Series) bool { return s.Labels["service"] == name }) {
			return nil //nolint:nilerr // metrics that do not answer prove nothing
		}
	}
	g.in.Unknown, g.reach = true, []string{name}
	g.in.Notes = append(slices.Clone(g.in.Notes), name+" is not known here: no call, no change and no metric names it, so only what reaches every service was weighed")
	return nil
}
