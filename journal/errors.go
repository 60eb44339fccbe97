package journal

import (
	"context"
	"errors"
	"fmt"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// The states a caller may want to tell apart with errors.Is.
var (
	ErrNotFound    = errors.New("not found in the journal")
	ErrLocked      = errors.New("journal is in use")
	ErrClosed      = errors.New("journal is closed")
	ErrNewerSchema = errors.New("journal was written by a newer version")
	ErrForeignFile = errors.New("file is a database of another program")
	ErrExists      = errors.New("report exists and is immutable")
)

// EntryError says which entry of an Append was refused. None of that Append's entries were stored;
// those of other Appends were.
type EntryError struct {
	Index int
	Err   error
}

func (e *EntryError) Error() string { return fmt.Sprintf("entry %d: %v", e.Index, e.Err) }

// Unwrap returns what was wrong with the entry.
func (e *EntryError) Unwrap() error { return e.Err }

// code is the primary SQLite result code of an error, or 0.
func code(err error) int {
	if e, ok := errors.AsType[*sqlite.Error](err); ok {
		return e.Code() & 0xff
	}
	return 0
}

// corrupt reports whether the error means that the file is damaged or no database at all.
func corrupt(err error) bool {
	c := code(err)
	return c == sqlite3.SQLITE_CORRUPT || c == sqlite3.SQLITE_NOTADB
}

// ofStorage reports whether the error is one of the disk and not of what was being written: trying the
// requests of a batch one by one would not help.
func ofStorage(err error) bool {
	switch code(err) {
	case sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED,
		sqlite3.SQLITE_NOMEM, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB:
		return true
	}
	return false
}

// explain adds the remedy to an error of the storage.
func explain(err error, path string) error {
	switch code(err) {
	case sqlite3.SQLITE_FULL:
		return fmt.Errorf("%s: disk full: free space there, or lower journal.retention: %w", path, err)
	case sqlite3.SQLITE_IOERR:
		return fmt.Errorf("%s: the disk refuses to read or write: check its space, quota and health: %w", path, err)
	case sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM:
		return fmt.Errorf("%s: not writable: make the file and its directory writable for this user: %w", path, err)
	case sqlite3.SQLITE_CANTOPEN:
		return fmt.Errorf("%s: cannot be opened: make its directory exist and writable for this user, or change journal.path: %w", path, err)
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED:
		return fmt.Errorf("%s: another process writes to it: close whatever has it open: %w", path, err)
	case sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB:
		return fmt.Errorf("%s: damaged: restart triaged to have it moved aside and a fresh one started: %w", path, err)
	}
	if isDamage(err) {
		return fmt.Errorf("%w: restart triaged to have it checked, and moved aside if need be", err)
	}
	return err
}

// failed wraps an error of a read or write with what was being done, and remembers damage.
func (j *Journal) failed(doing string, err error) error {
	if err == nil {
		return nil
	}
	if corrupt(err) {
		j.damage(err)
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, ErrClosed) {
		return fmt.Errorf("journal: %s: %w", doing, err)
	}
	return fmt.Errorf("journal: %s: %w", doing, explain(err, j.cfg.Path))
}
