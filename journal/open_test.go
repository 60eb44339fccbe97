package journal

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/triaged-dev/triaged/triage"
)

func open(path string) (*Journal, error) {
	return Open(context.Background(), openOptions(path))
}

// filled makes a journal of n changes and closes it.
func filled(t *testing.T, path string, n int) {
	t.Helper()
	j := openAt(t, path)
	ended := make(chan error, 1)
	go func() { ended <- j.Run(context.Background()) }()
	bulk(t, j, n)
	if err := errors.Join(j.Close(), <-ended); err != nil {
		t.Fatal(err)
	}
}

// A second daemon is refused, told who holds the journal and what to do, and does no harm.
func TestOpenLocked(t *testing.T) {
	path := filepath.Join(t.TempDir(), "j.db")
	j := openAt(t, path)
	_, err := open(path)
	wantErr(t, err, ErrLocked)
	for _, part := range []string{path, "process ", "stop it first", "journal.path"} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("error does not say %q: %v", part, err)
		}
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	openAt(t, path)
}

// Names that mean something to SQLite or to URLs are only names.
func TestOpenOddPath(t *testing.T) {
	for _, name := range []string{"a b.db", "a?mode=memory.db", "a#b.db", "a%41.db", "größe.db", "a&b=c.db"} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "sub", name)
			filled(t, path, 1)
			if _, err := os.Stat(path); err != nil {
				t.Error(err)
			}
			if got := index(t, openAt(t, path), time.Time{}); len(got) != 1 {
				t.Errorf("reopened: %v", got)
			}
		})
	}
	t.Run("relative", func(t *testing.T) {
		t.Chdir(t.TempDir())
		filled(t, "data/j.db", 1)
		if _, err := os.Stat("data/j.db"); err != nil {
			t.Error(err)
		}
	})
}

// Only this user may read what is in the journal.
func TestFileMode(t *testing.T) {
	path := filepath.Join(t.TempDir(), "j.db")
	newJ := run(t, openAt(t, path))
	mustAppend(t, newJ, entry(deploy("a", 0)))
	for _, suffix := range []string{"", "-wal", ".lock"} {
		info, err := os.Stat(path + suffix)
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s%s: %v, %v", path, suffix, info.Mode(), err)
		}
	}
}

// A directory that cannot be used is named, with what to do about it.
func TestOpenUnusableDirectory(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	paths := []string{filepath.Join(file, "j.db")}
	if runtime.GOOS == "linux" {
		paths = append(paths, "/proc/j.db", "/proc/sub/j.db") // read-only for root as well
	}
	for _, path := range paths {
		_, err := open(path)
		if err == nil || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), "writable for this user, or change journal.path") {
			t.Errorf("%s: %v", path, err)
		}
	}
}

// What a newer version wrote, and what another program wrote, is left alone.
func TestOpenRefusesForeign(t *testing.T) {
	for name, tc := range map[string]struct {
		sql  string
		want error
		say  string
	}{
		"newer":   {"PRAGMA user_version = 99", ErrNewerSchema, "it has schema 99 and this triaged knows 2: use the newer version"},
		"foreign": {"PRAGMA application_id = 7", ErrForeignFile, "choose another journal.path"},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "j.db")
			filled(t, path, 3)
			sqlOn(t, path, tc.sql)
			before, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			_, err = open(path)
			wantErr(t, err, tc.want)
			if !strings.Contains(err.Error(), tc.say) {
				t.Errorf("error: want …%s…, got %v", tc.say, err)
			}
			if after, err := os.ReadFile(path); err != nil || string(after) != string(before) {
				t.Errorf("the file was changed (%v)", err)
			}
			_, err = open(path)
			wantErr(t, err, tc.want) // and the lock was let go
		})
	}
}

