package journal

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/triaged-dev/triaged/triage"
)

// farReach bounds how far from occurred_at an ordinary change may have acted; see schemaV1.
const farReach = 6 * time.Hour

// MaxBody is the most bytes of JSON one change or anomaly may have. One at every bound of triage is about 64 KiB.
const MaxBody = 1 << 20

// changeRow is a Change as it is written, encoded before it reaches the writer so that encoding is not serial.
type changeRow struct {
	id   triage.ChangeID
	args []any // in the order of insertChange, from far on
	body []byte
	last int64
}

type anomalyRow struct{ args []any }

// Append makes the entries durable, all or none: nil means they will survive a crash. A change replaces what was stored
// under its id; each alias resolves to that id from now on, and so does whatever resolved to the alias. Repeating an
// Append changes nothing. A refused entry is an EntryError.
func (j *Journal) Append(ctx context.Context, entries []triage.Entry) error {
	if len(entries) == 0 {
		return nil
	}
	start := time.Now()
	changes := make([]changeRow, len(entries))
	anomalies := make([]anomalyRow, len(entries))
	for i, e := range entries {
		var err error
		switch c, a := e.Event.Change, e.Event.Anomaly; {
		case c != nil && a == nil:
			changes[i], err = encodeChange(*c, j.now())
		case a != nil && c == nil:
			anomalies[i], err = encodeAnomaly(*a, j.now())
		default:
			err = errors.New("must hold a change or an anomaly, exactly one of them")
		}
		if err != nil {
			return fmt.Errorf("journal: append: %w", &EntryError{Index: i, Err: err})
		}
	}
	now := nanos(j.now())
	err := j.write(ctx, "append", len(entries), func(w *writer) error {
		for i, e := range entries {
			var err error
			if e.Event.Change != nil {
				err = w.putChange(changes[i], e.Aliases, now)
			} else {
				_, err = w.exec(insertAnomaly, anomalies[i].args...)
			}
			if err != nil && ofStorage(err) {
				return err
			}
			if err != nil {
				return &EntryError{Index: i, Err: err}
			}
		}
		return nil
	})
	if err == nil {
		j.metrics.appended(entries, time.Since(start))
	}
	return err
}

const (
	insertChange = `INSERT INTO changes (id, far, occurred_at, acts_from, acts_until, last_activity, started_at, finished_at, observed_at,
	kind, status, source, service, environment, global, packed, title, version, search)
	VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?) ON CONFLICT (id) DO NOTHING`
	updateChange = `UPDATE changes SET far=?2, occurred_at=?3, acts_from=?4, acts_until=?5, last_activity=?6, started_at=?7, finished_at=?8,
	observed_at=?9, kind=?10, status=?11, source=?12, service=?13, environment=?14, global=?15,
	packed=?16, title=?17, version=?18, search=?19 WHERE id=?1`
	insertBody    = `INSERT INTO bodies (seq, body) VALUES (last_insert_rowid(), ?)`
	updateBody    = `INSERT INTO bodies (seq, body) SELECT seq, ?2 FROM changes WHERE id=?1 ON CONFLICT (seq) DO UPDATE SET body=excluded.body`
	insertAnomaly = `INSERT INTO anomalies (id, far, onset, acts_from, acts_until, service, environment, global, search, body)
	VALUES (?,?,?,?,?,?,?,?,?,?) ON CONFLICT (id) DO UPDATE SET far=excluded.far, onset=excluded.onset, acts_from=excluded.acts_from,
	acts_until=excluded.acts_until, service=excluded.service, environment=excluded.environment, global=excluded.global,
	search=excluded.search, body=excluded.body`
)

// putChange inserts or replaces a change and records its aliases. An id is either a change or an alias, never both:
// one that is appended as a change is one again, and one that becomes an alias loses its row and hands on its own aliases.
func (w *writer) putChange(c changeRow, aliases []triage.ChangeID, now int64) error {
	inserted, err := w.exec(insertChange, c.args...)
	if err != nil {
		return err
	}
	if inserted > 0 {
		if _, err := w.exec(insertBody, c.body); err != nil {
			return err
		}
		if _, err := w.exec("DELETE FROM aliases WHERE alias=?", c.id); err != nil {
			return err
		}
	} else {
		if _, err := w.exec(updateChange, c.args...); err != nil {
			return err
		}
		if _, err := w.exec(updateBody, c.id, c.body); err != nil {
			return err
		}
		// Kept as recent as their change, so that AliasesSince finds the aliases of every change that Index finds.
		if _, err := w.exec("UPDATE aliases SET at=max(at, ?2) WHERE id=?1", c.id, max(now, c.last)); err != nil {
			return err
		}
	}
	for _, a := range aliases {
		if a == c.id || a == "" {
			continue
		}
		if err := w.putAlias(a, c.id, max(now, c.last)); err != nil {
			return err
		}
	}
	return nil
}

