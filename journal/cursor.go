package journal

import (
	"encoding/base64"
	"encoding/binary"
	"math"

	"github.com/triaged-dev/triaged/triage"
)

// The number of rows a list returns when the caller names none, and at most.
const (
	defaultLimit = 100
	maxLimit     = 1000
)

func bounded(limit int) int {
	if limit <= 0 {
		return defaultLimit
	}
	return min(limit, maxLimit)
}

// position is where a page ended: sort key and id of its last row. A list is one of these letters,
// so that a cursor of one list is not taken by another.
type position struct {
	key int64
	id  string
}

const (
	listChanges    = 'c'
	listNewest     = 'n' // changes, the latest first
	listAnomalies  = 'a'
	listIncidents  = 'i'
	listDeliveries = 'd'
	listQuarantine = 'q'
)

// before and after every row: where an ascending or a descending list begins.
var (
	lowest  = position{key: math.MinInt64}
	highest = position{key: math.MaxInt64, id: "\U0010FFFF"}
)

func (p position) cursor(list byte) string {
	b := binary.BigEndian.AppendUint64([]byte{list}, uint64(p.key))
	return base64.RawURLEncoding.EncodeToString(append(b, p.id...))
}

// parseCursor reads a cursor of the list; an empty one is the beginning.
func parseCursor(s string, list byte, beginning position) (position, error) {
	if s == "" {
		return beginning, nil
	}
	b, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil || len(b) < 9 || b[0] != list {
		return position{}, &triage.FieldError{Field: "after", Value: s, Remedy: "use the cursor of the previous page unchanged, or leave it out"}
	}
	return position{key: int64(binary.BigEndian.Uint64(b[1:9])), id: string(b[9:])}, nil
}

// page cuts rows that were read one more than wanted, and returns the cursor of the next page, empty at the end.
func page[T any](rows []T, limit int, list byte, at func(T) position) ([]T, string) {
	bytes := 0
	for i, r := range rows[:min(len(rows), limit)] {
		if s, ok := any(r).(sized); ok {
			if bytes += s.size(); bytes > pageBytes {
				limit = max(1, i)
				break
			}
		}
	}
	if len(rows) <= limit {
		return rows, ""
	}
	rows = rows[:limit]
	return rows, at(rows[limit-1]).cursor(list)
}

// pageBytes bounds a page of a list by the bytes of its bodies: decoded and encoded again they take about four times that. A page has
// one row at least.
const pageBytes = 2 << 20

// sized are rows that know how many bytes they were in the journal.
type sized interface{ size() int }
