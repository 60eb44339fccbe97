package journal

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// Restored says what RestoreFile did.
type Restored struct {
	Changes, Incidents, Reports int
	Aside                       string // where what was there before is now; empty if there was nothing
}

// RestoreFile puts a copy that BackupFile made, or a whole journal with its -wal, in the journal's place. It refuses while the journal
// is in use, checks the copy to the last index before it touches anything, and keeps what was there: the old database together
// with its -wal, which would otherwise be replayed over the new one. backup is only read.
func RestoreFile(ctx context.Context, backup, journal string, now time.Time) (r Restored, err error) {
	doing := func(err error) error {
		return fmt.Errorf("restore journal %s from %s: %w", journal, backup, explain(err, backup))
	}
	info, err := os.Stat(backup)
	if err != nil {
		return r, doing(err)
	}
	if there, err := os.Stat(journal); err == nil && os.SameFile(info, there) {
		return r, doing(errors.New("that is the journal itself; name the copy"))
	}
	if err := os.MkdirAll(filepath.Dir(journal), 0o750); err != nil {
		return r, doing(err)
	}
	lock, err := acquireLock(journal + ".lock")
	if err != nil {
		return r, doing(err)
	}
	defer func() { err = errors.Join(err, lock.release()) }()
	part := journal + ".restoring"
	defer removeAll(part)
	removeAll(part)
	for _, suffix := range []string{"", "-wal"} {
		if err := copyFile(backup+suffix, part+suffix); err != nil && (suffix == "" || !errors.Is(err, fs.ErrNotExist)) {
			return r, doing(err)
		}
	}
	if r, err = proveCopy(ctx, part); err != nil {
		return r, doing(fmt.Errorf("check the copy; nothing was changed: %w", err))
	}
	if r.Aside, err = setAside(journal, now); err != nil {
		return r, doing(err)
	}
	if err := os.Rename(part, journal); err != nil {
		return r, doing(err)
	}
	if err := syncFile(filepath.Dir(journal)); err != nil {
		return r, doing(err)
	}
	if info, err = os.Stat(journal); err != nil {
		return r, doing(err)
	}
	return r, lock.mark(cleanMark(info))
}

// proveCopy checks a journal that nobody else has open, moves its -wal into it, and counts what it holds.
func proveCopy(ctx context.Context, path string) (r Restored, err error) {
	db, err := openDB(path, "synchronous(FULL)")
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	db.SetMaxOpenConns(1)
	tables, err := checkOwner(ctx, db)
	if err != nil {
		return r, err
	}
	if tables == 0 {
		return r, errors.New("it is empty")
	}
	if err := integrity(ctx, db, "integrity_check"); err != nil {
		return r, err
	}
	err = db.QueryRowContext(ctx, "SELECT (SELECT count(*) FROM changes), (SELECT count(*) FROM incidents), (SELECT count(*) FROM reports)").Scan(&r.Changes, &r.Incidents, &r.Reports)
	if err != nil {
		return r, err
	}
	var busy, frames, moved sql.NullInt64
	return r, db.QueryRowContext(ctx, "PRAGMA wal_checkpoint(TRUNCATE)").Scan(&busy, &frames, &moved)
}

// setAside renames a journal and what stands beside it; there may be none, or only a -wal.
func setAside(path string, now time.Time) (aside string, err error) {
	to := path + ".before-restore-" + now.UTC().Format("20060102T150405.000Z")
	for _, suffix := range []string{"", "-wal", "-shm"} {
		switch err := os.Rename(path+suffix, to+suffix); {
		case err == nil:
			aside = to
		case !errors.Is(err, fs.ErrNotExist):
			return aside, err
		}
	}
	return aside, nil
}

func removeAll(path string) {
	for _, suffix := range []string{"", "-wal", "-shm"} {
		_ = os.Remove(path + suffix) // most of the time there is none
	}
}

func copyFile(from, to string) (err error) {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, in.Close()) }()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Sync(), out.Close())
}
