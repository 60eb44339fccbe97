package journal

import (
	"context"
	"database/sql"
	"encoding/binary"
	"errors"
	"time"

	"github.com/triaged-dev/triaged/triage"
)

// Index yields what the window keeps of every change whose last activity is at or after since, oldest activity first.
// Bodies are not read. It is one consistent view; it stops at the first error of yield and returns it. yield may keep
// what it is given, and must not call a method of the Journal that waits for a free reader for long.
func (j *Journal) Index(ctx context.Context, since time.Time, yield func(triage.IndexEntry) error) error {
	rows, err := j.rdb.QueryContext(ctx, `SELECT packed FROM changes INDEXED BY changes_by_activity WHERE last_activity >= ? ORDER BY last_activity`, nanosFrom(since))
	if err != nil {
		return j.failed("read index", err)
	}
	defer rows.Close()
	names := make(interner)
	var packed sql.RawBytes
	for rows.Next() {
		if err := rows.Scan(&packed); err != nil {
			return j.failed("read index", err)
		}
		e, err := unpack(packed, names)
		if err != nil {
			return j.failed("read index", err)
		}
		if err := yield(e); err != nil {
			return err
		}
	}
	return j.failed("read index", rows.Err())
}

// pack encodes an IndexEntry: start, last activity, whether it is global; id, kind and scope, each after its length; then the join keys.
// Integers are big-endian, lengths are varints.
func pack(e triage.IndexEntry) []byte {
	names := [...]string{string(e.ID), string(e.Kind), e.Scope.Service, e.Scope.Environment, e.Scope.Region, e.Scope.Cluster, e.Scope.Namespace}
	n := 17 + 8*len(e.JoinKeys)
	for _, s := range names {
		n += len(s) + 2
	}
	b := make([]byte, 0, n)
	b = binary.BigEndian.AppendUint64(b, uint64(nanos(e.Start)))
	b = binary.BigEndian.AppendUint64(b, uint64(nanos(e.LastActivity)))
	global := byte(0)
	if e.Scope.Global {
		global = 1
	}
	b = append(b, global)
	for _, s := range names {
		b = append(binary.AppendUvarint(b, uint64(len(s))), s...)
	}
	for _, k := range e.JoinKeys {
		b = binary.BigEndian.AppendUint64(b, k)
	}
	return b
}

var errPacked = errors.New("index entry is cut short")

// unpack undoes pack. Names other than the id are shared through the interner; nothing refers to b afterwards.
func unpack(b []byte, names interner) (e triage.IndexEntry, err error) {
	if len(b) < 17 {
		return e, errPacked
	}
	e.Start = instant(int64(binary.BigEndian.Uint64(b)))
	e.LastActivity = instant(int64(binary.BigEndian.Uint64(b[8:])))
	e.Scope.Global = b[16] != 0
	b = b[17:]
	next := func() []byte {
		n, used := binary.Uvarint(b)
		if used <= 0 || n > uint64(len(b)-used) {
			err, b = errPacked, nil
			return nil
		}
		s := b[used : used+int(n)]
		b = b[used+int(n):]
		return s
	}
	e.ID = triage.ChangeID(next())
	e.Kind = triage.Kind(names.name(next()))
	for _, s := range [...]*string{&e.Scope.Service, &e.Scope.Environment, &e.Scope.Region, &e.Scope.Cluster, &e.Scope.Namespace} {
		*s = names.name(next())
	}
	if len(b)%8 != 0 {
		err = errPacked
	}
	if err == nil && len(b) > 0 {
		e.JoinKeys = make([]uint64, 0, len(b)/8)
		for ; len(b) > 0; b = b[8:] {
			e.JoinKeys = append(e.JoinKeys, binary.BigEndian.Uint64(b))
		}
	}
	return e, err
}

// AliasesSince yields every alias that was written, or whose change was active or stored anew, at or after since:
// at least the aliases of all changes that Index yields for the same time. It stops at the first error of yield.
func (j *Journal) AliasesSince(ctx context.Context, since time.Time, yield func(alias, id triage.ChangeID) error) error {
	rows, err := j.rdb.QueryContext(ctx, `SELECT alias, id FROM aliases WHERE at >= ? ORDER BY at, alias`, nanosFrom(since))
	if err != nil {
		return j.failed("read aliases", err)
	}
	defer rows.Close()
	for rows.Next() {
		var alias, id triage.ChangeID
		if err := rows.Scan(&alias, &id); err != nil {
			return j.failed("read aliases", err)
		}
		if err := yield(alias, id); err != nil {
			return err
		}
	}
	return j.failed("read aliases", rows.Err())
}

// interner gives every occurrence of a name the same string: a million changes name a few thousand services.
type interner map[string]string

func (n interner) name(b []byte) string {
	if s, ok := n[string(b)]; ok {
		return s
	}
	s := string(b)
	n[s] = s
	return s
}
