package journal

import (
	"context"
	"encoding/binary"
	"io"
	"os"
	"time"
)

// logTail is how far the log of recent writes has been read back and found sound. SQLite appends to the log where it believes its end
// to be: if somebody cuts it while a commit is being written, the file grows over the cut and looks whole from outside, but what lay
// behind the cut reads as zeros, and everything after it is lost at the next start. So each commit is read back before it is
// acknowledged, beginning with the last frame of the one before, which any cut takes with it. It comes from the page cache.
type logTail struct {
	header [logHeader]byte
	frames int    // sound ones, without the last
	sum    logSum // over them
}

// holds reads what was appended since the last call. frames is how many SQLite believes the log to have.
func (t *logTail) holds(path string, frames int) error {
	if frames <= 0 {
		return nil
	}
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	var head [logHeader]byte
	if _, err := f.ReadAt(head[:], 0); err != nil {
		return cutOrOverwritten(path)
	}
	order := orderOf(head[:])
	page := int64(binary.BigEndian.Uint32(head[8:]))
	if order == nil || page < 512 || page > 65536 {
		return cutOrOverwritten(path)
	}
	if head != t.header || frames <= t.frames { // it was begun anew
		*t = logTail{header: head, sum: logSum{}.add(order, head[:24])}
	}
	size := logFrame + page
	r := io.NewSectionReader(f, logHeader+int64(t.frames)*size, int64(frames-t.frames)*size)
	frame := make([]byte, size)
	for n := t.frames; n < frames; n++ {
		if _, err := io.ReadFull(r, frame); err != nil {
			return cutOrOverwritten(path)
		}
		sum := t.sum.add(order, frame[:8]).add(order, frame[logFrame:])
		if string(frame[8:16]) != string(head[16:24]) || !sum.is(frame[16:24]) {
			return cutOrOverwritten(path)
		}
		if n < frames-1 {
			t.frames, t.sum = n+1, sum
		}
	}
	return nil
}

func cutOrOverwritten(path string) error {
	return &damageError{found: path + " was cut or overwritten while it was written to"}
}

// logEnd is what the log was after a commit.
type logEnd struct {
	header [logHeader]byte
	frames int
}

// logLoop reads the whole log once a second while it grows: what others write into its middle while a commit is being written cannot be
// told by size or time from what the commit wrote. At most 32 MB, from the page cache, beside the writer.
func (j *Journal) logLoop(ctx context.Context) {
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	var seen *logEnd
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		end := j.logEnd.Load()
		if end == seen || end == nil {
			continue
		}
		seen = end
		if err := end.sound(j.cfg.Path + "-wal"); isDamage(err) {
			j.damage(err)
			return
		}
	}
}

// sound is a damageError where the log no longer holds what it did. A log that was begun anew meanwhile is another one.
func (e *logEnd) sound(path string) error {
	err := checkLog(path, e.frames)
	if err == nil {
		return nil
	}
	f, openErr := os.Open(path)
	if openErr != nil {
		return openErr // the writer's look says more
	}
	defer f.Close()
	var head [logHeader]byte
	if _, readErr := f.ReadAt(head[:], 0); readErr == nil && head != e.header && orderOf(head[:]) != nil {
		return nil
	}
	return err
}

// logHolds reads back what the last transaction wrote.
func (j *Journal) logHolds() error {
	var busy, frames, moved int
	if err := j.w.conn.QueryRowContext(j.w.ctx, "PRAGMA wal_checkpoint(NOOP)").Scan(&busy, &frames, &moved); err != nil {
		return err
	}
	if err := j.tail.holds(j.cfg.Path+"-wal", frames); err != nil {
		return err
	}
	j.logEnd.Store(&logEnd{j.tail.header, frames})
	return nil
}
