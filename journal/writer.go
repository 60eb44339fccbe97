package journal

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"
	"time"
)

// maxBatch is how many entries one transaction takes before the rest waits for the next: about 1 MB and 15 ms.
const maxBatch = 1000

// request is one caller's write. do may run twice, if the batch has to be taken apart, so it only touches the database.
type request struct {
	op      string
	entries int
	do      func(*writer) error
	done    chan error // buffered: the writer never waits for a caller that gave up
}

// writer is the one connection that writes, with its prepared statements. Only Run's goroutine uses it, and Open before that.
type writer struct {
	// ctx has no end: a transaction is never torn by a caller who leaves, because it is short and its outcome must be known.
	ctx   context.Context
	conn  *sql.Conn
	stmts map[string]*sql.Stmt
}

func newWriter(ctx context.Context, conn *sql.Conn) *writer {
	return &writer{ctx: context.WithoutCancel(ctx), conn: conn, stmts: make(map[string]*sql.Stmt)}
}

func (w *writer) close() error {
	var errs []error
	for _, s := range w.stmts {
		errs = append(errs, s.Close())
	}
	return errors.Join(append(errs, w.conn.Close())...)
}

func (w *writer) stmt(query string) (*sql.Stmt, error) {
	if s, ok := w.stmts[query]; ok {
		return s, nil
	}
	s, err := w.conn.PrepareContext(w.ctx, query)
	if err != nil {
		return nil, err
	}
	w.stmts[query] = s
	return s, nil
}

// exec runs a constant statement, prepared once, and returns how many rows it changed.
func (w *writer) exec(query string, args ...any) (int64, error) {
	s, err := w.stmt(query)
	if err != nil {
		return 0, err
	}
	r, err := s.ExecContext(w.ctx, args...)
	if err != nil {
		return 0, err
	}
	return r.RowsAffected()
}

// row reads one row with a prepared statement; the error may be sql.ErrNoRows.
func (w *writer) row(query string, args []any, into ...any) error {
	s, err := w.stmt(query)
	if err != nil {
		return err
	}
	return s.QueryRowContext(w.ctx, args...).Scan(into...)
}

// script runs statements that are not worth preparing.
func (w *writer) script(text string) error {
	_, err := w.conn.ExecContext(w.ctx, text)
	return err
}

// transaction runs do and commits, or leaves nothing of it behind.
func (w *writer) transaction(do func() error) error {
	if err := w.script("BEGIN IMMEDIATE"); err != nil {
		return err
	}
	err := do()
	if err == nil {
		err = w.script("COMMIT")
	}
	if err != nil {
		// A full disk may have rolled back by itself, then there is nothing left to do.
		_ = w.script("ROLLBACK")
	}
	return err
}

// write hands do to the writer and waits until its transaction is on the disk. If ctx ends before the writer takes it,
// nothing was written; if it ends later, the outcome is unknown to the caller, and repeating the write is safe.
func (j *Journal) write(ctx context.Context, op string, entries int, do func(*writer) error) error {
	r := &request{op: op, entries: entries, do: do, done: make(chan error, 1)}
	var err error
	select {
	case j.queue <- r:
		select {
		case err = <-r.done:
		case <-ctx.Done():
			err = context.Cause(ctx)
		}
	case <-j.ended:
		err = j.endedBy
	case <-ctx.Done():
		err = context.Cause(ctx)
	}
	j.metrics.write(op, err)
	return j.failed(op, err)
}

// Run accepts writes, commits them in groups, and removes what is past its retention. It blocks until ctx ends or Close
// is called, and returns nil then; every write it took is answered before it returns. It returns an error only when
// the file turns out to be damaged: started again, Open moves the file aside. It may be called once.
func (j *Journal) Run(ctx context.Context) error {
	if j.running.Swap(true) {
		select {
		case <-j.stop:
			return nil // closed before it could begin
		default:
			return errors.New("journal: Run was called twice")
		}
	}
	defer close(j.runEnded)
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)

	var wg sync.WaitGroup
	wg.Go(func() {
		select {
		case <-j.stop:
			cancel(ErrClosed)
		case <-ctx.Done():
		}
	})
	wg.Go(func() { j.sweepLoop(ctx) })
	wg.Go(func() { j.checkLater(ctx) })
	wg.Go(func() { j.logLoop(ctx) })
	err := j.writeLoop(ctx)
	cancel(nil)
	j.end(cmp.Or(err, ErrClosed))
	wg.Wait()
	return j.failed("write", err)
}

