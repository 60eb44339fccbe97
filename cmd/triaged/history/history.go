// Package history says how an alert behaved before: how often it fired, cleared alone, or followed a change, and what ended it
// last time.
//
// It counts and says; it never moves a ranking.
package history

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/triaged-dev/triaged/triage"
	"github.com/triaged-dev/triaged/triage/say"
)

// Followed is how long after a change of the service a firing still counts as having come after it.
const Followed = 30 * time.Minute

// Hops is how many calls below the service a change still counts as near.
const Hops = 2

// History counts the firings of one alert on one service.
type History struct {
	Fired    int       `json:"fired"`
	Alone    int       `json:"cleared_alone"`    // ended with no change seen on the service, or what it calls, while it fired
	Followed int       `json:"followed_changes"` // began within 30 minutes after a change of the service itself
	Last     time.Time `json:"last,omitzero"`    // of the latest firing
	EndedBy  string    `json:"ended_by,omitempty"`
}

// Of counts. Changes are sorted by OccurredAt; those that a controller made are passed over. A firing that still lasts has not
// cleared.
func Of(firings []triage.Alert, changes []triage.Change, service string, topology triage.Topology) History {
	near := Near(service, topology)
	var h History
	var latest triage.Alert
	for _, a := range firings {
		h.Fired++
		if latest.StartsAt.IsZero() || a.StartsAt.After(latest.StartsAt) {
			latest = a
		}
		if !a.EndsAt.IsZero() && len(Between(changes, a.StartsAt, a.EndsAt, near)) == 0 {
			h.Alone++
		}
		if service != "" && len(Between(changes, a.StartsAt.Add(-Followed), a.StartsAt, map[string]int{service: 0})) > 0 {
			h.Followed++
		}
	}
	h.Last = latest.StartsAt
	if !latest.EndsAt.IsZero() {
		h.EndedBy = ending(latest, Between(changes, latest.StartsAt, latest.EndsAt, near))
	}
	return h
}

func ending(a triage.Alert, during []triage.Change) string {
	lasted := say.Span(a.EndsAt.Sub(a.StartsAt))
	if len(during) == 0 {
		return "cleared alone after " + lasted
	}
	last := during[len(during)-1]
	return fmt.Sprintf("ended after %s, %s after: %s", lasted, say.Span(a.EndsAt.Sub(last.OccurredAt())), say.Change(last))
}

// Near are the services at most Hops calls below, itself included.
func Near(service string, topology triage.Topology) map[string]int {
	out := maps.Clone(topology.Downstream(service, Hops))
	delete(out, "")
	return out
}

// Between are the changes that people or pipelines began in [from, to] on one of the services. Changes are sorted by OccurredAt.
func Between(changes []triage.Change, from, to time.Time, services map[string]int) []triage.Change {
	i, _ := slices.BinarySearchFunc(changes, from, func(c triage.Change, t time.Time) int { return c.OccurredAt().Compare(t) })
	var out []triage.Change
	for _, c := range changes[i:] {
		if c.OccurredAt().After(to) {
			break
		}
		if _, near := services[c.Service]; near && c.Service != "" && c.Labels["controller"] == "" {
			out = append(out, c)
		}
	}
	return out
}

// Noisy reports whether the alert mostly clears by itself: four times in five, of at least three.
func (h History) Noisy() bool { return h.Fired >= 3 && h.Alone*5 >= h.Fired*4 }

// String is the history in a clause: "fired 3 times: 2 cleared alone, 1 came after a change of the service".
func (h History) String() string {
	if h.Fired == 1 {
		switch {
		case h.Followed == 1:
			return "fired this once, after a change of the service"
		case h.Alone == 1:
			return "fired this once and cleared alone"
		}
		return "fired this once"
	}
	return fmt.Sprintf("fired %s: %d cleared alone, %d came after a change of the service", say.Times(h.Fired), h.Alone, h.Followed)
}

// Store remembers firings and changes.
type Store interface {
	AlertHistory(ctx context.Context, name, service string, since time.Time) ([]triage.Alert, error)
	FindChanges(ctx context.Context, q triage.ChangeQuery) ([]triage.Change, string, error)
}

// Bounds on what one note may cost: a fortnight, a thousand changes.
const (
	memory     = 14 * 24 * time.Hour
	maxChanges = 1000
)

// Note says how the incident's first alert behaved in the fortnight before; "" where it never fired before.
func Note(ctx context.Context, store Store, topology triage.Topology, inc triage.Incident) (string, error) {
	if len(inc.Alerts) == 0 {
		return "", nil
	}
	now := inc.Alerts[0]
	since := now.StartsAt.Add(-memory)
	all, err := store.AlertHistory(ctx, now.Name(), inc.Service, since)
	if err != nil {
		return "", err
	}
	earlier := slices.DeleteFunc(all, func(a triage.Alert) bool { return !a.StartsAt.Before(now.StartsAt) })
	if len(earlier) == 0 {
		return "", nil
	}
	changes, next, err := store.FindChanges(ctx, triage.ChangeQuery{
		From: since, To: now.StartsAt, Services: slices.Sorted(maps.Keys(Near(inc.Service, topology))), Limit: maxChanges,
	})
	if err != nil {
		return "", err
	}
	if next != "" { // too many to know which firing was alone: only what is certain is said
		return fmt.Sprintf("%s fired %s in the 14 d before", now.Name(), say.Times(len(earlier))), nil
	}
	h := Of(earlier, changes, inc.Service, topology)
	text := fmt.Sprintf("%s fired %s in the 14 d before, %d cleared alone, %d came after a change of the service", now.Name(), say.Times(h.Fired), h.Alone, h.Followed)
	if h.EndedBy != "" {
		text += "; last time it " + h.EndedBy
	}
	return text, nil
}
