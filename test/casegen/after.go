package main

import (
	"cmp"
	"slices"
	"time"

	"github.com/triaged-dev/triaged/triage"
)

const licence = "facts from the published report at the URL; wording, names of bystanders and all metrics ours (Apache-2.0)"

// expect writes down the right answer.
func (w *world) expect() {
	e := &w.sc.Expect
	e.Truth = []triage.ChangeID{}
	e.Action = w.f.accepted()
	if w.truth != nil && w.truth.FinishedAt.After(w.report) && w.f.Unsafe == "" && !slices.Contains(e.Action, triage.ActionPauseRollout) {
		e.Action = append(e.Action, triage.ActionPauseRollout) // it still rolls out: stopping it first is as good
	}
	e.NoneReason = w.f.NoneReason
	if w.truth != nil && w.f.NoneReason == "" {
		e.Truth = append(e.Truth, w.truth.ID)
	}
	if w.truth != nil && w.f.Unsafe != "" {
		e.Unsafe = append(e.Unsafe, triage.Unsafe{ID: w.truth.ID, Reason: w.f.Unsafe})
	}
	width := minute
	if w.f.Play.Shape == "ramp" {
		width = max(width, w.report.Sub(w.onset)/2)
	}
	latest := w.onset.Add(width)
	if latest.After(w.report) {
		latest = w.report
	}
	e.Onset = &triage.ExpectOnset{Earliest: w.onset.Add(-5 * time.Second), Latest: latest}
	if !w.f.Play.NotUndone {
		e.RecoveredAt = w.mitigated
	}
}

// after is what happens once the report is out: changes that end or begin later, the undo, and the alert that resolves.
// A change that was still going on at the report time stands in the case as it was known then.
func (w *world) after() {
	for i, c := range w.sc.Changes {
		if c.OccurredAt().After(w.report) {
			continue
		}
		seen, changed := asOf(c, w.report)
		if changed {
			w.sc.Changes[i] = seen
			w.sc.Events = append(w.sc.Events, triage.CaseEvent{At: c.FinishedAt, Change: &c})
		}
	}
	w.sc.Changes = slices.DeleteFunc(w.sc.Changes, func(c triage.Change) bool {
		gone := c.OccurredAt().After(w.report) && (w.truth == nil || c.ID != w.truth.ID)
		if gone {
			w.sc.Events = append(w.sc.Events, triage.CaseEvent{At: c.ObservedAt, Change: &c})
		}
		return gone
	})
	rng := w.rand("after")
	for _, o := range w.f.LaterChanges {
		at := w.onset.Add(time.Duration(o.MinFromOnset * float64(minute))).Truncate(time.Second)
		c := w.change(rng, triage.Kind(o.Kind), cmp.Or(o.Service, w.on), o.Title, at, lasts(rng, triage.Kind(o.Kind)))
		w.sc.Events = append(w.sc.Events, triage.CaseEvent{At: c.ObservedAt, Change: &c})
	}
	if u := w.f.Undo; u != nil && w.truth != nil {
		at := w.mitigated.Add(-min(seconds(rng, 60, 240), w.mitigated.Sub(w.report)/2)).Truncate(time.Second)
		c := w.change(rng, triage.Kind(u.Kind), w.on, u.Title, at, seconds(rng, 3, 40))
		c.Undoes = []triage.ChangeID{w.truth.ID}
		c.Region = w.truth.Region
		w.sc.Expect.UndoOf = w.truth.ID
		w.sc.Events = append(w.sc.Events, triage.CaseEvent{At: c.ObservedAt, Change: &c})
	}
	if !w.f.Play.NotUndone {
		for _, a := range w.sc.Alerts {
			a.Status, a.EndsAt = triage.AlertResolved, w.mitigated.Add(seconds(rng, 30, 150))
			w.sc.Events = append(w.sc.Events, triage.CaseEvent{At: a.EndsAt, Alert: &a})
		}
	}
	slices.SortStableFunc(w.sc.Events, func(a, b triage.CaseEvent) int { return a.At.Compare(b.At) })
}

// asOf is a change as it was known at a time: without the end and the steps that were still to come.
func asOf(c triage.Change, at time.Time) (triage.Change, bool) {
	if !c.FinishedAt.After(at) {
		return c, false
	}
	c.FinishedAt, c.Status = time.Time{}, triage.StatusStarted
	c.Steps = slices.DeleteFunc(slices.Clone(c.Steps), func(s triage.Step) bool { return s.At.After(at) })
	return c, true
}

// label says where the case comes from, what is made up, and which type of incident it is.
func (w *world) label() {
	f := w.f
	if f.SourceURL != "" {
		w.sc.Source = &triage.CaseSource{URL: f.SourceURL, Licence: licence}
		w.sc.Synthetic = []string{
			"metrics, seconds of the published minutes, services around the published path, owners, ids and versions",
			"the other changes, besides those the report names",
		}
		for _, m := range []struct {
			missing bool
			what    string
		}{
			{f.Published.Onset.IsZero(), "the onset"},
			{f.Published.FirstAlert.IsZero(), "the time of the alert"},
			{f.AlertSource == "" || f.AlertSource == "automated", "the alert's rule"},
			{w.truth != nil && !timed(f), "the time of the change"},
			{f.ZoneUnknown, "the time zone: read as UTC"},
			{len(f.Steps) > 0, "percentages of the steps"},
		} {
			if m.missing {
				w.sc.Synthetic = append(w.sc.Synthetic, m.what)
			}
		}
	} else {
		w.sc.Synthetic = []string{"everything: described by hand, metrics and bystanders drawn"}
	}
	w.sc.Synthetic = append(w.sc.Synthetic, "measured as: "+w.style.Name)
	for _, t := range f.Types {
		w.sc.Synthetic = append(w.sc.Synthetic, "type: "+t)
	}
}

func timed(f fact) bool {
	_, ok := published1(f.Published.ChangeEffective, f.Published.ChangeStart)
	return ok
}