// writeLoop takes requests until ctx ends. It batches what is waiting and does not wait for more.
func (j *Journal) writeLoop(ctx context.Context) error {
	var batch []*request
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-j.broken: // a reader met it
			return j.brokenBy
		case <-tick.C:
			if err := j.unharmed(); isDamage(err) {
				return j.stopWriting(err)
			}
			j.probe()
			continue
		case r := <-j.queue:
			batch = j.gather(append(batch[:0], r))
		}
		start := time.Now()
		entries, err := j.commit(batch)
		if entries > 0 {
			j.metrics.commit(entries, time.Since(start))
		}
		clear(batch)
		if isDamage(err) {
			return j.stopWriting(err)
		}
	}
}

// stopWriting ends the writing because of damage, and saves a database that was taken away.
func (j *Journal) stopWriting(err error) error {
	j.damage(err)
	if serr := errors.Join(j.trimLog(), j.rescue()); serr != nil {
		j.log.Error("not all that was still open of the journal could be saved", "path", j.cfg.Path, "err", serr)
	}
	return err
}

// gather adds to the batch what other callers have ready, up to maxBatch entries.
func (j *Journal) gather(batch []*request) []*request {
	n := batch[0].entries
	for n < maxBatch {
		select {
		case r := <-j.queue:
			batch = append(batch, r)
			n += r.entries
		default:
			return batch
		}
	}
	return batch
}

// commit writes the batch in one transaction and answers its requests. If a request cannot be written, it alone fails:
// the batch is written again with a savepoint around each. A disk that fails, fails them all. The number of entries that
// became durable is returned, and the error if it was the disk.
func (j *Journal) commit(batch []*request) (entries int, err error) {
	if err := j.unharmed(); isDamage(err) {
		j.markDamaged(err)
		for _, r := range batch {
			r.done <- err
		}
		return 0, err
	}
	err = j.w.transaction(func() error {
		for _, r := range batch {
			if err := r.do(j.w); err != nil {
				return err
			}
			entries += r.entries
		}
		return nil
	})
	results := make([]error, len(batch))
	switch {
	case err == nil:
	case ofStorage(err) || len(batch) == 1:
		entries = 0
		for i := range results {
			results[i] = err
		}
	default:
		entries, err = j.commitApart(batch, results)
	}
	// What was written to a file that is no longer the journal's, or behind a hole in its log, must not be acknowledged.
	nerr := j.watch.note()
	if nerr == nil && err == nil {
		nerr = j.logHolds()
	}
	if nerr != nil && j.watch.set {
		entries, err = 0, nerr
		for i := range results {
			results[i] = cmp.Or(results[i], nerr)
		}
	}
	j.noteTrouble(err) // before the answers: who was refused and then asks Ready hears the same
	if isDamage(err) {
		j.markDamaged(err)
	}
	for i, r := range batch {
		r.done <- results[i]
	}
	return entries, err
}

// commitApart is commit with a savepoint around each request; it fills results.
func (j *Journal) commitApart(batch []*request, results []error) (entries int, err error) {
	err = j.w.transaction(func() error {
		for i, r := range batch {
			if err := j.w.script("SAVEPOINT one"); err != nil {
				return err
			}
			results[i] = r.do(j.w)
			if ofStorage(results[i]) {
				return results[i]
			}
			end := "RELEASE one"
			if results[i] != nil {
				end = "ROLLBACK TO one; RELEASE one"
			} else {
				entries += r.entries
			}
			if err := j.w.script(end); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		for i := range results {
			results[i] = err
		}
		return 0, fmt.Errorf("write %d requests one by one: %w", len(batch), err)
	}
	return entries, nil
}
