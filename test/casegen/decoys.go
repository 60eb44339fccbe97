package main

import (
	"math/rand/v2"
	"slices"
	"time"

	"github.com/triaged-dev/triaged/test/casegen/scenario"
	"github.com/triaged-dev/triaged/triage"
)

// decoyKinds are the kinds of the changes that had nothing to do with it, as often as they are met.
var decoyKinds = []struct {
	kind  triage.Kind
	share float64
}{
	{triage.KindDeploy, 0.45},
	{triage.KindConfig, 0.20},
	{triage.KindFlag, 0.12},
	{triage.KindScale, 0.09},
	{triage.KindInfra, 0.07},
	{triage.KindCommand, 0.03},
	{triage.KindMigration, 0.02},
	{triage.KindRollback, 0.02},
}

// decoys adds the published other changes and those that reports seldom list.
func (w *world) decoys() {
	for _, o := range w.f.OtherChanges {
		rng := w.rand("other" + o.Title)
		k := triage.Kind(o.Kind)
		at := w.onset.Add(time.Duration(o.MinFromOnset * float64(minute))).Truncate(time.Second)
		w.sc.Changes = append(w.sc.Changes, w.change(rng, k, o.Service, o.Title, at, lasts(rng, k)))
	}
	rng := w.rand("decoys")
	n := 4 + int(logWithin(rng, 1, 34))
	if w.f.Play.Decoys > 0 {
		n = w.f.Play.Decoys
	}
	for range n {
		w.decoy(rng)
	}
	if slices.Contains(w.f.Types, "red-herring") {
		w.redHerring(rng)
	}
	if (rng.Float64() < 0.3 || slices.Contains(w.f.Types, "staging")) && !w.sc.Services[w.on].External { // the same service, but not where it hurts
		c := w.change(rng, triage.KindDeploy, w.on, pick(rng, titles[triage.KindDeploy]), w.onset.Add(-seconds(rng, 15, 300)).Truncate(time.Second), seconds(rng, 45, 200))
		c.Environment = "staging"
		w.sc.Changes = append(w.sc.Changes, c)
	}
	if w.f.Play.Reaction {
		c := w.change(rng, triage.KindScale, w.symptom, "replicas 6 to 12", w.onset.Add(seconds(rng, 70, 110)), seconds(rng, 20, 60))
		w.sc.Changes = append(w.sc.Changes, c)
	}
	if w.truth != nil {
		w.sc.Changes = append(w.sc.Changes, *w.truth)
	}
	slices.SortStableFunc(w.sc.Changes, func(a, b triage.Change) int { return a.ObservedAt.Compare(b.ObservedAt) })
}

// decoy is one change that is not to blame.
func (w *world) decoy(rng *rand.Rand) {
	k := triage.KindDeploy
	for p, i := rng.Float64(), 0; i < len(decoyKinds); i++ {
		if p -= decoyKinds[i].share; p < 0 {
			k = decoyKinds[i].kind
			break
		}
	}
	service, near := pick(rng, w.others), false
	switch p := rng.Float64(); {
	case p < 0.35:
		service = pick(rng, w.busy)
	case p < 0.45:
		service, near = pick(rng, w.ours()), true
	}
	var at time.Time
	switch p := rng.Float64(); {
	case near: // on the way, but long enough ago to have shown
		at = w.onset.Add(-seconds(rng, 240, 6000))
	case p < 0.5:
		at = w.onset.Add(-seconds(rng, 0, 1800))
	case p < 0.65:
		at = w.onset.Add(time.Duration(rng.Float64() * min(1, (25*minute).Seconds()/w.report.Sub(w.onset).Seconds()) * float64(w.report.Sub(w.onset))))
	default:
		at = w.onset.Add(-seconds(rng, 1800, 9000))
	}
	c := w.change(rng, k, service, pick(rng, titles[k]), at.Truncate(time.Second), lasts(rng, k))
	switch p := rng.Float64(); { // reported late, by the end only, in steps, or as a failure
	case p < 0.08:
		c.ObservedAt = c.StartedAt.Add(seconds(rng, 60, 600))
	case p < 0.22 && (k == triage.KindDeploy || k == triage.KindInfra):
		c.StartedAt, c.ObservedAt = time.Time{}, c.FinishedAt.Add(seconds(rng, 2, 14))
	case p < 0.34 && k == triage.KindDeploy:
		took := c.FinishedAt.Sub(c.StartedAt) + seconds(rng, 300, 1500)
		c.FinishedAt = c.StartedAt.Add(took)
		for i, percent := range []float64{5, 25, 100} {
			c.Steps = append(c.Steps, triage.Step{At: c.StartedAt.Add(time.Duration(i) * took / 3).Truncate(time.Second), Percent: percent})
		}
	case p < 0.40:
		c.Status = triage.StatusFailed
	}
	w.sc.Changes = append(w.sc.Changes, c)
	w.blip(rng, c, near)
}

// ours are the services on the path that we can change ourselves.
func (w *world) ours() []string {
	return slices.DeleteFunc(slices.Clone(w.path), func(s string) bool { return w.sc.Services[s].External })
}

// blip is what a change does to its own service without harm: a minute of errors, slow first requests, or a small lasting shift.
func (w *world) blip(rng *rand.Rand, c triage.Change, near bool) {
	at := c.OccurredAt().Add(seconds(rng, 2, 25))
	if near && at.After(w.onset.Add(-4*minute)) {
		return // it would belong to the fault
	}
	f := scenario.Fault{Service: c.Service, From: at, To: at.Add(seconds(rng, 45, 150))}
	switch p := rng.Float64(); {
	case p < 0.18:
		f.Signal, f.Level = triage.SignalErrors, within(rng, 0.004, 0.02)
	case p < 0.34:
		f.Signal, f.Level = triage.SignalLatency, within(rng, 1.25, 1.9)
	case p < 0.44:
		f.Signal, f.Level = triage.SignalSaturation, within(rng, 0.06, 0.2)
	case p < 0.52:
		f.Signal, f.Level, f.To = triage.SignalLatency, within(rng, 0.85, 1.15), time.Time{}
	case p < 0.60:
		f.Signal, f.Level, f.To = triage.SignalTraffic, within(rng, 0.9, 1.12), time.Time{}
	default:
		return
	}
	w.sc.Faults = append(w.sc.Faults, f)
	if c.Kind == triage.KindDeploy {
		w.sc.Resets = append(w.sc.Resets, scenario.Reset{Service: c.Service, At: at})
	}
}

// redHerring is the change everybody looks at first: just before the onset, on the service that shows it, with a blip of its own.
func (w *world) redHerring(rng *rand.Rand) {
	service := w.symptom
	if service == w.on {
		service = w.others[0] // it calls the symptom
	}
	at := w.onset.Add(-seconds(rng, 150, 480)).Truncate(time.Second)
	c := w.change(rng, triage.KindDeploy, service, pick(rng, titles[triage.KindDeploy]), at, seconds(rng, 45, 100))
	w.sc.Changes = append(w.sc.Changes, c)
	w.sc.Faults = append(w.sc.Faults, scenario.Fault{
		Service: service, Signal: triage.SignalLatency, Level: within(rng, 1.4, 2.2), From: at.Add(5 * time.Second), To: at.Add(seconds(rng, 60, 110)),
	})
}
