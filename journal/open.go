package journal

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"runtime"
	"strings"
	"time"

	_ "modernc.org/sqlite" // the driver
)

// applicationID marks the file as ours ("trgd"): a database of another program is refused, not changed.
const applicationID = 0x74726764

// foregroundCheck is the size in bytes up to which a file that was not closed cleanly is checked before it is used:
// less than half a second where 1 GB takes 1.6 s. Bigger ones are checked in the background, so that a restart during
// an incident is quick.
const foregroundCheck = 256 << 20

// Page caches, in KiB per connection. Besides these the journal needs about 10 MB.
const (
	writerCacheKiB = 32 << 10
	readerCacheKiB = 4 << 10
	maxReaders     = 4
)

// walPages is how many pages of 4 KiB gather in the -wal before they are moved into the file: 32 MB, at most about 0.2 s of writing.
const walPages = 8192

// open opens, checks and migrates the file; if it is damaged, it does so again with a fresh one.
func (j *Journal) open(ctx context.Context) error {
	err := j.openOnce(ctx)
	bad, found := errors.AsType[*damageError](err)
	switch {
	case err == nil:
		return nil
	case corrupt(err):
		bad = &damageError{found: err.Error()}
	case !found:
		return explain(err, j.cfg.Path)
	}
	if err := j.closeFiles(); err != nil {
		j.log.Debug("close of the damaged journal", "err", err)
	}
	aside, err := moveAside(j.cfg.Path, j.now())
	if err != nil {
		return fmt.Errorf("damaged (%s), and it cannot be moved aside; move it away by hand: %w", bad.found, err)
	}
	j.recovered = fmt.Sprintf("the journal was damaged (%s); it was moved to %s and a fresh one started: "+
		"what it held is missing from history until it is restored from a backup", bad.found, aside)
	j.log.Error("journal was damaged; moved it aside and started a fresh one", "found", bad.found, "moved_to", aside)
	j.lock.left = ""
	return j.openOnce(ctx)
}

// damageError is the finding of an integrity check.
type damageError struct{ found string }

func (e *damageError) Error() string { return "damaged: " + e.found }

func (j *Journal) openOnce(ctx context.Context) error {
	// The database is created by us so that only this user can read it; its -wal inherits the mode.
	f, err := os.OpenFile(j.cfg.Path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return fmt.Errorf("make it readable and writable for this user: %w", err)
	}
	info, err := f.Stat()
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	state := j.lock.left
	// From here on a crash leaves the file unclean; a damage mark must outlive a crash.
	if !strings.HasPrefix(state, leftDamaged) {
		mark := leftOpen
		if state == "" || state == leftNew {
			mark = leftNew
		}
		if err := j.lock.mark(mark); err != nil {
			return err
		}
	}
	j.wdb, err = openDB(j.cfg.Path, "synchronous(FULL)", fmt.Sprintf("cache_size(-%d)", writerCacheKiB),
		fmt.Sprintf("wal_autocheckpoint(%d)", walPages), fmt.Sprintf("journal_size_limit(%d)", 2*walPages*4096), "foreign_keys(0)")
	if err != nil {
		return err
	}
	j.wdb.SetMaxOpenConns(1)
	tables, err := checkOwner(ctx, j.wdb)
	if err != nil {
		return err
	}
	if err := j.checkAtOpen(ctx, info, state); err != nil {
		return err
	}
	j.compare(info, state, tables)
	conn, err := j.wdb.Conn(ctx)
	if err != nil {
		return err
	}
	j.w = newWriter(ctx, conn)
	if err := j.migrate(ctx, migrations); err != nil {
		return err
	}
	if !strings.HasPrefix(state, leftDamaged) {
		if err := j.lock.mark(leftOpen); err != nil {
			return err
		}
	}
	j.rdb, err = openDB(j.cfg.Path, "query_only(1)", fmt.Sprintf("cache_size(-%d)", readerCacheKiB))
	if err != nil {
		return err
	}
	n := min(maxReaders, max(2, runtime.GOMAXPROCS(0)))
	j.rdb.SetMaxOpenConns(n)
	j.rdb.SetMaxIdleConns(n)
	if err := j.rdb.PingContext(ctx); err != nil {
		return err
	}
	return j.watch.note()
}

func openDB(path string, pragmas ...string) (*sql.DB, error) {
	return sql.Open("sqlite", fileURL(path, append([]string{"busy_timeout(5000)", "journal_mode(WAL)"}, pragmas...)))
}

// fileURL names a file to SQLite so that no character of its path is taken for something else.
func fileURL(path string, pragmas []string) string {
	escaped := (&url.URL{Path: path}).EscapedPath()
	return "file:" + strings.ReplaceAll(escaped, "//", "/") + "?" + url.Values{"_pragma": pragmas}.Encode()
}

// checkOwner refuses a database that another program made and one from a version to come.
func checkOwner(ctx context.Context, db *sql.DB) (tables int, err error) {
	var app, version int
	err = db.QueryRowContext(ctx, "SELECT (SELECT application_id FROM pragma_application_id), (SELECT user_version FROM pragma_user_version), (SELECT count(*) FROM sqlite_schema)").
		Scan(&app, &version, &tables)
	switch {
	case err != nil:
		return 0, err
	case tables > 0 && app != applicationID:
		return tables, fmt.Errorf("%w: choose another journal.path", ErrForeignFile)
	case version > len(migrations):
		return tables, fmt.Errorf("%w: it has schema %d and this triaged knows %d: use the newer version, or start with another journal.path", ErrNewerSchema, version, len(migrations))
	}
	return tables, nil
}

