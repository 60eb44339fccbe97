package journal

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/triaged-dev/triaged/triage"
)

type anomalyFound struct {
	triage.Anomaly
	onset int64
	bytes int
}

func (f anomalyFound) size() int { return f.bytes }

// FindAnomalies is FindChanges for anomalies, by the best estimate of their onset. An anomaly has no kind, so Kind is
// not looked at; Text is sought in series, signal and service. One that has not ended lasts at least until it was last observed.
func (j *Journal) FindAnomalies(ctx context.Context, q triage.ChangeQuery) ([]triage.Anomaly, string, error) {
	after, err := parseCursor(q.After, listAnomalies, lowest)
	if err != nil {
		return nil, "", err
	}
	limit := bounded(q.Limit)
	q.Kind, q.Newest = "", false
	where, args := scopeFilter(q)
	query, args := eitherReach("anomalies", "onset", q, after, limit, where, args)
	found, err := readAll(ctx, j, "find anomalies", func(rows rowScanner) (f anomalyFound, err error) {
		var body []byte
		if err := rows.Scan(&f.onset, &body); err != nil {
			return f, err
		}
		f.bytes = len(body)
		if err := json.Unmarshal(body, &f.Anomaly); err != nil {
			return f, fmt.Errorf("decode anomaly: %w", err)
		}
		return f, nil
	}, `SELECT onset, body FROM (`+query+`)`, args...)
	if err != nil {
		return nil, "", err
	}
	found, next := page(found, limit, listAnomalies, func(f anomalyFound) position { return position{f.onset, string(f.ID)} })
	out := make([]triage.Anomaly, len(found))
	for i, f := range found {
		out[i] = f.Anomaly
	}
	return out, next, nil
}
