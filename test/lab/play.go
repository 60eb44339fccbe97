package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/triaged-dev/triaged/triage"
)

const (
	reportLimit  = 55 * time.Second // after it was broken, a scenario without a page has failed to be one
	othersWait   = 14 * time.Second // for further pages, the other daemons and their second look, after the first report
	wrongWait    = 20 * time.Second // how long a wrong undo is left to prove itself
	outcomeLimit = 50 * time.Second // for the daemons to say what the undo did
	settleLimit  = 40 * time.Second // for the last alert to end
)

// play runs the scenarios one after the other, some on each system, and writes down what was said.
func play(ctx context.Context, o options) error {
	if err := os.MkdirAll(o.out, 0o755); err != nil {
		return err
	}
	results, err := os.OpenFile(filepath.Join(o.out, "results.jsonl"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer results.Close()
	order := rand.New(rand.NewPCG(o.seed, 3)).Perm(len(o.scenarios))
	var all []row
	keep := func(rows []row) error {
		all = append(all, rows...)
		for _, r := range rows {
			r.print(os.Stdout, o.verbose)
			line, err := json.Marshal(r)
			if err != nil {
				return err
			}
			if _, err := results.Write(append(line, '\n')); err != nil {
				return err
			}
		}
		return nil
	}
	for from := 0; from < len(order); from += o.perSystem {
		err := playSome(ctx, o, order[from:min(from+o.perSystem, len(order))], o.seed*1000+uint64(from), keep)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, "lab: this system was given up:", err)
		}
	}
	return table(os.Stdout, all)
}

// playSome plays scenarios on one system.
func playSome(ctx context.Context, o options, which []int, seed uint64, keep func([]row) error) error {
	t, err := buildTown(ctx, o, seed)
	if err != nil {
		return err
	}
	defer t.close()
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	t.logf("system %d is up", seed)
	for i, w := range which {
		calm := o.between
		if i == 0 {
			calm = o.calm
		}
		rows, err := t.scene(ctx, o, o.scenarios[w], calm)
		if ctx.Err() != nil {
			return ctx.Err() // what was broken off is no result
		}
		if err := errors.Join(err, keep(rows)); err != nil {
			return fmt.Errorf("%s: %w", o.scenarios[w].name, err)
		}
	}
	return nil
}

// scene plays one scenario: quiet, decoys, the fault, the first reports, an undo, and what became of it.
func (t *town) scene(ctx context.Context, o options, s scenario, calm time.Duration) ([]row, error) {
	t.keep(s.keep...)
	defer t.keep()
	sleep(ctx, calm)
	for _, name := range s.decoys {
		if err := t.decoy(ctx, name); err != nil {
			return nil, err
		}
	}
	sleep(ctx, s.lead)
	broken := time.Now()
	f, err := s.begin(ctx, t)
	if err != nil {
		return nil, err
	}
	defer t.releaseLocks()
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	t.logf("%s: broken; sent %d, failed %d so far", s.name, t.load.sent.Load(), t.load.failed.Load())
	a := &act{town: t, scenario: s, fault: f, broken: broken, seed: o.seed}
	if !a.awaitReports(ctx) {
		t.logf("%s: nobody was paged within %s", s.name, reportLimit)
	}
	if err := a.undo(ctx); err != nil {
		return nil, err
	}
	a.awaitOutcomes(ctx)
	rows, err := a.rows(ctx, o.out)
	t.settle(ctx)
	if what := t.deployer.trouble(); what != "" {
		t.logf("some changes were not told: %s", what)
	}
	return rows, err
}

// act is a scenario while it is played.
type act struct {
	town     *town
	scenario scenario
	fault    fault
	seed     uint64

	broken, reported, acted, undone time.Time
	wrong                           *triage.Change // an innocent change that was undone on advice
	wrongBy, by                     triage.ChangeID
}

