// Package journal remembers what must survive: changes, anomalies, incidents, reports, the outbox, feedback.
// It is one SQLite file with one writer, and when a write returns nil it is on the disk.
// It decides nothing: it does not fold, rank, retry or route, and it never changes what it was given.
//
// All writes go through one goroutine (see Run) that commits whatever is waiting in one transaction, so that many
// writers share one fsync and nobody meets a locked database. A batch is not held open to fill up: while one commit
// waits for the disk the next batch gathers, so a lone writer never waits for company and a crowd batches by itself.
// Reads use their own connections and see the last commit. Times are unix nanoseconds UTC, 0 for "not known".
package journal

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Options are what a Journal needs. Config is completed from DefaultConfig where a field is zero.
type Options struct {
	Config     Config
	Logger     *slog.Logger          // nil: silent
	Registerer prometheus.Registerer // nil: no metrics
	Now        func() time.Time      // nil: time.Now; used for retention and for stamps the caller does not give
}

// Journal is the durable store. All methods may be called at any time from any goroutine.
type Journal struct {
	cfg     Config
	log     *slog.Logger
	now     func() time.Time
	metrics *metrics

	lock        *lockFile
	wdb, rdb    *sql.DB
	w           *writer
	recovered   string
	quarantined atomic.Int64 // bytes put into the quarantine since its bodies were last counted
	unchecked   bool         // last shutdown was unclean and the file too big to check while opening
	checked     atomic.Bool  // and it has been checked since
	damaged     atomic.Bool  // corruption was met since opening
	damagedBy   atomic.Pointer[error]
	watch       watch
	tail        logTail
	logEnd      atomic.Pointer[logEnd] // after the last commit
	rescued     string                 // copy of a database that was removed while in use
	trouble     atomic.Pointer[error]  // of the last write, if it was the disk's

	broken    chan struct{} // closed when nothing may be acknowledged any more
	brokenBy  error         // set before broken is closed
	breakOnce sync.Once

	queue    chan *request // unbuffered: a request that was received is always answered
	stop     chan struct{} // closed by Close
	running  atomic.Bool   // Run was called, or must not be any more
	runEnded chan struct{} // closed when Run returns
	ended    chan struct{} // closed when no further request will be received
	endedBy  error         // set before ended is closed
	endOnce  sync.Once
	closing  sync.Once
}

// Open locks the journal, checks it as far as its last shutdown gives reason to, and brings its schema up to date.
// A damaged file is moved aside and a fresh one started, see Recovered. The errors an operator can mend say how;
// ErrLocked, ErrNewerSchema and ErrForeignFile can be told apart. Call Run to accept writes, and Close at the end.
func Open(ctx context.Context, o Options) (*Journal, error) {
	cfg := o.Config.withDefaults()
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("open journal: %w", err)
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	j := &Journal{
		cfg: cfg, log: o.Logger, now: o.Now,
		queue: make(chan *request), ended: make(chan struct{}), runEnded: make(chan struct{}), stop: make(chan struct{}),
		broken: make(chan struct{}), watch: watch{path: cfg.Path},
	}

	if err := os.MkdirAll(filepath.Dir(cfg.Path), 0o750); err != nil {
		return nil, fmt.Errorf("open journal %s: create its directory (make it writable for this user, or change journal.path): %w", cfg.Path, err)
	}
	lock, err := acquireLock(cfg.Path + ".lock")
	if err != nil {
		return nil, fmt.Errorf("open journal %s: %w", cfg.Path, err)
	}
	j.lock = lock
	if err := j.open(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("open journal %s: %w", cfg.Path, err), j.closeFiles(), lock.release())
	}
	j.metrics = newMetrics(o.Registerer, j)
	if j.recovered != "" {
		j.metrics.recovered.Inc()
	}
	return j, nil
}

// Recovered says what was wrong with the file found at Open and what was done about it, or is empty if all was well.
func (j *Journal) Recovered() string { return j.recovered }

// Path is the file the journal is in.
func (j *Journal) Path() string { return j.cfg.Path }

// Close ends Run, moves the log of recent writes into the file and lets the lock go. Writes that were waiting get
// ErrClosed. It is safe to call more than once.
func (j *Journal) Close() error {
	var err error
	j.closing.Do(func() {
		close(j.stop)
		if j.running.Swap(true) {
			<-j.runEnded
		}
		j.end(ErrClosed)
		if !j.damaged.Load() {
			if cerr := j.w.script("PRAGMA wal_checkpoint(TRUNCATE)"); cerr != nil {
				j.log.Warn("recent writes stay in the -wal and are read from there next time", "path", j.cfg.Path, "err", cerr)
			}
		}
		err = errors.Join(j.closeFiles(), j.settle(), j.markClosed(), j.lock.release())
	})
	return err
}

// end lets every waiting and future write return why: ErrClosed, or the damage that ended Run.
func (j *Journal) end(why error) {
	j.endOnce.Do(func() {
		j.endedBy = why
		close(j.ended)
	})
}

func (j *Journal) closeFiles() error {
	var errs []error
	if j.w != nil {
		errs = append(errs, j.w.close())
		j.w = nil
	}
	for _, db := range []*sql.DB{j.rdb, j.wdb} {
		if db != nil {
			errs = append(errs, db.Close())
		}
	}
	return errors.Join(errs...)
}
