package journal

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// killed leaves a journal as a killed process would: its last writes are only in the -wal. It returns its path.
func killed(t *testing.T, dir string, n int) string {
	t.Helper()
	from := filepath.Join(t.TempDir(), "j.db")
	j := newJournalAt(t, from)
	bulk(t, j, n)
	to := filepath.Join(dir, "triaged.db")
	for _, suffix := range []string{"", "-wal"} {
		must(t, copyFile(from+suffix, to+suffix))
	}
	write(t, to+".lock", "process 1\nopen\n")
	return to
}

// A backup goes back over a journal that was killed, whose -wal would otherwise be replayed over it; the old one is kept, whole.
func TestRestoreOverOldLog(t *testing.T) {
	dir := t.TempDir()
	source := newJournal(t)
	bulk(t, source, 600)
	backup := filepath.Join(dir, "backup.db")
	must(t, source.Backup(t.Context(), backup))
	path := killed(t, dir, 900)

	r, err := RestoreFile(t.Context(), backup, path, t0)
	must(t, err)
	if r.Changes != 600 || r.Aside != path+".before-restore-20260301T030000.000Z" {
		t.Errorf("restored: %+v", r)
	}
	j := newJournalAt(t, path)
	if got := len(index(t, j, time.Time{})); got != 600 || j.Recovered() != "" {
		t.Errorf("served: %d of 600, %q", got, j.Recovered())
	}
	must(t, j.Check(t.Context()))
	if got := len(index(t, newJournalAt(t, r.Aside), time.Time{})); got != 900 {
		t.Errorf("kept: %d of 900", got)
	}
	if left, err := filepath.Glob(path + ".restoring*"); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// A whole journal that was copied with its -wal is restored with what is in that.
func TestRestoreWithLog(t *testing.T) {
	from := killed(t, t.TempDir(), 50)
	path := filepath.Join(t.TempDir(), "sub", "j.db")
	r, err := RestoreFile(t.Context(), from, path, t0)
	if err != nil || r.Changes != 50 || r.Aside != "" {
		t.Errorf("restored: %+v, %v", r, err)
	}
	if got := len(index(t, newJournalAt(t, path), time.Time{})); got != 50 {
		t.Errorf("served: %d of 50", got)
	}
}

// What cannot be restored changes nothing: a journal in use, a copy that is damaged, empty, another program's, or the journal itself.
func TestRestoreRefuses(t *testing.T) {
	dir := t.TempDir()
	good := filepath.Join(dir, "good.db")
	filled(t, good, 600)
	make := func(name string, harm func(path string)) string {
		path := filepath.Join(dir, name)
		must(t, copyFile(good, path))
		harm(path)
		return path
	}
	path := filepath.Join(dir, "j.db")
	filled(t, path, 7)
	for name, tc := range map[string]struct{ from, say string }{
		"damaged":  {make("damaged.db", func(p string) { damage(t, p, .4, 4*4096) }), "damaged"},
		"cut":      {make("cut.db", func(p string) { truncate(t, p, .5) }), "damaged"},
		"empty":    {make("empty.db", func(p string) { must(t, os.Truncate(p, 0)) }), "it is empty"},
		"text":     {make("text.db", func(p string) { write(t, p, strings.Repeat("not a database ", 500)) }), "damaged"},
		"foreign":  {make("foreign.db", func(p string) { sqlOn(t, p, "PRAGMA application_id = 7") }), "another program"},
		"newer":    {make("newer.db", func(p string) { sqlOn(t, p, "PRAGMA user_version = 99") }), "newer version"},
		"itself":   {path, "the journal itself"},
		"no such":  {filepath.Join(dir, "none.db"), "no such file"},
		"in a way": {dir, ""},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := RestoreFile(t.Context(), tc.from, path, t0)
			if err == nil || !strings.Contains(err.Error(), tc.say) {
				t.Errorf("want refused with %q, got %v", tc.say, err)
			}
			j := openAt(t, path)
			if got := len(index(t, j, time.Time{})); got != 7 || j.Recovered() != "" {
				t.Errorf("the journal: %d of 7, %q", got, j.Recovered())
			}
			must(t, j.Close())
		})
	}
	running := newJournalAt(t, path)
	_, err := RestoreFile(t.Context(), good, path, t0)
	wantErr(t, err, ErrLocked)
	if got := len(index(t, running, time.Time{})); got != 7 {
		t.Errorf("the journal in use: %d of 7", got)
	}
}