// awaitReports waits until a daemon has reported, and then for the others.
func (a *act) awaitReports(ctx context.Context) bool {
	for time.Since(a.broken) < reportLimit && ctx.Err() == nil {
		for _, d := range a.town.daemons {
			incidents, _ := d.incidents(ctx, a.broken.Add(-time.Second)) // asked again in a moment
			for _, i := range incidents {
				if i.Reports > 0 {
					a.reported = time.Now()
					sleep(ctx, othersWait)
					return true
				}
			}
		}
		sleep(ctx, 700*time.Millisecond)
	}
	return false
}

// undo does what the daemon that knows most advised, if any did; then, where that was not it, what is right.
func (a *act) undo(ctx context.Context) error {
	a.acted = time.Now()
	advised := a.advised(ctx)
	guilty := false
	for _, c := range a.fault.truth {
		guilty = guilty || advised != nil && sameChange(*advised, c)
	}
	if advised != nil && !guilty {
		u, err := a.town.undo(ctx, *advised)
		if err != nil {
			a.town.logf("what was advised could not be done: %v", err)
		} else {
			a.wrong, a.wrongBy = advised, u.ID
			sleep(ctx, wrongWait)
		}
	}
	a.undone = time.Now()
	for _, c := range a.fault.truth {
		u, err := a.town.undo(ctx, c)
		if err != nil {
			return err
		}
		a.by = u.ID
	}
	if a.fault.heal != nil {
		return a.fault.heal(ctx)
	}
	return nil
}

// advised is the first advice to undo something, of the daemon that knows most.
func (a *act) advised(ctx context.Context) *triage.Change {
	for _, d := range a.town.daemons {
		incidents, _ := d.incidents(ctx, a.broken.Add(-time.Second)) // none: no advice
		for _, i := range incidents {
			reports, err := d.reports(ctx, i.ID)
			if err != nil || len(reports) == 0 {
				continue
			}
			rec := reports[0].Recommendation
			if !rec.Action.Reversal() || rec.Target == nil {
				continue
			}
			for _, c := range a.town.deployer.list() {
				if c.ID == rec.Target.ChangeID {
					return &c
				}
			}
		}
	}
	return nil
}

// awaitOutcomes waits until every daemon has a last word on its incidents.
func (a *act) awaitOutcomes(ctx context.Context) {
	for time.Since(a.undone) < outcomeLimit && ctx.Err() == nil {
		open := 0
		for _, d := range a.town.daemons {
			incidents, _ := d.incidents(ctx, a.broken.Add(-time.Second)) // asked again in a moment
			for _, i := range incidents {
				if over := i.State == triage.IncidentRecovered || i.State == triage.IncidentClosed; !over || watched(ctx, d, i.ID) {
					open++
				}
			}
		}
		if open == 0 && time.Since(a.undone) > 15*time.Second {
			return
		}
		sleep(ctx, 1500*time.Millisecond)
	}
}

// watched reports whether the daemon still watches what an undo does.
func watched(ctx context.Context, d *daemon, incident string) bool {
	reports, _ := d.reports(ctx, incident) // none: nothing is watched
	if len(reports) == 0 {
		return false
	}
	last := slices.MaxFunc(reports, func(a, b triage.Report) int { return a.Number - b.Number })
	return slices.ContainsFunc(last.Checked, func(c triage.Checked) bool { return c.Outcome == triage.CheckWatching })
}

// settle waits until nothing fires.
func (t *town) settle(ctx context.Context) {
	for deadline := time.Now().Add(settleLimit); time.Now().Before(deadline) && ctx.Err() == nil; sleep(ctx, time.Second) {
		var answer struct {
			Data struct {
				Alerts []json.RawMessage `json:"alerts"`
			} `json:"data"`
		}
		p := &daemon{address: t.watchers.prometheus, client: t.load.client}
		if p.get(ctx, "/api/v1/alerts", &answer) == nil && len(answer.Data.Alerts) == 0 {
			return
		}
	}
}

// sameChange reports whether both are one change: a rollout that metrics showed first keeps the id it got then.
func sameChange(a, b triage.Change) bool {
	rolls := func(k triage.Kind) bool { return k == triage.KindDeploy || k == triage.KindRollback }
	return a.ID == b.ID || rolls(a.Kind) && rolls(b.Kind) && a.Service == b.Service && cmp.Or(a.Version, "?") == b.Version
}
