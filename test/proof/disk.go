package main

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/triaged-dev/triaged/triage"
)

// integrityOf is SQLite's own verdict on a file.
func integrityOf(ctx context.Context, path string) (string, error) {
	db, err := sql.Open("sqlite", "file:"+path)
	if err != nil {
		return "", err
	}
	defer db.Close()
	var found string
	err = db.QueryRowContext(ctx, "PRAGMA integrity_check(1)").Scan(&found)
	return found, err
}

// diskFault damages what the daemon stands on; run says in a few words what was seen.
type diskFault struct {
	name string
	run  func(context.Context, options) (string, error)
}

func diskFaults() []diskFault {
	return []diskFault{
		{"disk full", diskFull},
		{"read-only disk", readOnlyDisk},
		{"journal cut short", func(ctx context.Context, o options) (string, error) {
			return damaged(ctx, o, func(f *os.File, size int64) error { return f.Truncate(size / 2) })
		}},
		{"journal overwritten", func(ctx context.Context, o options) (string, error) {
			return damaged(ctx, o, func(f *os.File, size int64) error {
				_, err := f.WriteAt(bytes.Repeat([]byte("not what was written here "), 4000), size/3)
				return err
			})
		}},
		{"journal is not one", func(ctx context.Context, o options) (string, error) {
			return damaged(ctx, o, func(f *os.File, _ int64) error {
				_, err := f.WriteAt(bytes.Repeat([]byte{0xff}, 4096), 0)
				return err
			})
		}},
		{"backup and restore", backupAndRestore},
		{"second daemon", secondDaemon},
	}
}

// place makes a directory with a daemon that has taken n changes. The daemon runs.
func place(ctx context.Context, o options, dir string, n int) (*daemon, error) {
	d, err := newDaemon(o.binary, dir, "")
	if err != nil {
		return nil, err
	}
	if _, err := d.startReady(ctx, 15*time.Second); err != nil {
		d.close()
		return nil, err
	}
	if _, err := pushRate(ctx, d.address, n, 100, 4, "kept"); err != nil {
		d.close()
		return nil, err
	}
	return d, nil
}

func keptID(i int) string { return fmt.Sprintf("kept:%08d", i) }

// holds reports whether the daemon still knows change i.
func (d *daemon) holds(ctx context.Context, i int) error {
	return d.get(ctx, "/api/v1/changes/"+keptID(i), nil)
}

// damaged kills the daemon, spoils its journal, and starts it again: it must say so, keep the old file beside the new one, and serve.
func damaged(ctx context.Context, o options, spoil func(*os.File, int64) error) (string, error) {
	dir, err := os.MkdirTemp("", "proof")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(dir)
	d, err := place(ctx, o, dir, 2000)
	if err != nil {
		return "", err
	}
	defer d.close()
	if err := d.stop(); err != nil { // so that everything is in the file itself
		return "", err
	}
	f, err := os.OpenFile(d.journalPath(), os.O_RDWR, 0)
	if err != nil {
		return "", err
	}
	info, err := f.Stat()
	if err := firstOf(err, spoil(f, info.Size()), f.Close()); err != nil {
		return "", err
	}
	if _, err := d.startReady(ctx, 15*time.Second); err != nil {
		return "", err
	}
	aside, err := filepath.Glob(d.journalPath() + ".corrupt-*")
	if err != nil || len(aside) == 0 {
		return "", fmt.Errorf("the damaged file was not moved aside; log: %s", d.log.String())
	}
	if !strings.Contains(d.log.String(), "damaged") {
		return "", errors.New("the log does not say that the journal was damaged")
	}
	if n, err := d.metric(ctx, "triaged_journal_recovered_total", ""); err != nil || n != 1 {
		return "", fmt.Errorf("triaged_journal_recovered_total is %v (%v), want 1", n, err)
	}
	if err := d.post(ctx, "/api/v1/changes", makeChange("after:1", 1, time.Now(), 512)); err != nil {
		return "", fmt.Errorf("it does not take changes: %w", err)
	}
	if err := d.post(ctx, "/api/v1/alerts", webhook("g", "service-0001", time.Now(), "A")); err != nil {
		return "", fmt.Errorf("it does not take alerts: %w", err)
	}
	return "said, moved aside, serving", nil
}

// tmpfs mounts a small disk of its own and returns how to unmount it.
func tmpfs(dir, size string) (func(), error) {
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size="+size); err != nil {
		return nil, fmt.Errorf("%w: mount a small disk: %w", errNotHere, err)
	}
	return func() { _ = syscall.Unmount(dir, syscall.MNT_DETACH) }, nil
}

