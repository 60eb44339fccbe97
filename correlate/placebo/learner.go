// Package placebo learns what the signals of each service do here when nothing is wrong: after changes that no incident followed,
// and at quiet times. Against that the ranking holds a shift beside a suspect. It asks the metrics gently, one occasion at a time and
// not while an incident is open, and keeps its findings in the journal.
package placebo

import (
	"cmp"
	"context"
	"fmt"
	"hash/fnv"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	prom "github.com/prometheus/client_golang/prometheus"

	"github.com/triaged-dev/triaged/correlate"
	"github.com/triaged-dev/triaged/triage"
)

// What is looked at around one occasion, and what keeps it from being one.
const (
	before   = 40 * time.Minute // read before the change: what "usual" means
	after    = 6 * time.Minute  // and after its last step: a first minute and the five after it
	ripe     = 30 * time.Minute // a younger change may yet be followed by an incident
	lead     = 15 * time.Minute // trouble begins before its page
	longest  = 2 * time.Hour    // a rollout that took longer is not told apart from what else went on
	askTime  = 20 * time.Second // for one occasion
	quietMax = 20               // occasions at quiet times, for each service
	pages    = 20               // of changes and incidents that one look goes through
	page     = 100
)

// Metrics reads the signals of services.
type Metrics interface {
	Signals(ctx context.Context, q triage.SignalQuery) ([]triage.Series, error)
}

// Store knows what changed, and what went wrong.
type Store interface {
	FindChanges(ctx context.Context, q triage.ChangeQuery) ([]triage.Change, string, error)
	Incidents(ctx context.Context, q triage.IncidentQuery) ([]triage.Incident, string, error)
}

// Past reads back from the metrics what changed and which alerts fired before anything was journalled. Half an answer is an answer.
type Past interface {
	PastChanges(ctx context.Context, from, to time.Time) ([]triage.Change, error)
	PastFirings(ctx context.Context, from, to time.Time) ([]triage.Alert, error)
}

// State keeps a small value under a name. Nil means never set.
type State interface {
	State(ctx context.Context, key string) ([]byte, error)
	SetState(ctx context.Context, key string, value []byte) error
}

// Options are the parts of a Learner. All but Past, Registerer, Logger and Now are required.
type Options struct {
	Config     func() correlate.PlaceboConfig // the one in force
	Metrics    Metrics
	Store      Store
	Past       Past
	State      State
	Topology   triage.TopologySource
	Logger     *slog.Logger
	Registerer prom.Registerer
	Now        func() time.Time
}

// Learner measures occasions. It is safe for concurrent use.
type Learner struct {
	Options
	looks *prom.CounterVec

	mu   sync.Mutex
	rec  record
	todo []occasion
	past past      // read once
	next time.Time // when changes are listed again
}

// occasion is one time at which nothing was wrong.
type occasion struct {
	service string
	change  *triage.Change // nil: a quiet time
	at      time.Time
}

// New reads what was learned before.
func New(ctx context.Context, o Options) (*Learner, error) {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	l := &Learner{Options: o, looks: prom.NewCounterVec(prom.CounterOpts{
		Name: "triaged_placebo_looks_total",
		Help: "Times at which nothing was wrong whose metrics were read to learn what is usual, by outcome: measured, empty, failed.",
	}, []string{"outcome"})}
	if err := l.load(ctx); err != nil {
		return nil, err
	}
	if o.Registerer != nil {
		o.Registerer.MustRegister(l.looks, prom.NewGaugeFunc(prom.GaugeOpts{
			Name: "triaged_placebo_services", Help: "Services of which it was learned what is usual.",
		}, func() float64 { l.mu.Lock(); defer l.mu.Unlock(); return float64(len(l.rec.Services)) }))
	}
	return l, nil
}

// Run looks at one occasion after the other until ctx ends.
func (l *Learner) Run(ctx context.Context) error {
	saved := l.Now()
	for {
		every := time.Duration(l.Config().Every)
		wait := every
		if every <= 0 {
			wait = time.Minute // switched off; a reload may switch it on
		}
		select {
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
			defer cancel()
			l.save(last)
			return ctx.Err()
		case <-time.After(wait):
		}
		if every > 0 {
			if _, err := l.Look(ctx); err != nil && ctx.Err() == nil {
				l.Logger.Warn("what is usual could not be measured", "err", err)
			}
		}
		if now := l.Now(); now.Sub(saved) > saveEach {
			l.save(ctx)
			saved = now
		}
	}
}

// Look measures the next occasion, and reports whether there was one.
func (l *Learner) Look(ctx context.Context) (bool, error) {
	open, err := l.open(ctx)
	if err != nil || open {
		return false, err
	}
	now := l.Now()
	l.mu.Lock()
	empty, due := len(l.todo) == 0, !now.Before(l.next)
	l.mu.Unlock()
	if empty && due {
		todo, err := l.list(ctx, now)
		if err != nil {
			return false, err
		}
		l.mu.Lock()
		l.todo, l.next = todo, now.Add(listEach)
		l.mu.Unlock()
	}
	l.mu.Lock()
	if len(l.todo) == 0 {
		l.mu.Unlock()
		return false, nil
	}
	o := l.todo[0]
	l.todo = l.todo[1:]
	l.mu.Unlock()
	return true, l.measure(ctx, o)
}

// listEach is how often changes are listed.
const listEach = 10 * time.Minute

// open reports whether something is wrong right now: then the metrics are needed for that.
func (l *Learner) open(ctx context.Context) (bool, error) {
	are, _, err := l.Store.Incidents(ctx, triage.IncidentQuery{States: []triage.IncidentState{triage.IncidentOpen, triage.IncidentMitigating}, From: l.Now().Add(-24 * time.Hour), Limit: 1})
	return len(are) > 0, err
}

