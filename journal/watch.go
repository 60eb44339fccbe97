package journal

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"
	"time"
)

// watchEvery is how often the files are looked at while nothing is written. Before every commit they are looked at, too.
const watchEvery = time.Second

// watched are the files whose identity must not change while we run, by suffix. Another -shm or .lock would let others believe
// that nobody has the journal open.
var watched = [...]string{"", "-wal", "-shm", ".lock"}

// fileState is what a file looks like from outside. A missing file is the zero value.
type fileState struct {
	dev, ino uint64
	size     int64
	mtime    time.Time
}

// watch notices what others do to the files while we have them open: SQLite goes on writing to a file that was removed, and
// believes pages that it has in memory. Only the writer's goroutine uses it, and Open before that.
type watch struct {
	path string
	was  [len(watched)]fileState
	set  bool
}

func stateOf(path string) (fileState, error) {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return fileState{}, nil
	}
	if err != nil {
		return fileState{}, err
	}
	s := fileState{size: info.Size(), mtime: info.ModTime()}
	if sys, ok := info.Sys().(*syscall.Stat_t); ok {
		s.dev, s.ino = uint64(sys.Dev), sys.Ino //nolint:unconvert // not the same type on every platform
	}
	return s, nil
}

// goneError is the finding that a file was removed or replaced while its contents are still open here.
type goneError struct{ damageError }

// note remembers how the files are after our own writing. A file that is there for the first time is ours.
func (w *watch) note() error {
	for i, suffix := range watched {
		now, err := stateOf(w.path + suffix)
		if err != nil {
			return fmt.Errorf("look at the journal's files: %w", err)
		}
		if was := w.was[i]; w.set && was.ino != 0 && (now.ino != was.ino || now.dev != was.dev) {
			return gone(w.path+suffix, now)
		}
		if was := w.was[i]; w.set && (suffix == "" || suffix == "-shm") && now.size < was.size { // nothing of ours shrinks them
			return &damageError{found: fmt.Sprintf("%s was cut from %d to %d bytes while in use", w.path+suffix, was.size, now.size)}
		}
		w.was[i] = now
	}
	w.set = true
	return nil
}

// verify compares the files with how we left them. It returns a damageError for what cannot be right, and says with touched that
// the database or its log was written to by somebody, which may be harmless.
func (w *watch) verify() (touched bool, err error) {
	if !w.set {
		return false, nil
	}
	for i, suffix := range watched {
		now, err := stateOf(w.path + suffix)
		if err != nil {
			return false, fmt.Errorf("look at the journal's files: %w", err)
		}
		was := w.was[i]
		switch {
		case was.ino == 0:
			continue
		case now.ino != was.ino || now.dev != was.dev:
			return false, gone(w.path+suffix, now)
		case suffix == ".lock":
			continue
		case now.size < was.size: // of -shm, too: it is mapped, and what is behind its end cannot be reached any more
			return false, &damageError{found: fmt.Sprintf("%s was cut from %d to %d bytes while in use", w.path+suffix, was.size, now.size)}
		case suffix == "-shm":
			continue // readers write to it
		case now.size != was.size || !now.mtime.Equal(was.mtime):
			touched = true
		}
	}
	return touched, nil
}

func gone(path string, now fileState) error {
	if now.ino == 0 {
		return &goneError{damageError{found: path + " was removed while in use"}}
	}
	return &goneError{damageError{found: path + " was replaced while in use"}}
}

// unharmed says whether the files can still be trusted: nil, or what was found. It is called between commits and costs four
// look-ups; only when somebody has written to the files, they are read.
func (j *Journal) unharmed() error {
	touched, err := j.watch.verify()
	if err != nil || !touched {
		return err
	}
	if err := j.readThrough(); err != nil {
		return err
	}
	j.log.Warn("somebody else wrote to the journal's files while they are in use; they were read through and are sound", "path", j.cfg.Path)
	return j.watch.note()
}

// readThrough checks the log of recent writes against its checksums and the structure of the database, with a connection that
// remembers no pages.
func (j *Journal) readThrough() (err error) {
	ctx, cancel := context.WithTimeout(j.w.ctx, readThroughTime)
	defer cancel()
	var busy, frames, moved int
	if err := j.w.conn.QueryRowContext(ctx, "PRAGMA wal_checkpoint(NOOP)").Scan(&busy, &frames, &moved); err != nil {
		return err
	}
	if frames > moved {
		if err := checkLog(j.cfg.Path+"-wal", frames); err != nil {
			return err
		}
	}
	db, err := openDB(j.cfg.Path, "query_only(1)")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	db.SetMaxOpenConns(1)
	return integrity(ctx, db, "quick_check")
}

// readThroughTime bounds a check that everything waits for: 100 GB at 1.6 s each.
const readThroughTime = 3 * time.Minute

// damage stops the acknowledging: every write that waits or comes is refused from now on, and Run returns.
func (j *Journal) damage(err error) {
	j.markDamaged(err)
	j.breakOnce.Do(func() {
		j.brokenBy = err
		close(j.broken)
	})
}

// isDamage reports whether an error says that the journal cannot be trusted any more.
func isDamage(err error) bool {
	_, found := errors.AsType[*damageError](err)
	_, gone := errors.AsType[*goneError](err)
	return found || gone || corrupt(err)
}

// Damaged returns why the journal cannot be trusted any more, or nil. Started again, Open checks it and saves what can be saved.
func (j *Journal) Damaged() error {
	select {
	case <-j.broken:
		return j.failed("use", j.brokenBy)
	default:
		return nil
	}
}