// diskFull fills a small disk with another file: writes must be refused with 503 and a time to come again, reads go on, nothing
// acknowledged is missing, and it takes changes again by itself when there is space.
func diskFull(ctx context.Context, o options) (string, error) {
	dir, err := os.MkdirTemp("", "proof")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(dir)
	unmount, err := tmpfs(dir, "48m")
	if err != nil {
		return "", err
	}
	defer unmount()
	d, err := place(ctx, o, dir, 500)
	if err != nil {
		return "", err
	}
	defer d.close()
	if err := os.WriteFile(filepath.Join(dir, "filler"), make([]byte, 40<<20), 0o600); err != nil && !errors.Is(err, syscall.ENOSPC) {
		return "", err
	}
	acked, refused := 0, (*statusError)(nil)
	for i := 0; refused == nil; i++ {
		err := d.post(ctx, "/api/v1/changes", makeChange(fmt.Sprintf("full:%d", i), i%50, time.Now(), 4096))
		e, isStatus := errors.AsType[*statusError](err)
		switch {
		case err == nil:
			acked++
		case isStatus:
			refused = e
		default:
			return "", err
		}
		if i > 20_000 {
			return "", errors.New("the disk never filled up")
		}
	}
	if refused.code != 503 || refused.retryAfter == "" {
		return "", fmt.Errorf("want 503 with Retry-After, got %d and %q", refused.code, refused.retryAfter)
	}
	if err := firstOf(d.holds(ctx, 0), d.get(ctx, "/api/v1/incidents", nil)); err != nil {
		return "", fmt.Errorf("reads stopped: %w", err)
	}
	if err := os.Remove(filepath.Join(dir, "filler")); err != nil {
		return "", err
	}
	err = d.await(ctx, 10*time.Second, func() error { return d.post(ctx, "/api/v1/changes", makeChange("later:1", 1, time.Now(), 512)) })
	if err != nil {
		return "", fmt.Errorf("it does not recover when there is space: %w", err)
	}
	for i := range acked {
		if err := d.get(ctx, fmt.Sprintf("/api/v1/changes/full:%d", i), nil); err != nil {
			return "", fmt.Errorf("acknowledged change %d of %d is lost: %w", i, acked, err)
		}
	}
	return fmt.Sprintf("%d acknowledged and there, then 503 and Retry-After: %s, reads go on, recovers by itself", acked, refused.retryAfter), nil
}

// readOnlyDisk starts the daemon on a disk that cannot be written: refused at start, with a remedy.
func readOnlyDisk(ctx context.Context, o options) (string, error) {
	dir, err := os.MkdirTemp("", "proof")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(dir)
	unmount, err := tmpfs(dir, "32m")
	if err != nil {
		return "", err
	}
	defer unmount()
	d, err := place(ctx, o, dir, 100)
	if err != nil {
		return "", err
	}
	defer d.close()
	if err := d.stop(); err != nil {
		return "", err
	}
	if err := syscall.Mount("tmpfs", dir, "tmpfs", syscall.MS_REMOUNT|syscall.MS_RDONLY, ""); err != nil {
		return "", fmt.Errorf("%w: %w", errNotHere, err)
	}
	if _, err := d.startReady(ctx, 15*time.Second); err == nil {
		return "", errors.New("it started on a disk it cannot write to")
	}
	if !strings.Contains(d.log.String(), "writable") && !strings.Contains(d.log.String(), "read-only") {
		return "", fmt.Errorf("it does not say what to do: %s", d.log.String())
	}
	return "refused at start, with the remedy", nil
}

// backupAndRestore backs up while changes come in, and starts a second daemon on the copy.
func backupAndRestore(ctx context.Context, o options) (string, error) {
	dir, err := os.MkdirTemp("", "proof")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(dir)
	d, err := place(ctx, o, dir, 3000)
	if err != nil {
		return "", err
	}
	defer d.close()
	stop, stopped := make(chan struct{}), make(chan error, 1)
	go func() {
		_, err := steady(ctx, d.address, 2000, stop)
		stopped <- err
	}()
	other := filepath.Join(dir, "restored")
	if err := os.MkdirAll(filepath.Join(other, "data"), 0o700); err != nil {
		return "", err
	}
	copied := filepath.Join(other, "data", "triaged.db")
	out, err := exec.CommandContext(ctx, d.binary, "backup", "--config.file="+filepath.Join(dir, "triaged.yml"), "--storage.path="+d.dataDir(), copied).CombinedOutput()
	close(stop)
	if err := firstOf(err, <-stopped); err != nil {
		return "", fmt.Errorf("backup: %w: %s", err, out)
	}
	if found, err := integrityOf(ctx, copied); err != nil || found != "ok" {
		return "", fmt.Errorf("the copy: %s, %w", found, err)
	}
	r, err := newDaemon(o.binary, other, "")
	if err != nil {
		return "", err
	}
	defer r.close()
	if _, err := r.startReady(ctx, 15*time.Second); err != nil {
		return "", err
	}
	for i := range 3000 {
		if err := r.holds(ctx, i); err != nil {
			return "", fmt.Errorf("change %d, acknowledged before the backup, is not in it: %w", i, err)
		}
	}
	return "3000 of 3000 in the copy, taken while 2000 changes/s came in", nil
}

// secondDaemon starts a second daemon on the same directory: refused, and the first goes on.
func secondDaemon(ctx context.Context, o options) (string, error) {
	dir, err := os.MkdirTemp("", "proof")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(dir)
	d, err := place(ctx, o, dir, 100)
	if err != nil {
		return "", err
	}
	defer d.close()
	second, err := newDaemon(o.binary, dir, "")
	if err != nil {
		return "", err
	}
	defer second.close()
	if _, err := second.startReady(ctx, 10*time.Second); err == nil {
		return "", errors.New("a second daemon started on the same journal")
	}
	if err := d.post(ctx, "/api/v1/changes", triage.Change{Kind: triage.KindDeploy, Scope: triage.Scope{Service: "a"}, StartedAt: time.Now().UTC()}); err != nil {
		return "", err
	}
	return "refused, the first goes on", nil
}
