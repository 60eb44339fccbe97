package try

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"time"

	"github.com/prometheus/common/model"
	"golang.org/x/sync/errgroup"

	"github.com/triaged-dev/triaged/collector"
	"github.com/triaged-dev/triaged/journal"
	"github.com/triaged-dev/triaged/triage"
)

const (
	foldStep   = 6 * time.Hour  // of changes handed over at once
	foldMemory = 48 * time.Hour // how far apart two words of one change may lie
)

// fold unites what several senders say of the same change, by the daemon's own collector over a journal that is thrown away: the
// rollout that metrics show and the deployment that GitHub knows are one.
func fold(ctx context.Context, cs []triage.Change) (out []triage.Change, err error) {
	dir, err := os.MkdirTemp("", "triaged-try")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	var clock atomic.Int64 // the time of the changes, so that none is late or ahead
	now := func() time.Time { return time.Unix(0, clock.Load()) }
	cfg := journal.DefaultConfig()
	cfg.Path = filepath.Join(dir, "journal.db")
	store, err := journal.Open(ctx, journal.Options{Config: cfg, Now: now})
	if err != nil {
		return nil, err
	}
	window := collector.DefaultConfig()
	window.Retention = model.Duration(foldMemory)
	c, err := collector.New(collector.Options{Config: window, Journal: store, Now: now})
	if err != nil {
		return nil, errors.Join(err, store.Close())
	}
	running, stop := context.WithCancel(ctx)
	var work errgroup.Group
	work.Go(func() error { return store.Run(running) })
	work.Go(func() error { return c.Run(running) })
	defer func() {
		stop()
		if e := errors.Join(work.Wait(), store.Close()); e != nil && !errors.Is(e, context.Canceled) {
			err = errors.Join(err, e)
		}
	}()
	cs = slices.Clone(cs)
	slices.SortStableFunc(cs, func(a, b triage.Change) int { return a.OccurredAt().Compare(b.OccurredAt()) })
	for len(cs) > 0 {
		end := cs[0].OccurredAt().Add(foldStep)
		var events []triage.Event
		for len(cs) > 0 && cs[0].OccurredAt().Before(end) {
			ch := cs[0]
			cs = cs[1:]
			events = append(events, triage.Event{Change: &ch})
			clock.Store(max(clock.Load(), ch.LastActivity().UnixNano(), ch.OccurredAt().UnixNano()))
		}
		if err := c.Emit(ctx, events); err != nil {
			return nil, fmt.Errorf("unite the changes: %w", err)
		}
	}
	q := triage.ChangeQuery{Limit: 1000}
	for {
		found, next, err := store.FindChanges(ctx, q)
		if err != nil {
			return nil, err
		}
		out = append(out, found...)
		if q.After = next; next == "" {
			return out, nil
		}
	}
}
