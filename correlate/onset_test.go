package correlate

import (
	"testing"
	"time"

	"github.com/triaged-dev/triaged/triage"
)

func TestOnsetIsBoundedByTheRule(t *testing.T) {
	rule := &triage.Symptom{RuleFound: true, ForS: 300, EvalIntervalS: 30, ScrapeIntervalS: 15, LongestRangeS: 300}
	active := *rule
	active.ActiveAt = before("6m")
	for _, tc := range []struct {
		name             string
		symptom          *triage.Symptom
		alert            triage.Alert
		earliest, latest string
	}{
		// The example of the documentation: for 5m, evaluation 30 s, scrape 15 s, rate[5m].
		{"startsAt minus for", rule, triage.Alert{StartsAt: t0}, "10m45s", "5m"},
		{"activeAt", &active, triage.Alert{StartsAt: t0}, "11m45s", "6m"},
		{"activeAt of the alert", rule, triage.Alert{StartsAt: t0, ActiveAt: before("7m")}, "12m45s", "7m"},
		{"a rule without a range", &triage.Symptom{RuleFound: true, ForS: 60, EvalIntervalS: 30, ScrapeIntervalS: 15}, triage.Alert{StartsAt: t0}, "1m45s", "1m"},
		{"unknown rule, no series", nil, triage.Alert{StartsAt: t0}, "10m", "0s"},
		{"unknown rule with for", nil, triage.Alert{StartsAt: t0, ForS: 120}, "12m", "2m"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := Rank(Input{At: t0, Scope: triage.Scope{Service: "a"}, Symptom: tc.symptom, Alerts: []triage.Alert{tc.alert}})
			if want := before(tc.earliest); !r.Onset.Earliest.Equal(want) {
				t.Errorf("earliest: want %s, got %s (%s)", want, r.Onset.Earliest, r.Onset.Basis)
			}
			if want := before(tc.latest); !r.Onset.Latest.Equal(want) {
				t.Errorf("latest: want %s, got %s", want, r.Onset.Latest)
			}
			if r.Onset.Best.Before(r.Onset.Earliest) || r.Onset.Best.After(r.Onset.Latest) {
				t.Errorf("best %s lies outside", r.Onset.Best)
			}
		})
	}
}

// symptomOnly is an alert on a service with one series of its own.
func symptomOnly(s triage.Series) Input {
	s.Role = triage.RoleSymptom
	return Input{
		At: t0, Scope: triage.Scope{Service: "a"}, Series: []triage.Series{s},
		Symptom: &triage.Symptom{RuleFound: true, ForS: 60, EvalIntervalS: 15, ScrapeIntervalS: 15, LongestRangeS: 300},
		Alerts:  []triage.Alert{{StartsAt: t0, Labels: map[string]string{"service": "a"}}},
	}
}

func TestChangePointMovesBestInside(t *testing.T) {
	for _, ago := range []string{"90s", "3m", "5m30s"} {
		r := Rank(symptomOnly(series("a", triage.SignalErrors, 0.002, 0.001, 0.2, before(ago))))
		if d := r.Onset.Best.Sub(before(ago)); d < -25*time.Second || d > 25*time.Second {
			t.Errorf("onset %s before the page: best is %s off", ago, d)
		}
		if r.Onset.Shape != triage.ShapeStep {
			t.Errorf("onset %s before the page: want a step, got %s", ago, r.Onset.Shape)
		}
	}
}

// A slow climb that had begun before the rule could see it moves earliest back and is called a ramp.
func TestARampMovesEarliestBack(t *testing.T) {
	s := series("a", triage.SignalErrors, 0.002, 0.001, 0, time.Time{})
	for i := range s.Values {
		if at := s.Start.Add(time.Duration(i) * 15 * time.Second); at.After(before("18m")) {
			s.Values[i] += at.Sub(before("18m")).Minutes() * 0.01
		}
	}
	r := Rank(symptomOnly(s))
	if r.Onset.Shape != triage.ShapeRamp || r.Onset.Earliest.After(before("16m")) {
		t.Errorf("want a ramp from about 18 minutes before, got %+v", r.Onset)
	}
}