func sqlOn(t *testing.T, path, query string) {
	t.Helper()
	db, err := openDB(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.ExecContext(t.Context(), query); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}

// A journal of schema 1 is brought up to date with what it holds, and the alert history is made from its incidents.
func TestUpgradeFromV1(t *testing.T) {
	path := filepath.Join(t.TempDir(), "j.db")
	j := openBare(t, path)
	if err := j.migrate(t.Context(), migrations[:1]); err != nil {
		t.Fatal(err)
	}
	alert := triage.Alert{Labels: map[string]string{"alertname": "High5xx"}, StartsAt: t0, Status: triage.AlertFiring}
	incident := `{"id":"i1","state":"open","service":"checkout","opened_at":"2026-03-01T03:00:00Z","updated_at":"2026-03-01T03:00:00Z",
		"alerts":[{"labels":{"alertname":"High5xx"},"status":"firing","starts_at":"2026-03-01T03:00:00Z"}]}`
	err := j.w.transaction(func() error {
		row, err := encodeChange(deploy("a", 0), t0)
		if err != nil {
			return err
		}
		_, err = j.w.exec(`INSERT INTO incidents (id, state, service, opened_at, updated_at, body) VALUES ('i1', 'open', 'checkout', ?, ?, ?)`, nanos(t0), nanos(t0), []byte(incident))
		return errors.Join(err, j.w.putChange(row, []triage.ChangeID{"a1"}, 1))
	})
	if err := errors.Join(err, j.closeFiles(), j.lock.release()); err != nil {
		t.Fatal(err)
	}

	j = newJournalAt(t, path)
	var version int
	if err := j.rdb.QueryRowContext(t.Context(), "PRAGMA user_version").Scan(&version); err != nil || version != len(migrations) {
		t.Errorf("schema: %d, %v", version, err)
	}
	if got := changes(t, j, "a"); len(got) != 1 || got[0].Title != "Deploy checkout v812" {
		t.Errorf("changes: %+v", got)
	}
	if id, err := j.ResolveChange(t.Context(), "a1"); id != "a" || err != nil {
		t.Errorf("alias: %s, %v", id, err)
	}
	got, err := j.AlertHistory(t.Context(), "High5xx", "checkout", time.Time{})
	if err != nil || len(got) != 1 || got[0].Key() != alert.Key() {
		t.Errorf("alert history: %+v, %v", got, err)
	}
	if j.Recovered() != "" {
		t.Errorf("recovered: %s", j.Recovered())
	}
	mustAppend(t, j, entry(deploy("b", 0)))
}

// A migration that fails leaves the schema before it, and says which one it was.
func TestMigrationFails(t *testing.T) {
	path := filepath.Join(t.TempDir(), "j.db")
	j := openBare(t, path)
	defer func() {
		if err := errors.Join(j.closeFiles(), j.lock.release()); err != nil {
			t.Error(err)
		}
	}()
	err := j.migrate(t.Context(), []migration{migrations[0], {what: "broken", sql: "CREATE TABLE half (a); CREATE TABEL"}})
	if err == nil || !strings.Contains(err.Error(), "schema from 1 to 2 (broken)") {
		t.Errorf("error: %v", err)
	}
	var version, half int
	if err := j.w.conn.QueryRowContext(t.Context(), "SELECT user_version, (SELECT count(*) FROM sqlite_schema WHERE name='half') FROM pragma_user_version").Scan(&version, &half); err != nil || version != 1 || half != 0 {
		t.Errorf("left behind: schema %d, %d tables, %v", version, half, err)
	}
}

// openBare opens the file with a writer and without a schema.
func openBare(t *testing.T, path string) *Journal {
	t.Helper()
	lock, err := acquireLock(path + ".lock")
	if err != nil {
		t.Fatal(err)
	}
	db, err := openDB(path)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	o := openOptions(path)
	return &Journal{cfg: o.Config, log: o.Logger, now: o.Now, lock: lock, wdb: db, w: newWriter(t.Context(), conn)}
}

func newJournalAt(t *testing.T, path string) *Journal { return run(t, openAt(t, path)) }

// damage overwrites n bytes at a fraction of the file.
func damage(t *testing.T, path string, at float64, n int) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	junk := []byte(strings.Repeat("\xa5junk", n/5+1))[:n]
	if _, err := f.WriteAt(junk, int64(at*float64(info.Size()))); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

// A damaged file is found when it is opened, moved aside whole, and the daemon serves from a fresh one and says so.
func TestOpenDamaged(t *testing.T) {
	for name, harm := range map[string]func(t *testing.T, path string){
		"garbage": func(t *testing.T, path string) { damage(t, path, 0, 4096) },
		"no database": func(t *testing.T, path string) {
			write(t, path, "this is a text file, and a long one: "+strings.Repeat("x", 4096))
		},
		"middle":        func(t *testing.T, path string) { damage(t, path, .5, 3*4096) },
		"cut short":     func(t *testing.T, path string) { truncate(t, path, .5) },
		"cut to a page": func(t *testing.T, path string) { truncate(t, path, 0.01) },
		"noted before": func(t *testing.T, path string) {
			damage(t, path, .5, 3*4096)
			write(t, path+".lock", "process 1\ndamaged\n")
		},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "j.db")
			filled(t, path, 2000)
			harm(t, path)
			reg := prometheus.NewRegistry()
			j := run(t, openAt(t, path, func(o *Options) { o.Registerer = reg }))
			aside := path + ".corrupt-20260301T030000.000Z"
			if !strings.Contains(j.Recovered(), aside) || !strings.Contains(j.Recovered(), "damaged (") {
				t.Errorf("recovered: %q", j.Recovered())
			}
			if _, err := os.Stat(aside); err != nil {
				t.Error(err)
			}
			if n, err := testutil.GatherAndCount(reg, "triaged_journal_recovered_total"); n != 1 || err != nil || testutil.ToFloat64(j.metrics.recovered) != 1 {
				t.Errorf("metric: %d, %v", n, err)
			}
			mustAppend(t, j, entry(deploy("new", 0)))
			if err := j.Close(); err != nil {
				t.Error(err)
			}
			again := openAt(t, path)
			if again.Recovered() != "" || len(changes(t, again, "new")) != 1 {
				t.Errorf("opened again: %q", again.Recovered())
			}
		})
	}
}

