package kafka

import (
	"slices"
	"testing"
)

// A log that ends before our position once may be a broker that has just taken over; twice running it was reset. A log that
// grows, and a group that reads ahead of what we saw, are no reset.
func TestCompareFindsResets(t *testing.T) {
	p := partition{"t", 0}
	at := func(n int64) map[partition]int64 { return map[partition]int64{p: n} }
	type step struct {
		at, end int64
		lag     int64
		reset   bool
	}
	for name, steps := range map[string][]step{
		"reading along":              {{at: 0, end: 10, lag: 10}, {at: 10, end: 10}, {at: 10, end: 12, lag: 2}},
		"emptied":                    {{at: 10, end: 10}, {at: 10, end: 0}, {at: 10, end: 0, reset: true}},
		"emptied and written anew":   {{at: 10, end: 10}, {at: 10, end: 3}, {at: 10, end: 7, reset: true}},
		"back after one look":        {{at: 10, end: 10}, {at: 10, end: 9}, {at: 10, end: 10}, {at: 10, end: 9}, {at: 10, end: 11, lag: 1}},
		"emptied below a slow group": {{at: 2, end: 100, lag: 98}, {at: 2, end: 50, lag: 48}, {at: 2, end: 50, lag: 48, reset: true}},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMarks()
			for i, s := range steps {
				lag, reset := m.compare(at(s.at), at(s.end))
				if lag != s.lag || slices.Contains(reset, p) != s.reset {
					t.Errorf("step %d: want lag %d and reset %v, got %d and %v", i, s.lag, s.reset, lag, reset)
				}
			}
		})
	}
}