// An episode that was over by the time the alert fired is another one.
func TestAnEpisodeThatWasOverIsNotTheOnset(t *testing.T) {
	s := series("a", triage.SignalErrors, 0.002, 0.001, 0.2, before("2m"))
	for i := range s.Values {
		if at := s.Start.Add(time.Duration(i) * 15 * time.Second); at.After(before("9m")) && at.Before(before("5m")) {
			s.Values[i] += 0.3
		}
	}
	r := Rank(symptomOnly(s))
	if d := r.Onset.Best.Sub(before("2m")); d < -30*time.Second || d > 30*time.Second {
		t.Errorf("want the onset about 2 minutes before, got %s off: %+v", d, r.Onset)
	}
}

func TestBadAllAlongIsAlreadyDegraded(t *testing.T) {
	s := series("a", triage.SignalErrors, 0.3, 0.02, 0, time.Time{})
	s.Reference = &triage.Reference{N: 100, P01: 0, P25: 0.001, P50: 0.002, P75: 0.003, P99: 0.01}
	if r := Rank(symptomOnly(s)); !r.Onset.AlreadyDegraded {
		t.Errorf("want already degraded, got %+v", r.Onset)
	}
}

// Counters become rates, a reset counts from zero, gaps stay gaps.
func TestCountersBecomeRates(t *testing.T) {
	s := triage.Series{
		Metric: "errors_total", Labels: map[string]string{"service": "a"}, Signal: triage.SignalErrors, Kind: "counter",
		Stamp: triage.StampEnd, StepS: 15, Start: t0.Add(-75 * time.Second), Values: triage.Values{100, 115, 130, 15, 30, 60},
	}
	p, ok := prepare(&s, "a", t0)
	if !ok {
		t.Fatal("nothing left")
	}
	want := []float64{1, 1, 1, 1, 2}
	for i, v := range want {
		if p.raw[i] != v {
			t.Errorf("rate %d: want %g, got %g", i, v, p.raw[i])
		}
	}
	if p.from[0] != -75_000 || p.end(4) != 0 {
		t.Errorf("want rates from −75 s to 0, got %d to %d", p.from[0], p.end(4))
	}
}

func TestFineSeriesAreAveraged(t *testing.T) {
	s := triage.Series{Metric: "m", Signal: triage.SignalLatency, Stamp: triage.StampEnd, StepS: 1, Start: t0.Add(-599 * time.Second)}
	for i := range 600 {
		s.Values = append(s.Values, float64(1+i%2))
	}
	p, ok := prepare(&s, "a", t0)
	if !ok || p.step != 5_000 || len(p.raw) != 120 || p.raw[119] != 1.6 || p.end(119) != 0 { // 2 1 2 1 2
		t.Errorf("want 120 bins of 5 s ending now: step %d, n %d, last %g, end %d", p.step, len(p.raw), p.raw[len(p.raw)-1], p.end(len(p.raw)-1))
	}
}

// A flag that flips two seconds before a series of a second's step leaves its range is as prompt as can be: clocks and
// windows place neither better. Begun after the range was left it is not.
func TestAFlagSecondsBeforeTheOnsetIsPrompt(t *testing.T) {
	s := triage.Series{
		Metric: "errors", Labels: map[string]string{"service": "a"}, Signal: triage.SignalErrors, Better: triage.BetterLower,
		Role: triage.RoleSymptom, Stamp: triage.StampEnd, StepS: 1, Start: t0.Add(-20 * time.Minute),
	}
	onset := before("2m3s")
	for i := range 1200 {
		v := 0.002
		if i%10 == 0 {
			v = 0
		}
		if d := s.Start.Add(time.Duration(i) * time.Second).Sub(onset).Seconds(); d > 0 {
			v += min(0.2, 0.02*d) // rate[10s]
		}
		s.Values = append(s.Values, v)
	}
	at := func(start time.Time) triage.MilliNats {
		r := Rank(Input{
			At: t0, Series: []triage.Series{s}, Symptom: &triage.Symptom{
				RuleFound: true, ForS: 60, EvalIntervalS: 1, ScrapeIntervalS: 1,
				LongestRangeS: 20, ActiveAt: onset.Add(6 * time.Second),
			},
			Alerts:  []triage.Alert{{StartsAt: t0, Labels: map[string]string{"service": "a"}}},
			Changes: []triage.Change{{ID: "f", Kind: triage.KindFlag, Scope: triage.Scope{Service: "a"}, StartedAt: start, ObservedAt: start}},
		})
		n, _ := evidenceFor(find(r, "f"), "timing")
		return n
	}
	prompt, late := at(onset.Add(-2*time.Second)), at(onset.Add(15*time.Second))
	if prompt < 2000 || late > prompt-1500 {
		t.Errorf("two seconds before: want at least +2000, got %+d; fifteen after: %+d", prompt, late)
	}
}

