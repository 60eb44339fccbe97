package alerting

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/common/model"

	"github.com/triaged-dev/triaged/triage"
)

const verifyStep = 15 * time.Second

// seriesOf samples f every 15 s from an hour before t0 until now; f is given minutes since t0, the onset.
func seriesOf(signal triage.Signal, service string, now time.Time, f func(min float64) float64) triage.Series {
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

// fakeMetrics answers with what the tests' functions say at the time asked.
type fakeMetrics struct {
	mu      sync.Mutex
	symptom func(float64) float64
	own     func(float64) float64
	err     error
}

func (f *fakeMetrics) Symptom(_ context.Context, _ triage.Alert, _, to time.Time) (triage.Symptom, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.err != nil {
		return triage.Symptom{}, f.err
	}
	return triage.Symptom{LongestRangeS: 60, Series: []triage.Series{seriesOf(triage.SignalErrors, "checkout", to, f.symptom)}}, nil
}

func (f *fakeMetrics) Signals(_ context.Context, q triage.SignalQuery) ([]triage.Series, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return []triage.Series{
		seriesOf(triage.SignalTraffic, "checkout", q.To, steady(200)),
		seriesOf(triage.SignalErrors, "pricing", q.To, f.own),
	}, f.err
}

// fakeLabels keeps labels.
type fakeLabels struct {
	mu  sync.Mutex
	got []triage.Feedback
}

func (f *fakeLabels) SaveFeedback(_ context.Context, fb triage.Feedback) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.got = append(f.got, fb)
	return nil
}

// onsetReport is flagReport with its onset where the fake metrics break.
func onsetReport(triage.Request) triage.Report {
	r := flagReport(.86)
	r.Onset.Interval = triage.Interval{Earliest: t0, Best: t0, Latest: t0.Add(15 * time.Second)}
	r.Suspects[0].Change.Service = "pricing"
	return r
}

func undoEvent(at time.Time, of triage.ChangeID) triage.Event {
	return triage.Event{Change: &triage.Change{
		ID: "undo of " + of, Kind: triage.KindFlag, Scope: triage.Scope{Service: "pricing"}, Labels: map[string]string{"flag": "new-pricing", "to": "0 %"},
		StartedAt: at, ObservedAt: at, Undoes: []triage.ChangeID{of},
	}}
}

func watchBench(t *testing.T, m *fakeMetrics, labels *fakeLabels) *bench {
	b := newBench(t, newFakeStore(), func(o *Options) {
		o.Metrics, o.Labels = m, labels
		o.Topology = fakeTopology{triage.NewTopology([]triage.Edge{{From: "checkout", To: "pricing"}})}
		o.Config.SecondLooks = nil
	})
	b.triager.set(onsetReport)
	return b
}

// The flag goes back, the symptom turns a minute later: verified, told with the recovery in one message, and kept as a label.
func TestUndoIsVerified(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, labels := &fakeMetrics{symptom: broken(6), own: broken(6)}, &fakeLabels{}
		b := watchBench(t, m, labels)
		time.Sleep(2 * time.Minute)
		al := alert("checkout", time.Now())
		b.accept(t, al)
		time.Sleep(3 * time.Minute)
		b.OnEvent(undoEvent(time.Now(), "ld#1"))
		time.Sleep(90 * time.Second)
		b.accept(t, resolved(al, time.Now()))
		time.Sleep(70 * time.Second)
		synctest.Wait()
		if got := b.notifier.told(); !slices.Equal(got, []string{"1 alert", "2 undo seen"}) {
			t.Fatalf("the note on the recovery waits for the verdict, got %v", got)
		}
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		if got := b.notifier.told(); !slices.Equal(got, []string{"1 alert", "2 undo seen", "3 recovered"}) {
			t.Fatalf("got %v", got)
		}
		card := b.notifier.got()[2].Card.Text()
		if !strings.Contains(card, "CHECKED: checkout recovered 60 s after flag new-pricing went back") {
			t.Errorf("got\n%s", card)
		}
		if len(labels.got) != 1 || labels.got[0].Verdict != triage.FeedbackVerified || labels.got[0].ChangeID != "ld#1" {
			t.Errorf("want one verified label, got %+v", labels.got)
		}
	})
}

