package main

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"slices"
	"time"

	"github.com/triaged-dev/triaged/correlate"
	"github.com/triaged-dev/triaged/triage"
)

// calls is a shop of n services: a tree in which each calls three others.
func calls(n int) triage.Topology {
	var edges []triage.Edge
	for i := range n {
		for k := 3*i + 1; k <= 3*i+3 && k < n; k++ {
			edges = append(edges, triage.Edge{From: fmt.Sprintf("service-%04d", i), To: fmt.Sprintf("service-%04d", k)})
		}
	}
	return triage.NewTopology(edges)
}

// question asks about one service of the shop: its alert, and those its cause can sit on.
func question(topology triage.Topology, service string, now time.Time) correlate.Input {
	return correlate.Input{
		At: now, Scope: triage.Scope{Service: service, Environment: "production"}, Topology: topology,
		Alerts: []triage.Alert{{Labels: map[string]string{"alertname": "High", "service": service, "environment": "production"}, StartsAt: now}},
	}
}

// reachOf are the services within four hops, as the correlator asks the window for them.
func reachOf(topology triage.Topology, service string) []string {
	hops := topology.Downstream(service, 4)
	for s := range topology.Upstream(service, 4) {
		hops[s] = 0
	}
	out := make([]string, 0, len(hops))
	for s := range hops {
		out = append(out, s)
	}
	slices.Sort(out)
	return out
}

// sampled runs f n times and returns its durations, sorted, and what one run allocates.
func sampled(n int, f func(i int) error) ([]time.Duration, uint64, error) {
	out := make([]time.Duration, n)
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for i := range out {
		began := time.Now()
		if err := f(i); err != nil {
			return nil, 0, err
		}
		out[i] = time.Since(began)
	}
	runtime.ReadMemStats(&after)
	slices.Sort(out)
	return out, (after.Mallocs - before.Mallocs) / uint64(n), nil
}

// benchRank measures a window query and Rank together, for alerts of changing services, against a plain scan over all changes
// that does nothing but select and sort them. The growth is the slope of both over the size of the window: the number of changes
// in reach stays the same then, and so should the time.
func benchRank(ctx context.Context, o options, r *results) error {
	sizes := []int{1_000, 10_000, 100_000}
	if o.short {
		sizes = []int{1_000, 8_000}
	}
	var x, times, allocs []float64
	for _, n := range sizes {
		services := 2000
		p, err := newRankPlace(ctx, n, services)
		if err != nil {
			return err
		}
		now := p.now
		const few = 20 // services asked about, of which none has more than a few hundred in reach
		ask := func(i int) (correlate.Input, []triage.Change, error) {
			service := fmt.Sprintf("service-%04d", 200+i%few*80)
			in := question(p.topology, service, now)
			found, _, err := p.stack.collector.Find(ctx, triage.ChangeQuery{From: now.Add(-time.Hour), To: now, Services: reachOf(p.topology, service), Environment: "production"})
			return in, found, err
		}
		candidates := 0
		rounds := 2000
		if o.short {
			rounds = 200
		}
		got, allocated, err := sampled(rounds, func(i int) error {
			in, found, err := ask(i)
			if err != nil {
				return err
			}
			in.Changes = found
			candidates += len(found)
			correlate.Rank(in)
			return nil
		})
		if err != nil {
			return err
		}
		scan, _, _ := sampled(rounds/4, func(i int) error { return p.scan(fmt.Sprintf("service-%04d", 200+i%few*80)) })
		l := line{
			Name: fmt.Sprintf("QueryAndRank/changes=%d/services=%d/p99", n, services), Ours: ms(quantile(got, 0.99)), Unit: "ms", Less: true,
			Limit: ms(quantile(scan, 0.99)), By: "a plain scan that only selects and sorts",
			Note: fmt.Sprintf("p50 %s ms; %.1f candidates, %d allocations", figure(ms(quantile(got, 0.5))), float64(candidates)/float64(rounds), allocated),
		}
		if n == 100_000 {
			l.Budget = 5
		}
		r.add(l)
		x, times, allocs = append(x, float64(n)), append(times, ms(quantile(got, 0.5))), append(allocs, float64(allocated)/max(1, float64(candidates)/float64(rounds)))
		if err := p.close(); err != nil {
			return err
		}
	}
	r.add(line{Name: "QueryAndRank/growth-over-window", Ours: slope(x, times), Unit: "slope", Less: true, Budget: 1, Note: "log of the median over log of the changes in the window, at constant services: candidates in reach grow alike"})
	r.add(line{Name: "QueryAndRank/allocations-per-candidate/growth", Ours: slope(x, allocs), Unit: "slope", Less: true, Budget: 0.1, Note: "not above zero: allocations are bounded by the candidates in reach"})
	return benchRankAlone(o, r)
}

