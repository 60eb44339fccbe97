package journal

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"
)

// rescueTime bounds the saving of a removed database: 12 GB at 100 MB/s.
const rescueTime = 2 * time.Minute

// rescue copies a database that was removed or replaced: what we hold open is still whole, and gone when it is closed. It is called
// after the last write. A lost -wal needs no rescue: closing moves what it held into the database.
func (j *Journal) rescue() (err error) {
	now, err := stateOf(j.cfg.Path)
	if was := j.watch.was[0]; err != nil || now.ino == was.ino && now.dev == was.dev {
		return err
	}
	ctx, cancel := context.WithTimeout(j.w.ctx, rescueTime)
	defer cancel()
	to := j.cfg.Path + ".rescued-" + j.now().UTC().Format("20060102T150405.000Z")
	f, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(to)
		}
	}()
	if err := f.Close(); err != nil {
		return err
	}
	if _, err := j.w.conn.ExecContext(ctx, "VACUUM INTO ?", to); err != nil {
		return fmt.Errorf("copy what is still open: %w", err)
	}
	if err := errors.Join(checkCopy(ctx, to), syncFile(to)); err != nil {
		return err
	}
	j.rescued = to
	return nil
}

// settle puts a rescued copy in its place when everything is closed, unless somebody put another journal there: which of the two is
// wanted is not for us to say.
func (j *Journal) settle() error {
	if j.rescued == "" {
		return nil
	}
	if _, err := os.Stat(j.cfg.Path); !errors.Is(err, fs.ErrNotExist) {
		j.log.Error("the journal was replaced while in use; what it held until then was saved beside it", "path", j.cfg.Path, "saved_to", j.rescued)
		return errors.Join(err, j.removeOwn())
	}
	if err := j.removeOwn(); err != nil {
		return err
	}
	if err := os.Rename(j.rescued, j.cfg.Path); err != nil {
		return err
	}
	j.log.Warn("the journal was removed while in use; what was still open was put back in its place", "path", j.cfg.Path)
	return nil
}

// removeOwn removes the log of the database that we had open: it must not be replayed over another.
func (j *Journal) removeOwn() error {
	for i, suffix := range watched[:3] {
		now, err := stateOf(j.cfg.Path + suffix)
		if was := j.watch.was[i]; err != nil || suffix == "" || now.ino == 0 || now.ino != was.ino || now.dev != was.dev {
			continue
		}
		if err := os.Remove(j.cfg.Path + suffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}