// An incident that people declare may have begun long before; one a rule raised may not.
func TestDeclaredIncidentsBeginEarlier(t *testing.T) {
	for _, tc := range []struct {
		name     string
		labels   map[string]string
		expr     string
		earliest string
	}{
		{"declared", map[string]string{"alertname": "IncidentDeclared"}, "", "1h40m"},
		{"reported", map[string]string{"alertname": "Checkout", "reported_by": "support"}, "", "1h40m"},
		{"a rule", map[string]string{"alertname": "CheckoutErrors"}, "", "10m"},
		{"a rule with such a name", map[string]string{"alertname": "IncidentBudget"}, "up == 0", "10m"},
	} {
		r := Rank(Input{At: t0, Scope: triage.Scope{Service: "a"}, Alerts: []triage.Alert{{StartsAt: t0, Labels: tc.labels, Expr: tc.expr}}})
		long := !r.Onset.Earliest.After(before("1h40m"))
		if long != (tc.earliest == "1h40m") {
			t.Errorf("%s: earliest %s before", tc.name, t0.Sub(r.Onset.Earliest))
		}
	}
}

// Half of what people declare began within 5 minutes, three in four within 23, nine in ten within 121.
func TestLateShareMeetsTheQuantiles(t *testing.T) {
	for minutes, want := range map[float64]float64{5: 0.5, 23: 0.75, 121: 0.9} {
		if got := lateShare(ms(minutes * 60000)); got < want-0.02 || got > want+0.02 {
			t.Errorf("%g min: want about %g, got %g", minutes, want, got)
		}
	}
}

// Bad for hours and still: the onset lies where it began, though the older half of the series is bad too.
func TestARunLongerThanTheOlderHalf(t *testing.T) {
	s := series("a", triage.SignalErrors, 0.002, 0.001, 0.2, before("48m"))
	r := Rank(symptomOnly(s))
	if d := r.Onset.Earliest.Sub(before("48m")).Abs(); d > 12*time.Minute || r.Onset.AlreadyDegraded {
		t.Errorf("want earliest towards 48 minutes before, got %s before: %+v", t0.Sub(r.Onset.Earliest), r.Onset)
	}
}

// A second outage has the first in its past, which must not pass for usual.
func TestAnEarlierEpisodeIsNoBaseline(t *testing.T) {
	in := flagScene()
	for i := range in.Series {
		if s := &in.Series[i]; s.Labels["service"] == "pricing" && s.Signal == triage.SignalErrors {
			for j := range s.Values {
				if at := s.Start.Add(time.Duration(j) * 15 * time.Second); at.After(before("14m")) && at.Before(before("8m")) {
					s.Values[j] = 0.3
				}
			}
		}
	}
	own := func() triage.MilliNats {
		n, _ := evidenceFor(find(Rank(in), "flag-1"), "own")
		return n
	}
	unknown := own()
	in.Episodes = []triage.Span{{From: before("13m"), To: before("8m")}}
	if known := own(); known < unknown+500 {
		t.Errorf("want the episode out of the baseline to weigh more: %+d without knowing of it, %+d with", unknown, known)
	}
}

// An outage that follows another at once is compared with how things were before both, and where nothing else is there to compare
// with, the bad day is better than none.
func TestAnOutageRightAfterAnother(t *testing.T) {
	in := flagScene()
	whole := in.Series
	own := func() triage.MilliNats {
		n, _ := evidenceFor(find(Rank(in), "flag-1"), "own")
		return n
	}
	alone := own()
	in.Episodes = []triage.Span{{From: before("22m"), To: before("6m30s")}} // with its margins, all of the fifteen minutes that are usually looked at
	if after := own(); after < alone-500 {
		t.Errorf("right after another outage: %+d, want about the %+d without it", after, alone)
	}
	in.Series = nil
	for _, s := range whole {
		n := 241 - 18*4 // of the last eighteen minutes
		s.Start, s.Values = s.Start.Add(time.Duration(n)*15*time.Second), s.Values[n:]
		in.Series = append(in.Series, s)
	}
	if nothing := own(); nothing < 1000 {
		t.Errorf("with nothing else to compare with: %+d", nothing)
	}
}
