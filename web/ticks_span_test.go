package web

import (
	"testing"
	"time"
)

// There are never more ticks than asked for, however long the stretch: a page must not grow with what is put into its address.
func TestTicksAreBounded(t *testing.T) {
	begin := time.Date(2026, 3, 1, 3, 0, 0, 0, time.UTC)
	for _, to := range []time.Time{begin, begin.Add(time.Minute), begin.Add(time.Hour), begin.AddDate(0, 1, 0), begin.AddDate(300, 0, 0), time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC)} {
		for _, from := range []time.Time{begin, {}} {
			for _, n := range []int{0, 1, 6, 10} {
				got := timeTicks(from, to, n)
				if len(got) > n {
					t.Errorf("%s to %s: %d ticks, want at most %d", from, to, len(got), n)
				}
				for _, at := range got {
					if at.Before(from) || at.After(to) {
						t.Errorf("%s to %s: tick at %s", from, to, at)
					}
				}
			}
		}
	}
}
