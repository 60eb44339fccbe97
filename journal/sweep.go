package journal

import (
	"context"
	"errors"
	"time"

	"github.com/prometheus/common/model"
)

// What is removed leaves room in the file for what comes; the file does not shrink.
// Removing is done in steps of sweepRows rows, each a transaction of a few milliseconds that other writes share, with a
// pause of at least sweepPause between them: nobody waits for the sweeper.
const (
	sweepRows  = 500
	sweepPause = 20 * time.Millisecond
)

// checkDelay is how long after the start a file that was too big to check while opening is checked.
const checkDelay = time.Minute

// sweepStep removes at most sweepRows rows that are past the retention it names.
type sweepStep struct {
	table string // for the metric
	keep  func(Retention) model.Duration
	sqls  []string // ?1: everything before it may go; ?2: how many rows. The last one's count tells whether there may be more
}

var sweepSteps = []sweepStep{
	{"changes", func(r Retention) model.Duration { return r.Changes }, []string{
		`DELETE FROM bodies WHERE seq IN (SELECT seq FROM changes WHERE last_activity < ?1 ORDER BY last_activity, seq LIMIT ?2)`,
		`DELETE FROM changes WHERE seq IN (SELECT seq FROM changes WHERE last_activity < ?1 ORDER BY last_activity, seq LIMIT ?2)`,
	}},
	{"anomalies", func(r Retention) model.Duration { return r.Anomalies }, []string{
		`DELETE FROM anomalies WHERE seq IN (SELECT seq FROM anomalies WHERE onset < ?1 AND acts_until < ?1 LIMIT ?2)`,
	}},
	{"aliases", func(r Retention) model.Duration { return r.Reports }, []string{
		`DELETE FROM aliases WHERE alias IN (SELECT alias FROM aliases WHERE at < ?1 LIMIT ?2)`,
	}},
	{"reports", func(r Retention) model.Duration { return r.Reports }, []string{
		`DELETE FROM reports WHERE rowid IN (SELECT rowid FROM reports WHERE created_at < ?1 LIMIT ?2)`,
	}},
	// Incidents that are still going on stay, however old.
	{"incidents", func(r Retention) model.Duration { return r.Reports }, []string{
		`DELETE FROM incidents WHERE id IN (SELECT id FROM incidents WHERE opened_at < ?1 AND updated_at < ?1 AND state IN ('closed', 'recovered') LIMIT ?2)`,
	}},
	{"alerts", func(r Retention) model.Duration { return r.Reports }, []string{
		`DELETE FROM alerts WHERE key IN (SELECT key FROM alerts WHERE starts_at < ?1 AND ends_at < ?1 LIMIT ?2)`,
	}},
	{"feedback", func(r Retention) model.Duration { return r.Reports }, []string{
		`DELETE FROM feedback WHERE rowid IN (SELECT rowid FROM feedback WHERE at < ?1 LIMIT ?2)`,
	}},
	// Dead and held deliveries wait for a person, pending ones for their receiver: they stay.
	{"deliveries", func(r Retention) model.Duration { return r.Reports }, []string{
		`DELETE FROM deliveries WHERE id IN (SELECT id FROM deliveries WHERE created_at < ?1 AND state IN ('delivered', 'shadow') LIMIT ?2)`,
	}},
	{"quarantine", func(r Retention) model.Duration { return r.Quarantine }, []string{
		`DELETE FROM quarantine_bodies WHERE seq IN (SELECT seq FROM quarantine WHERE at < ?1 ORDER BY at, seq LIMIT ?2)`,
		`DELETE FROM quarantine WHERE seq IN (SELECT seq FROM quarantine WHERE at < ?1 ORDER BY at, seq LIMIT ?2)`,
	}},
}