// The symptom stays: first the warning that the system may be stuck, then that undoing did not help, and the incident is
// open again. Another change that goes live meanwhile is called out.
func TestUndoDoesNotHelp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := watchBench(t, &fakeMetrics{symptom: broken(0), own: broken(0)}, &fakeLabels{})
		time.Sleep(2 * time.Minute)
		b.accept(t, alert("checkout", time.Now()))
		time.Sleep(time.Minute)
		b.OnEvent(undoEvent(time.Now(), "ld#1"))
		time.Sleep(11 * time.Minute)
		synctest.Wait()
		if got := b.notifier.told(); !slices.Equal(got, []string{"1 alert", "2 undo seen", "3 undo checked"}) {
			t.Fatalf("got %v", got)
		}
		card := b.notifier.got()[2].Card.Text()
		if !strings.Contains(card, "CHECKED: trigger removed, system may be stuck") || !strings.Contains(card, "shed load on checkout") || strings.Contains(card, "DO:") {
			t.Errorf("got\n%s", card)
		}
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		if got := b.store.all()[0].State; got != triage.IncidentOpen {
			t.Errorf("want it open again, got %s", got)
		}
		last := b.notifier.got()[len(b.notifier.got())-1]
		if card := last.Card.Text(); !strings.HasPrefix(card, "🔴") || !strings.Contains(card, "undoing it did not help, and pricing itself has not moved") {
			t.Errorf("got\n%s", card)
		}
		req := b.triager.last()
		if len(req.Checked) != 1 || req.Checked[0].Outcome != triage.CheckNotHelped {
			t.Errorf("the triage must be told what was tried, got %+v", req.Checked)
		}
		told := len(b.notifier.told())
		time.Sleep(time.Hour)
		synctest.Wait()
		if got := b.notifier.told(); len(got) != told {
			t.Errorf("nothing new must not be told: %v", got)
		}
	})
}

// What was watched goes on after a restart.
func TestUndoSurvivesRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &fakeMetrics{symptom: broken(6), own: broken(6)}
		b := watchBench(t, m, &fakeLabels{})
		time.Sleep(2 * time.Minute)
		b.accept(t, alert("checkout", time.Now()))
		time.Sleep(3 * time.Minute)
		b.OnEvent(undoEvent(time.Now(), "ld#1"))
		time.Sleep(30 * time.Second)
		b.stop()
		store := b.store
		labels := &fakeLabels{}
		c := newBench(t, store, func(o *Options) { o.Metrics, o.Labels = m, labels; o.Config.SecondLooks = nil })
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		last := c.notifier.got()
		if len(last) == 0 || !strings.Contains(last[len(last)-1].Card.Text(), "recovered 60 s after flag new-pricing went back") {
			t.Fatalf("want the verdict after the restart, got %v", c.notifier.told())
		}
		if inc := store.all()[0]; inc.State != triage.IncidentMitigating {
			t.Errorf("the alert still fires: want mitigating, got %s", inc.State)
		}
	})
}

// Without metrics the note on the recovery does not wait.
func TestRecoveryIsToldWithoutMetrics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := watchBench(t, &fakeMetrics{symptom: broken(0), own: broken(0), err: errors.New("no server")}, &fakeLabels{})
		al := alert("checkout", time.Now())
		b.accept(t, al)
		time.Sleep(time.Minute)
		b.OnEvent(undoEvent(time.Now(), "ld#1"))
		time.Sleep(time.Minute)
		b.accept(t, resolved(al, time.Now()))
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		if got := b.notifier.told(); !slices.Equal(got, []string{"1 alert", "2 undo seen", "3 recovered"}) {
			t.Errorf("got %v", got)
		}
	})
}

// An undo that fails is no undo.
func TestFailedUndo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := watchBench(t, &fakeMetrics{symptom: broken(0), own: broken(0)}, &fakeLabels{})
		b.accept(t, alert("checkout", time.Now()))
		time.Sleep(time.Minute)
		ev := undoEvent(time.Now(), "ld#1")
		b.OnEvent(ev)
		time.Sleep(time.Minute)
		failed := *ev.Change
		failed.Status = triage.StatusFailed
		b.OnEvent(triage.Event{Change: &failed})
		time.Sleep(time.Minute)
		synctest.Wait()
		if got := b.store.all()[0].State; got != triage.IncidentOpen {
			t.Errorf("want it open, got %s", got)
		}
		posts := b.notifier.got()
		if card := posts[len(posts)-1].Card.Text(); !strings.Contains(card, "the undo failed: flag new-pricing") || !strings.Contains(card, "DO: set flag new-pricing back") {
			t.Errorf("got\n%s", card)
		}
	})
}

