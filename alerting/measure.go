package alerting

import (
	"context"
	"slices"
	"time"

	"github.com/triaged-dev/triaged/triage"
)

// maxControls bounds the services measured beside those an undo is about.
const maxControls = 20

// measureServices reads what the services show: those the undo is about, and those it cannot reach.
func (a *Alerting) measureServices(ctx context.Context, e *entry, u *undoing, in *VerifyInput, from time.Time) {
	own := []string{in.Service}
	if s := u.undid.Service; s != "" && s != in.Service {
		own = append(own, s)
	}
	controls, vendors, far := a.controls(e, u)
	in.Vendors, in.Far = vendors, far
	a.mu.Lock()
	q := triage.SignalQuery{Services: slices.Concat(own, controls), Scope: e.inc.Scope, From: from, To: in.Now}
	a.mu.Unlock()
	q.Scope.Service = ""
	series, err := a.opts.Metrics.Signals(ctx, q)
	if err != nil {
		a.log.Debug("signals after an undo cannot be read; they are asked for again", "service", in.Service, "err", err)
	}
	for _, s := range series {
		name := s.Labels["service"]
		failing := s.Signal == triage.SignalErrors || s.Signal == triage.SignalLatency
		if s.Signal == triage.SignalTraffic && name == in.Service {
			in.Traffic = append(in.Traffic, s)
		}
		switch {
		case failing && slices.Contains(controls, name):
			in.Controls = append(in.Controls, s)
		case failing && name == u.undid.Service:
			in.Own = append(in.Own, s)
		}
		if !failing {
			in.Alive = append(in.Alive, s)
		}
	}
	ended := slices.ContainsFunc(in.Alive, func(s triage.Series) bool {
		return slices.Contains(own, s.Labels["service"]) && presents(s) && !endOf(s, in.Now).IsZero()
	})
	if !ended && len(in.Symptom.Series) > 0 {
		return // everything is there: nobody need be asked whether it is up
	}
	health, err := a.opts.Metrics.Health(ctx, q)
	if err != nil {
		a.log.Debug("whether services are up cannot be read; they are judged without", "service", in.Service, "err", err)
	}
	in.Alive = append(in.Alive, health...)
}

// controls are the services that what was undone cannot reach: neither those that call it, however indirectly, nor those it
// calls; nearest to the incident first. Vendors count wherever they are: what ails them is not ours to undo.
func (a *Alerting) controls(e *entry, u *undoing) (names, vendors, far []string) {
	if a.opts.Topology == nil || u.undid.Service == "" || u.undid.Global {
		return nil, nil, nil
	}
	t := a.opts.Topology.Topology()
	a.mu.Lock()
	dir, here := a.directory, e.inc.Service
	near := make(map[string]bool, len(e.reach))
	for s := range e.reach {
		near[s] = true
	}
	a.mu.Unlock()
	reached := t.Upstream(u.undid.Service, maxReach)
	below := t.Downstream(u.undid.Service, maxReach)
	external := dir.Map()
	joined := joinedWith(t, here, u.undid.Service)
	seen := map[string]bool{here: true, u.undid.Service: true, "": true}
	add := func(name string) {
		if seen[name] {
			return
		}
		seen[name] = true
		if _, up := reached[name]; up {
			return
		}
		vendor := external[name].External
		if _, down := below[name]; down && !vendor {
			return
		}
		if len(names) < maxControls {
			names = append(names, name)
			if vendor {
				vendors = append(vendors, name)
			}
			if !joined[name] {
				far = append(far, name)
			}
		}
	}
	for _, close := range [...]bool{true, false} {
		for _, edge := range t.Edges() {
			for _, n := range [...]string{edge.From, edge.To} {
				if near[n] == close {
					add(n)
				}
			}
		}
	}
	return names, vendors, far
}

// joinedWith are the services that some chain of calls, whichever way they go, joins with one of these.
func joinedWith(t triage.Topology, services ...string) map[string]bool {
	out := make(map[string]bool)
	for todo := services; len(todo) > 0; {
		name := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		if name == "" || out[name] {
			continue
		}
		out[name] = true
		todo = append(append(todo, t.Callees(name)...), t.Callers(name)...)
	}
	return out
}

// maxReach is how many calls away a change may still be felt.
const maxReach = 20
