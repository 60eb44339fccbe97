package correlate

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/triaged-dev/triaged/triage"
)

// question is one thing asked of the metrics.
type question struct {
	part string
	ask  func(ctx context.Context) (*triage.Symptom, []triage.Series, error)
}

// answer is what a question brought; some of it may be there although there is an error.
type answer struct {
	at      int // index of the question
	symptom *triage.Symptom
	series  []triage.Series
	err     error
}

// Whose turn it is where the metrics cannot answer all at once: what names a suspect comes before what only compares.
const (
	turnOwn = iota
	turnEdges
	turnSplit
	turnRest
)

// ownMost is how many services count among those that matter most: the symptom's and the likeliest changes'.
const ownMost = 12

// handIn is how much earlier than the deadline the metrics are told to stop, so that what they have by then still comes.
const handIn = 200 * time.Millisecond

// series asks everything at once, in order of worth, and takes what has come when the deadline does. What failed while there is
// time is asked once more. A question that hangs is left to end by itself: its answer goes into a buffer nobody reads.
func (g *gathering) series(ctx context.Context) {
	questions := g.questions()
	answers := make(chan answer, 2*len(questions))
	inner, cancel, half := ctx, context.CancelFunc(func() {}), time.Time{}
	if end, ok := ctx.Deadline(); ok {
		left := time.Until(end)
		inner, cancel = context.WithDeadline(ctx, end.Add(-min(handIn, left/10)))
		half = end.Add(-left / 2)
	}
	ask := func(i int) {
		go func() {
			s, series, err := questions[i].ask(inner)
			answers <- answer{i, s, series, err}
		}()
	}
	for i := range questions {
		ask(i)
	}
	got := make([]*answer, len(questions))
	again := make([]bool, len(questions))
	for open := len(questions); open > 0; {
		select {
		case a := <-answers:
			if a.err != nil && !again[a.at] && time.Now().Before(half) {
				again[a.at] = true
				ask(a.at)
				continue
			}
			got[a.at] = &a
			open--
			continue
		case <-ctx.Done():
		}
		break
	}
	cancel()
	for i, q := range questions {
		switch a := got[i]; a {
		case nil:
			g.missed(q.part, context.DeadlineExceeded)
		default:
			g.take(q.part, *a)
		}
	}
	g.joinEdges()
	if ctx.Err() != nil {
		g.in.Deadline = true
	}
}

// take puts an answer into the input. Half an answer is better than none, and is said to be half.
func (g *gathering) take(part string, a answer) {
	if a.symptom != nil && (a.err == nil || a.symptom.RuleFound || len(a.symptom.Series) > 0) {
		g.in.Symptom = a.symptom
	}
	kept := 0
	for _, s := range a.series {
		_, _, edge := s.Edge()
		if edge != (part == "edges") || part == "split" && splitLabel(s.Labels) == "" {
			continue // a source that does not know such questions answers another
		}
		g.in.Series = append(g.in.Series, s)
		kept++
	}
	switch {
	case a.err == nil:
	case kept > 0 || a.symptom != nil && len(a.symptom.Series) > 0:
		g.missedPart(part, a.err)
	default:
		g.missed(part, a.err)
	}
}

// questions are what to ask, those worth most first.
func (g *gathering) questions() []question {
	var out []question
	in, src := g.in, g.c.Metrics
	from := g.fired.Add(-time.Duration(g.c.Config.SeriesHistory) - g.declared())
	alert, at := firstAlert(in.Alerts), in.At
	if len(in.Alerts) > 0 {
		out = append(out, question{"symptom", func(ctx context.Context) (*triage.Symptom, []triage.Series, error) {
			s, err := src.Symptom(ctx, alert, from, at)
			return &s, nil, err
		}})
	}
	signals := func(part string, turn int, services []string, edit func(*triage.SignalQuery)) {
		if len(services) == 0 {
			return
		}
		q := triage.SignalQuery{Services: services, Scope: in.Scope, From: from, To: at, Turn: turn}
		q.Scope.Service = ""
		if edit != nil {
			edit(&q)
		}
		out = append(out, question{part, func(ctx context.Context) (*triage.Symptom, []triage.Series, error) {
			series, err := src.Signals(ctx, q)
			return nil, series, err
		}})
	}
	own, rest := g.measured()
	signals("signals", turnOwn, own, nil)
	signals("edges", turnEdges, g.callers(slices.Concat(own, rest)), func(q *triage.SignalQuery) { q.Edges = true })
	signals("split", turnSplit, g.splittable(), func(q *triage.SignalQuery) { q.SplitBy = g.splitLabels() })
	signals("neighbours", turnRest, rest, nil)
	return out
}

