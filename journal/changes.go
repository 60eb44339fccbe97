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
}

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

// FindChanges returns the changes that match the query, by OccurredAt and then ID, and the cursor of the next page, empty
// at the end. Limit 0 is 100; more than 1000 is 1000. A change whose environment is not known matches any.
// Text looks at title, version and service, one row after the other: give it From to search less.
func (j *Journal) FindChanges(ctx context.Context, q triage.ChangeQuery) ([]triage.Change, string, error) {
	after, err := parseCursor(q.After, listChanges, lowest)
	if err != nil {
		return nil, "", err
	}
	limit := bounded(q.Limit)
	where, args := scopeFilter(q)
	if q.Kind != "" {
		where, args = where+" AND kind=?", append(args, string(q.Kind))
	}
	query, args := eitherReach("changes", "occurred_at", q, after, limit, where, args)
	found, err := readAll(ctx, j, "find changes", scanChange,
		`SELECT `+changeColumns+` FROM (`+query+`) c LEFT JOIN bodies b ON b.seq = c.seq ORDER BY c.occurred_at, c.id`, args...)
	if err != nil {
		return nil, "", err
	}
	found, next := page(found, limit, listChanges, func(f changeFound) position { return position{f.occurred, string(f.ID)} })
	out := make([]triage.Change, len(found))
	for i, f := range found {
		out[i] = f.Change
	}
	return out, next, nil
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
	common := fmt.Sprintf("(%s, id) > (?, ?) AND acts_from <= ? AND acts_until >= ?%s", at, where)
	commonArgs := append([]any{after.key, after.id, to, from}, args...)
	query := fmt.Sprintf(`SELECT * FROM %s WHERE far=0 AND %s >= ? AND %[2]s <= ? AND %s
		UNION ALL SELECT * FROM %[1]s WHERE far=1 AND %[3]s ORDER BY %[2]s, id LIMIT ?`, table, at, common)
	all := []any{max(addSaturated(from, -int64(farReach)), after.key), addSaturated(to, int64(farReach))}
	return query, append(slices.Concat(all, commonArgs, commonArgs), limit+1)
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
	for rows.Next() {
		v, err := scan(rows)
		if err != nil {
			return nil, j.failed(doing, err)
		}
		out = append(out, v)
	}
	return out, j.failed(doing, cmp.Or(rows.Err(), rows.Close()))
}