// benchRankAlone measures Rank over the number of its candidates and over the size of the topology, with and without series.
func benchRankAlone(o options, r *results) error {
	rounds := 200
	if o.short {
		rounds = 30
	}
	now := time.Now().UTC()
	for _, with := range []string{"none", "series"} {
		var x, y []float64
		for _, n := range []int{10, 100, 1000} {
			in := rankInput(n, 2000, now, with == "series")
			got, allocated, _ := sampled(max(5, rounds*10/n), func(int) error { correlate.Rank(in); return nil })
			x, y = append(x, float64(n)), append(y, ms(quantile(got, 0.5)))
			r.add(line{Name: fmt.Sprintf("Rank/candidates=%d/metrics=%s", n, with), Ours: ms(quantile(got, 0.5)), Unit: "ms", Less: true, Note: fmt.Sprintf("p99 %s ms, %d allocations", figure(ms(quantile(got, 0.99))), allocated)})
		}
		r.add(line{Name: "Rank/growth-over-candidates/metrics=" + with, Ours: slope(x, y), Unit: "slope", Less: true, Budget: 1.25, Note: "1 is linear"})
	}
	var x, y []float64
	for _, services := range []int{20, 200, 2000, 5000} {
		in := rankInput(100, services, now, false)
		got, _, _ := sampled(rounds, func(int) error { correlate.Rank(in); return nil })
		x, y = append(x, float64(services)), append(y, ms(quantile(got, 0.5)))
		r.add(line{Name: fmt.Sprintf("Rank/services=%d/candidates=100", services), Ours: ms(quantile(got, 0.5)), Unit: "ms", Less: true})
	}
	r.add(line{Name: "Rank/growth-over-services", Ours: slope(x, y), Unit: "slope", Less: true, Budget: 1})
	return nil
}

// rankInput is an alert at the root's first callee with n changes around it.
func rankInput(n, services int, now time.Time, series bool) correlate.Input {
	in := question(calls(services), "service-0001", now)
	reach := reachOf(in.Topology, "service-0001")
	for i := range n {
		c := makeChange(fmt.Sprintf("r:%06d", i), 0, now.Add(-time.Duration(i%29+1)*time.Minute), 512)
		c.Service = reach[i%len(reach)]
		in.Changes = append(in.Changes, c)
	}
	if series {
		for i := range min(60, len(reach)) {
			values := make([]float64, 120)
			for k := range values {
				values[k] = 0.01 + float64((k*7919+i)%100)/50_000
				if k > 110 && i == 0 {
					values[k] = 0.2
				}
			}
			in.Series = append(in.Series, triage.Series{
				Metric: "errors", Labels: map[string]string{"service": reach[i]}, Signal: triage.SignalErrors, StepS: 30,
				Start: now.Add(-time.Hour), Values: values,
			})
		}
	}
	return in
}

// rankPlace is a window of n changes spread over the last three hours and over all services.
type rankPlace struct {
	stack    *stack
	dir      string
	topology triage.Topology
	changes  []triage.Change
	now      time.Time
}

func newRankPlace(ctx context.Context, n, services int) (*rankPlace, error) {
	dir, err := os.MkdirTemp("", "proof")
	if err != nil {
		return nil, err
	}
	s, err := newStack(ctx, dir)
	if err != nil {
		return nil, err
	}
	p := &rankPlace{stack: s, dir: dir, topology: calls(services), now: time.Now().UTC()}
	const batch = 1000
	for from := 0; from < n; from += batch {
		events := make([]triage.Event, 0, batch)
		for i := from; i < min(n, from+batch); i++ {
			p.changes = append(p.changes, makeChange(fmt.Sprintf("w:%08d", i), i*7919%services, p.now.Add(-time.Duration(i)*170*time.Minute/time.Duration(n)), 512))
			events = append(events, triage.Event{Change: &p.changes[len(p.changes)-1]})
		}
		if err := s.collector.Emit(ctx, events); err != nil {
			return nil, err
		}
	}
	return p, nil
}

func (p *rankPlace) scan(service string) error {
	reach := make(map[string]bool)
	for _, s := range reachOf(p.topology, service) {
		reach[s] = true
	}
	from := p.now.Add(-time.Hour)
	var found []triage.Change
	for i := range p.changes {
		if c := &p.changes[i]; reach[c.Service] && !c.LastActivity().Before(from) && !c.OccurredAt().After(p.now) {
			found = append(found, *c)
		}
	}
	slices.SortFunc(found, func(a, b triage.Change) int { return a.OccurredAt().Compare(b.OccurredAt()) })
	if len(found) == 0 {
		return fmt.Errorf("nothing found near %s", service)
	}
	return nil
}

func (p *rankPlace) close() error { return firstOf(p.stack.close(), os.RemoveAll(p.dir)) }