// measured are the services whose signals are read: those that matter most, and the rest of the reach. Where they are few they are
// asked for together, which is one question for all.
func (g *gathering) measured() (own, rest []string) {
	var all []string
	add := func(names ...string) {
		for _, name := range names {
			if name != "" && len(all) < g.c.Config.MaxServices && !slices.Contains(all, name) {
				all = append(all, name)
			}
		}
	}
	add(g.in.Scope.Service)
	changed := g.changed()
	for _, name := range g.reach { // nearest first
		if slices.Contains(changed, name) {
			add(name)
		}
	}
	if g.reach == nil {
		add(changed...)
	}
	add(g.far[:min(len(g.far), ownMost/2)]...)
	most := len(all)
	add(g.in.Topology.Callees(g.in.Scope.Service)...)
	add(g.reach...)
	add(g.far...)
	if len(all) <= ownMost {
		return all, nil
	}
	most = min(max(most, 1), ownMost)
	return all[:most], all[most:]
}

// changed are the services of the changes, those changed nearest to the alert first.
func (g *gathering) changed() []string {
	near := slices.Clone(g.in.Changes)
	slices.SortStableFunc(near, func(a, b triage.Change) int {
		return cmp.Or(cmp.Compare(g.away(a), g.away(b)), cmp.Compare(a.ID, b.ID))
	})
	var out []string
	seen := make(map[string]bool)
	for _, ch := range near {
		if ch.Service != "" && !seen[ch.Service] {
			seen[ch.Service] = true
			out = append(out, ch.Service)
		}
	}
	return out
}

// callers are whose view of what they call is read: the symptom's, those of its callees' other callers, which tell whether a
// shared callee fails everybody, and those of all that are measured.
func (g *gathering) callers(measured []string) []string {
	name, t := g.in.Scope.Service, g.in.Topology
	var out []string
	add := func(names ...string) {
		for _, n := range names {
			if n != "" && len(out) < g.c.Config.MaxServices && !slices.Contains(out, n) {
				out = append(out, n)
			}
		}
	}
	add(name)
	add(t.Callers(name)...)
	add(t.Callees(name)...)
	for _, callee := range t.Callees(name) {
		add(t.Callers(callee)...)
	}
	add(measured...)
	return out
}

// joinEdges takes the calls that the series show into the graph, which is read less often, and marks hosts outside as such.
func (g *gathering) joinEdges() {
	var seen []triage.Edge
	for _, s := range g.in.Series {
		if from, to, ok := s.Edge(); ok {
			seen = append(seen, triage.Edge{From: from, To: to, Origin: "metrics"})
		}
	}
	if len(seen) > 0 {
		g.in.Topology = triage.MergeTopologies(g.in.Topology, triage.NewTopology(seen))
	}
	external := func(name string) {
		if _, known := g.in.Services[name]; !known && triage.ExternalHost(name) {
			if g.in.Services == nil {
				g.in.Services = make(map[string]triage.Service)
			}
			g.in.Services[name] = triage.Service{External: true}
		}
	}
	for _, e := range seen {
		external(e.To)
	}
	for _, name := range g.reach {
		external(name)
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
	g.blind(part, err, "did not answer", "so the report goes without")
}

// missedPart is missed where some of it came.
func (g *gathering) missedPart(part string, err error) {
	g.blind(part, err, "answered in part", "and the report uses what came")
}

func (g *gathering) blind(part string, err error, detail, so string) {
	g.c.metrics.failures.WithLabelValues(part).Inc()
	state := triage.SourceDown
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		detail, state = detail+" within the deadline", triage.SourceLate
		g.in.Deadline = true
	}
	g.c.Logger.Warn("evidence is missing, reporting without it", "part", part, "incident", g.req.Incident.ID, "error", err)
	name := "metrics/" + part
	if part == "history" || part == "anomalies" || part == "store" {
		name = part
	}
	if !slices.ContainsFunc(g.in.Coverage, func(c triage.Coverage) bool { return c.Source == name }) {
		g.in.Coverage = append(slices.Clone(g.in.Coverage), triage.Coverage{Source: name, State: state, To: g.in.At, Detail: detail})
		g.in.Notes = append(slices.Clone(g.in.Notes), fmt.Sprintf("%s: %s, %s", name, detail, so))
	}
}
