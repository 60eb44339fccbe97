package correlate

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/triaged-dev/triaged/triage"
)

// gathering fills one Input.
type gathering struct {
	c     *Correlator
	in    *Input
	req   triage.Request
	fired time.Time // when the alert did
	reach []string  // services the symptom depends on or is called by; nil: no topology, so every service
	far   []string  // services of changes off the graph, those changed nearest to the alert first
	cut   bool      // more changes lie in reach than one report weighs
}

// Slack around what the rule allows, so that the window is asked once and Rank cuts exactly.
const onsetSlack = 30 * time.Minute

// storePages and storePage bound the widened search: at most 2 000 changes are read, a stretch of time after the other.
const (
	storePages   = 20
	storePage    = 100
	storeStretch = 3 * time.Hour
)

// gather asks the window, then the metrics for the symptom and for the services in reach at once.
func (g *gathering) gather(ctx context.Context) error {
	in := g.in
	g.reach = g.services()
	if err := g.known(ctx); err != nil {
		return err
	}
	fired := in.At
	if a := firstAlert(in.Alerts); !a.StartsAt.IsZero() && a.StartsAt.Before(fired) {
		fired = a.StartsAt
	}
	g.fired = fired
	from := fired.Add(-in.lookback() - max(onsetSlack, g.declared()))
	// Not by environment: a change that names none, or another one, is weighed by its scope and not hidden.
	q := triage.ChangeQuery{From: from, To: in.At, Services: g.reach, Limit: maxChanges, Near: &triage.Near{At: fired, Service: in.Scope.Service}}
	changes, selected, err := g.c.Window.Find(ctx, q)
	if err != nil {
		return fmt.Errorf("find changes in the window: %w", err)
	}
	in.Changes = changes
	if g.c.Coverage != nil {
		in.Coverage = g.c.Coverage.Coverage(from, in.At)
	}
	if selected > len(changes) {
		g.cut = true
		in.Notes = append(slices.Clone(in.Notes), fmt.Sprintf("%d changes lie in reach: the %d nearest to the alert were weighed", selected, len(changes)))
	}
	if err := g.offGraph(ctx, q); err != nil {
		return err
	}
	anomalies, err := g.c.Window.FindAnomalies(ctx, q)
	if err != nil {
		g.missed("anomalies", err)
	}
	in.Anomalies = anomalies
	if g.c.Store != nil {
		if in.History, err = g.c.Store.Outcomes(ctx); err != nil {
			g.missed("history", err)
		}
	}
	g.earlier(ctx, fired)
	if g.c.Metrics != nil {
		g.series(ctx)
	} else if g.c.Coverage != nil {
		in.Coverage = append(slices.Clone(in.Coverage), triage.Coverage{
			Source: "metrics", State: triage.SourceNotConfigured, To: in.At, Detail: "no Prometheus is configured, so nothing was measured",
		})
	}
	g.episodes(g.othersTroubles(ctx))
	if g.c.Placebo != nil {
		in.Placebo = g.c.Placebo.Placebo(measuredServices(in.Series))
	}
	return nil
}

