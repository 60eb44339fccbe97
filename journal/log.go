package journal

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
)

// The format of a write-ahead log: a header, then frames of a head and a page. Each frame holds the checksum over everything before it.
const (
	logHeader = 32
	logFrame  = 24
	logMagic  = 0x377f0682 // with little-endian checksums; the last bit means big-endian ones
)

// checkLog reads a write-ahead log against its checksums and returns a damageError when fewer than that many frames are sound.
func checkLog(path string, frames int) error {
	sound, _, err := soundFrames(path, frames)
	if err != nil {
		return err
	}
	if sound < frames {
		return &damageError{found: fmt.Sprintf("%s was overwritten while in use: %d of %d writes in it can still be read", path, sound, frames)}
	}
	return nil
}

// soundFrames counts the frames of a log, at most that many, whose checksums fit, and says how many bytes they are with the header.
// SQLite checks them only when it opens a log. The file may be read by anybody: no lock hangs on it.
func soundFrames(path string, most int) (n int, size int64, err error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, 0, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	r := bufio.NewReaderSize(f, 1<<16)
	head := make([]byte, logHeader)
	if _, err := io.ReadFull(r, head); err != nil {
		return 0, 0, nil
	}
	order := orderOf(head)
	if order == nil {
		return 0, 0, nil
	}
	sum := logSum{}.add(order, head[:24])
	page := binary.BigEndian.Uint32(head[8:])
	if !sum.is(head[24:]) || page < 512 || page > 65536 {
		return 0, 0, nil
	}
	frame := make([]byte, logFrame+page)
	for ; n < most; n++ {
		if _, err := io.ReadFull(r, frame); err != nil {
			break
		}
		sum = sum.add(order, frame[:8]).add(order, frame[logFrame:])
		if string(frame[8:16]) != string(head[16:24]) || !sum.is(frame[16:24]) {
			break
		}
	}
	return n, logHeader + int64(n)*int64(len(frame)), nil
}

// orderOf is the order of the bytes in a log's checksums, nil for what is no log.
func orderOf(head []byte) binary.ByteOrder {
	switch binary.BigEndian.Uint32(head) {
	case logMagic:
		return binary.LittleEndian
	case logMagic | 1:
		return binary.BigEndian
	}
	return nil
}

// trimLog cuts a log to what is sound of it. Closing would move the rest into the database, as SQLite believes what it once wrote;
// so it meets the end of the file instead, stops, and the next Open reads what is left.
func (j *Journal) trimLog() error {
	path := j.cfg.Path + "-wal"
	now, err := stateOf(path)
	if was := j.watch.was[1]; err != nil || now.ino == 0 || now.ino != was.ino || now.dev != was.dev {
		return err
	}
	var busy, frames, moved int
	if err := j.w.conn.QueryRowContext(j.w.ctx, "PRAGMA wal_checkpoint(NOOP)").Scan(&busy, &frames, &moved); err != nil {
		return err
	}
	sound, size, err := soundFrames(path, frames)
	if err != nil || sound >= frames {
		return err
	}
	return os.Truncate(path, size)
}

// logSum is the running checksum of a log.
type logSum struct{ a, b uint32 }

func (s logSum) add(order binary.ByteOrder, data []byte) logSum {
	for ; len(data) >= 8; data = data[8:] {
		s.a += order.Uint32(data) + s.b
		s.b += order.Uint32(data[4:]) + s.a
	}
	return s
}

func (s logSum) is(stored []byte) bool {
	return s.a == binary.BigEndian.Uint32(stored) && s.b == binary.BigEndian.Uint32(stored[4:])
}