// What goes live in the blast radius while the incident is open is called out, once.
func TestHoldOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := watchBench(t, &fakeMetrics{symptom: broken(0), own: broken(0)}, &fakeLabels{})
		b.accept(t, alert("checkout", time.Now()))
		time.Sleep(time.Minute)
		deploy := triage.Change{ID: "d9", Kind: triage.KindDeploy, Scope: triage.Scope{Service: "pricing"}, Version: "v9", StartedAt: time.Now(), ObservedAt: time.Now()}
		b.triager.setInput(func(triage.Request) triage.Case { return triage.Case{Changes: []triage.Change{deploy}} })
		b.OnEvent(triage.Event{Change: &deploy})
		b.OnEvent(triage.Event{Change: &deploy})
		time.Sleep(time.Minute)
		synctest.Wait()
		if got := b.notifier.told(); !slices.Equal(got, []string{"1 alert", "2 change while open"}) {
			t.Fatalf("got %v", got)
		}
		if card := b.notifier.got()[1].Card.Text(); !strings.Contains(card, "HOLD: went live since it began: deploy pricing v9 00:01:00; hold others until this is settled") {
			t.Errorf("got\n%s", card)
		}
	})
}

func TestProposeSeverity(t *testing.T) {
	share := func(v float64) *float64 { return &v }
	tiers := map[string]triage.Service{"checkout": {Tier: 1, UserFacing: true}, "batch": {Tier: 3}}
	inc := func(service string, alerts ...triage.Alert) triage.Incident {
		return triage.Incident{Scope: triage.Scope{Service: service}, Alerts: append([]triage.Alert{alert(service, t0)}, alerts...)}
	}
	rep := func(v float64) triage.Report {
		return triage.Report{Symptom: triage.SymptomSummary{Signal: triage.SignalErrors, Now: share(v)}}
	}
	migration := flagReport(.9)
	migration.Suspects[0].Change.Kind = triage.KindMigration
	for name, tc := range map[string]struct {
		in   SeverityInput
		want string
		says string
	}{
		"tier 1, users, 14 %":   {SeverityInput{inc("checkout"), rep(.14), tiers}, "P0", "14 % of requests fail"},
		"tier 1, users, 1 %":    {SeverityInput{inc("checkout"), rep(.01), tiers}, "P1", "users meet it directly"},
		"tier 3, 14 %":          {SeverityInput{inc("batch"), rep(.14), tiers}, "P2", "batch is tier 3"},
		"tier 3, little":        {SeverityInput{inc("batch"), rep(.01), tiers}, "P3", ""},
		"tier 3, half of it":    {SeverityInput{inc("batch"), rep(.5), tiers}, "P1", "50 % of requests fail"},
		"nothing known":         {SeverityInput{inc("x"), triage.Report{}, nil}, "P3", "not known"},
		"three services":        {SeverityInput{inc("batch", alert("a", t0), alert("b", t0)), rep(.14), tiers}, "P1", "3 services have firing alerts"},
		"security":              {SeverityInput{inc("batch", alert("batch", t0, "category", "Security")), rep(0), tiers}, "P0", "security"},
		"data":                  {SeverityInput{inc("batch", alert("batch", t0, "alertname", "LedgerChecksumMismatch")), rep(0), tiers}, "P1", "data may be lost or wrong"},
		"a migration is likely": {SeverityInput{inc("batch"), migration, tiers}, "P1", "a migration is the likely trigger"},
	} {
		t.Run(name, func(t *testing.T) {
			got := ProposeSeverity(tc.in)
			if got.Level != tc.want || !strings.Contains(strings.Join(got.Reasons, "; "), tc.says) {
				t.Errorf("want %s because of %q, got %+v", tc.want, tc.says, got)
			}
		})
	}
}

// From ten of their own on, the team's times decide how long to wait.
func TestRestores(t *testing.T) {
	store := newFakeStore()
	for i := range 12 {
		r := flagReport(.9)
		r.IncidentID, r.Number = string(rune('a'+i)), 1
		r.Checked = []triage.Checked{{Undid: "ld#1", Outcome: triage.CheckVerified, At: t0, Turned: t0.Add(time.Duration(i+1) * time.Minute)}}
		inc := triage.Incident{ID: r.IncidentID, State: triage.IncidentClosed, Reports: 1, OpenedAt: t0}
		if err := store.SaveReport(t.Context(), inc, triage.Answer{Report: r}, nil); err != nil {
			t.Fatal(err)
		}
	}
	var r restores
	if err := r.refresh(t.Context(), store, t0); err != nil {
		t.Fatal(err)
	}
	if p90, n := r.p90(triage.KindFlag); p90 != 11*time.Minute || n != 12 {
		t.Errorf("want 11 min of 12, got %s of %d", p90, n)
	}
	if _, n := r.p90(triage.KindDeploy); n != 0 {
		t.Errorf("want none for deploys, got %d", n)
	}
}
