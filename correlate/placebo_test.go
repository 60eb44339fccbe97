package correlate

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/triaged-dev/triaged/triage"
)

// restless is the flag scene with a rollout of pricing in the flag's place, and what the last rollouts of pricing did.
func restless(shifts ...float64) Input {
	in := flagScene()
	in.Changes[0] = change("dep-p", triage.KindDeploy, "pricing", "5m10s")
	in.Placebo = []triage.Placebo{
		{Service: "pricing", Signal: triage.SignalErrors, After: triage.PlaceboDeploy, Minute: triage.PlaceboFirst, Shifts: shifts},
		{Service: "pricing", Signal: triage.SignalErrors, After: triage.PlaceboDeploy, Minute: triage.PlaceboLater, Shifts: shifts},
	}
	return in
}

// What innocent rollouts do as a rule says nothing against one, what none of many did says more, and the card says which.
func TestALearnedNullDecides(t *testing.T) {
	many := func(z float64, n int) []float64 {
		out := make([]float64, n)
		for i := range out {
			out[i] = z
		}
		return out
	}
	shipped, _ := evidenceFor(find(Rank(restless()), "dep-p"), "own")
	always, said := evidenceFor(find(Rank(restless(many(1e6, 14)...)), "dep-p"), "own")
	never, saidNever := evidenceFor(find(Rank(restless(many(0, 40)...)), "dep-p"), "own")
	few, saidFew := evidenceFor(find(Rank(restless(many(1e6, 2)...)), "dep-p"), "own")
	if always > shipped-1500 || never < shipped+300 || few >= shipped || few < always {
		t.Errorf("own: shipped %d, 14 of 14 alike %d, none of 40 %d, 2 of 2 %d", shipped, always, never, few)
	}
	if !strings.Contains(said, "14 of the last 14 rollouts of pricing that nothing followed moved errors as much") {
		t.Errorf("said %q", said)
	}
	if !strings.Contains(saidNever, "none of the last 40 rollouts of pricing that nothing followed moved errors so much") {
		t.Errorf("said %q", saidNever)
	}
	if strings.Contains(saidFew, "that nothing followed") {
		t.Errorf("two occasions are no habit: %q", saidFew)
	}
}

// A case keeps what was learned, and replays to the same report.
func TestPlaceboIsInTheCase(t *testing.T) {
	in := restless(0, 0, 1, 2, 3, 50, 60)
	want := bytesOf(t, Rank(in))
	if got := bytesOf(t, Rank(InputOf(in.Case("c")))); got != want {
		t.Error("another report without what was learned")
	}
}

// A rollout's restless first minute is measured as such, a flag has none, and a quiet time is one.
func TestMeasurePlacebo(t *testing.T) {
	at := t0.Add(-10 * time.Minute)
	s := series("pricing", triage.SignalLatency, 0.1, 0.002, 0, time.Time{})
	for i := range s.Values { // three times as slow for 45 s
		if when := s.Start.Add(time.Duration(i) * 15 * time.Second); when.After(at) && !when.After(at.Add(45*time.Second)) {
			s.Values[i] *= 30
		}
	}
	dep := triage.Change{ID: "d", Kind: triage.KindDeploy, Scope: triage.Scope{Service: "pricing"}, StartedAt: at, FinishedAt: at, ObservedAt: at}
	got := make(map[triage.PlaceboMinutes]float64)
	for _, p := range MeasurePlacebo([]triage.Series{s}, "pricing", &dep, time.Time{}, at.Add(6*time.Minute)) {
		if p.After != triage.PlaceboDeploy || p.Service != "pricing" || p.Signal != triage.SignalLatency || len(p.Shifts) != 1 {
			t.Errorf("measured %+v", p)
		}
		got[p.Minute] = p.Shifts[0]
	}
	if got[triage.PlaceboFirst] < 1 || got[triage.PlaceboLater] > got[triage.PlaceboFirst]/2 {
		t.Errorf("shifts %v", got)
	}
	quiet := MeasurePlacebo([]triage.Series{s}, "pricing", nil, t0.Add(-30*time.Minute), t0.Add(-24*time.Minute))
	if len(quiet) != 1 || quiet[0].After != triage.PlaceboQuiet || quiet[0].Minute != "" || quiet[0].Shifts[0] > 3 || math.IsNaN(quiet[0].Shifts[0]) {
		t.Errorf("quiet %+v", quiet)
	}
	if got := MeasurePlacebo(nil, "pricing", &dep, time.Time{}, at.Add(6*time.Minute)); got != nil {
		t.Errorf("of nothing: %+v", got)
	}
}
