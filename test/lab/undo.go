package main

import (
	"context"
	"fmt"
	"maps"
	"strconv"
	"time"

	"github.com/triaged-dev/triaged/test/lab/service"
	"github.com/triaged-dev/triaged/triage"
)

// undo takes a change back for real and tells of it, in one of the ways people do.
func (t *town) undo(ctx context.Context, c triage.Change) (triage.Change, error) {
	d := t.deployer
	switch c.Kind {
	case triage.KindDeploy, triage.KindRollback:
		return d.deploy(ctx, triage.KindRollback, c.Service, c.PreviousVersion, service.Build{}, false, atOnce)
	case triage.KindFlag:
		return d.flip(ctx, c.Service, c.Labels["flag"], c.Labels["from"] == "on", atOnce)
	case triage.KindScale, triage.KindConfig:
		return t.backTo(ctx, c)
	case triage.KindMigration:
		u := d.change("migrate", triage.KindCommand, c.Service)
		u.Title, u.Undoes, u.FinishedAt = "cancelled: "+c.Title, []triage.ChangeID{c.ID}, u.StartedAt
		t.releaseLocks()
		d.tell(ctx, u, atOnce)
		d.keep(u)
		return u, nil
	}
	return triage.Change{}, fmt.Errorf("nobody here can undo %s", c.ID)
}

// backTo sets a number to what it was. How that is told differs: only the values; the word revert; a link to what is undone.
func (t *town) backTo(ctx context.Context, c triage.Change) (triage.Change, error) {
	d := t.deployer
	from, err := strconv.ParseFloat(c.Labels["to"], 64)
	if err != nil {
		return triage.Change{}, fmt.Errorf("undo %s: %w", c.ID, err)
	}
	to, err := strconv.ParseFloat(c.Labels["from"], 64)
	if err != nil {
		return triage.Change{}, fmt.Errorf("undo %s: %w", c.ID, err)
	}
	var u triage.Change
	if c.Kind == triage.KindScale {
		u, err = d.scale(ctx, c.Service, int(from), int(to), never)
	} else {
		u, err = d.configure(ctx, c.Service, c.Labels["key"], from, to, never)
	}
	switch d.pick(3) {
	case 0:
		u.Title = "revert: " + c.Title
	case 1:
		u.Undoes, u.Labels = []triage.ChangeID{c.ID}, nil
	}
	u.Labels = maps.Clone(u.Labels)
	d.tell(ctx, u, atOnce)
	return u, err
}

// releaseLocks ends what a migration holds.
func (t *town) releaseLocks() {
	t.mu.Lock()
	release := t.release
	t.release = nil
	t.mu.Unlock()
	if release != nil {
		release()
	}
}

// migrate locks a table for as long as nobody cancels it, and tells of the migration.
func (t *town) migrate(ctx context.Context, name, table string) (triage.Change, error) {
	c := t.deployer.change("migrate", triage.KindMigration, name)
	c.Title, c.Status = "alter table "+table+" add column zone", triage.StatusStarted
	release, err := t.postgres.lock(ctx, table)
	if err != nil {
		return c, err
	}
	t.mu.Lock()
	t.release = release
	t.mu.Unlock()
	t.deployer.tell(ctx, c, atOnce)
	t.deployer.keep(c)
	return c, nil
}

// throttle stops the processes of a service most of the time, as a machine does whose processor somebody else uses up.
func (t *town) throttle(ctx context.Context, name string) (heal func(context.Context) error) {
	ctx, stop := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			in := t.fleet.instances(name)
			for _, i := range in {
				i.freeze()
			}
			sleep(ctx, 420*time.Millisecond)
			for _, i := range in {
				i.thaw()
			}
			sleep(ctx, 60*time.Millisecond)
		}
	}()
	return func(context.Context) error {
		stop()
		<-done
		return nil
	}
}
