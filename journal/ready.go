package journal

import (
	"errors"
	"fmt"
	"syscall"
)

// noteTrouble remembers whether the disk took the last write.
func (j *Journal) noteTrouble(err error) {
	if err == nil || !ofStorage(err) {
		j.trouble.Store(nil)
		return
	}
	j.trouble.Store(&err)
}

// probe finds out whether a disk that refused a write takes them again, when nobody else tries.
func (j *Journal) probe() {
	if j.trouble.Load() == nil {
		return
	}
	err := j.w.transaction(func() error {
		_, err := j.w.exec("INSERT INTO state (key, value, at) VALUES ('probe', x'', ?) ON CONFLICT (key) DO UPDATE SET at=excluded.at", nanos(j.now()))
		return err
	})
	j.noteTrouble(err)
	if err == nil {
		if err := j.watch.note(); err != nil {
			j.log.Warn("journal files", "err", err) // the next look finds it, too
		}
	}
}

// leastFree is how much space a disk needs to have left: a few batches and their indexes.
const leastFree = 8 << 20

// Ready says whether a write would be taken, as far as that is known: the journal is sound and runs, the disk took the last write,
// and it has room for the next ones.
func (j *Journal) Ready() error {
	if err := j.Damaged(); err != nil {
		return err
	}
	select {
	case <-j.ended:
		return j.failed("write", j.endedBy)
	default:
	}
	if err := j.trouble.Load(); err != nil {
		return j.failed("last write", *err)
	}
	free, err := freeBytes(j.cfg.Path)
	if err == nil && free < leastFree {
		return fmt.Errorf("journal: %s: %d MiB are free on its disk; at least %d are needed: free space there, or lower journal.retention", j.cfg.Path, free>>20, leastFree>>20)
	}
	return nil
}

// freeBytes is what this user may still write to the disk a file is on.
func freeBytes(path string) (int64, error) {
	var s syscall.Statfs_t
	if err := syscall.Statfs(path, &s); err != nil {
		return 0, err
	}
	if s.Bsize <= 0 {
		return 0, errors.New("the file system does not tell")
	}
	return int64(min(s.Bavail, 1<<62/uint64(s.Bsize))) * int64(s.Bsize), nil //nolint:unconvert // not the same types on every platform
}
