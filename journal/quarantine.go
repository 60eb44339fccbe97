package journal

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/triaged-dev/triaged/triage"
)

const (
	// quarantineBytes bounds the bodies of all quarantined records; the oldest give way, and their records stay without.
	quarantineBytes = 256 << 20
	// quarantineShown is how much of a body a list gives; the record itself has it whole.
	quarantineShown = 64 << 10
)

// maxQuarantineText bounds reason and origin of a quarantined record, in bytes.
const maxQuarantineText = 4 << 10

// MaxState is the most bytes one value of State may have.
const MaxState = 1 << 20

// Quarantine keeps a record that could not be taken. Without an id it gets one from source, origin and body, so that the
// same record refused again is kept once. The oldest go when there are more than quarantine_max.
func (j *Journal) Quarantine(ctx context.Context, q triage.Quarantined) error {
	if q.ID == "" {
		h := sha256.New()
		for _, f := range [...]string{q.Source, q.Origin, string(q.Body)} {
			fmt.Fprintf(h, "%d:%s", len(f), f)
		}
		q.ID = hex.EncodeToString(h.Sum(nil))[:16]
	}
	q.At = timed(q.At, j.now())
	if len(q.Body) > triage.MaxQuarantineBody {
		q.SetBody(q.Body)
	}
	body := q.Body
	q.Body, q.Reason, q.Origin = nil, cut(q.Reason), cut(q.Origin)
	record, err := json.Marshal(q)
	if err != nil {
		return fmt.Errorf("journal: quarantine: %w", err)
	}
	if body == nil {
		body = []byte{}
	}
	trim := j.quarantined.Add(int64(len(body))) > quarantineBytes/16
	if trim {
		j.quarantined.Store(0)
	}
	return j.write(ctx, "quarantine", 1, func(w *writer) error {
		for _, s := range []struct {
			query string
			args  []any
		}{
			{`INSERT INTO quarantine (id, at, source, record) VALUES (?,?,?,?)
			  ON CONFLICT (id) DO UPDATE SET at=excluded.at, source=excluded.source, record=excluded.record`, []any{q.ID, nanos(q.At), q.Source, record}},
			{`INSERT INTO quarantine_bodies (seq, body) SELECT seq, ?2 FROM quarantine WHERE id=?1 ON CONFLICT (seq) DO UPDATE SET body=excluded.body`, []any{q.ID, body}},
			{`DELETE FROM quarantine_bodies WHERE seq <= (SELECT max(seq) FROM quarantine) - ?`, []any{j.cfg.QuarantineMax}},
			{`DELETE FROM quarantine WHERE seq <= (SELECT max(seq) FROM quarantine) - ?`, []any{j.cfg.QuarantineMax}},
		} {
			if _, err := w.exec(s.query, s.args...); err != nil {
				return err
			}
		}
		if !trim {
			return nil
		}
		_, err := w.exec(`DELETE FROM quarantine_bodies WHERE seq IN (
			SELECT seq FROM (SELECT seq, sum(length(body)) OVER (ORDER BY seq DESC) AS newer FROM quarantine_bodies) WHERE newer > ?)`, quarantineBytes)
		return err
	})
}

type quarantineFound struct {
	triage.Quarantined
	seq int64
}

func (f quarantineFound) size() int { return len(f.Body) + len(f.Reason) }

// Quarantined returns the records of a source, or of all where it is empty, newest first, and the cursor of the next page.
func (j *Journal) Quarantined(ctx context.Context, source, after string, limit int) ([]triage.Quarantined, string, error) {
	before, err := parseCursor(after, listQuarantine, highest)
	if err != nil {
		return nil, "", err
	}
	limit = bounded(limit)
	found, err := readAll(ctx, j, "list quarantine", func(rows rowScanner) (q quarantineFound, err error) {
		var record, body []byte
		var size int
		if err := rows.Scan(&q.seq, &record, &body, &size); err != nil {
			return q, err
		}
		if err := json.Unmarshal(record, &q.Quarantined); err != nil {
			return q, fmt.Errorf("decode quarantined record %d: %w", q.seq, err)
		}
		q.Body, q.Size = body, size
		return q, nil
	}, `SELECT q.seq, q.record, substr(b.body, 1, ?4), ifnull(length(b.body), 0) FROM quarantine q LEFT JOIN quarantine_bodies b ON b.seq = q.seq
		WHERE q.seq < ?1 AND (?2 = '' OR q.source = ?2) ORDER BY q.seq DESC LIMIT ?3`, before.key, source, limit+1, quarantineShown)
	if err != nil {
		return nil, "", err
	}
	found, next := page(found, limit, listQuarantine, func(q quarantineFound) position { return position{key: q.seq} })
	out := make([]triage.Quarantined, len(found))
	for i, f := range found {
		out[i] = f.Quarantined
	}
	return out, next, nil
}

// QuarantinedRecord is one record, or ErrNotFound. Its body is gone when it is no longer kept.
func (j *Journal) QuarantinedRecord(ctx context.Context, id string) (q triage.Quarantined, err error) {
	var record, body []byte
	err = j.rdb.QueryRowContext(ctx, `SELECT q.record, b.body FROM quarantine q LEFT JOIN quarantine_bodies b ON b.seq = q.seq WHERE q.id = ?`, id).Scan(&record, &body)
	if errors.Is(err, sql.ErrNoRows) {
		return q, fmt.Errorf("quarantined record %s: %w", id, ErrNotFound)
	}
	if err != nil {
		return q, j.failed("read quarantined record", err)
	}
	if err := json.Unmarshal(record, &q); err != nil {
		return q, fmt.Errorf("decode quarantined record %s: %w", id, err)
	}
	q.Body, q.Size = body, len(body)
	return q, nil
}

// Release takes a record out of the quarantine. That it is not there any more is no error.
func (j *Journal) Release(ctx context.Context, id string) error {
	return j.write(ctx, "release from quarantine", 1, func(w *writer) error {
		if _, err := w.exec(`DELETE FROM quarantine_bodies WHERE seq IN (SELECT seq FROM quarantine WHERE id=?)`, id); err != nil {
			return err
		}
		_, err := w.exec(`DELETE FROM quarantine WHERE id=?`, id)
		return err
	})
}

func cut(s string) string {
	if len(s) > maxQuarantineText {
		return strings.ToValidUTF8(s[:maxQuarantineText], "") + "…"
	}
	return s
}

// State returns what SetState stored under the key, or ErrNotFound.
func (j *Journal) State(ctx context.Context, key string) ([]byte, error) {
	var value []byte
	err := j.rdb.QueryRowContext(ctx, `SELECT value FROM state WHERE key=?`, key).Scan(&value)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, fmt.Errorf("state %s: %w", key, ErrNotFound)
	}
	return value, j.failed("read state", err)
}

// SetState keeps a small value, such as how far a source has read, until it is set again. It has no retention.
func (j *Journal) SetState(ctx context.Context, key string, value []byte) error {
	if len(value) > MaxState {
		return fmt.Errorf("journal: set state %s: is %d bytes; at most %d are stored", key, len(value), MaxState)
	}
	if value == nil {
		value = []byte{}
	}
	return j.write(ctx, "set state", 1, func(w *writer) error {
		_, err := w.exec(`INSERT INTO state (key, value, at) VALUES (?,?,?) ON CONFLICT (key) DO UPDATE SET value=excluded.value, at=excluded.at`,
			key, value, nanos(j.now()))
		return err
	})
}