// compare says, as Recovered does, when a file that passes every check is not the one that was left: it was emptied or cut to a sound
// smaller one, or the last run stopped because somebody wrote to it.
func (j *Journal) compare(info fs.FileInfo, left string, tables int) {
	var size int64
	_, _ = fmt.Sscanf(left, leftClean+" %d", &size) // stays 0 where it was left otherwise
	reason, damaged := strings.CutPrefix(left, leftDamaged)
	switch {
	case tables == 0 && left != "" && left != leftNew && j.recovered == "":
		j.recovered = "the journal is empty, or was removed, though it was in use before: a fresh one was started, and what it held is missing from history until it is restored from a backup"
	case size > info.Size():
		j.recovered = fmt.Sprintf("the journal has %d bytes and was left with %d: somebody cut or replaced it; it is sound, and what is missing from it is missing from history", info.Size(), size)
	case damaged && j.recovered == "":
		j.recovered = fmt.Sprintf("the last run stopped because the journal was damaged (%s); it was checked, what can be read is served, and the last writes before that may be missing", strings.TrimSpace(reason))
	default:
		return
	}
	j.log.Error("the journal is not as it was left", "path", j.cfg.Path, "detail", j.recovered)
}

// checkAtOpen decides by how the file was left whether it must be checked now, later or not at all.
func (j *Journal) checkAtOpen(ctx context.Context, info fs.FileInfo, left string) error {
	switch {
	case info.Size() == 0 || left == cleanMark(info):
		return nil
	case strings.HasPrefix(left, leftDamaged):
		return integrity(ctx, j.wdb, "integrity_check")
	case info.Size() <= foregroundCheck:
		return integrity(ctx, j.wdb, "quick_check")
	}
	j.unchecked = true
	j.log.Info("journal was not closed cleanly; it is checked in the background", "path", j.cfg.Path, "bytes", info.Size())
	return pagesPresent(ctx, j.wdb, j.cfg.Path)
}

// pagesPresent finds a file that was cut short, without reading it. Pages that are still in the -wal may rightly be
// missing at its end; quick_check sees through that.
func pagesPresent(ctx context.Context, db *sql.DB, path string) error {
	var pages, pageSize int64
	if err := db.QueryRowContext(ctx, "SELECT page_count, page_size FROM pragma_page_count, pragma_page_size").Scan(&pages, &pageSize); err != nil {
		return err
	}
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	if pages*pageSize > info.Size() {
		return integrity(ctx, db, "quick_check")
	}
	return nil
}

// integrity runs quick_check (structure) or integrity_check (also indexes against tables; slower).
func integrity(ctx context.Context, db *sql.DB, pragma string) error {
	rows, err := db.QueryContext(ctx, "PRAGMA "+pragma+"(5)")
	if err != nil {
		return err
	}
	defer rows.Close()
	var found []string
	for rows.Next() {
		var line string
		if err := rows.Scan(&line); err != nil {
			return err
		}
		if line != "ok" {
			found = append(found, strings.Join(strings.Fields(line), " "))
		}
	}
	if err := rows.Err(); err != nil {
		return err
	}
	if len(found) > 0 {
		return &damageError{found: strings.Join(found, "; ")}
	}
	return nil
}

// Check reads the whole file and reports what is damaged. It takes a few seconds per million changes and disturbs nobody.
func (j *Journal) Check(ctx context.Context) error {
	err := integrity(ctx, j.rdb, "quick_check")
	if bad, ok := errors.AsType[*damageError](err); ok {
		j.damage(bad)
	}
	return j.failed("check", err)
}

// markDamaged remembers damage for this run's metrics and, in the lock file, for the next Open.
func (j *Journal) markDamaged(err error) {
	if j.damaged.Swap(true) {
		return
	}
	j.damagedBy.Store(&err)
	j.log.Error("journal is damaged; nothing is acknowledged any more, and a restart saves what can be saved", "path", j.cfg.Path, "err", err)
	if err := j.lock.mark(damagedMark(err)); err != nil {
		j.log.Warn("damage could not be noted for the next start", "err", err)
	}
}

// markClosed notes how the file is left, so that the next Open need not read it all.
func (j *Journal) markClosed() error {
	if j.damaged.Load() {
		err := errors.New("unknown")
		if by := j.damagedBy.Load(); by != nil {
			err = *by
		}
		return j.lock.mark(damagedMark(err))
	}
	if j.unchecked && !j.checked.Load() {
		return j.lock.mark(leftOpen)
	}
	info, err := os.Stat(j.cfg.Path)
	if err != nil {
		return err
	}
	return j.lock.mark(cleanMark(info))
}

// damagedMark holds the finding on one line: the next Open says it.
func damagedMark(err error) string {
	text := strings.Join(strings.Fields(err.Error()), " ")
	return leftDamaged + " " + text[:min(len(text), 500)]
}

func cleanMark(info fs.FileInfo) string {
	return fmt.Sprintf("%s %d %d", leftClean, info.Size(), info.ModTime().UnixNano())
}

// moveAside renames the database and what stands beside it, and returns the new name.
func moveAside(path string, now time.Time) (string, error) {
	aside := path + ".corrupt-" + now.UTC().Format("20060102T150405.000Z")
	for _, suffix := range []string{"-wal", "-shm", ""} {
		err := os.Rename(path+suffix, aside+suffix)
		if err != nil && (suffix == "" || !errors.Is(err, fs.ErrNotExist)) {
			return "", err
		}
	}
	return aside, nil
}
