package journal

import (
	"context"
	"errors"
	"path/filepath"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// inBubble runs a journal in a synctest bubble, where waiting costs nothing, and closes it at the end.
func inBubble(t *testing.T, o Options, do func(*Journal)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		j, err := Open(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		do(j)
		if err := j.Close(); err != nil {
			t.Error(err)
		}
	})
}

// Old rows are removed when the journal starts and again at every interval, without anybody asking.
func TestSweepsByItself(t *testing.T) {
	var later atomic.Int64
	o := openOptions(filepath.Join(t.TempDir(), "j.db"))
	o.Now = func() time.Time { return at(time.Duration(later.Load())) }
	inBubble(t, o, func(j *Journal) {
		ended := make(chan error, 1)
		go func() { ended <- j.Run(context.Background()) }()
		mustAppend(t, j, entry(deploy("old", -89*day)), entry(deploy("new", 0)))
		later.Store(int64(2 * day))
		time.Sleep(time.Duration(j.cfg.SweepInterval) + time.Minute)
		synctest.Wait()
		if got := index(t, j, time.Time{}); len(got) != 1 || got[0].ID != "new" {
			t.Errorf("left: %+v", got)
		}
		if err := errors.Join(j.Close(), <-ended); err != nil {
			t.Error(err)
		}
	})
}

// A big file that was not closed cleanly serves at once and is checked later; only then is it clean again.
func TestChecksInTheBackground(t *testing.T) {
	path := filepath.Join(t.TempDir(), "j.db")
	filled(t, path, 100)
	for name, wait := range map[string]time.Duration{"closed before the check": checkDelay / 2, "closed after it": 2 * checkDelay} {
		t.Run(name, func(t *testing.T) {
			checked := wait > checkDelay
			inBubble(t, openOptions(path), func(j *Journal) {
				j.unchecked = true // as checkAtOpen finds for a file over foregroundCheck
				ended := make(chan error, 1)
				go func() { ended <- j.Run(context.Background()) }()
				time.Sleep(wait)
				synctest.Wait()
				if j.checked.Load() != checked || j.damaged.Load() {
					t.Errorf("checked: %v, damaged: %v", j.checked.Load(), j.damaged.Load())
				}
				if err := errors.Join(j.Close(), <-ended); err != nil {
					t.Error(err)
				}
			})
			lock, err := acquireLock(path + ".lock")
			if err != nil {
				t.Fatal(err)
			}
			if clean := lock.left != leftOpen; clean != checked {
				t.Errorf("left as %q", lock.left)
			}
			if err := lock.release(); err != nil {
				t.Error(err)
			}
		})
	}
}