func (j *Journal) sweepLoop(ctx context.Context) {
	s := &sweeper{j: j}
	tick := time.NewTicker(time.Duration(j.cfg.SweepInterval))
	defer tick.Stop()
	failing := false
	for {
		err := s.round(ctx)
		if ctx.Err() != nil {
			return
		}
		switch {
		case err != nil && !failing:
			j.log.Warn("old rows could not be removed; trying again", "every", j.cfg.SweepInterval, "err", err)
		case err == nil && failing:
			j.log.Info("old rows are removed again")
		}
		failing = err != nil
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// sweeper removes what is past its retention.
type sweeper struct {
	j *Journal
	// Bodies of changes with less activity than this were removed already. It starts over once a day, for changes
	// that were stored late.
	bodiesTo  int64
	bodiesSet time.Time
}

// round removes everything that is past its retention now.
func (s *sweeper) round(ctx context.Context) error {
	now := s.j.now()
	for _, step := range sweepSteps {
		before := nanos(now.Add(-time.Duration(step.keep(s.j.cfg.Retention))))
		for more := true; more; {
			removed := int64(0)
			err := s.j.write(ctx, "sweep", 0, func(w *writer) (err error) {
				for _, q := range step.sqls {
					if removed, err = w.exec(q, before, sweepRows); err != nil {
						return err
					}
				}
				return nil
			})
			if err != nil {
				return err
			}
			s.j.metrics.swept(step.table, removed)
			more = removed == sweepRows
			if err := pause(ctx, more); err != nil {
				return err
			}
		}
	}
	return s.bodies(ctx, now)
}

// bodies removes the bodies of changes that are kept longer than these. A reader finds them, so that the writer is not held up.
func (s *sweeper) bodies(ctx context.Context, now time.Time) error {
	if now.Sub(s.bodiesSet) > day {
		s.bodiesTo, s.bodiesSet = nanosFrom(time.Time{}), now
	}
	before := nanos(now.Add(-time.Duration(s.j.cfg.Retention.Bodies)))
	type found struct{ seq, last int64 }
	for {
		rows, err := readAll(ctx, s.j, "find old bodies", func(r rowScanner) (f found, err error) { return f, r.Scan(&f.seq, &f.last) },
			`SELECT c.seq, c.last_activity FROM changes c INDEXED BY changes_by_activity JOIN bodies b ON b.seq = c.seq
			WHERE c.last_activity >= ? AND c.last_activity < ? ORDER BY c.last_activity LIMIT ?`, s.bodiesTo, before, sweepRows)
		if err != nil {
			return err
		}
		if len(rows) == 0 {
			s.bodiesTo = before
			return nil
		}
		removed := int64(0)
		err = s.j.write(ctx, "sweep", 0, func(w *writer) error {
			removed = 0
			for _, f := range rows {
				// The change may have moved since it was found.
				n, err := w.exec(`DELETE FROM bodies WHERE seq=? AND EXISTS (SELECT 1 FROM changes WHERE seq=?1 AND last_activity < ?2)`, f.seq, before)
				if err != nil {
					return err
				}
				removed += n
			}
			return nil
		})
		if err != nil {
			return err
		}
		s.j.metrics.swept("bodies", removed)
		s.bodiesTo = rows[len(rows)-1].last
		if err := pause(ctx, true); err != nil {
			return err
		}
	}
}

// pause lets others write between two steps.
func pause(ctx context.Context, more bool) error {
	if !more {
		return ctx.Err()
	}
	t := time.NewTimer(sweepPause)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

// checkLater checks, beside the work, a file that was not closed cleanly and was too big to check while opening.
func (j *Journal) checkLater(ctx context.Context) {
	if !j.unchecked {
		return
	}
	t := time.NewTimer(checkDelay)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return
	case <-t.C:
	}
	switch err := j.Check(ctx); {
	case err == nil:
		j.checked.Store(true)
		j.log.Info("journal was checked after an unclean shutdown and is sound")
	case errors.Is(err, context.Canceled), j.damaged.Load():
	default:
		j.log.Warn("journal could not be checked after an unclean shutdown; the next start tries again", "err", err)
	}
}
