package journal

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/triaged-dev/triaged/triage"
)

// SaveIncident stores the incident with its alerts, in place of what was stored under its id.
func (j *Journal) SaveIncident(ctx context.Context, i triage.Incident) error {
	put, err := putIncident(i, j.now())
	if err != nil {
		return fmt.Errorf("journal: save incident: %w", err)
	}
	return j.write(ctx, "save incident", 1, put)
}

// putIncident encodes an incident and returns the write. Alerts are also kept one by one, for AlertHistory.
func putIncident(i triage.Incident, now time.Time) (func(*writer) error, error) {
	if i.ID == "" {
		return nil, &triage.FieldError{Field: "incident.id", Remedy: "must be set before it is stored"}
	}
	i.OpenedAt = timed(i.OpenedAt, now)
	body, err := json.Marshal(i)
	if err != nil {
		return nil, fmt.Errorf("incident %s: %w", i.ID, err)
	}
	alerts, err := encodeAlerts(i)
	if err != nil {
		return nil, err
	}
	return func(w *writer) error {
		_, err := w.exec(`INSERT INTO incidents (id, state, service, opened_at, updated_at, body) VALUES (?,?,?,?,?,?)
			ON CONFLICT (id) DO UPDATE SET state=excluded.state, service=excluded.service, opened_at=excluded.opened_at,
			updated_at=excluded.updated_at, body=excluded.body`,
			i.ID, string(i.State), i.Service, nanos(i.OpenedAt), nanos(i.UpdatedAt), body)
		if err != nil {
			return err
		}
		return w.putAlerts(alerts)
	}, nil
}

// Incident returns one incident, or ErrNotFound.
func (j *Journal) Incident(ctx context.Context, id string) (triage.Incident, error) {
	return readOne[triage.Incident](ctx, j, "incident "+id, `SELECT body FROM incidents WHERE id=?`, id)
}

// Incidents returns the incidents that match, newest first, and the cursor of the next page, empty at the end.
func (j *Journal) Incidents(ctx context.Context, q triage.IncidentQuery) ([]triage.Incident, string, error) {
	before, err := parseCursor(q.After, listIncidents, highest)
	if err != nil {
		return nil, "", err
	}
	limit := bounded(q.Limit)
	query := `SELECT body FROM incidents WHERE (opened_at, id) < (?, ?) AND opened_at >= ? AND opened_at <= ?`
	args := []any{before.key, before.id, nanosFrom(q.From), nanosTo(q.To)}
	if len(q.States) > 0 {
		query += ` AND state IN (` + placeholders(len(q.States)) + `)`
		for _, s := range q.States {
			args = append(args, string(s))
		}
	}
	if q.Service != "" {
		query, args = query+` AND service=?`, append(args, q.Service)
	}
	found, err := readAll(ctx, j, "list incidents", scanBody[triage.Incident], query+` ORDER BY opened_at DESC, id DESC LIMIT ?`, append(args, limit+1)...)
	if err != nil {
		return nil, "", err
	}
	found, next := page(found, limit, listIncidents, func(i triage.Incident) position { return position{nanos(i.OpenedAt), i.ID} })
	return found, next, nil
}

type alertRow struct{ args []any }

func encodeAlerts(i triage.Incident) ([]alertRow, error) {
	rows := make([]alertRow, len(i.Alerts))
	for n, a := range i.Alerts {
		body, err := json.Marshal(a)
		if err != nil {
			return nil, fmt.Errorf("incident %s: alert %s: %w", i.ID, a.Key(), err)
		}
		rows[n] = alertRow{args: []any{a.Key(), a.Name(), i.Service, nanos(timed(a.StartsAt, i.OpenedAt)), nanos(a.EndsAt), i.ID, body}}
	}
	return rows, nil
}

// putAlerts writes only what differs: an incident is saved often, its alerts seldom change.
func (w *writer) putAlerts(rows []alertRow) error {
	for _, r := range rows {
		_, err := w.exec(`INSERT INTO alerts (key, name, service, starts_at, ends_at, incident_id, body) VALUES (?,?,?,?,?,?,?)
			ON CONFLICT (key) DO UPDATE SET name=excluded.name, service=excluded.service, ends_at=excluded.ends_at,
			incident_id=excluded.incident_id, body=excluded.body
			WHERE body <> excluded.body OR service <> excluded.service OR incident_id <> excluded.incident_id`, r.args...)
		if err != nil {
			return err
		}
	}
	return nil
}

// fillAlerts makes the alert history out of the incidents stored before there was one.
func fillAlerts(ctx context.Context, w *writer) error {
	rows, err := w.conn.QueryContext(ctx, `SELECT body FROM incidents ORDER BY opened_at, id`)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		i, err := scanBody[triage.Incident](rows)
		if err != nil {
			return err
		}
		alerts, err := encodeAlerts(i)
		if err != nil {
			return err
		}
		if err := w.putAlerts(alerts); err != nil {
			return err
		}
	}
	return rows.Err()
}

// AlertHistory returns the firings of one alert since then, newest first, at most 1000. An empty service means any.
func (j *Journal) AlertHistory(ctx context.Context, name, service string, since time.Time) ([]triage.Alert, error) {
	return readAll(ctx, j, "read alert history", scanBody[triage.Alert],
		`SELECT body FROM alerts WHERE name=?1 AND (?2='' OR service=?2) AND starts_at >= ?3 ORDER BY starts_at DESC, key DESC LIMIT ?4`,
		name, service, nanosFrom(since), maxLimit)
}

// scanBody decodes a row that is one JSON body.
func scanBody[T any](rows rowScanner) (v T, err error) {
	var body sql.RawBytes
	if err := rows.Scan(&body); err != nil {
		return v, err
	}
	if err := json.Unmarshal(body, &v); err != nil {
		return v, fmt.Errorf("decode %T: %w", v, err)
	}
	return v, nil
}

// readOne decodes the one JSON body that the query returns; none is ErrNotFound.
func readOne[T any](ctx context.Context, j *Journal, what, query string, args ...any) (v T, err error) {
	var body []byte
	err = j.rdb.QueryRowContext(ctx, query, args...).Scan(&body)
	if errors.Is(err, sql.ErrNoRows) {
		return v, fmt.Errorf("%s: %w", what, ErrNotFound)
	}
	if err != nil {
		return v, j.failed("read "+what, err)
	}
	if body, err = inflate(body); err != nil {
		return v, j.failed("read "+what, err)
	}
	if err := json.Unmarshal(body, &v); err != nil {
		return v, j.failed("read "+what, fmt.Errorf("decode %T: %w", v, err))
	}
	return v, nil
}