// measuredServices are the services that series are there of.
func measuredServices(series []triage.Series) []string {
	var out []string
	for i := range series {
		if name := series[i].Labels["service"]; name != "" {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// A graph is never whole: what changed off it is weighed too, as many changes as this, those nearest to the alert first.
const maxOffGraph = 200

// offGraphSpans are how far before the alert is looked for them, one after the other until there are enough: a window of a
// hundred thousand changes is not gone through for the last two hundred.
var offGraphSpans = []time.Duration{2 * time.Minute, 10 * time.Minute, 24 * time.Hour}

// offGraph adds the changes that q, for the services of the graph, has left out. How little they fit is Rank's to say.
func (g *gathering) offGraph(ctx context.Context, q triage.ChangeQuery) error {
	if len(q.Services) == 0 || g.cut || g.in.Unknown {
		return nil
	}
	known := make(map[triage.ChangeID]bool, len(g.in.Changes))
	for _, ch := range g.in.Changes {
		known[ch.ID] = true
	}
	oldest := q.From
	q.Services, q.Limit, q.Near = nil, maxOffGraph+len(g.in.Changes), &triage.Near{At: g.fired}
	var off []triage.Change
	for _, span := range offGraphSpans {
		if q.From = g.fired.Add(-span); q.From.Before(oldest) {
			q.From = oldest
		}
		found, _, err := g.c.Window.Find(ctx, q)
		if err != nil {
			return fmt.Errorf("find changes off the graph in the window: %w", err)
		}
		off = slices.DeleteFunc(slices.Clone(found), func(ch triage.Change) bool { return known[ch.ID] })
		if len(off) >= maxOffGraph || !q.From.After(oldest) {
			break
		}
	}
	slices.SortStableFunc(off, func(a, b triage.Change) int {
		return cmp.Or(cmp.Compare(g.away(a), g.away(b)), cmp.Compare(a.ID, b.ID))
	})
	if len(off) > maxOffGraph {
		off = off[:maxOffGraph]
		g.in.Notes = append(slices.Clone(g.in.Notes), fmt.Sprintf("of the changes that no known call joins to %s, the %d nearest to the alert were weighed", g.in.Scope.Service, maxOffGraph))
	}
	for _, ch := range off {
		if ch.Service != "" && !slices.Contains(g.far, ch.Service) {
			g.far = append(g.far, ch.Service)
		}
	}
	g.in.Changes = append(slices.Clone(g.in.Changes), off...)
	return nil
}

// away is how far from the alert a change was active.
func (g *gathering) away(ch triage.Change) time.Duration {
	switch {
	case ch.LastActivity().Before(g.fired):
		return g.fired.Sub(ch.LastActivity())
	case ch.OccurredAt().After(g.fired):
		return ch.OccurredAt().Sub(g.fired)
	}
	return 0
}

// How far back, and how many, earlier firings of the alert are read.
const (
	earlierSpan = 14 * 24 * time.Hour
	earlierMost = 200
)

// earlier reads when this alert fired before, bare of all but its times: annotations and links say nothing here.
func (g *gathering) earlier(ctx context.Context, fired time.Time) {
	a := firstAlert(g.in.Alerts)
	if g.c.Alerts == nil || a.Name() == "" || g.in.Scope.Service == "" {
		return
	}
	found, err := g.c.Alerts.AlertHistory(ctx, a.Name(), g.in.Scope.Service, fired.Add(-earlierSpan))
	if err != nil {
		g.missed("history", err)
		return
	}
	for _, was := range found {
		if was.StartsAt.Before(fired) && len(g.in.Earlier) < earlierMost {
			g.in.Earlier = append(g.in.Earlier, triage.Alert{Labels: was.Labels, Status: was.Status, StartsAt: was.StartsAt, EndsAt: was.EndsAt})
		}
	}
}

// declared is how much longer ago than usual the trouble may have begun: people declare late.
func (g *gathering) declared() time.Duration {
	if byHand(firstAlert(g.in.Alerts)) {
		return time.Duration(g.c.Config.Assume.Declared)
	}
	return 0
}

// maxChanges bounds what one report weighs and keeps: 2 000 changes are about 10 ms of ranking and 1 MB of journal. A storm of
// changes, or a window whose services no topology tells apart, may hold far more.
const maxChanges = storePages * storePage

// services are those a cause can sit on, nearest first, bounded; nil where the topology does not know the symptom.
func (g *gathering) services() []string {
	name := g.in.Scope.Service
	if name == "" || !g.in.Topology.Has(name) {
		return nil
	}
	hops := g.in.Topology.Upstream(name, g.c.Config.MaxHops)
	for n, d := range hops {
		hops[n] = d + g.c.Config.MaxHops // callers after callees
	}
	maps.Copy(hops, g.in.Topology.Downstream(name, g.c.Config.MaxHops))
	return slices.SortedFunc(maps.Keys(hops), func(a, b string) int {
		return cmp.Or(cmp.Compare(hops[a], hops[b]), cmp.Compare(a, b))
	})
}
