package journal

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/triaged-dev/triaged/triage"
)

// SaveDelivery stores how far a delivery has got, in place of what was stored under its id.
func (j *Journal) SaveDelivery(ctx context.Context, d triage.Delivery) error {
	put, err := putDelivery(d, j.now())
	if err != nil {
		return fmt.Errorf("journal: save delivery: %w", err)
	}
	return j.write(ctx, "save delivery", 1, put)
}

func putDelivery(d triage.Delivery, now time.Time) (func(*writer) error, error) {
	if d.ID == "" {
		return nil, &triage.FieldError{Field: "delivery.id", Remedy: "must be set before it is stored"}
	}
	d.CreatedAt = timed(d.CreatedAt, now)
	body, err := json.Marshal(d)
	if err != nil {
		return nil, fmt.Errorf("delivery %s: %w", d.ID, err)
	}
	return func(w *writer) error {
		_, err := w.exec(`INSERT INTO deliveries (id, incident_id, state, created_at, next_attempt, body) VALUES (?,?,?,?,?,?)
			ON CONFLICT (id) DO UPDATE SET incident_id=excluded.incident_id, state=excluded.state, created_at=excluded.created_at,
			next_attempt=excluded.next_attempt, body=excluded.body`,
			d.ID, d.IncidentID, string(d.State), nanos(d.CreatedAt), nanos(d.NextAttempt), body)
		return err
	}, nil
}

// DueDeliveries returns the pending deliveries whose next attempt is not after now, the longest due first.
func (j *Journal) DueDeliveries(ctx context.Context, now time.Time, limit int) ([]triage.Delivery, error) {
	return readAll(ctx, j, "list due deliveries", scanBody[triage.Delivery],
		`SELECT body FROM deliveries WHERE state=? AND next_attempt <= ? ORDER BY next_attempt, id LIMIT ?`,
		string(triage.DeliveryPending), nanosTo(now), bounded(limit))
}

// Delivery returns one delivery, or ErrNotFound.
func (j *Journal) Delivery(ctx context.Context, id string) (triage.Delivery, error) {
	return readOne[triage.Delivery](ctx, j, "delivery "+id, `SELECT body FROM deliveries WHERE id=?`, id)
}

// Deliveries returns the deliveries that match, newest first, and the cursor of the next page, empty at the end.
func (j *Journal) Deliveries(ctx context.Context, q triage.DeliveryQuery) ([]triage.Delivery, string, error) {
	before, err := parseCursor(q.After, listDeliveries, highest)
	if err != nil {
		return nil, "", err
	}
	limit := bounded(q.Limit)
	query, args := `SELECT body FROM deliveries WHERE (created_at, id) < (?, ?)`, []any{before.key, before.id}
	if len(q.States) > 0 {
		query += ` AND state IN (` + placeholders(len(q.States)) + `)`
		for _, s := range q.States {
			args = append(args, string(s))
		}
	}
	if q.IncidentID != "" {
		query, args = query+` AND incident_id=?`, append(args, q.IncidentID)
	}
	found, err := readAll(ctx, j, "list deliveries", scanBody[triage.Delivery], query+` ORDER BY created_at DESC, id DESC LIMIT ?`, append(args, limit+1)...)
	if err != nil {
		return nil, "", err
	}
	found, next := page(found, limit, listDeliveries, func(d triage.Delivery) position { return position{nanos(d.CreatedAt), d.ID} })
	return found, next, nil
}
