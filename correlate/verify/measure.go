package verify

import (
	"context"
	"slices"
	"time"

	"github.com/triaged-dev/triaged/triage"
)

const (
	seriesPad   = time.Hour // of quiet past read before the onset
	pastSpan    = 14 * 24 * time.Hour
	maxControls = 20 // services measured beside those an undo is about
	maxReach    = 20 // how many calls away a change may still be felt
)

// Verify measures what one undo did. It does not fail: what cannot be read is left out, and the answer says so. blind is set
// where nothing of the symptom could be read.
func (v *Verifier) Verify(ctx context.Context, req triage.UndoRequest) (got triage.Checked, blind bool) {
	if err := v.restores.refresh(ctx, v.o.Past, req.At); err != nil && ctx.Err() == nil {
		v.log.Warn("how long undos took before cannot be read; the configured limit holds", "err", err)
	}
	in := v.gather(ctx, req)
	return Judge(in), len(in.Symptom.Series) == 0
}

// gather reads what Judge judges by.
func (v *Verifier) gather(ctx context.Context, req triage.UndoRequest) Input {
	inc := req.Incident
	in := Input{
		Undid: req.Undid, Undo: req.Undo, Others: slices.Clone(req.Undos), Service: inc.Service, Signal: req.Signal,
		Onset: req.Onset, Now: req.At, Firing: inc.Firing(), Limits: req.Limits,
	}
	if p90, n := v.restores.p90(req.Undid.Kind); n > 0 {
		in.Restores = n
		in.Limits.GiveUp = p90
		in.Limits.MoveOn = max(in.Limits.MoveOn, 2*p90)
	}
	since := in.Undo.EffectAt().Add(-in.Limits.GiveUp) // what acted before that would have shown before the undo
	for _, c := range req.Moving {
		if c.LastActivity().After(since) {
			in.Others = append(in.Others, c)
		}
	}
	from := req.Onset.Earliest.Add(-seriesPad)
	if len(inc.Alerts) > 0 {
		s, err := v.o.Metrics.Symptom(ctx, inc.Alerts[0], from, in.Now)
		if err != nil {
			v.log.Debug("symptom after an undo cannot be read; it is asked again", "incident", inc.ID, "err", err)
		}
		in.Symptom = s
	}
	v.services(ctx, req, &in, from)
	if v.o.Alerts != nil && len(inc.Alerts) > 0 {
		al := inc.Alerts[0]
		earlier, err := v.o.Alerts.AlertHistory(ctx, al.Name(), inc.Service, al.StartsAt.Add(-pastSpan))
		if err != nil {
			v.log.Debug("the alert's past cannot be read; it is judged without", "incident", inc.ID, "err", err)
		}
		in.Earlier = slices.DeleteFunc(earlier, func(o triage.Alert) bool { return !o.StartsAt.Before(al.StartsAt) })
	}
	return in
}

// services reads what the services show: those the undo is about, and those it cannot reach.
func (v *Verifier) services(ctx context.Context, req triage.UndoRequest, in *Input, from time.Time) {
	own := []string{in.Service}
	if s := req.Undid.Service; s != "" && s != in.Service {
		own = append(own, s)
	}
	controls, vendors, far := v.controls(req)
	in.Vendors, in.Far = vendors, far
	q := triage.SignalQuery{Services: slices.Concat(own, controls), Scope: req.Incident.Scope, From: from, To: in.Now}
	q.Scope.Service = ""
	series, err := v.o.Metrics.Signals(ctx, q)
	if err != nil {
		v.log.Debug("signals after an undo cannot be read; they are asked for again", "service", in.Service, "err", err)
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
		case failing && name == req.Undid.Service:
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
	health, err := v.o.Metrics.Health(ctx, q)
	if err != nil {
		v.log.Debug("whether services are up cannot be read; they are judged without", "service", in.Service, "err", err)
	}
	in.Alive = append(in.Alive, health...)
}

// controls are the services that what was undone cannot reach: neither those that call it, however indirectly, nor those it
// calls; nearest to the incident first. Vendors count wherever they are: what ails them is not ours to undo.
func (v *Verifier) controls(req triage.UndoRequest) (names, vendors, far []string) {
	if v.o.Topology == nil || req.Undid.Service == "" || req.Undid.Global {
		return nil, nil, nil
	}
	t := v.o.Topology.Topology()
	here := req.Incident.Service
	reached := t.Upstream(req.Undid.Service, maxReach)
	below := t.Downstream(req.Undid.Service, maxReach)
	external := v.o.Directory().Map()
	joined := joinedWith(t, here, req.Undid.Service)
	seen := map[string]bool{here: true, req.Undid.Service: true, "": true}
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
				if slices.Contains(req.Near, n) == close {
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
