package journal

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/triaged-dev/triaged/triage"
)

// harmed is a journal of n acknowledged changes in use, harmed in a way.
func harmed(t *testing.T, n int, harm func(path string)) (j *Journal, ended chan error, acked []triage.ChangeID) {
	t.Helper()
	j = openAt(t, filepath.Join(t.TempDir(), "j.db"))
	ended = make(chan error, 1)
	go func() { ended <- j.Run(context.Background()) }()
	for i := range n {
		c := deploy(fmt.Sprintf("c%d", i), 0)
		mustAppend(t, j, entry(c))
		acked = append(acked, c.ID)
	}
	harm(j.Path())
	return j, ended, acked
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// overwrite puts junk over the middle half of a file, whose size stays.
func overwrite(t *testing.T, path string) {
	t.Helper()
	info, err := os.Stat(path)
	must(t, err)
	damage(t, path, .25, int(info.Size()/2))
}

// From the moment that one of the files was removed, replaced, cut or overwritten, nothing is acknowledged, whoever did it; Run ends and
// says why, readiness too; and a restart serves what could be saved.
func TestHarmWhileRunning(t *testing.T) {
	const n = 400
	for name, tc := range map[string]struct {
		harm func(t *testing.T, path string)
		say  string
		kept int // of the n acknowledged, at least
	}{
		"database removed": {func(t *testing.T, p string) { must(t, os.Remove(p)) }, "was removed while in use", n},
		"log removed":      {func(t *testing.T, p string) { must(t, os.Remove(p+"-wal")) }, "-wal was removed while in use", n},
		"all removed": {func(t *testing.T, p string) {
			must(t, errors.Join(os.Remove(p), os.Remove(p+"-wal"), os.Remove(p+"-shm")))
		}, "was removed while in use", n},
		"index removed":   {func(t *testing.T, p string) { must(t, os.Remove(p+"-shm")) }, "-shm was removed while in use", n},
		"lock removed":    {func(t *testing.T, p string) { must(t, os.Remove(p+".lock")) }, ".lock was removed while in use", n},
		"log cut":         {func(t *testing.T, p string) { must(t, os.Truncate(p+"-wal", 0)) }, "-wal was cut from", 0},
		"log cut to half": {func(t *testing.T, p string) { truncate(t, p+"-wal", .5) }, "-wal was cut from", 1},
		"log overwritten": {func(t *testing.T, p string) { overwrite(t, p+"-wal") }, "-wal was overwritten while in use", 1},
		"database cut":    {func(t *testing.T, p string) { must(t, os.Truncate(p, 0)) }, "was cut from", 0},
		"index cut":       {func(t *testing.T, p string) { must(t, os.Truncate(p+"-shm", 0)) }, "-shm was cut from", n},
	} {
		t.Run(name, func(t *testing.T) {
			j, ended, acked := harmed(t, n, func(p string) { tc.harm(t, p) })
			err := j.Append(context.Background(), []triage.Entry{entry(deploy("after", 0))})
			if err == nil || !strings.Contains(err.Error(), tc.say) {
				t.Errorf("append after it: want an error that says %q, got %v", tc.say, err)
			}
			if err := <-ended; err == nil || !strings.Contains(err.Error(), tc.say) {
				t.Errorf("run: %v", err)
			}
			if err := j.Ready(); err == nil || !strings.Contains(err.Error(), tc.say) {
				t.Errorf("ready: %v", err)
			}
			must(t, j.Close())
			again := newJournalAt(t, j.Path())
			if got := len(changes(t, again, acked...)); got < tc.kept {
				t.Errorf("want at least %d of %d kept, got %d (%s)", tc.kept, n, got, again.Recovered())
			}
			if len(changes(t, again, "after")) != 0 {
				t.Error("what was refused is there")
			}
			if tc.kept < n && again.Recovered() == "" {
				t.Error("want it said that something may be missing")
			}
			mustAppend(t, again, entry(deploy("new", 0)))
		})
	}
}

// Harm is noticed when nobody writes, too.
func TestHarmIsNoticedWhenIdle(t *testing.T) {
	_, ended, _ := harmed(t, 1, func(p string) { must(t, os.Remove(p)) })
	select {
	case err := <-ended:
		if !isDamage(err) {
			t.Errorf("run: %v", err)
		}
	case <-time.After(10 * watchEvery):
		t.Fatal("not noticed")
	}
}

// A database that was replaced by another is not overwritten with what we had: that is saved beside it.
func TestReplacedWhileRunning(t *testing.T) {
	dir := t.TempDir()
	other := filepath.Join(dir, "other.db")
	filled(t, other, 3)
	j, ended, acked := harmed(t, 50, func(p string) { must(t, os.Rename(other, p)) })
	if err := <-ended; !isDamage(err) {
		t.Errorf("run: %v", err)
	}
	must(t, j.Close())
	saved, err := filepath.Glob(j.Path() + ".rescued-*")
	if err != nil || len(saved) != 1 {
		t.Fatalf("saved: %v, %v", saved, err)
	}
	if got := len(changes(t, newJournalAt(t, saved[0]), acked...)); got != len(acked) {
		t.Errorf("saved %d of %d", got, len(acked))
	}
	if got := len(index(t, newJournalAt(t, j.Path()), time.Time{})); got != 3 {
		t.Errorf("want the other one served, with 3, got %d", got)
	}
}

// Somebody who writes to the file as SQLite does, such as an administrator with its shell, does no harm and stops nothing.
func TestHarmlessWriter(t *testing.T) {
	j := newJournal(t)
	for i := range 20 {
		mustAppend(t, j, entry(deploy(fmt.Sprintf("a%d", i), 0)))
	}
	sqlOn(t, j.Path(), "PRAGMA wal_checkpoint(PASSIVE)")
	sqlOn(t, j.Path(), "INSERT INTO state (key, value, at) VALUES ('admin', x'00', 1)")
	mustAppend(t, j, entry(deploy("b", 0)))
	if err := errors.Join(j.Ready(), j.Damaged()); err != nil {
		t.Error(err)
	}
}

// A journal that was emptied, removed or replaced by a smaller one between two runs is not taken for a new one without a word.
func TestEmptiedBetweenRuns(t *testing.T) {
	for name, harm := range map[string]func(path string) error{
		"emptied": func(p string) error { return os.Truncate(p, 0) },
		"removed": os.Remove,
		"replaced": func(p string) error {
			small := filepath.Join(t.TempDir(), "s.db")
			filled(t, small, 1)
			return os.Rename(small, p)
		},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "j.db")
			filled(t, path, 500)
			must(t, harm(path))
			j := openAt(t, path)
			if !strings.Contains(j.Recovered(), "missing from history") {
				t.Errorf("recovered: %q", j.Recovered())
			}
			must(t, j.Close())
			if again := openAt(t, path); again.Recovered() != "" {
				t.Errorf("opened again: %q", again.Recovered())
			}
		})
	}
	if j := newJournal(t); j.Recovered() != "" {
		t.Errorf("a new one: %q", j.Recovered())
	}
}

