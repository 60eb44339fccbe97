//go:build unix

package journal

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"
)

// lockFile keeps a second daemon away. It is an advisory flock, so the kernel lets it go when the process dies,
// however it dies. Its text says who holds it and how the last holder left: what Open needs to know even when
// the database itself cannot be read.
type lockFile struct {
	f *os.File
	// left is what the previous holder wrote last; empty for a new journal.
	left string
}

// How a holder left the journal: the last line of the lock file.
const (
	leftNew     = "new"     // being made for the first time
	leftOpen    = "open"    // still held, or killed
	leftClean   = "clean"   // followed by size and mtime of the database
	leftDamaged = "damaged" // met corruption; followed by what was found
)

func acquireLock(path string) (*lockFile, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock (make the directory writable for this user, or change journal.path): %w", err)
	}
	text, rerr := io.ReadAll(io.LimitReader(f, 4096))
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = f.Close() // nothing was written
		if errors.Is(err, syscall.EWOULDBLOCK) {
			holder, _, _ := strings.Cut(string(text), "\n")
			if holder == "" {
				holder = "another process"
			}
			return nil, fmt.Errorf("%w by %s: stop it first, or give this one another journal.path", ErrLocked, holder)
		}
		return nil, fmt.Errorf("lock %s (use a local disk; some network file systems cannot lock): %w", path, err)
	}
	if rerr != nil {
		return nil, errors.Join(fmt.Errorf("read %s: %w", path, rerr), f.Close())
	}
	_, left, _ := strings.Cut(string(text), "\n")
	return &lockFile{f: f, left: strings.TrimSpace(left)}, nil
}

// mark writes who holds the lock and the state it would be left in if the process died now.
func (l *lockFile) mark(state string) error {
	text := fmt.Sprintf("process %d\n%s\n", os.Getpid(), state)
	if err := l.f.Truncate(0); err != nil {
		return fmt.Errorf("write %s: %w", l.f.Name(), err)
	}
	if _, err := l.f.WriteAt([]byte(text), 0); err != nil {
		return fmt.Errorf("write %s: %w", l.f.Name(), err)
	}
	return nil
}

// release lets the lock go. The file stays: removing it would let two processes lock two files of one name.
func (l *lockFile) release() error {
	if l == nil {
		return nil
	}
	return l.f.Close()
}
