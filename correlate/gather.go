package correlate

import (
	"cmp"
	"context"
	"errors"
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
	reach []string // services the symptom depends on or is called by; nil: no topology, so every service
	cut   bool     // more changes lie in reach than one report weighs
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
	fired := in.At
	if a := firstAlert(in.Alerts); !a.StartsAt.IsZero() && a.StartsAt.Before(fired) {
		fired = a.StartsAt
	}
	from := fired.Add(-in.lookback() - max(onsetSlack, g.declared()))
	// Not by environment: a change that names none, or another one, is weighed by its scope and not hidden.
	q := triage.ChangeQuery{From: from, To: in.At, Services: g.reach, Limit: maxChanges, Near: &triage.Near{At: fired, Service: in.Scope.Service}}
	changes, selected, err := g.c.Window.Find(ctx, q)
	if err != nil {
		return fmt.Errorf("find changes in the window: %w", err)
	}
	in.Changes = changes
	if selected > len(changes) {
		g.cut = true
		in.Notes = append(slices.Clone(in.Notes), fmt.Sprintf("%d changes lie in reach: the %d nearest to the alert were weighed", selected, len(changes)))
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
	if g.c.Coverage != nil {
		in.Coverage = g.c.Coverage.Coverage(from, in.At)
	}
	if g.c.Metrics != nil {
		g.series(ctx, fired)
	}
	return nil
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

// measured are the services whose signals are read: the symptom's and those of the changes, then the rest of the reach.
func (g *gathering) measured() []string {
	var out []string
	add := func(name string) {
		if name != "" && len(out) < g.c.Config.MaxServices && !slices.Contains(out, name) {
			out = append(out, name)
		}
	}
	add(g.in.Scope.Service)
	for _, ch := range g.in.Changes {
		add(ch.Service)
	}
	for _, name := range g.reach {
		add(name)
	}
	return out
}

// answer is what one question to the metrics brought.
type answer struct {
	part    string
	symptom *triage.Symptom
	series  []triage.Series
	err     error
}

// series asks for the symptom, the signals and their split by version at once, and takes what has come when the deadline
// does. A question that hangs is left to end by itself: its answer goes into a buffer nobody reads.
func (g *gathering) series(ctx context.Context, fired time.Time) {
	from := fired.Add(-time.Duration(g.c.Config.SeriesHistory) - g.declared())
	answers := make(chan answer, 3)
	open := make(map[string]bool)
	ask := func(part string, question func() answer) {
		open[part] = true
		go func() {
			a := question()
			a.part = part
			answers <- a
		}()
	}
	in, src := g.in, g.c.Metrics
	at, scope, alert := in.At, in.Scope, firstAlert(in.Alerts)
	if len(in.Alerts) > 0 {
		ask("symptom", func() answer {
			s, err := src.Symptom(ctx, alert, from, at)
			return answer{symptom: &s, err: err}
		})
	}
	if names := g.measured(); len(names) > 0 {
		q := triage.SignalQuery{Services: names, Scope: scope, From: from, To: at}
		q.Scope.Service = ""
		ask("signals", func() answer {
			s, err := src.Signals(ctx, q)
			return answer{series: s, err: err}
		})
		if split := g.splittable(); len(split) > 0 {
			byVersion := q
			byVersion.Services, byVersion.SplitBy = split, g.splitLabels()
			ask("split", func() answer {
				s, err := src.Signals(ctx, byVersion)
				return answer{series: s, err: err}
			})
		}
	}
	var split []triage.Series
	for len(open) > 0 {
		select {
		case a := <-answers:
			delete(open, a.part)
			switch {
			case a.err != nil:
				g.missed(a.part, a.err)
			case a.part == "symptom":
				in.Symptom = a.symptom
			case a.part == "split":
				split = a.series
			default:
				in.Series = a.series
			}
			continue
		case <-ctx.Done():
		}
		break
	}
	for _, s := range split {
		if splitLabel(s.Labels) != "" {
			in.Series = append(in.Series, s)
		}
	}
	if ctx.Err() != nil {
		in.Deadline = true
		for _, p := range slices.Sorted(maps.Keys(open)) {
			g.missed(p, context.DeadlineExceeded)
		}
	}
}

// splitLabels are the labels by which new and old can be told apart: the version, and the region where a change has one.
func (g *gathering) splitLabels() []string {
	if slices.ContainsFunc(g.in.Changes, regional) {
		return []string{"version", "region"}
	}
	return []string{"version"}
}

// regional reports whether a change went to one region first or only.
func regional(ch triage.Change) bool {
	return ch.Region != "" || slices.ContainsFunc(ch.Steps, func(s triage.Step) bool { return s.Region != "" })
}

// splittable are the services with a candidate whose old and new can be told apart: by version, or by region.
func (g *gathering) splittable() []string {
	var out []string
	for _, ch := range g.in.Changes {
		if (ch.Version != "" && slow(ch.Kind) || regional(ch)) && ch.Service != "" && !slices.Contains(out, ch.Service) && len(out) < g.c.Config.MaxServices {
			out = append(out, ch.Service)
		}
	}
	return out
}

// missed records evidence that did not come: a note, a blind spot and a count, never a failure.
func (g *gathering) missed(part string, err error) {
	g.c.metrics.failures.WithLabelValues(part).Inc()
	detail := "did not answer"
	state := triage.SourceDown
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		detail, state = "did not answer within the deadline", triage.SourceLate
		g.in.Deadline = true
	}
	g.c.Logger.Warn("evidence is missing, reporting without it", "part", part, "incident", g.req.Incident.ID, "error", err)
	name := "metrics/" + part
	if part == "history" || part == "anomalies" {
		name = part
	}
	if !slices.ContainsFunc(g.in.Coverage, func(c triage.Coverage) bool { return c.Source == name }) {
		g.in.Coverage = append(slices.Clone(g.in.Coverage), triage.Coverage{Source: name, State: state, To: g.in.At, Detail: detail})
		g.in.Notes = append(slices.Clone(g.in.Notes), fmt.Sprintf("%s: %s, so the report goes without", name, detail))
	}
}

// likeliest is the probability of the likeliest change.
func likeliest(r triage.Report) float64 {
	best := 0.0
	for _, s := range r.Suspects {
		if s.Change != nil {
			best = max(best, s.Probability)
		}
	}
	return best
}

// widen searches the longer store once when nothing near fits, or when the symptom crept up; it keeps the first answer
// when the search brings nothing likelier. What it finds is never more than something to look into.
func (g *gathering) widen(ctx context.Context, r triage.Report) (Input, triage.Report, bool) {
	in, ok := g.longer(ctx, r)
	if !ok {
		return *g.in, r, false
	}
	wide := Rank(in)
	if likeliest(wide) > likeliest(r) {
		return in, wide, true
	}
	near := *g.in
	near.Notes = append(in.Notes, "nothing there fits better")
	return near, Rank(near), true
}

// longer is the input over the longer store, ok only where a search is due.
func (g *gathering) longer(ctx context.Context, r triage.Report) (Input, bool) {
	cfg := g.c.Config
	span := time.Duration(cfg.Widen)
	if g.c.Store == nil || span <= g.in.lookback() || g.cut {
		return Input{}, false
	}
	best := likeliest(r)
	creeping := r.Onset.Shape == triage.ShapeRamp && best < 0.5
	if best >= cfg.WidenBelow && !creeping {
		return Input{}, false
	}
	in := *g.in
	in.Lookback, in.Widened = span, true
	found, left, err := g.backward(ctx, r.Onset.Earliest.Add(-span))
	if err != nil {
		g.missed("store", err)
		return Input{}, false
	}
	in.Changes = slices.Clone(g.in.Changes)
	known := make(map[triage.ChangeID]bool, len(in.Changes))
	for _, ch := range in.Changes {
		known[ch.ID] = true
	}
	for _, ch := range found {
		if !known[ch.ID] {
			in.Changes, known[ch.ID] = append(in.Changes, ch), true
		}
	}
	more := len(in.Changes) - len(g.in.Changes)
	why := "no change of the usual lookback fits"
	if creeping {
		why = "the symptom crept up"
	}
	note := fmt.Sprintf("%s, so the last %s were searched: %s more", why, span1(ms(span.Milliseconds())), plural(more, "change"))
	if left {
		note += ", the latest of them; those before were left out"
	}
	in.Notes = append(slices.Clone(in.Notes), note)
	return in, true
}

// backward reads the store from now to the time given, the latest stretch first, up to storePages pages; left reports
// whether there were more.
func (g *gathering) backward(ctx context.Context, until time.Time) (found []triage.Change, left bool, err error) {
	pages := 0
	for to := g.in.At; to.After(until); to = to.Add(-storeStretch) {
		q := triage.ChangeQuery{From: to.Add(-storeStretch), To: to, Services: g.reach, Limit: storePage}
		if q.From.Before(until) {
			q.From = until
		}
		for {
			if pages++; pages > storePages {
				return found, true, nil
			}
			page, next, err := g.c.Store.FindChanges(ctx, q)
			if err != nil {
				return nil, false, err
			}
			found = append(found, page...)
			if q.After = next; next == "" {
				break
			}
		}
	}
	return found, false, nil
}
