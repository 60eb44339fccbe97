package main

import (
	"cmp"
	"time"

	"github.com/triaged-dev/triaged/test/casegen/scenario"
	"github.com/triaged-dev/triaged/triage"
)

const minute = time.Minute

// incident turns the facts into a scenario. Everything the facts do not give is drawn from the seed and named as made up.
func incident(f fact) scenario.Scenario {
	w := &world{f: f, ids: make(map[string]int)}
	w.settle()
	w.times()
	w.trigger()
	w.window()
	w.faults()
	w.decoys()
	w.healthy()
	w.alert()
	w.coverage()
	w.expect()
	w.after()
	w.label()
	return w.sc
}

// times places onset, alert and mitigation: the published minute, and a second of ours within it, or a plausible one where
// nothing was published.
func (w *world) times() {
	rng := w.rand("times")
	p := w.f.Published
	w.declared = w.f.AlertSource != "automated" && w.f.AlertSource != ""
	started, startKnown := published1(p.ChangeEffective, p.ChangeStart)
	switch {
	case !p.Onset.IsZero():
		w.onset = p.Onset.Add(seconds(rng, 8, 32))
	case startKnown && w.f.Play.OnsetAfter > 0:
		w.onset = started.Add(time.Duration(w.f.Play.OnsetAfter*60) * time.Second).Add(seconds(rng, 8, 32))
	default:
		w.onset = p.FirstAlert.Add(-time.Duration(w.f.Play.OnsetBefore * float64(minute))).Add(seconds(rng, 0, 40))
	}
	switch {
	case p.FirstAlert.IsZero():
		w.report = w.onset.Add(seconds(rng, 110, 460))
	case p.FirstAlert.Sub(w.onset) < minute:
		w.report = p.FirstAlert.Add(seconds(rng, 44, 58))
	default:
		w.report = p.FirstAlert.Add(seconds(rng, 0, 40))
	}
	w.mitigated = p.Mitigated
	if w.mitigated.Sub(w.report) < minute {
		w.mitigated = w.report.Add(seconds(rng, 70, 150))
	}
}

// published1 is the first of the published times that is more than a day.
func published1(times ...string) (time.Time, bool) {
	for _, s := range times {
		if t, err := time.Parse(time.RFC3339, s); err == nil {
			return t, true
		}
	}
	return time.Time{}, false
}

// trigger makes the true change, its steps and what made it possible.
func (w *world) trigger() {
	if !w.f.ChangeCaused {
		return
	}
	rng := w.rand("trigger")
	k := triage.Kind(w.f.Kind)
	took := lasts(rng, k)
	start, known := published1(w.f.Published.ChangeStart)
	effective, effectiveKnown := published1(w.f.Published.ChangeEffective)
	switch {
	case known && start.Add(minute).After(w.onset): // the same minute: before the trouble within it
		start = start.Add(seconds(rng, 0, max(1, w.onset.Sub(start).Seconds()-3)))
	case known:
		start = start.Add(seconds(rng, 0, 50))
	case w.f.Play.LagMin > 0:
		start = w.onset.Add(-time.Duration(w.f.Play.LagMin * float64(minute)))
	default: // as lags are in published incidents: mostly a minute or so after the harmful step
		lag := min(400, 5+60*rng.ExpFloat64())
		start = w.onset.Add(-time.Duration(lag * float64(time.Second))).Add(-took / 2)
	}
	if !w.f.Finished.IsZero() {
		took = w.f.Finished.Sub(start)
	}
	if effectiveKnown && effective.Sub(start) > 2*minute && !effective.After(w.onset) {
		took = effective.Sub(start) + seconds(rng, 5, 50)
	}
	if w.f.StillRunning {
		took = max(took, w.report.Sub(start)+seconds(rng, 60, 400))
	}
	c := w.change(rng, k, w.on, w.f.Change, start, took)
	// Measured by version only where the report does not say that old and new suffered alike.
	if k == triage.KindDeploy && w.f.Play.Region == "" && w.f.Play.Shape == "" && w.f.Unsafe == "" && took > 40*time.Second && rng.Float64() < 0.3 {
		w.f.Play.Versions = true
	}
	if w.f.Global && rng.Float64() < 0.5 {
		c.Service, c.Global = "", true
	}
	if w.f.Play.Region != "" {
		c.Region = w.f.Play.Region
	}
	w.steps(&c, known)
	if w.f.Play.Versions {
		w.sc.Lives = append(w.sc.Lives,
			scenario.Life{Service: w.on, Where: map[string]string{"version": c.Version}, From: c.StartedAt.Add(5 * time.Second)},
			scenario.Life{Service: w.on, Where: map[string]string{"version": c.PreviousVersion}, To: c.FinishedAt})
	}
	if k == triage.KindDeploy || k == triage.KindRollback {
		w.sc.Resets = append(w.sc.Resets, scenario.Reset{Service: w.on, At: c.StartedAt.Add(5 * time.Second)})
	}
	if w.f.Unsafe != "" && k == triage.KindMigration {
		c.Reversible = triage.Reversible{Value: triage.ReversibleNo, Reason: "a schema or data migration"}
	}
	switch p := w.f.Play; {
	case p.UnseenAtReport:
		c.ObservedAt = w.report.Add(seconds(rng, 40, 150))
	case p.LateS > 0:
		c.ObservedAt = c.StartedAt.Add(time.Duration(p.LateS * float64(time.Second)))
	}
	if w.f.Play.FinishOnly || (k == triage.KindDeploy && rng.Float64() < 0.2) {
		if c.FinishedAt.Before(w.report.Add(-20 * time.Second)) {
			c.StartedAt, c.Steps = time.Time{}, nil
			c.ObservedAt = c.FinishedAt.Add(seconds(rng, 2, 14))
		}
	}
	w.truth = &c
	if old := w.f.Reverts; old != nil {
		before := w.earlier(*old)
		w.truth.Undoes = []triage.ChangeID{before.ID}
		w.sc.Changes = append(w.sc.Changes, before)
	}
	for _, l := range w.f.Latent {
		before := w.earlier(l)
		w.sc.Changes = append(w.sc.Changes, before)
		w.sc.Expect.Latent = append(w.sc.Expect.Latent, before.ID)
	}
}

