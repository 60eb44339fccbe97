package journal

import (
	"context"
	"database/sql"
	"encoding/binary"
	"time"

	"github.com/triaged-dev/triaged/triage"
)

// Index yields what the window keeps of every change whose last activity is at or after since, oldest activity first.
// Bodies are not read. It is one consistent view; it stops at the first error of yield and returns it. yield may keep
// what it is given, and must not call a method of the Journal that waits for a free reader for long.
func (j *Journal) Index(ctx context.Context, since time.Time, yield func(triage.IndexEntry) error) error {
	rows, err := j.rdb.QueryContext(ctx, `SELECT id, kind, service, environment, region, cluster, namespace, global, acts_from, last_activity, join_keys
		FROM changes INDEXED BY changes_by_activity WHERE last_activity >= ? ORDER BY last_activity`, nanosFrom(since))
	if err != nil {
		return j.failed("read index", err)
	}
	defer rows.Close()
	names := make(interner)
	for rows.Next() {
		var (
			e                                   triage.IndexEntry
			id                                  string
			kind, svc, env, region, cluster, ns sql.RawBytes
			global                              int64
			from, last                          int64
			keys                                sql.RawBytes
		)
		if err := rows.Scan(&id, &kind, &svc, &env, &region, &cluster, &ns, &global, &from, &last, &keys); err != nil {
			return j.failed("read index", err)
		}
		e.ID = triage.ChangeID(id)
		e.Kind = triage.Kind(names.name(kind))
		e.Scope = triage.Scope{
			Service: names.name(svc), Environment: names.name(env), Region: names.name(region),
			Cluster: names.name(cluster), Namespace: names.name(ns), Global: global != 0,
		}
		e.Start, e.LastActivity = instant(from), instant(last)
		if len(keys) > 0 {
			e.JoinKeys = make([]uint64, 0, len(keys)/8)
			for ; len(keys) >= 8; keys = keys[8:] {
				e.JoinKeys = append(e.JoinKeys, binary.BigEndian.Uint64(keys))
			}
		}
		if err := yield(e); err != nil {
			return err
		}
	}
	return j.failed("read index", rows.Err())
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