// measure reads the signals around one occasion.
func (l *Learner) measure(ctx context.Context, o occasion) error {
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	until := o.at.Add(after)
	if o.change != nil {
		until = o.change.LastActivity().Add(after)
	}
	series, err := l.Metrics.Signals(ctx, triage.SignalQuery{Services: []string{o.service}, From: o.at.Add(-before), To: until})
	if err != nil {
		l.looks.WithLabelValues("failed").Inc()
		return fmt.Errorf("signals of %s around %s: %w", o.service, o.at.UTC().Format(time.RFC3339), err)
	}
	found := correlate.MeasurePlacebo(series, o.service, o.change, o.at, until)
	outcome := "measured"
	if len(found) == 0 {
		outcome = "empty"
	}
	l.looks.WithLabelValues(outcome).Inc()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.rec.add(o, found)
	return nil
}

// list finds the occasions not looked at yet: the latest changes first, then quiet times of the services that changed.
func (l *Learner) list(ctx context.Context, now time.Time) ([]occasion, error) {
	from := now.Add(-time.Duration(l.Config().History))
	bad, err := l.troubles(ctx, from)
	if err != nil {
		return nil, err
	}
	old := l.readPast(ctx, from, now)
	for _, a := range old.firings {
		scope, _ := triage.ScopeOf(a.Labels, triage.SubjectOf(a.Labels, nil), nil)
		bad.of = append(bad.of, trouble{scope.Service, triage.Span{From: a.StartsAt.Add(-lead), To: cmp.Or(a.EndsAt, now)}})
	}
	var changes []triage.Change
	q := triage.ChangeQuery{From: from, To: now.Add(-ripe), Limit: page, Newest: true}
	for range pages {
		found, after, err := l.Store.FindChanges(ctx, q)
		if err != nil {
			return nil, fmt.Errorf("list changes: %w", err)
		}
		changes = append(changes, found...)
		if q.After = after; after == "" {
			break
		}
	}
	changes = append(changes, old.unknownTo(changes)...)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.rec.forget(from)
	var out []occasion
	planned := make(map[string]int)
	acted := make(map[string][]triage.Span)
	for i := range changes {
		ch := &changes[i]
		if ch.Service == "" {
			continue
		}
		span := triage.Span{From: ch.OccurredAt(), To: ch.LastActivity()}
		acted[ch.Service] = append(acted[ch.Service], span)
		key := ch.Service + " " + string(correlate.PlaceboAfterOf(ch.Kind))
		if span.To.Sub(span.From) > longest || span.To.After(q.To) || l.rec.Seen[ch.ID] != 0 || planned[key] >= triage.PlaceboMost || bad.touches(ch.Service, span.From.Add(-5*time.Minute), span.To.Add(ripe)) {
			continue
		}
		planned[key]++
		out = append(out, occasion{service: ch.Service, change: ch, at: span.From})
	}
	for _, name := range sortedKeys(acted) {
		out = append(out, l.quiet(name, from, q.To, acted[name], bad)...)
	}
	return out, nil
}

// quiet picks times of a service at which nothing changed and nothing was wrong, spread over the history by its name, so that a
// restart picks the same.
func (l *Learner) quiet(name string, from, to time.Time, acted []triage.Span, bad troubles) []occasion {
	var out []occasion
	span := to.Sub(from)
	looked := 0
	if s := l.rec.Services[name]; s != nil {
		looked = len(s.Looked)
	}
	for i := range 3 * quietMax {
		h := fnv.New64a()
		fmt.Fprintf(h, "%s %d", name, i)
		at := from.Truncate(24 * time.Hour).Add(time.Duration(h.Sum64() % uint64(span))).Truncate(time.Second)
		if looked+len(out) >= quietMax || at.Before(from) || at.After(to) || l.rec.looked(name, at) {
			continue
		}
		near := func(s triage.Span) bool { return s.From.Before(at.Add(after)) && s.To.After(at.Add(-lead)) }
		if slices.ContainsFunc(acted, near) || bad.touches(name, at.Add(-after), at.Add(after)) {
			continue
		}
		out = append(out, occasion{service: name, at: at})
	}
	return out
}

// troubles are stretches in which something was wrong, by the service it was wrong with, and who could have felt it.
type troubles struct {
	topology triage.Topology
	of       []trouble
}

type trouble struct {
	service string
	span    triage.Span
}

// reach is how many calls away trouble is still the same trouble.
const reach = 3

func (l *Learner) troubles(ctx context.Context, from time.Time) (troubles, error) {
	out := troubles{topology: l.Topology.Topology()}
	q := triage.IncidentQuery{From: from.Add(-lead), Limit: page}
	for range pages {
		found, after, err := l.Store.Incidents(ctx, q)
		if err != nil {
			return out, fmt.Errorf("list incidents: %w", err)
		}
		for _, i := range found {
			end := cmp.Or(i.RecoveredAt, i.ClosedAt, l.Now())
			out.of = append(out.of, trouble{i.Service, triage.Span{From: i.OpenedAt.Add(-lead), To: end}})
		}
		if q.After = after; after == "" {
			break
		}
	}
	return out, nil
}

// touches reports whether something was wrong from from to to that the service may have had to do with.
func (t troubles) touches(service string, from, to time.Time) bool {
	var near map[string]int
	for _, b := range t.of {
		if !b.span.From.Before(to) || !b.span.To.After(from) {
			continue
		}
		if b.service == "" || b.service == service || !t.topology.Has(b.service) || !t.topology.Has(service) {
			return true
		}
		if near == nil {
			near = t.topology.Downstream(service, reach)
			maps.Copy(near, t.topology.Upstream(service, reach))
		}
		if _, ok := near[b.service]; ok {
			return true
		}
	}
	return false
}
