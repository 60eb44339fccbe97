package correlate

import (
	"math"
	"testing"

	"github.com/triaged-dev/triaged/triage"
)

// A rolled-out version's rate goes on for the length of its window with requests from before: while it falls, nothing of it is
// compared. A canary's share falls once, and then both serve; where nobody counts requests, nothing is known to be passing.
func TestWhatPassesToTheNewIsNotCompared(t *testing.T) {
	gap := math.NaN()
	of := func(signal triage.Signal, version string, values ...float64) *prepared {
		p := &prepared{
			src:    &triage.Series{Metric: string(signal), Labels: map[string]string{"service": "orders", "version": version}, Signal: signal},
			signal: signal, step: 10_000, raw: values,
		}
		for i := range values {
			p.from = append(p.from, ms(i)*p.step)
		}
		return p
	}
	old, fresh := of(triage.SignalErrors, "v1"), of(triage.SignalErrors, "v2")
	for _, c := range []struct {
		name     string
		v1, v2   []float64
		passing  []bool
		measured bool
	}{
		{"replaced", []float64{6, 6, 3, .5}, []float64{gap, gap, 2, 4}, []bool{false, false, true, true}, true},
		{"replaced during a surge", []float64{10, 11, 9, 8}, []float64{gap, gap, 8, 20}, []bool{false, false, true, true}, true},
		{"a canary", []float64{6, 6, 3, 3}, []float64{gap, gap, 3, 3}, []bool{false, false, true, false}, true},
		{"a small canary", []float64{6, 6, 5.5, 5.7}, []float64{gap, gap, .5, .3}, []bool{false, false, false, false}, true},
		{"not counted", []float64{6, 6, 3, .5}, []float64{gap, gap, 2, 4}, []bool{false, false, false, false}, false},
	} {
		s := &service{}
		if c.measured {
			s.signals[signalIndex(triage.SignalTraffic)] = []*prepared{of(triage.SignalTraffic, "v1", c.v1...), of(triage.SignalTraffic, "v2", c.v2...)}
		}
		passing := s.handover([]*prepared{fresh}, []*prepared{old}, "version")
		for i, want := range c.passing {
			if got := passing(pair{at: ms(i) * 10_000}); got != want {
				t.Errorf("%s, sample %d: want %v, got %v", c.name, i, want, got)
			}
		}
	}
}