// earlier is a change of long before the incident.
func (w *world) earlier(o other) triage.Change {
	rng := w.rand("earlier" + o.Title)
	at := w.onset.Add(-time.Duration(o.HoursBefore * float64(time.Hour))).Truncate(time.Second)
	return w.change(rng, triage.Kind(o.Kind), cmp.Or(o.Service, w.on), o.Title, at, lasts(rng, triage.Kind(o.Kind)))
}

// steps are the published ones, or, for some slower rollouts, a few of our own: the last before the onset is the one that hurt.
func (w *world) steps(c *triage.Change, startKnown bool) {
	rng := w.rand("steps")
	for _, s := range w.f.Steps {
		at := s.At
		if gap := w.onset.Sub(at); gap < minute && gap > 0 {
			at = at.Add(time.Duration(max(0, gap.Seconds()-4)*rng.Float64()) * time.Second)
		}
		c.Steps = append(c.Steps, triage.Step{At: at, Percent: s.Percent, Region: w.f.Play.Region})
	}
	if len(c.Steps) > 0 {
		if c.StartedAt.After(c.Steps[0].At) || c.Steps[0].At.Sub(c.StartedAt) < minute {
			c.StartedAt = c.Steps[0].At
			c.ObservedAt = c.StartedAt.Add(seconds(rng, 1, 15))
		}
		if last := c.Steps[len(c.Steps)-1].At; c.FinishedAt.Before(last) {
			c.FinishedAt = last.Add(seconds(rng, 5, 40))
		}
		return
	}
	took := c.FinishedAt.Sub(c.StartedAt)
	if startKnown || took < 2*minute || rng.Float64() < 0.4 {
		return
	}
	for i, percent := range []float64{10, 50, 100} {
		c.Steps = append(c.Steps, triage.Step{At: c.StartedAt.Add(time.Duration(i) * took / 3).Truncate(time.Second), Percent: percent})
	}
}

// window is the time the series cover; long incidents are measured more coarsely, so that files stay small.
func (w *world) window() {
	from := w.onset.Add(-75 * minute)
	if w.truth != nil {
		if at := w.truth.OccurredAt().Add(-40 * minute); at.Before(from) {
			from = at
		}
	}
	if floor := w.onset.Add(-150 * minute); from.Before(floor) {
		from = floor
	}
	to := w.mitigated.Add(12 * minute)
	if limit := w.report.Add(70 * minute); to.After(limit) {
		to = limit
	}
	w.sc.From, w.sc.To = from.Truncate(minute), to.Truncate(minute)
	w.sc.Step = w.style.step
	for _, s := range []time.Duration{15 * time.Second, 30 * time.Second, minute, 2 * minute, 5 * minute} {
		if s >= w.sc.Step && (w.sc.To.Sub(w.sc.From) <= 600*s || s == 5*minute) {
			w.sc.Step = s
			break
		}
	}
	w.sc.ID, w.sc.Seed, w.sc.Style, w.sc.Digits = w.f.ID, w.f.ID, &w.style.Style, 3
	w.sc.Season = within(w.rand("season"), 0.1, 0.45)
}