// Readiness knows a disk that refuses, and finds out by itself when it takes writes again.
func TestReadyKnowsTheDisk(t *testing.T) {
	j := newJournal(t)
	must(t, j.Ready())
	limit := func(pages int) {
		t.Helper()
		must(t, j.write(context.Background(), "limit", 0, func(w *writer) error {
			return w.row(fmt.Sprintf("PRAGMA max_page_count = %d", pages), nil, new(int))
		}))
	}
	limit(1)
	var err error
	for i := 0; err == nil && i < 1000; i++ {
		c := deploy(fmt.Sprintf("c%d", i), 0)
		c.Title = strings.Repeat("x", 4000)
		err = j.Append(t.Context(), []triage.Entry{entry(c)})
	}
	if err == nil {
		t.Fatal("the disk never filled up")
	}
	if err := j.Ready(); err == nil || !strings.Contains(err.Error(), "disk full: free space there") {
		t.Errorf("ready: %v", err)
	}
	if err := j.Damaged(); err != nil {
		t.Errorf("a full disk is no damage: %v", err)
	}
	must(t, j.write(context.Background(), "limit", 0, func(w *writer) error {
		return w.row("PRAGMA max_page_count = 1000000", nil, new(int))
	}))
	deadline := time.Now().Add(10 * watchEvery)
	for j.Ready() != nil {
		if time.Now().After(deadline) {
			t.Fatalf("still not ready: %v", j.Ready())
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// The log is cut while a commit is being written: the commit grows the file over the cut, and from outside nothing is to be seen. What
// was written behind the hole would be gone after a restart, so it is not acknowledged.
func TestLogIsCutDuringACommit(t *testing.T) {
	for name, keep := range map[string]int64{"all of it": 0, "its head": logHeader, "half of it": -2, "the last byte": -1} {
		t.Run(name, func(t *testing.T) {
			j, ended, acked := harmed(t, 20, func(string) {})
			err := j.write(t.Context(), "test", 1, func(w *writer) error {
				if _, err := w.exec(`INSERT INTO state (key, value, at) VALUES ('k', x'00', 0)`); err != nil {
					return err
				}
				info, err := os.Stat(j.Path() + "-wal")
				if err != nil {
					return err
				}
				size := keep
				switch keep {
				case -2:
					size = info.Size() / 2
				case -1:
					size = info.Size() - 1
				}
				return os.Truncate(j.Path()+"-wal", size)
			})
			if err == nil {
				t.Fatal("acknowledged")
			}
			if err := <-ended; err == nil || !strings.Contains(err.Error(), "while it was written to") {
				t.Errorf("run: %v", err)
			}
			if err := j.Damaged(); err == nil {
				t.Error("the damage is not known")
			}
			_ = j.Close() // as the daemon does before it starts itself again
			found, err := run(t, openAt(t, j.Path())).Changes(t.Context(), acked)
			if err != nil {
				t.Fatal(err)
			}
			if keep == -1 && len(found) < len(acked)-1 {
				t.Errorf("want what lay before the cut, got %d of %d", len(found), len(acked))
			}
		})
	}
}

// Junk in the middle of the log, written while a commit is: nobody can tell it by the file's size or time. It is known within a second or
// so, though nobody reads what was there.
func TestLogIsOverwrittenDuringACommit(t *testing.T) {
	j, ended, _ := harmed(t, 50, func(string) {})
	err := j.write(t.Context(), "test", 1, func(w *writer) error {
		if _, err := w.exec(`INSERT INTO state (key, value, at) VALUES ('k', x'00', 0)`); err != nil {
			return err
		}
		f, err := os.OpenFile(j.Path()+"-wal", os.O_WRONLY, 0)
		if err != nil {
			return err
		}
		_, err = f.WriteAt([]byte(strings.Repeat("junk", 5000)), 20_000)
		return errors.Join(err, f.Close())
	})
	if err != nil {
		t.Logf("refused at once: %v", err)
	}
	select {
	case err := <-ended:
		if err == nil || !strings.Contains(err.Error(), "was overwritten while in use") {
			t.Errorf("run: %v", err)
		}
	case <-time.After(30 * time.Second):
		t.Error("nobody noticed")
	}
}
