package alerting

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/triaged-dev/triaged/triage"
)

// lateRepeat is how long after a resolution the same firing of an alert is taken for a repeat that was on its way:
// a retry, or the slower one of an HA pair.
const lateRepeat = time.Minute

// placed is what an alert is about.
type placed struct {
	scope   triage.Scope
	rule    triage.NameRule
	subject triage.Subject
}

// touched is what one Accept did to one incident.
type touched struct {
	seq   uint64
	cause string // of the triage it asks for; empty: none
}

// Accept places the alerts in incidents and returns nil once the store has every change that makes. It then queues the
// triage and does not wait for it. On an error the sender should send the group again: taking it twice is harmless.
// Every alert is counted under one outcome. Before Run has loaded the open incidents it blocks, or until ctx ends.
func (a *Alerting) Accept(ctx context.Context, g Group) error {
	select {
	case <-a.loaded:
	case <-ctx.Done():
		return ctx.Err()
	}
	now := a.now()
	a.metrics.alerts.WithLabelValues(outcomeInvalid).Add(float64(len(g.Problems)))
	a.metrics.alerts.WithLabelValues(outcomeTruncated).Add(float64(g.Truncated))

	work, refused := a.placeAll(g.Alerts, now)
	var errs []error
	if refused {
		errs = append(errs, ErrBusy)
	}
	for _, e := range slices.SortedFunc(maps.Keys(work), func(x, y *entry) int { return strings.Compare(x.inc.ID, y.inc.ID) }) {
		if err := a.persist(ctx, e, work[e].seq); err != nil {
			errs = append(errs, err)
		}
		// Queued even if the store failed: the alert is known here, and a report is better than none.
		if work[e].cause != "" {
			a.enqueue(e, work[e].cause, now)
		}
	}
	return errors.Join(errs...)
}

