package try

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/triaged-dev/triaged/alerting/card"
	"github.com/triaged-dev/triaged/cmd/triaged/history"
	"github.com/triaged-dev/triaged/triage"
	"github.com/triaged-dev/triaged/triage/say"
)

// What belongs to one page, as the daemon joins alerts by default.
const (
	joinWithin   = 5 * time.Minute
	joinHops     = 2
	reopenWithin = 30 * time.Minute
)

// page are the firings that one page would have told of.
type page struct {
	triage.Scope
	from       string // the label the service was read from
	start, end time.Time
	alerts     []triage.Alert // by StartsAt
}

// group joins firings into pages, by time of their first: the same alert again soon after, or alerts of services near each
// other that began together. Firings come by StartsAt.
func group(firings []triage.Alert, topology triage.Topology, subject func(map[string]string) (triage.Scope, string)) []page {
	var out []page
	for _, a := range firings {
		scope, from := subject(a.Labels)
		service := scope.Service
		best, bestHops := -1, joinHops+1
		for i := len(out) - 1; i >= 0; i-- {
			p := &out[i]
			if a.StartsAt.Sub(p.end) > reopenWithin {
				continue
			}
			first := p.alerts[0]
			together := a.StartsAt.Sub(first.StartsAt) <= joinWithin
			switch {
			case service == p.Service && (a.Name() == first.Name() || together && service != ""):
				best, bestHops = i, 0
			case together && service != "" && p.Service != "":
				hops, ok := apart(topology, service, p.Service)
				if ok && hops < bestHops {
					best, bestHops = i, hops
				}
			}
			if bestHops == 0 {
				break
			}
		}
		if best < 0 {
			out = append(out, page{Scope: scope, from: from, start: a.StartsAt, end: ended(a), alerts: []triage.Alert{a}})
			continue
		}
		p := &out[best]
		p.alerts = append(p.alerts, a)
		if e := ended(a); e.After(p.end) {
			p.end = e
		}
	}
	slices.SortStableFunc(out, func(a, b page) int { return cmp.Or(a.start.Compare(b.start), cmp.Compare(a.Service, b.Service)) })
	return out
}

// ended is when the firing was over; one that still fires is not.
func ended(a triage.Alert) time.Time {
	if a.EndsAt.IsZero() {
		return a.StartsAt.AddDate(1, 0, 0)
	}
	return a.EndsAt
}

// apart is the number of calls between two services, in either direction.
func apart(topology triage.Topology, a, b string) (int, bool) {
	down, ok := topology.Downstream(a, joinHops)[b]
	up, ok2 := topology.Upstream(a, joinHops)[b]
	switch {
	case ok && ok2:
		return min(down, up), true
	case ok:
		return down, true
	}
	return up, ok2
}

// incident is the page as it stood when it was told: later alerts, and that they ended, were not known.
func (t *trial) incident(ctx context.Context, p page) triage.Incident {
	told := p.start.Add(afterPage)
	inc := triage.Incident{
		ID: "try-" + p.start.Format("20060102-1504") + "-" + p.Service, State: triage.IncidentOpen, Title: p.alerts[0].Name(),
		Scope: p.Scope, ServiceFrom: p.from, Pages: true, OpenedAt: p.start, UpdatedAt: told,
	}
	for _, a := range p.alerts {
		if a.StartsAt.After(told) {
			continue
		}
		if !a.EndsAt.IsZero() && a.EndsAt.After(told) {
			a.EndsAt = time.Time{}
		}
		a.Status, a.ReceivedAt = triage.AlertFiring, a.StartsAt
		if at, err := t.source.ActiveSince(ctx, a); err == nil {
			a.ActiveAt = at
		}
		inc.Alerts = append(inc.Alerts, a)
	}
	return inc
}

// told puts the answer beside what is known afterwards.
func (t *trial) told(p page, inc triage.Incident, r triage.Report) Page {
	words := card.New(card.Input{Incident: inc, Report: r})
	standing := r.Standing()
	out := Page{
		Start: p.start, Alert: p.alerts[0].Name(), Service: p.Service, Namespace: inc.Namespace, Word: standing.Word,
		Card: words.Text(), Report: r, Headline: words.Headline,
	}
	for _, a := range p.alerts[1:] {
		name := a.Name()
		if s, _ := t.subject(a.Labels); s.Service != "" && s.Service != p.Service {
			name += " " + s.Service
		}
		if name != out.Alert && !slices.Contains(out.Also, name) {
			out.Also = append(out.Also, name)
		}
	}
	if p.end.Before(t.to) {
		out.End = p.end
	}
	if len(words.Lines) > 0 {
		out.Said = words.Lines[0].Word
		if words.Lines[0].Text != "" {
			out.Said += ": " + words.Lines[0].Text
		}
		out.Why = words.Lines[0].Sub
	}
	for _, l := range words.Lines[1:] {
		if l.Word == "DO" || l.Word == "A ROLLBACK WILL NOT HELP" || l.Word == "A ROLLBACK WOULD DO HARM" {
			out.Advice = l.Word + ": " + l.Text
			break
		}
	}
	t.hindsight(&out, p, standing)
	out.History = t.historyOf(out.Alert, p.Service)
	return out
}

// hindsight adds what happened afterwards. None of it was given to the ranking.
func (t *trial) hindsight(out *Page, p page, standing triage.Standing) {
	reach := history.Near(p.Service, t.topology)
	until := p.end
	if out.End.IsZero() {
		until = t.to
	}
	for _, s := range standing.Named {
		if s.Change != nil {
			reach[s.Change.Service] = 0
		}
	}
	during := history.Between(t.known, p.start, until, reach)
	for _, c := range during {
		for _, s := range standing.Named {
			if s.Change != nil && slices.Contains(c.Undoes, s.Change.ID) {
				out.Undone = true
				out.After = fmt.Sprintf("%s was rolled back %s after the page", s.Change.Service, say.Span(c.OccurredAt().Sub(p.start)))
			}
		}
	}
	switch {
	case out.End.IsZero():
		out.After = join(out.After, "it still fires")
	case out.After != "":
		out.After += fmt.Sprintf("; it ended %s after the page", say.Span(p.end.Sub(p.start)))
	case len(during) > 0:
		last := during[len(during)-1]
		out.After = fmt.Sprintf("it ended %s after the page, %s after: %s", say.Span(p.end.Sub(p.start)), say.Span(p.end.Sub(last.OccurredAt())), last.Title)
	default:
		out.Alone = true
		out.After = fmt.Sprintf("it cleared by itself %s after the page: no change was seen until then", say.Span(p.end.Sub(p.start)))
	}
}

func join(a, b string) string {
	if a == "" {
		return b
	}
	return a + "; " + b
}