// Damage met while running is said, ends Run so that a restart can mend it, and outlives the process in the lock file.
func TestDamageWhileRunning(t *testing.T) {
	path := filepath.Join(t.TempDir(), "j.db")
	filled(t, path, 5000)
	j := openAt(t, path)
	// Open has read the head of the file; the rest is damaged behind its back.
	damage(t, path, .05, 4096*int(j.size()/4096*.9))
	ended := make(chan error, 1)
	go func() { ended <- j.Run(context.Background()) }()
	err := j.Append(context.Background(), []triage.Entry{entry(deploy("a", 0))})
	if err == nil || !strings.Contains(err.Error(), "restart triaged to have it") {
		t.Errorf("append: %v", err)
	}
	if err := <-ended; err == nil || !strings.Contains(err.Error(), "restart triaged to have it") {
		t.Errorf("run: %v", err)
	}
	if err := j.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
	if j := newJournalAt(t, path); j.Recovered() == "" {
		t.Error("opened again: not recovered")
	}
}

// The whole check finds what opening did not look at.
func TestCheck(t *testing.T) {
	path := filepath.Join(t.TempDir(), "j.db")
	filled(t, path, 5000)
	j := openAt(t, path)
	if err := j.Check(t.Context()); err != nil {
		t.Fatalf("sound journal: %v", err)
	}
	if err := j.rdb.Close(); err != nil { // its cache knows the pages
		t.Fatal(err)
	}
	damage(t, path, .5, 4*4096)
	var err error
	if j.rdb, err = openDB(path); err != nil {
		t.Fatal(err)
	}
	if err := j.Check(t.Context()); err == nil || !strings.Contains(err.Error(), "journal: check: damaged: ") {
		t.Errorf("damaged journal: %v", err)
	}
	if !j.damaged.Load() {
		t.Error("the damage is not noted")
	}
}

// A file that was closed cleanly is not read through when it is opened; one that was touched since is.
func TestCheckOnlyWhenNeeded(t *testing.T) {
	path := filepath.Join(t.TempDir(), "j.db")
	filled(t, path, 2000)
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	damage(t, path, .5, 3*4096)
	if err := os.Chtimes(path, info.ModTime(), info.ModTime()); err != nil {
		t.Fatal(err)
	}
	j, err := open(path)
	if err != nil {
		t.Fatal(err)
	}
	if j.Recovered() != "" {
		t.Errorf("a file that looks untouched was checked: %s", j.Recovered())
	}
	j.damaged.Store(true) // as a read that meets it would
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	if j := newJournalAt(t, path); j.Recovered() == "" {
		t.Error("noted damage was not looked into")
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func truncate(t *testing.T, path string, to float64) {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, int64(to*float64(info.Size()))); err != nil {
		t.Fatal(err)
	}
}
