package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/triaged-dev/triaged/test/lab/service"
	"github.com/triaged-dev/triaged/triage"
)

// innocents change the office all the time without harming it, though every rollout restarts processes: they are cold for a
// while, and slower. keepOff is never touched meanwhile.
func (t *town) innocents(ctx context.Context, mean time.Duration) {
	if mean <= 0 {
		return
	}
	for ctx.Err() == nil {
		t.deployer.mu.Lock()
		pause := time.Duration(t.deployer.rand.ExpFloat64() * float64(mean))
		t.deployer.mu.Unlock()
		sleep(ctx, max(time.Second, min(pause, 3*mean)))
		if ctx.Err() != nil {
			return
		}
		changeable := slices.DeleteFunc(slices.Clone(office), func(s staff) bool {
			return len(s.innocent) == 0 || s.name == "broker" || s.name == "store" || t.kept(s.name) // queues and keys live in memory
		})
		s := changeable[t.deployer.pick(len(changeable))]
		if err := t.innocent(ctx, s, t.deployer.pick(10)); err != nil && ctx.Err() == nil {
			t.logf("an innocent change of %s: %v", s.name, err)
		}
	}
}

// innocent is one such change: half of them are deploys.
func (t *town) innocent(ctx context.Context, s staff, kind int) (err error) {
	d := t.deployer
	switch {
	case kind < 5:
		_, err = d.deploy(ctx, triage.KindDeploy, s.name, d.next(s.name), d.fleet.now(s.name).build, false, telling(min(d.pick(6)/5, int(atEnd))))
	case kind < 8:
		key := s.innocent[d.pick(len(s.innocent))]
		was := d.fleet.now(s.name).values[key]
		_, err = d.configure(ctx, s.name, key, was, was+1, atOnce)
	default:
		flag := fmt.Sprintf("experiment-%d", 1+d.pick(4))
		_, err = d.flip(ctx, s.name, flag, !d.fleet.now(s.name).flags[flag], atOnce)
	}
	return err
}

// decoy deploys a good version of a service.
func (t *town) decoy(ctx context.Context, name string) error {
	_, err := t.deployer.deploy(ctx, triage.KindDeploy, name, t.deployer.next(name), service.Build{}, false, atOnce)
	return err
}
