package journal

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/triaged-dev/triaged/triage"
)

// A backup taken while others write is sound, and holds everything that was acknowledged before it began.
func TestBackupWhileWriting(t *testing.T) {
	j := newJournal(t)
	bulk(t, j, 3000)
	var stop atomic.Bool
	wrote := make(chan int)
	started := make(chan struct{})
	go func() {
		n := 0
		for ; !stop.Load(); n++ {
			if err := j.Append(context.Background(), []triage.Entry{entry(deploy(fmt.Sprintf("w%d", n), 0))}); err != nil {
				t.Errorf("append: %v", err)
			}
			if n == 0 {
				close(started)
			}
		}
		wrote <- n
	}()
	<-started
	path := filepath.Join(t.TempDir(), "copy.db")
	err := j.Backup(t.Context(), path)
	stop.Store(true)
	n := <-wrote
	if err != nil {
		t.Fatal(err)
	}
	if entries, err := os.ReadDir(filepath.Dir(path)); err != nil || len(entries) != 1 {
		t.Errorf("left beside the copy: %v, %v", entries, err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode: %v, %v", info.Mode(), err)
	}
	restored := newJournalAt(t, path)
	if restored.Recovered() != "" {
		t.Error(restored.Recovered())
	}
	if err := restored.Check(t.Context()); err != nil {
		t.Error(err)
	}
	if got := len(index(t, restored, time.Time{})); got < 3001 || got > 3000+n {
		t.Errorf("in the copy: %d of %d", got, 3000+n)
	}
	mustAppend(t, restored, entry(deploy("after", 0)))
}

// A backup overwrites nothing, leaves nothing half-made, and says what is wrong.
func TestBackupRefuses(t *testing.T) {
	j := newJournal(t)
	mustAppend(t, j, entry(deploy("a", 0)))
	dir := t.TempDir()
	there := filepath.Join(dir, "there")
	write(t, there, "precious")
	if err := j.Backup(t.Context(), there); err == nil || !strings.Contains(err.Error(), "exists already: choose another name") {
		t.Errorf("existing file: %v", err)
	}
	if b, err := os.ReadFile(there); err != nil || string(b) != "precious" {
		t.Errorf("existing file: %q, %v", b, err)
	}
	if err := j.Backup(t.Context(), filepath.Join(dir, "no", "such", "dir")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no directory: %v", err)
	}
	if err := BackupFile(t.Context(), filepath.Join(dir, "nope"), filepath.Join(dir, "copy")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no journal: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := j.Backup(ctx, filepath.Join(dir, "copy")); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 1 {
		t.Errorf("left behind: %v, %v", entries, err)
	}
}
