package journal

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/triaged-dev/triaged/triage"
)

const changeColumns = `c.id, c.source, c.kind, c.status, c.packed, c.started_at, c.finished_at, c.observed_at, c.title, c.version, c.occurred_at, b.body`

// changeFound is a Change with the sort key of its row.
type changeFound struct {
	triage.Change
	occurred int64
	bytes    int // of the body
}

func (f changeFound) size() int { return f.bytes }

// scanChange reads changeColumns. Where the body is past its retention, the Change is made of the columns alone.
func scanChange(rows rowScanner) (changeFound, error) {
	var (
		f                           changeFound
		c                           triage.Change
		started, finished, observed int64
		packed, body                []byte
	)
	err := rows.Scan(&c.ID, &c.Source, &c.Kind, &c.Status, &packed, &started, &finished, &observed, &c.Title, &c.Version, &f.occurred, &body)
	if err != nil {
		return f, err
	}
	f.bytes = len(body)
	if body != nil {
		if err := json.Unmarshal(body, &f.Change); err != nil {
			return f, fmt.Errorf("decode change %s: %w", c.ID, err)
		}
		return f, nil
	}
	e, err := unpack(packed, make(interner))
	if err != nil {
		return f, fmt.Errorf("decode change %s: %w", c.ID, err)
	}
	c.Scope = e.Scope
	c.StartedAt, c.FinishedAt, c.ObservedAt = instant(started), instant(finished), instant(observed)
	f.Change = c
	return f, nil
}

// ResolveChange returns the id under which a change is stored now: id itself, or what it has become an alias of.
func (j *Journal) ResolveChange(ctx context.Context, id triage.ChangeID) (triage.ChangeID, error) {
	var to triage.ChangeID
	err := j.rdb.QueryRowContext(ctx, `SELECT id FROM changes WHERE id=?1 UNION ALL SELECT id FROM aliases WHERE alias=?1 LIMIT 1`, id).Scan(&to)
	if errors.Is(err, sql.ErrNoRows) {
		return "", fmt.Errorf("change %s: %w", id, ErrNotFound)
	}
	return to, j.failed("resolve change", err)
}

// Changes returns the changes stored under these ids, in the order given; those that are not there are left out.
// Aliases are not followed. A change past the retention of bodies comes back with its times, scope, title and version only.
func (j *Journal) Changes(ctx context.Context, ids []triage.ChangeID) ([]triage.Change, error) {
	const perQuery = 500
	found := make(map[triage.ChangeID]triage.Change, len(ids))
	for part := range slices.Chunk(ids, perQuery) {
		args := make([]any, len(part))
		for i, id := range part {
			args[i] = string(id)
		}
		cs, err := readAll(ctx, j, "read changes", scanChange,
			`SELECT `+changeColumns+` FROM changes c LEFT JOIN bodies b ON b.seq = c.seq WHERE c.id IN (`+placeholders(len(part))+`)`, args...)
		if err != nil {
			return nil, err
		}
		for _, c := range cs {
			found[c.ID] = c.Change
		}
	}
	out := make([]triage.Change, 0, len(found))
	for _, id := range ids {
		if c, ok := found[id]; ok {
			out = append(out, c)
		}
	}
	return out, nil
}

// FindChanges returns the changes that match the query, by OccurredAt and then ID (both backwards where the query says Newest),
// and the cursor of the next page, empty at the end. Limit 0 is 100; more than 1000 is 1000. A change whose environment is not known matches any.
// Text looks at title, version and service, one row after the other: give it From to search less.
func (j *Journal) FindChanges(ctx context.Context, q triage.ChangeQuery) ([]triage.Change, string, error) {
	list, beginning, order := byte(listChanges), lowest, ""
	if q.Newest {
		list, beginning, order = listNewest, highest, " DESC"
	}
	after, err := parseCursor(q.After, list, beginning)
	if err != nil {
		return nil, "", err
	}
	limit := bounded(q.Limit)
	where, args := scopeFilter(q)
	query, args := eitherReach("changes", "occurred_at", q, after, limit, where, args)
	found, err := readAll(ctx, j, "find changes", scanChange,
		`SELECT `+changeColumns+` FROM (`+query+`) c LEFT JOIN bodies b ON b.seq = c.seq ORDER BY c.occurred_at`+order+`, c.id`+order, args...)
	if err != nil {
		return nil, "", err
	}
	found, next := page(found, limit, list, func(f changeFound) position { return position{f.occurred, string(f.ID)} })
	out := make([]triage.Change, len(found))
	for i, f := range found {
		out[i] = f.Change
	}
	return out, next, nil
}

