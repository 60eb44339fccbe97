package verify

import (
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/triaged-dev/triaged/triage"
)

const verifyStep = 15 * time.Second

var t0 = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC) // the onset

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

// until is f as long as there is something to measure.
func until(end float64, f func(float64) float64) func(float64) float64 {
	return func(m float64) float64 {
		if m > end {
			return math.NaN()
		}
		return f(m)
	}
}

// between0 is 0 from one minute to another (0: for good) and 1 else: what up shows of a service that is down meanwhile.
func between0(from, to float64) func(float64) float64 {
	return func(m float64) float64 {
		if m > from && (to == 0 || m < to) {
			return 0
		}
		return 1
	}
}

// firings are earlier ones of the alert that lasted so many minutes each.
func firings(minutes ...float64) []triage.Alert {
	var out []triage.Alert
	for i, m := range minutes {
		at := t0.Add(-time.Duration(i+1) * 24 * time.Hour)
		out = append(out, triage.Alert{StartsAt: at, EndsAt: at.Add(time.Duration(m * float64(time.Minute)))})
	}
	return out
}

func steady(v float64) func(float64) float64 { return func(float64) float64 { return v } }

func TestJudge(t *testing.T) {
	threshold := .05
	// The onset is at minute 0; pricing's flag goes back at minute 8.
	base := func(now float64, symptom func(float64) float64) Input {
		at := t0.Add(time.Duration(now * float64(time.Minute)))
		limits := triage.UndoLimits{RetryCycle: 2 * time.Minute, GiveUp: 10 * time.Minute, MoveOn: 20 * time.Minute, MinTraffic: .5}
		return Input{
			Undid: triage.Change{ID: "on", Kind: triage.KindFlag, Scope: triage.Scope{Service: "pricing"}, Labels: map[string]string{"flag": "new-pricing"}},
			Undo:  triage.Change{ID: "off", Kind: triage.KindFlag, Scope: triage.Scope{Service: "pricing"}, StartedAt: t0.Add(8 * time.Minute)},
			Onset: triage.Interval{Earliest: t0, Best: t0, Latest: t0.Add(15 * time.Second)}, Service: "checkout", Signal: triage.SignalErrors, Now: at,
			Symptom: triage.Symptom{LongestRangeS: 60, Threshold: &threshold, BadDirection: "higher", Series: []triage.Series{seriesOf(triage.SignalErrors, "checkout", at, symptom)}},
			Traffic: []triage.Series{seriesOf(triage.SignalTraffic, "checkout", at, steady(200))},
			Limits:  limits,
		}
	}
	upOf := func(service string, now time.Time, f func(float64) float64) triage.Series {
		s := seriesOf(triage.SignalErrors, service, now, f)
		s.Metric, s.Better = "up", triage.BetterHigher
		return s
	}
	control := func(service string, back float64) func(*Input) {
		return func(in *Input) {
			in.Controls = []triage.Series{seriesOf(triage.SignalErrors, service, in.Now, broken(back)), seriesOf(triage.SignalErrors, "search", in.Now, steady(.01))}
		}
	}
	// gone is a service whose traffic ends at the onset, with whatever else says whether it is there.
	gone := func(back float64, more ...func(*Input)) func(*Input) {
		return func(in *Input) {
			traffic := func(m float64) float64 {
				if m > 0 && (back == 0 || m < back) {
					return math.NaN()
				}
				return 200
			}
			in.Traffic = []triage.Series{seriesOf(triage.SignalTraffic, "checkout", in.Now, traffic)}
			in.Alive = append(slices.Clone(in.Traffic), seriesOf(triage.SignalTraffic, "search", in.Now, steady(30)))
			for _, f := range more {
				f(in)
			}
		}
	}
	upIs := func(service string, f func(float64) float64) func(*Input) {
		return func(in *Input) { in.Alive = append(in.Alive, upOf(service, in.Now, f)) }
	}
	own := func(in *Input, f func(float64) float64) {
		in.Own = []triage.Series{seriesOf(triage.SignalErrors, "pricing", in.Now, f)}
	}
	for name, tc := range map[string]struct {
		now     float64
		symptom func(float64) float64
		change  func(*Input)
		want    triage.CheckOutcome
		says    []string
	}{
		"too early":              {10, broken(0), nil, triage.CheckWatching, []string{"flag new-pricing went back at 00:08:00", "watched until 00:18:00"}},
		"back, but not for long": {10, broken(9), nil, triage.CheckWatching, []string{"checkout is back, for now"}},
		"verified":               {12, broken(9), nil, triage.CheckVerified, []string{"checkout recovered 60 s after flag new-pricing went back", "has stayed so for 3 min"}},
		"verified, its service too": {
			12, broken(9), func(in *Input) { own(in, broken(8.5)) }, triage.CheckVerified, []string{"so has pricing"},
		},
		"its service is still bad": {12, broken(9), func(in *Input) { own(in, broken(0)) }, triage.CheckWatching, nil},
		"a relapse starts it anew": {
			12, func(m float64) float64 {
				if m > 10.4 && m < 11 {
					return .14
				}
				return broken(9)(m)
			}, nil, triage.CheckWatching, nil,
		},
		"traffic gone": {12, broken(9), func(in *Input) {
			in.Traffic[0] = seriesOf(triage.SignalTraffic, "checkout", in.Now, func(m float64) float64 {
				if m > 8 {
					return 60
				}
				return 200
			})
		}, triage.CheckConsistent, []string{"its traffic is at 30 % of before", "consistent with flag new-pricing as the trigger, not proof"}},
		"traffic not measured": {12, broken(9), func(in *Input) { in.Traffic = nil }, triage.CheckConsistent, []string{"its traffic is not measured"}},
		"two undos": {12, broken(9), func(in *Input) {
			in.Others = []triage.Change{{ID: "rb", Kind: triage.KindRollback, Scope: triage.Scope{Service: "cart"}, Version: "v7"}}
		}, triage.CheckConsistent, []string{"1 other change was moving: rollback cart v7"}},
		"back at the limit, but not for long": {19, broken(18), nil, triage.CheckWatching, []string{"checkout is back, for now", "watched until 00:19:45"}},
		"back, its service still not at the limit": {
			19, broken(9), func(in *Input) { own(in, broken(0)) }, triage.CheckConsistent, []string{"pricing itself is not back"},
		},
		"turned before the undo": {12, broken(5), nil, triage.CheckElsewhere, []string{"it had turned at 00:05:00, 3 min before flag new-pricing went back: something else ended it"}},
		"turned too late":        {40, broken(35), nil, triage.CheckConsistent, []string{"it turned 27 min later, more than the 10 min an undo takes"}},
		"alert lags":             {12, broken(9), func(in *Input) { in.Firing = 1 }, triage.CheckConsistent, []string{"1 alert still fires"}},
		"stuck":                  {19, broken(0), nil, triage.CheckStuck, []string{"trigger removed, system may be stuck", "checkout still at 14 %, usual 0.2 % after more than 10 min"}},
		"stuck though its service is back, for good": {
			40, broken(0), func(in *Input) { own(in, broken(8.5)) }, triage.CheckStuck, []string{"pricing itself is back"},
		},
		"stuck by the team's own times": {
			13, broken(0), func(in *Input) { in.Limits.GiveUp, in.Restores = 4*time.Minute, 12 }, triage.CheckStuck, []string{"90 % of 12 restores here were faster"},
		},
		"stuck, or not the trigger":      {19, broken(0), func(in *Input) { own(in, broken(0)) }, triage.CheckStuck, []string{"or it was not the trigger: pricing itself has not moved"}},
		"did not help":                   {29, broken(0), nil, triage.CheckNotHelped, []string{"undoing it did not help"}},
		"did not help, nor its service":  {29, broken(0), func(in *Input) { own(in, broken(0)) }, triage.CheckNotHelped, []string{"and pricing itself has not moved"}},
		"half way is better, not back":   {19, func(m float64) float64 { return min(broken(0)(m), max(.06, .14-max(0, m-8)*.05)) }, nil, triage.CheckStuck, []string{"better than it was"}},
		"nothing to measure, at first":   {10, broken(0), func(in *Input) { in.Symptom = triage.Symptom{} }, triage.CheckWatching, []string{"waiting for a sample"}},
		"nothing to measure, in the end": {19, broken(0), func(in *Input) { in.Symptom = triage.Symptom{} }, triage.CheckUnmeasured, []string{"cannot be measured"}},
		"the rate window is waited out":  {12, broken(9), func(in *Input) { in.Symptom.LongestRangeS = 300 }, triage.CheckWatching, nil},
		"past the threshold is not back": {12, func(m float64) float64 { return min(broken(0)(m), map[bool]float64{true: .14, false: .03}[m < 9]) }, func(in *Input) { *in.Symptom.Threshold = .02 }, triage.CheckWatching, nil},
		"a signal that should be high":   {12, func(m float64) float64 { return .999 - broken(9)(m) }, func(in *Input) { in.Symptom.BadDirection = "lower"; in.Symptom.Threshold = nil }, triage.CheckVerified, nil},
		"a vendor healed by itself": {12, broken(9), func(in *Input) {
			control("acmepay", 8.8)(in)
			in.Vendors = []string{"acmepay"}
		}, triage.CheckConsistent, []string{"not proof: acmepay at 00:09:00 turned too, and is a vendor's own"}},
		"out of its reach, at the same time": {
			12, broken(9), control("ledger", 9), triage.CheckConsistent, []string{"ledger at 00:09:00 turned too, where what was undone does not reach"},
		},
		"not joined with it, one": {12, broken(9), func(in *Input) {
			control("ledger", 9)(in)
			in.Far = []string{"ledger", "search"}
		}, triage.CheckVerified, nil},
		"not joined with it, two": {12, broken(9), func(in *Input) {
			control("ledger", 9)(in)
			in.Controls = append(in.Controls, seriesOf(triage.SignalErrors, "mail", in.Now, broken(9)))
			in.Far = []string{"ledger", "mail", "search"}
		}, triage.CheckConsistent, []string{"ledger at 00:09:00 and mail at 00:09:00 turned too"}},
		"out of its reach, and it stays":             {12, broken(9), control("ledger", 0), triage.CheckVerified, nil},
		"out of its reach, and it turned afterwards": {14, broken(9), control("ledger", 12), triage.CheckVerified, nil},
		"it ends by itself as soon": {
			12, broken(9), func(in *Input) { in.Earlier = firings(8.5, 9, 9.5, 40, 2, 3) }, triage.CheckConsistent,
			[]string{"3 of the 4 earlier firings that had lasted as long ended within this time too"},
		},
		"it ends by itself sooner": {
			12, broken(9), func(in *Input) { in.Earlier = firings(4, 5, 6, 60) }, triage.CheckConsistent, []string{"3 of 4 earlier firings were over within 9 min too"},
		},
		"earlier firings lasted longer":   {12, broken(9), func(in *Input) { in.Earlier = firings(30, 40, 50, 3) }, triage.CheckVerified, nil},
		"two earlier firings say nothing": {12, broken(9), func(in *Input) { in.Earlier = firings(5, 5) }, triage.CheckVerified, nil},
		"up, every process dead, and it comes back": {12, between0(0, 9), func(in *Input) {
			in.Symptom = triage.Symptom{Series: []triage.Series{upOf("checkout", in.Now, between0(0, 9))}}
		}, triage.CheckVerified, []string{"checkout recovered 60 s after"}},
		"up, every process dead, and it stays so": {19, between0(0, 0), func(in *Input) {
			in.Symptom = triage.Symptom{Series: []triage.Series{upOf("checkout", in.Now, between0(0, 0))}}
		}, triage.CheckStuck, []string{"checkout still at 0 %, usual 100 %"}},
		"a probe without a direction of its own": {19, between0(0, 0), func(in *Input) {
			s := seriesOf(triage.SignalErrors, "checkout", in.Now, between0(0, 0))
			s.Metric = "probe_success"
			in.Symptom = triage.Symptom{Series: []triage.Series{s}}
		}, triage.CheckStuck, []string{"checkout still at 0 %, usual 100 %"}},
		"dead: no requests, no errors, no recovery": {
			19, broken(9), gone(0, upIs("checkout", between0(0, 0))), triage.CheckStuck, []string{"checkout is down: up is 0 since 00:00:15"},
		},
		"its targets are gone with it": {
			19, broken(9), gone(0, upIs("checkout", until(0, steady(1)))), triage.CheckStuck, []string{"checkout is down: its metrics and its targets ended at 00:00:00"},
		},
		"it runs, and is not measured any more": {
			19, until(0, broken(0)), gone(0, upIs("checkout", steady(1))), triage.CheckUnmeasured, []string{"while up is 1: it runs and is not measured"},
		},
		"dead or not measured, which is not known": {
			19, broken(9), gone(0), triage.CheckUnmeasured, []string{"while others go on: whether it is dead is not known"},
		},
		"nothing at all is measured any more": {19, until(0, broken(0)), func(in *Input) {
			gone(0)(in)
			in.Alive[1] = seriesOf(triage.SignalTraffic, "search", in.Now, until(0, steady(30)))
		}, triage.CheckUnmeasured, []string{"so did those of others: the measuring itself may have failed"}},
		"gone, and back": {12, broken(9), gone(9, upIs("checkout", between0(0, 9))), triage.CheckVerified, nil},
		"the alert's own series ended, and came back": {12, broken(9), func(in *Input) {
			gone(9)(in)
			in.Symptom = triage.Symptom{BadDirection: "lower", Series: []triage.Series{in.Traffic[0]}}
		}, triage.CheckVerified, []string{"checkout recovered 60 s after"}},
		"the changed service is dead": {29, broken(0), func(in *Input) {
			upIs("pricing", between0(0, 0))(in)
		}, triage.CheckNotHelped, []string{"undoing it did not help, and pricing is down"}},
		"a slow rollback counts from end": {12, broken(9), func(in *Input) {
			in.Undo = triage.Change{ID: "off", StartedAt: t0.Add(4 * time.Minute), FinishedAt: t0.Add(8 * time.Minute), Status: triage.StatusSucceeded}
		}, triage.CheckVerified, []string{"60 s after"}},
	} {
		t.Run(name, func(t *testing.T) {
			in := base(tc.now, tc.symptom)
			threshold = .05
			if tc.change != nil {
				tc.change(&in)
			}
			got := Judge(in)
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
