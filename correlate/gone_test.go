package correlate

import (
	"math"
	"testing"
	"time"

	"github.com/triaged-dev/triaged/triage"
)

// A service whose gauges end while those of others go on was not there; where all end alike it is the server that is behind, and
// nobody is gone.
func TestGoneIsWhoEndsAlone(t *testing.T) {
	memory := func(service string, missing int) triage.Series {
		s := triage.Series{
			Metric: "process_resident_memory_bytes", Labels: map[string]string{"service": service}, Signal: triage.SignalSaturation,
			Better: triage.BetterLower, Stamp: triage.StampEnd, StepS: 5, Start: t0.Add(-5 * time.Minute),
		}
		for i := range 61 {
			v := 2e7
			if i > 60-missing {
				v = math.NaN()
			}
			s.Values = append(s.Values, v)
		}
		return s
	}
	for _, tc := range []struct {
		name          string
		pricing, cart int // samples missing at the end
		want          bool
	}{
		{"nobody", 0, 0, false},
		{"one", 6, 0, true},
		{"one sample late", 1, 0, false},
		{"all: the server is behind", 6, 6, false},
	} {
		m := newRanking(Input{
			At: t0, Alerts: []triage.Alert{{Labels: map[string]string{"service": "checkout"}, StartsAt: t0}},
			Series: []triage.Series{memory("pricing", tc.pricing), memory("cart", tc.cart)},
		})
		if got := m.services["pricing"].gone.metric != nil; got != tc.want {
			t.Errorf("%s: pricing gone: want %v, got %v", tc.name, tc.want, got)
		}
	}
}