func (a *Alerting) placeAll(alerts []triage.Alert, now time.Time) (map[*entry]touched, bool) {
	work := make(map[*entry]touched)
	refused := false
	var topology triage.Topology
	if a.opts.Topology != nil {
		topology = a.opts.Topology.Topology()
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, al := range alerts {
		e, outcome, cause := a.place(al, topology, now)
		a.metrics.alerts.WithLabelValues(outcome).Inc()
		refused = refused || outcome == outcomeRefused
		if e == nil {
			continue
		}
		t := work[e]
		if e.saved < e.seq {
			t.seq = e.seq
		}
		if cause != "" && (t.cause == "" || causeWeight(cause) > causeWeight(t.cause)) {
			t.cause = cause
		}
		work[e] = t
	}
	return work, refused
}

// place finds or opens the incident of one alert. Needs a.mu.
func (a *Alerting) place(al triage.Alert, topology triage.Topology, now time.Time) (e *entry, outcome, cause string) {
	if a.cfg.Ignore.Any(al.Labels) {
		return nil, outcomeIgnored, ""
	}
	fp := triage.LabelsFingerprint(al.Labels)
	al.Fingerprint = fp // once, not at every sweep
	if e := a.byAlert[fp]; e != nil {
		if outcome, cause, ok := a.renew(e, al, fp, now); ok {
			return e, outcome, cause
		}
	}
	if al.Status == triage.AlertResolved {
		return nil, outcomeUnseen, ""
	}
	scope, rule, subject := a.subject(al, a.directory)

	e = a.find(al, scope, topology, now)
	if e == nil {
		if len(a.entries) >= a.cfg.MaxOpen {
			return nil, outcomeRefused, ""
		}
		return a.open(al, placed{scope, rule, subject}, now), outcomeNew, CauseAlert
	}
	if !a.makeRoom(e) {
		return e, outcomeOverflow, ""
	}
	if e.inc.State == triage.IncidentRecovered {
		endEpisode(e.change(), al)
	}
	inc := e.change()
	inc.Alerts = append(inc.Alerts, al)
	inc.UpdatedAt = now
	a.byAlert[fp] = e
	e.heard[fp] = now
	switch {
	case !inc.Pages && a.cfg.Pages.All(al.Labels):
		inc.Pages = true
		cause = CauseAlert // nobody was told yet: do not wait
	case inc.State == triage.IncidentRecovered:
		cause = CauseReopened
	default:
		cause = CauseMoreAlerts
	}
	if inc.State == triage.IncidentRecovered {
		a.reopen(e, now)
	}
	return e, outcomeJoined, cause
}

// renew takes a further word about an alert that e holds. ok is false if it is a relapse too late to belong to e. Needs a.mu.
func (a *Alerting) renew(e *entry, al triage.Alert, fp string, now time.Time) (outcome, cause string, ok bool) {
	i := slices.IndexFunc(e.inc.Alerts, func(o triage.Alert) bool { return o.LabelFingerprint() == fp })
	if i < 0 {
		return "", "", false
	}
	known := e.inc.Alerts[i]
	firing := known.Status != triage.AlertResolved
	switch {
	case al.Status == triage.AlertResolved && (!firing || al.StartsAt.Before(known.StartsAt)):
		return outcomeDuplicate, "", true
	case al.Status == triage.AlertResolved:
		inc := e.change()
		inc.Alerts[i].Status, inc.Alerts[i].EndsAt = triage.AlertResolved, al.EndsAt
		inc.UpdatedAt = now
		delete(e.heard, fp)
		markRecovered(inc, now)
		return outcomeResolved, "", true
	case firing:
		e.heard[fp] = now
		if !al.EndsAt.Equal(known.EndsAt) { // the promise to repeat was renewed; not worth a write
			if e.shared {
				e.inc.Alerts, e.shared = slices.Clone(e.inc.Alerts), false
			}
			e.inc.Alerts[i].EndsAt = al.EndsAt
		}
		return outcomeDuplicate, "", true
	case !al.StartsAt.After(known.StartsAt) && now.Sub(known.EndsAt) < lateRepeat:
		return outcomeDuplicate, "", true
	case e.inc.State == triage.IncidentRecovered && now.Sub(e.inc.RecoveredAt) > time.Duration(a.cfg.ReopenWithin):
		return "", "", false
	}
	inc := e.change()
	if inc.State == triage.IncidentRecovered {
		endEpisode(inc, al)
	}
	inc.Alerts[i] = al
	inc.UpdatedAt = now
	e.heard[fp] = now
	if inc.State == triage.IncidentRecovered {
		a.reopen(e, now)
		return outcomeFlapping, CauseReopened, true
	}
	return outcomeFlapping, CauseMoreAlerts, true
}

// markRecovered marks the incident recovered if nothing fires any more.
func markRecovered(inc *triage.Incident, now time.Time) {
	if inc.Firing() == 0 && inc.State != triage.IncidentRecovered {
		inc.State, inc.RecoveredAt = triage.IncidentRecovered, now
	}
}

// endEpisode closes the episode that has recovered and begins the one that al opens.
func endEpisode(inc *triage.Incident, al triage.Alert) {
	began := inc.EpisodeAt
	for _, a := range inc.Current() {
		if began.IsZero() || a.StartsAt.Before(began) {
			began = a.StartsAt
		}
	}
	ended := inc.RecoveredAt
	if ended.After(al.StartsAt) {
		ended = al.StartsAt // recovery was heard of later than the alert that followed it
	}
	if began.Before(ended) {
		inc.Episodes = append(slices.Clone(inc.Episodes), triage.Span{From: began, To: ended})
		inc.Episodes = inc.Episodes[max(0, len(inc.Episodes)-triage.MaxEpisodes):]
	}
	inc.EpisodeAt = al.StartsAt
}

// reopen takes a recovered incident up again, as if nothing had been undone. Needs a.mu.
func (a *Alerting) reopen(e *entry, now time.Time) {
	inc := e.change()
	inc.State, inc.RecoveredAt = triage.IncidentOpen, time.Time{}
	inc.Reopened++
	e.undos, e.peak = nil, nil
	e.looks = a.looksAfter(now, now)
}

// makeRoom lets go of the oldest resolved alert when e holds as many as it may. Needs a.mu.
func (a *Alerting) makeRoom(e *entry) bool {
	if len(e.inc.Alerts) < a.cfg.MaxAlerts {
		return true
	}
	// The first alert stays: it opened the incident and tells when it was paged.
	for i := 1; i < len(e.inc.Alerts); i++ {
		if e.inc.Alerts[i].Status == triage.AlertResolved {
			inc := e.change()
			delete(a.byAlert, inc.Alerts[i].LabelFingerprint())
			inc.Alerts = slices.Delete(inc.Alerts, i, i+1)
			return true
		}
	}
	return false
}

// open begins an incident. Needs a.mu.
func (a *Alerting) open(al triage.Alert, p placed, now time.Time) *entry {
	title := al.Name()
	switch {
	case p.scope.Service != "":
		title = strings.TrimSpace(title + " on " + p.scope.Service)
	case p.subject.Node != "":
		title = strings.TrimSpace(title + " on node " + p.subject.Node)
	}
	e := newEntry(triage.Incident{
		ID: incidentID(al, now), State: triage.IncidentOpen, Title: bounded(title), Scope: p.scope,
		ServiceRule: p.rule, ServiceFrom: bounded(p.subject.From), Node: bounded(p.subject.Node), GroupKey: al.GroupKey, Pages: a.cfg.Pages.All(al.Labels),
		OpenedAt: now, UpdatedAt: now, Alerts: []triage.Alert{al},
	})
	e.seq = 1
	e.heard[al.LabelFingerprint()] = now
	a.index(e)
	return e
}

// find looks for the open incident an unknown alert belongs to: same group, same name and service, then near in time and
// topology. Needs a.mu.
func (a *Alerting) find(al triage.Alert, scope triage.Scope, topology triage.Topology, now time.Time) *entry {
	fits := func(e *entry) bool {
		here, there := scope, e.inc.Scope
		if here.Service != there.Service { // neighbours may well live in different namespaces
			here.Service, here.Namespace = "", ""
		}
		if _, contradicts := here.Contradicts(there); contradicts {
			return false
		}
		return e.inc.State != triage.IncidentRecovered || now.Sub(e.inc.RecoveredAt) <= time.Duration(a.cfg.ReopenWithin)
	}
	sameService := func(e *entry) bool { return e.inc.Service == scope.Service }
	near := func(e *entry) bool {
		gap := al.StartsAt.Sub(e.inc.Alerts[0].StartsAt).Abs()
		return e.inc.State != triage.IncidentRecovered && gap <= time.Duration(a.cfg.JoinWithin)
	}
	if al.GroupKey != "" {
		group := slices.Clone(a.byGroup[al.GroupKey])
		sortEntries(group)
		for _, e := range group {
			// A group by alert name alone spans all services and never ends: there only what began together belongs together.
			if fits(e) && (sameService(e) || near(e)) {
				return e
			}
		}
	}
	same := slices.Clone(a.byService[scope.Service])
	sortEntries(same)
	for _, e := range same {
		if fits(e) && (e.inc.Alerts[0].Name() == al.Name() || (scope.Service != "" && near(e))) {
			return e
		}
	}
	if scope.Service == "" || a.cfg.JoinHops == 0 {
		return nil
	}
	hops := topology.Downstream(scope.Service, a.cfg.JoinHops)
	for name, n := range topology.Upstream(scope.Service, a.cfg.JoinHops) {
		if m, ok := hops[name]; !ok || n < m {
			hops[name] = n
		}
	}
	var best []*entry
	bestHops := a.cfg.JoinHops + 1
	for _, name := range slices.Sorted(maps.Keys(hops)) {
		for _, e := range a.byService[name] {
			if name == scope.Service || !fits(e) || !near(e) || hops[name] > bestHops {
				continue
			}
			if hops[name] < bestHops {
				best, bestHops = nil, hops[name]
			}
			best = append(best, e)
		}
	}
	if len(best) == 0 {
		return nil
	}
	sortEntries(best)
	return best[0]
}
