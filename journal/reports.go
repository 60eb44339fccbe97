package journal

import (
	"bytes"
	"compress/gzip"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/triaged-dev/triaged/triage"
)

// maxInput bounds the decoded input of a report, so that a damaged row cannot take all memory.
const maxInput = 256 << 20

// SaveReport stores, in one transaction, the incident, the report with its input, and the deliveries to be made.
// A report is immutable: saving the same one again changes nothing, another one of the same number is ErrExists.
func (j *Journal) SaveReport(ctx context.Context, i triage.Incident, a triage.Answer, ds []triage.Delivery) error {
	n := a.Report.Number
	if a.Report.IncidentID != i.ID || n < 1 {
		return fmt.Errorf("journal: save report: report %d of incident %q does not belong to incident %q, or has no number", n, a.Report.IncidentID, i.ID)
	}
	put, err := putIncident(i, j.now())
	if err != nil {
		return fmt.Errorf("journal: save report: %w", err)
	}
	body, err := json.Marshal(a.Report)
	if err != nil {
		return fmt.Errorf("journal: save report %d of %s: %w", n, i.ID, err)
	}
	input, err := deflate(a.Input)
	if err != nil {
		return fmt.Errorf("journal: save input of report %d of %s: %w", n, i.ID, err)
	}
	outbox := make([]func(*writer) error, len(ds))
	for k, d := range ds {
		if outbox[k], err = putDelivery(d, j.now()); err != nil {
			return fmt.Errorf("journal: save report %d of %s: %w", n, i.ID, err)
		}
	}
	return j.write(ctx, "save report", 1+len(ds), func(w *writer) error {
		added, err := w.exec(`INSERT INTO reports (incident_id, number, created_at, body, input) VALUES (?,?,?,?,?) ON CONFLICT DO NOTHING`,
			i.ID, n, nanos(timed(a.Report.CreatedAt, j.now())), body, input)
		if err != nil {
			return err
		}
		if added == 0 {
			return w.sameReport(i.ID, n, body)
		}
		if err := put(w); err != nil {
			return err
		}
		for _, put := range outbox {
			if err := put(w); err != nil {
				return err
			}
		}
		return nil
	})
}

// sameReport is nil when the stored report is the one given: the caller only repeats itself.
func (w *writer) sameReport(incident string, n int, body []byte) error {
	var stored []byte
	if err := w.row(`SELECT body FROM reports WHERE incident_id=? AND number=?`, []any{incident, n}, &stored); err != nil {
		return err
	}
	if !bytes.Equal(stored, body) {
		return fmt.Errorf("report %d of incident %s: %w", n, incident, ErrExists)
	}
	return nil
}

// Report returns one report, or ErrNotFound.
func (j *Journal) Report(ctx context.Context, incidentID string, n int) (triage.Report, error) {
	return readOne[triage.Report](ctx, j, fmt.Sprintf("report %d of incident %s", n, incidentID),
		`SELECT body FROM reports WHERE incident_id=? AND number=?`, incidentID, n)
}

// Reports returns the reports of an incident by number, at most 1000.
func (j *Journal) Reports(ctx context.Context, incidentID string) ([]triage.Report, error) {
	return readAll(ctx, j, "list reports", scanBody[triage.Report], `SELECT body FROM reports WHERE incident_id=? ORDER BY number LIMIT ?`, incidentID, maxLimit)
}

// ReportInput returns what a report was made from, or ErrNotFound.
func (j *Journal) ReportInput(ctx context.Context, incidentID string, n int) (triage.Case, error) {
	return readOne[triage.Case](ctx, j, fmt.Sprintf("input of report %d of incident %s", n, incidentID),
		`SELECT input FROM reports WHERE incident_id=? AND number=?`, incidentID, n)
}

