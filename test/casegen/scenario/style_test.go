package scenario

import (
	"math"
	"testing"
	"time"

	"github.com/triaged-dev/triaged/triage"
)

func day(hhmm string) time.Time {
	t, err := time.Parse(time.DateTime, "2026-05-01 "+hhmm+":00")
	if err != nil {
		panic(err)
	}
	return t
}

// share averages a fault over the sample's interval, so a rate over five minutes shows a step as a ramp of five minutes.
func TestShareOfAFault(t *testing.T) {
	step := Fault{From: day("10:00"), To: day("10:20")}
	ramp := Fault{From: day("10:00"), Ramp: 10 * time.Minute}
	for _, c := range []struct {
		name     string
		f        Fault
		from, to time.Time
		want     float64
	}{
		{"before", step, day("09:50"), day("10:00"), 0},
		{"one minute of five", step, day("09:56"), day("10:01"), 0.2},
		{"inside", step, day("10:05"), day("10:10"), 1},
		{"half over", step, day("10:15"), day("10:25"), 0.5},
		{"after", step, day("10:20"), day("10:25"), 0},
		{"on the ramp", ramp, day("10:04"), day("10:06"), 0.5},
		{"beyond the ramp", ramp, day("10:30"), day("10:31"), 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := c.f.share(c.from, c.to); math.Abs(got-c.want) > 1e-9 {
				t.Errorf("want %v, got %v", c.want, got)
			}
		})
	}
}

func styledScenario() Scenario {
	return Scenario{
		ID: "s", From: day("10:00"), To: day("11:00"), Step: 30 * time.Second, Digits: 3,
		Style: &Style{Name: "test", Metrics: map[triage.Signal]Metric{
			triage.SignalTraffic: {Name: "requests_total", Counter: true},
			triage.SignalErrors:  {Name: "availability", Success: true},
			triage.SignalLatency: {Name: "latency_ms", Unit: 1000, Stamp: triage.StampStart},
		}},
		Healthy: []Healthy{{
			Service: "a", Requests: 100, Errors: 0.002, Latency: 0.2, CPU: 0.4,
			Splits: []map[string]string{{"version": "v1"}, {"version": "v2"}},
		}},
		Faults: []Fault{{Service: "a", Signal: triage.SignalErrors, Where: map[string]string{"version": "v2"}, From: day("10:40"), Level: 0.5}},
		Lives:  []Life{{Service: "a", Where: map[string]string{"version": "v2"}, From: day("10:30")}},
		Resets: []Reset{{Service: "a", At: day("10:30")}},
	}
}

func TestStyledSeries(t *testing.T) {
	f := styledScenario().Build()
	if len(f.Series) != 6 {
		t.Fatalf("want 3 signals of 2 versions, the fourth has no metric; got %d series", len(f.Series))
	}
	for _, s := range f.Series {
		v2 := s.Labels["version"] == "v2"
		resets := 0
		for i, v := range s.Values {
			at := s.Start.Add(time.Duration(i) * s.Step())
			if math.IsNaN(v) != (v2 && at.Before(day("10:30"))) {
				t.Fatalf("%s %v at %v: %v", s.Metric, s.Labels, at, v)
			}
			if i > 0 && s.Kind == "counter" && v < s.Values[i-1] {
				resets++
			}
		}
		last := s.Values[len(s.Values)-1]
		switch s.Signal {
		case triage.SignalTraffic:
			// v1 has all 100 requests a second until v2 is there, then half of them.
			if early, late := s.Values[40]-s.Values[20], s.Values[118]-s.Values[98]; !v2 && (early < 54000 || early > 66000 || late < 27000 || late > 33000) {
				t.Errorf("20 samples of v1: %v alone, %v beside v2", early, late)
			}
			if s.Kind != "counter" || (!v2 && resets != 1) {
				t.Errorf("%s: kind %s, %d resets", s.Metric, s.Kind, resets)
			}
		case triage.SignalErrors:
			if s.Better != triage.BetterHigher || (v2 && last > 0.7) || (!v2 && last < 0.98) {
				t.Errorf("%s %v: better %s, last %v", s.Metric, s.Labels, s.Better, last)
			}
		case triage.SignalLatency:
			if s.Stamp != triage.StampStart || last < 100 || last > 400 {
				t.Errorf("%s: stamp %s, last %v", s.Metric, s.Stamp, last)
			}
		}
	}
}

// The noise hangs on the seed and not on the id: variants of an incident have the same metrics, others do not.
func TestSeedKeepsTheNoise(t *testing.T) {
	a, b, c := styledScenario(), styledScenario(), styledScenario()
	b.ID, b.Seed = "other", "s"
	c.ID = "other"
	last := func(s Scenario) float64 { v := s.Build().Series[2].Values; return v[len(v)-1] }
	if last(a) != last(b) || last(a) == last(c) {
		t.Errorf("a %v, same seed %v, another %v", last(a), last(b), last(c))
	}
}