// CountChanges counts the changes that match the query by when they occurred, in bins of equal length over [From, To), and by
// kind or service (triage.CountByKind, CountByService). With triage.CountAll and no further filters it reads the index alone.
// Limit, After and Newest are not looked at. From and To are needed.
func (j *Journal) CountChanges(ctx context.Context, q triage.ChangeQuery, bins int, by string) (map[string][]int, error) {
	column, known := map[string]string{triage.CountAll: "''", triage.CountByKind: "kind", triage.CountByService: "service"}[by]
	from, to := nanos(q.From), nanos(q.To)
	if bins < 1 || to <= from || !known {
		return nil, fmt.Errorf("journal: count changes by %q in %d bins from %s to %s", by, bins, q.From, q.To)
	}
	width := (to - from + int64(bins) - 1) / int64(bins)
	where, args := scopeFilter(q)
	type cell struct {
		name   string
		bin, n int
	}
	cells, err := readAll(ctx, j, "count changes", func(rows rowScanner) (c cell, err error) {
		return c, rows.Scan(&c.name, &c.bin, &c.n)
	}, `SELECT `+column+` AS name, (occurred_at - ?1) / ?2 AS bin, count(*) FROM changes WHERE far IN (0, 1) AND occurred_at >= ?1 AND occurred_at < ?3`+where+` GROUP BY 1, 2`,
		append([]any{from, width, to}, args...)...)
	if err != nil {
		return nil, err
	}
	out := make(map[string][]int)
	for _, c := range cells {
		if out[c.name] == nil {
			out[c.name] = make([]int, bins)
		}
		out[c.name][c.bin] += c.n
	}
	return out, nil
}

// scopeFilter is the part of the condition that changes and anomalies share.
func scopeFilter(q triage.ChangeQuery) (where string, args []any) {
	var b strings.Builder
	if len(q.Services) > 0 {
		b.WriteString(" AND (service='' OR global=1 OR service IN (" + placeholders(len(q.Services)) + "))")
		for _, s := range q.Services {
			args = append(args, s)
		}
	}
	if q.Environment != "" {
		b.WriteString(" AND environment IN ('', ?)")
		args = append(args, q.Environment)
	}
	if q.Kind != "" {
		b.WriteString(" AND kind=?")
		args = append(args, string(q.Kind))
	}
	if q.Text != "" {
		b.WriteString(" AND instr(search, ?) > 0")
		args = append(args, strings.ToLower(q.Text))
	}
	return b.String(), args
}

// eitherReach selects limit+1 rows that acted within [q.From, q.To], after the position given. Rows that are not far lie
// within farReach of the interval, a bounded range of the index; the few far ones are looked through all.
// With From 12:00 and To 12:30: near rows that occurred in 06:00–18:30, and any far one.
func eitherReach(table, at string, q triage.ChangeQuery, after position, limit int, where string, args []any) (string, []any) {
	from, to := nanosFrom(q.From), nanosTo(q.To)
	past, order := ">", ""
	first, last := max(addSaturated(from, -int64(farReach)), after.key), addSaturated(to, int64(farReach))
	if q.Newest {
		past, order = "<", " DESC"
		first, last = addSaturated(from, -int64(farReach)), min(last, after.key)
	}
	common := fmt.Sprintf("(%s, id) %s (?, ?) AND acts_from <= ? AND acts_until >= ?%s", at, past, where)
	commonArgs := append([]any{after.key, after.id, to, from}, args...)
	query := fmt.Sprintf(`SELECT * FROM %s WHERE far=0 AND %s >= ? AND %[2]s <= ? AND %s
		UNION ALL SELECT * FROM %[1]s WHERE far=1 AND %[3]s ORDER BY %[2]s%[4]s, id%[4]s LIMIT ?`, table, at, common, order)
	return query, append(slices.Concat([]any{first, last}, commonArgs, commonArgs), limit+1)
}

func addSaturated(a, b int64) int64 {
	switch {
	case b < 0 && a < math.MinInt64-b:
		return math.MinInt64
	case b > 0 && a > math.MaxInt64-b:
		return math.MaxInt64
	}
	return a + b
}

func placeholders(n int) string { return strings.TrimSuffix(strings.Repeat("?,", n), ",") }

// rowScanner is the part of sql.Rows that reads the current row.
type rowScanner interface{ Scan(...any) error }

// readAll runs a query and scans every row of it.
func readAll[T any](ctx context.Context, j *Journal, doing string, scan func(rowScanner) (T, error), query string, args ...any) ([]T, error) {
	rows, err := j.rdb.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, j.failed(doing, err)
	}
	defer rows.Close()
	out := []T{} // a list is never null in JSON
	bytes := 0
	for rows.Next() {
		v, err := scan(rows)
		if err != nil {
			return nil, j.failed(doing, err)
		}
		out = append(out, v)
		if s, ok := any(v).(sized); ok {
			if bytes += s.size(); bytes > pageBytes {
				break // page sees the same, and makes the cursor
			}
		}
	}
	return out, j.failed(doing, cmp.Or(rows.Err(), rows.Close()))
}