// deflate encodes and compresses: the series of an input are repetitive, about 8:1.
func deflate(v any) ([]byte, error) {
	var b bytes.Buffer
	z, err := gzip.NewWriterLevel(&b, gzip.BestSpeed)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(json.NewEncoder(z).Encode(v), z.Close()); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// inflate undoes deflate, and lets JSON that is not compressed pass.
func inflate(b []byte) ([]byte, error) {
	if len(b) < 2 || b[0] != 0x1f || b[1] != 0x8b {
		return b, nil
	}
	z, err := gzip.NewReader(bytes.NewReader(b))
	if err != nil {
		return nil, fmt.Errorf("decompress: %w", err)
	}
	out, err := io.ReadAll(io.LimitReader(z, maxInput))
	if err != nil {
		return nil, fmt.Errorf("decompress: %w", err)
	}
	return out, nil
}

// SaveFeedback stores what a person said. The service and kind of the change are noted with it, because the label outlives the change.
func (j *Journal) SaveFeedback(ctx context.Context, f triage.Feedback) error {
	if f.IncidentID == "" || f.Verdict == "" {
		return fmt.Errorf("journal: save feedback: %w", &triage.FieldError{Field: "feedback", Remedy: "must name its incident and verdict"})
	}
	f.At = timed(f.At, j.now())
	body, err := json.Marshal(f)
	if err != nil {
		return fmt.Errorf("journal: save feedback: %w", err)
	}
	return j.write(ctx, "save feedback", 1, func(w *writer) error {
		var service, kind string
		err := w.row(`SELECT service, kind FROM changes WHERE id=coalesce((SELECT id FROM aliases WHERE alias=?1), ?1)`, []any{string(f.ChangeID)}, &service, &kind)
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return err
		}
		_, err = w.exec(`INSERT INTO feedback (incident_id, at, verdict, change_id, service, kind, body) VALUES (?,?,?,?,?,?,?)
			ON CONFLICT DO UPDATE SET service=excluded.service, kind=excluded.kind, body=excluded.body`,
			f.IncidentID, nanos(f.At), f.Verdict, string(f.ChangeID), service, kind, body)
		return err
	})
}

// Feedback returns what was said about an incident, oldest first, at most 1000.
func (j *Journal) Feedback(ctx context.Context, incidentID string) ([]triage.Feedback, error) {
	return readAll(ctx, j, "list feedback", scanBody[triage.Feedback],
		`SELECT body FROM feedback WHERE incident_id=? ORDER BY at, verdict, change_id LIMIT ?`, incidentID, maxLimit)
}

// Labelled counts the incidents about which people have said anything; what we verified ourselves does not count.
func (j *Journal) Labelled(ctx context.Context) (int, error) {
	found, err := readAll(ctx, j, "count labels", func(rows rowScanner) (n int, err error) { return n, rows.Scan(&n) },
		`SELECT count(DISTINCT incident_id) FROM feedback WHERE verdict IN (?,?,?)`, triage.FeedbackConfirm, triage.FeedbackReject, triage.FeedbackNone)
	if err != nil {
		return 0, err
	}
	return found[0], nil
}

// Outcomes counts, by service and kind, how often people confirmed and rejected a change, and, apart from these, how often
// undoing one was seen to end an incident about which nobody has said anything. The last word on a change in an incident
// counts; "it was no change" takes back the confirmations before it. Sorted by service, kind, outcome.
func (j *Journal) Outcomes(ctx context.Context) ([]triage.Outcome, error) {
	return readAll(ctx, j, "read outcomes", func(rows rowScanner) (o triage.Outcome, err error) {
		return o, rows.Scan(&o.Service, &o.Kind, &o.Outcome, &o.N)
	}, `
	WITH said AS (
		SELECT f.incident_id, f.at, f.verdict, f.service, f.kind, coalesce(a.id, f.change_id) AS change_id
		FROM feedback f LEFT JOIN aliases a ON a.alias = f.change_id
	), last AS (
		SELECT *, row_number() OVER (PARTITION BY incident_id, change_id ORDER BY at DESC, verdict) AS n
		FROM said WHERE verdict IN ('confirm', 'reject') AND change_id <> ''
		UNION ALL
		SELECT *, row_number() OVER (PARTITION BY incident_id, change_id ORDER BY at DESC) AS n
		FROM said WHERE verdict = 'verified' AND change_id <> ''
			AND NOT EXISTS (SELECT 1 FROM feedback p WHERE p.incident_id = said.incident_id AND p.verdict <> 'verified')
	)
	SELECT coalesce(c.service, l.service) AS s, coalesce(c.kind, l.kind) AS k,
		CASE l.verdict WHEN 'confirm' THEN 'confirmed' WHEN 'reject' THEN 'rejected' ELSE 'verified' END AS o, count(*)
	FROM last l LEFT JOIN changes c ON c.id = l.change_id
	WHERE l.n = 1 AND NOT (l.verdict = 'confirm' AND EXISTS (
		SELECT 1 FROM said none WHERE none.incident_id = l.incident_id AND none.verdict = 'none' AND none.at > l.at))
	GROUP BY 1, 2, 3 HAVING k <> '' ORDER BY 1, 2, 3`)
}
