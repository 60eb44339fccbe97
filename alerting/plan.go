package alerting

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/triaged-dev/triaged/alerting/outbox"
	"github.com/triaged-dev/triaged/triage"
)

// PerOwner is the name of a receiver's place for one owner.
func PerOwner(receiver, owner string) string { return receiver + "@" + owner }

// planning is what decides who is told.
type planning struct {
	inc   triage.Incident
	r     triage.Report
	route RouteConfig
	dir   *triage.Directory
}

// suspectFacts is how the names of facts about the likely change begin. They may be others in the next report.
const suspectFacts = "suspect_"

// facts are an alert's labels with what is known besides: owner (and team, the same), tier, service, and suspect_owner, suspect_service and
// suspect_kind of the change that the report calls likely. A label that the alert has itself wins, but for those of the suspect, which no
// alert can know.
func (p planning) facts(service string, labels map[string]string) map[string]string {
	out := make(map[string]string, len(labels)+7)
	if s, ok := p.dir.Service(service); ok {
		out["owner"], out["team"] = s.Owner, s.Owner
		if s.Tier > 0 {
			out["tier"] = strconv.Itoa(s.Tier)
		}
	}
	out["service"] = service
	maps.Copy(out, labels)
	delete(out, "suspect_owner")
	delete(out, "suspect_service")
	delete(out, "suspect_kind")
	if ch := p.suspect(); ch != nil {
		out["suspect_service"], out["suspect_kind"] = ch.Service, string(ch.Kind)
		if s, ok := p.dir.Service(ch.Service); ok {
			out["suspect_owner"] = s.Owner
		}
	}
	return out
}

// factsOf are the facts of one of the incident's alerts.
func (p planning) factsOf(a *Alerting, al triage.Alert) map[string]string {
	scope, _, _ := a.subject(al, p.dir)
	return p.facts(cmp.Or(scope.Service, p.inc.Service), al.Labels)
}

// suspect is the change that the report calls likely; nil where it names none, or several.
func (p planning) suspect() *triage.Change {
	if v := p.r.Standing(); v.Word == triage.WordLikely && p.r.Kind != triage.ReportRecovered {
		return v.Named[0].Change
	}
	return nil
}

// destinations are where a report goes: wherever one of the incident's alerts is routed to, if it pages; who was told while another
// change was the likely one; and the team whose change is.
func (a *Alerting) destinations(ctx context.Context, p planning) ([]outbox.Destination, error) {
	if !p.inc.Pages {
		return nil, nil
	}
	var earlier []triage.Delivery
	if p.r.Number > 1 && p.route.asksOfSuspect() {
		var err error
		if earlier, err = a.out.Of(ctx, p.inc.ID); err != nil {
			return nil, err
		}
	}
	var targets []Target
	hurt := make(map[string]bool) // owners of what hurts
	for _, al := range p.inc.Alerts {
		scope, _, _ := a.subject(al, p.dir)
		service := cmp.Or(scope.Service, p.inc.Service)
		owner := p.ownerOf(service)
		hurt[owner] = true
		for _, t := range p.route.Targets(p.facts(service, al.Labels)) {
			t.Receiver = p.placeOf(t.Receiver, owner, a.out.Has)
			targets = mergeTargets(targets, []Target{t})
		}
	}
	targets = liveFirst(targets)
	now, held := a.now(), a.inhibited(p)
	out := make([]outbox.Destination, 0, len(targets))
	for i, t := range targets {
		to := outbox.Destination{Receiver: t.Receiver, Shadow: t.Mode == ModeShadow}
		switch {
		case held:
			to.Shadow, to.Muted = true, mutedByAlert
		case t.mutedAt(now):
			to.Shadow, to.Muted = true, mutedByTime
		}
		if to.Muted != "" {
			targets[i].Mode = ModeShadow // nor is anybody told as a courtesy
		}
		out = append(out, to)
	}
	for _, del := range earlier {
		if receiver := del.Receiver[:max(0, strings.LastIndexByte(del.Receiver, '/'))]; del.Courtesy == "" {
			out = append(out, outbox.Destination{Receiver: receiver, Shadow: del.State == triage.DeliveryShadow})
		}
	}
	return append(out, p.courtesies(targets, hurt, earlier, a.out.Has)...), nil
}

// courtesies are the teams to tell: the one whose change is the likely one, where it is not one of those who hurt, has a place of its
// own, and was not told before about this incident.
func (p planning) courtesies(targets []Target, hurt map[string]bool, earlier []triage.Delivery, has func(string) bool) []outbox.Destination {
	ch := p.suspect()
	if ch == nil || p.inc.State == triage.IncidentRecovered {
		return nil
	}
	team := p.ownerOf(ch.Service)
	if team == "" || hurt[team] || slices.ContainsFunc(earlier, func(del triage.Delivery) bool { return del.Courtesy == team }) {
		return nil
	}
	var out []outbox.Destination
	for _, t := range targets {
		if receiver := PerOwner(t.SuspectReceiver, team); t.SuspectReceiver != "" && has(receiver) {
			out = append(out, outbox.Destination{Receiver: receiver, Shadow: t.Mode == ModeShadow, Courtesy: team})
		}
	}
	return out
}

// placeOf is where a receiver posts for an owner: the owner's own place, where it has one, else that of everybody else.
func (p planning) placeOf(receiver, owner string, has func(string) bool) string {
	if place := PerOwner(receiver, owner); owner != "" && has(place) {
		return place
	}
	return cmp.Or(p.route.Fallback[receiver], receiver)
}

func (p planning) ownerOf(service string) string {
	s, _ := p.dir.Service(service)
	return s.Owner
}

// asksOfSuspect reports whether who is told depends on the likely change.
func (r RouteConfig) asksOfSuspect() bool {
	return r.SuspectReceiver != "" || r.Matchers.on(suspectFacts) || slices.ContainsFunc(r.Routes, RouteConfig.asksOfSuspect)
}

// liveFirst puts what is live before what is recorded, otherwise in order: of two that name one receiver the first counts.
func liveFirst(targets []Target) []Target {
	out := slices.Clone(targets)
	recorded := func(t Target) int {
		if t.Mode == ModeLive {
			return 0
		}
		return 1
	}
	slices.SortStableFunc(out, func(x, y Target) int { return recorded(x) - recorded(y) })
	return out
}

// ownerOf is the team that owns what hurts.
func (a *Alerting) ownerOf(inc triage.Incident) string {
	a.mu.Lock()
	dir := a.directory
	a.mu.Unlock()
	s, _ := dir.Service(inc.Service)
	return s.Owner
}
