package alerting

import (
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/model"

	"github.com/triaged-dev/triaged/triage"
)

const verifyStep = 15 * time.Second

// seriesOf samples f every 15 s from an hour before t0 until now; f is given minutes since t0, the onset.
func seriesOf(signal triage.Signal, service string, now time.Time, f func(minutes float64) float64) triage.Series {
	s := triage.Series{
		Metric: string(signal), Signal: signal, Labels: map[string]string{"service": service}, Stamp: triage.StampEnd,
		StepS: verifyStep.Seconds(), Start: t0.Add(-time.Hour),
	}
	for at := s.Start; !at.After(now); at = at.Add(verifyStep) {
		s.Values = append(s.Values, f(at.Sub(t0).Minutes()))
	}
	return s
}

// broken is an error share that rises to 14 % at the onset and is back from the minute given; 0: never.
func broken(back float64) func(float64) float64 {
	return func(m float64) float64 {
		if m > 0 && (back == 0 || m < back) {
			return .14
		}
		return .002
	}
}

func steady(v float64) func(float64) float64 { return func(float64) float64 { return v } }

func TestVerify(t *testing.T) {
	threshold := .05
	// The onset is at minute 0; pricing's flag goes back at minute 8.
	base := func(now float64, symptom func(float64) float64) VerifyInput {
		at := t0.Add(time.Duration(now * float64(time.Minute)))
		limits := DefaultVerifyConfig()
		return VerifyInput{
			Undid: triage.Change{ID: "on", Kind: triage.KindFlag, Scope: triage.Scope{Service: "pricing"}, Labels: map[string]string{"flag": "new-pricing"}},
			Undo:  triage.Change{ID: "off", Kind: triage.KindFlag, Scope: triage.Scope{Service: "pricing"}, StartedAt: t0.Add(8 * time.Minute)},
			Onset: triage.Interval{Earliest: t0, Best: t0, Latest: t0.Add(15 * time.Second)}, Service: "checkout", Signal: triage.SignalErrors, Now: at,
			Symptom: triage.Symptom{LongestRangeS: 60, Threshold: &threshold, BadDirection: "higher", Series: []triage.Series{seriesOf(triage.SignalErrors, "checkout", at, symptom)}},
			Traffic: []triage.Series{seriesOf(triage.SignalTraffic, "checkout", at, steady(200))},
			Limits:  limits,
		}
	}
	own := func(in *VerifyInput, f func(float64) float64) {
		in.Own = []triage.Series{seriesOf(triage.SignalErrors, "pricing", in.Now, f)}
	}
	for name, tc := range map[string]struct {
		now     float64
		symptom func(float64) float64
		change  func(*VerifyInput)
		want    triage.CheckOutcome
		says    []string
	}{
		"too early":              {10, broken(0), nil, triage.CheckWatching, []string{"flag new-pricing went back at 00:08:00", "watched until 00:18:00"}},
		"back, but not for long": {10, broken(9), nil, triage.CheckWatching, []string{"checkout is back, for now"}},
		"verified":               {12, broken(9), nil, triage.CheckVerified, []string{"checkout recovered 60 s after flag new-pricing went back", "has stayed so for 3 min"}},
		"verified, its service too": {
			12, broken(9), func(in *VerifyInput) { own(in, broken(8.5)) }, triage.CheckVerified, []string{"so has pricing"},
		},
		"its service is still bad": {12, broken(9), func(in *VerifyInput) { own(in, broken(0)) }, triage.CheckWatching, nil},
		"a relapse starts it anew": {
			12, func(m float64) float64 {
				if m > 10.4 && m < 11 {
					return .14
				}
				return broken(9)(m)
			}, nil, triage.CheckWatching, nil,
		},
		"traffic gone": {12, broken(9), func(in *VerifyInput) {
			in.Traffic[0] = seriesOf(triage.SignalTraffic, "checkout", in.Now, func(m float64) float64 {
				if m > 8 {
					return 60
				}
				return 200
			})
		}, triage.CheckConsistent, []string{"its traffic is at 30 % of before", "consistent with flag new-pricing as the trigger, not proof"}},
		"traffic not measured": {12, broken(9), func(in *VerifyInput) { in.Traffic = nil }, triage.CheckConsistent, []string{"its traffic is not measured"}},
		"two undos": {12, broken(9), func(in *VerifyInput) {
			in.Others = []triage.Change{{ID: "rb", Kind: triage.KindRollback, Scope: triage.Scope{Service: "cart"}, Version: "v7"}}
		}, triage.CheckConsistent, []string{"1 other change was moving: rollback cart v7"}},
		"back at the limit, but not for long": {19, broken(18), nil, triage.CheckWatching, []string{"checkout is back, for now", "watched until 00:19:45"}},
		"back, its service still not at the limit": {
			19, broken(9), func(in *VerifyInput) { own(in, broken(0)) }, triage.CheckConsistent, []string{"pricing itself is not back"},
		},
		"turned before the undo": {12, broken(5), nil, triage.CheckElsewhere, []string{"it had turned at 00:05:00, 3 min before flag new-pricing went back: something else ended it"}},
		"turned too late":        {40, broken(35), nil, triage.CheckConsistent, []string{"it turned 27 min later, more than the 10 min an undo takes"}},
		"alert lags":             {12, broken(9), func(in *VerifyInput) { in.Firing = 1 }, triage.CheckConsistent, []string{"1 alert still fires"}},
		"stuck":                  {19, broken(0), nil, triage.CheckStuck, []string{"trigger removed, system may be stuck", "checkout still at 14 %, usual 0.2 % after more than 10 min"}},
		"stuck though its service is back, for good": {
			40, broken(0), func(in *VerifyInput) { own(in, broken(8.5)) }, triage.CheckStuck, []string{"pricing itself is back"},
		},
		"stuck by the team's own times": {
			13, broken(0), func(in *VerifyInput) { in.Limits.GiveUp, in.Restores = model.Duration(4*time.Minute), 12 }, triage.CheckStuck, []string{"90 % of 12 restores here were faster"},
		},
		"stuck, or not the trigger":      {19, broken(0), func(in *VerifyInput) { own(in, broken(0)) }, triage.CheckStuck, []string{"or it was not the trigger: pricing itself has not moved"}},
		"did not help":                   {29, broken(0), nil, triage.CheckNotHelped, []string{"undoing it did not help"}},
		"did not help, nor its service":  {29, broken(0), func(in *VerifyInput) { own(in, broken(0)) }, triage.CheckNotHelped, []string{"and pricing itself has not moved"}},
		"half way is better, not back":   {19, func(m float64) float64 { return min(broken(0)(m), max(.06, .14-max(0, m-8)*.05)) }, nil, triage.CheckStuck, []string{"better than it was"}},
		"nothing to measure, at first":   {10, broken(0), func(in *VerifyInput) { in.Symptom = triage.Symptom{} }, triage.CheckWatching, []string{"waiting for a sample"}},
		"nothing to measure, in the end": {19, broken(0), func(in *VerifyInput) { in.Symptom = triage.Symptom{} }, triage.CheckUnmeasured, []string{"cannot be measured"}},
		"the rate window is waited out":  {12, broken(9), func(in *VerifyInput) { in.Symptom.LongestRangeS = 300 }, triage.CheckWatching, nil},
		"past the threshold is not back": {12, func(m float64) float64 { return min(broken(0)(m), map[bool]float64{true: .14, false: .03}[m < 9]) }, func(in *VerifyInput) { *in.Symptom.Threshold = .02 }, triage.CheckWatching, nil},
		"a signal that should be high":   {12, func(m float64) float64 { return .999 - broken(9)(m) }, func(in *VerifyInput) { in.Symptom.BadDirection = "lower"; in.Symptom.Threshold = nil }, triage.CheckVerified, nil},
		"a slow rollback counts from end": {12, broken(9), func(in *VerifyInput) {
			in.Undo = triage.Change{ID: "off", StartedAt: t0.Add(4 * time.Minute), FinishedAt: t0.Add(8 * time.Minute), Status: triage.StatusSucceeded}
		}, triage.CheckVerified, []string{"60 s after"}},
	} {
		t.Run(name, func(t *testing.T) {
			in := base(tc.now, tc.symptom)
			threshold = .05
			if tc.change != nil {
				tc.change(&in)
			}
			got := Verify(in)
			if got.Outcome != tc.want {
				t.Errorf("want %s, got %s: %s", tc.want, got.Outcome, got.Sentence)
			}
			for _, s := range tc.says {
				if !strings.Contains(got.Sentence, s) {
					t.Errorf("want %q in %q", s, got.Sentence)
				}
			}
			if got.Outcome == triage.CheckStuck && !strings.Contains(strings.Join(got.Steps, " "), "shed load on checkout, cap retries") {
				t.Errorf("stuck must come with what to do, got %q", got.Steps)
			}
		})
	}
}