func (w *writer) putAlias(alias, id triage.ChangeID, at int64) error {
	for _, q := range []string{
		"DELETE FROM bodies WHERE seq=(SELECT seq FROM changes WHERE id=?)",
		"DELETE FROM changes WHERE id=?",
	} {
		if _, err := w.exec(q, alias); err != nil {
			return err
		}
	}
	if _, err := w.exec("UPDATE aliases SET id=?2, at=?3 WHERE id=?1", alias, id, at); err != nil {
		return err
	}
	_, err := w.exec("INSERT INTO aliases (alias, id, at) VALUES (?,?,?) ON CONFLICT (alias) DO UPDATE SET id=excluded.id, at=excluded.at", alias, id, at)
	return err
}

func encodeChange(c triage.Change, now time.Time) (changeRow, error) {
	if c.ID == "" {
		return changeRow{}, &triage.FieldError{Field: "change.id", Remedy: "must be set before it is stored"}
	}
	if c.LastActivity().IsZero() {
		c.ObservedAt = now.UTC()
	}
	body, err := encode(c)
	if err != nil {
		return changeRow{}, fmt.Errorf("change %s: %w", c.ID, err)
	}
	from, _, _ := c.StartInterval(triage.AssumedRollout)
	occurred, last := c.OccurredAt(), c.LastActivity()
	until := last.Add(seconds(c.TimeUncertaintyS))
	e := triage.IndexEntry{ID: c.ID, Kind: c.Kind, Scope: c.Scope, Start: from, LastActivity: last}
	for _, k := range c.JoinKeys() {
		e.JoinKeys = append(e.JoinKeys, triage.HashJoinKey(k))
	}
	return changeRow{id: c.ID, body: body, last: nanos(last), args: []any{
		string(c.ID), far(occurred, from, until), nanos(occurred), nanos(from), nanos(until), nanos(last),
		nanos(c.StartedAt), nanos(c.FinishedAt), nanos(c.ObservedAt),
		string(c.Kind), string(c.Status), c.Source, c.Service, c.Environment, c.Global,
		pack(e), c.Title, c.Version, searchText(c.Title, c.Version, c.Service),
	}}, nil
}

func encodeAnomaly(a triage.Anomaly, now time.Time) (anomalyRow, error) {
	if a.ID == "" {
		return anomalyRow{}, &triage.FieldError{Field: "anomaly.id", Remedy: "must be set before it is stored"}
	}
	if a.Onset.IsZero() {
		seen := timed(a.ObservedAt, now)
		a.Onset = triage.Interval{Earliest: seen, Best: seen, Latest: seen}
	}
	body, err := encode(a)
	if err != nil {
		return anomalyRow{}, fmt.Errorf("anomaly %s: %w", a.ID, err)
	}
	// An anomaly that has not ended lasts at least until it was last observed.
	until := a.EndedAt
	if until.IsZero() {
		until = a.ObservedAt
	}
	if until.Before(a.Onset.Latest) {
		until = a.Onset.Latest
	}
	return anomalyRow{args: []any{
		string(a.ID), far(a.Onset.Best, a.Onset.Earliest, until), nanos(a.Onset.Best), nanos(a.Onset.Earliest), nanos(until),
		a.Service, a.Environment, a.Global, searchText(a.Series, string(a.Signal), a.Service), body,
	}}, nil
}

func encode(v any) ([]byte, error) {
	body, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	if len(body) > MaxBody {
		return nil, fmt.Errorf("is %d bytes of JSON; at most %d are stored", len(body), MaxBody)
	}
	return body, nil
}

func far(at, from, until time.Time) bool {
	return at.Sub(from) > farReach || until.Sub(at) > farReach
}

func searchText(parts ...string) string { return strings.ToLower(strings.Join(parts, "\n")) }

// seconds converts, bounded so that an absurd uncertainty does not overflow.
func seconds(s float64) time.Duration {
	const most = 365 * day
	if !(s > 0) {
		return 0
	}
	if s > most.Seconds() {
		return most
	}
	return time.Duration(s * float64(time.Second))
}
