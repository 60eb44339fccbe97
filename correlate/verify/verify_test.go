package verify

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/triaged-dev/triaged/triage"
)

// fakeMetrics answers with what the tests' functions say at the time asked.
type fakeMetrics struct {
	symptom func(float64) float64
	own     func(float64) float64
	health  []triage.Series
	err     error
	asked   []triage.SignalQuery
}

func (f *fakeMetrics) Symptom(_ context.Context, _ triage.Alert, _, to time.Time) (triage.Symptom, error) {
	if f.err != nil {
		return triage.Symptom{}, f.err
	}
	return triage.Symptom{LongestRangeS: 60, Series: []triage.Series{seriesOf(triage.SignalErrors, "checkout", to, f.symptom)}}, nil
}

func (f *fakeMetrics) Signals(_ context.Context, q triage.SignalQuery) ([]triage.Series, error) {
	f.asked = append(f.asked, q)
	return []triage.Series{
		seriesOf(triage.SignalTraffic, "checkout", q.To, steady(200)),
		seriesOf(triage.SignalErrors, "pricing", q.To, f.own),
		seriesOf(triage.SignalErrors, "ledger", q.To, steady(.01)),
	}, f.err
}

func (f *fakeMetrics) Health(context.Context, triage.SignalQuery) ([]triage.Series, error) {
	return f.health, f.err
}

// fakePast is earlier incidents, each with one report, and earlier firings.
type fakePast struct {
	reports []triage.Report
	firings []triage.Alert
	err     error
}

func (f *fakePast) Incidents(context.Context, triage.IncidentQuery) ([]triage.Incident, string, error) {
	var out []triage.Incident
	for _, r := range f.reports {
		out = append(out, triage.Incident{ID: r.IncidentID, State: triage.IncidentClosed, Reports: 1, OpenedAt: t0})
	}
	return out, "", f.err
}

func (f *fakePast) Report(_ context.Context, id string, _ int) (triage.Report, error) {
	for _, r := range f.reports {
		if r.IncidentID == id {
			return r, nil
		}
	}
	return triage.Report{}, errors.New("no such report")
}

func (f *fakePast) AlertHistory(context.Context, string, string, time.Time) ([]triage.Alert, error) {
	return f.firings, f.err
}

type fixedTopology triage.Topology

func (f fixedTopology) Topology() triage.Topology { return triage.Topology(f) }

// verifiedUndos are n incidents that ended after a flag went back, 1, 2, 3 … minutes later.
func verifiedUndos(n int) []triage.Report {
	var out []triage.Report
	for i := range n {
		out = append(out, triage.Report{
			IncidentID: string(rune('a' + i)), Number: 1,
			Suspects: []triage.Suspect{{Rank: 1, Change: &triage.Change{ID: "ld#1", Kind: triage.KindFlag}}},
			Checked:  []triage.Checked{{Undid: "ld#1", Outcome: triage.CheckVerified, At: t0, Turned: t0.Add(time.Duration(i+1) * time.Minute)}},
		})
	}
	return out
}

// request is the flag of pricing, put back 8 minutes after the onset and asked about so many minutes after the onset.
func request(minutes float64) triage.UndoRequest {
	return triage.UndoRequest{
		Incident: triage.Incident{ID: "i", Scope: triage.Scope{Service: "checkout"}, Alerts: []triage.Alert{{
			Labels: map[string]string{"alertname": "HighErrorRate"}, Status: triage.AlertResolved, StartsAt: t0.Add(2 * time.Minute),
		}}},
		Undid:  triage.Change{ID: "on", Kind: triage.KindFlag, Scope: triage.Scope{Service: "pricing"}, Labels: map[string]string{"flag": "new-pricing"}},
		Undo:   triage.Change{ID: "off", Kind: triage.KindFlag, Scope: triage.Scope{Service: "pricing"}, StartedAt: t0.Add(8 * time.Minute)},
		Onset:  triage.Interval{Earliest: t0, Best: t0, Latest: t0.Add(15 * time.Second)},
		Signal: triage.SignalErrors, Near: []string{"checkout", "pricing"}, At: t0.Add(time.Duration(minutes * float64(time.Minute))),
		Limits: triage.UndoLimits{RetryCycle: 2 * time.Minute, GiveUp: 10 * time.Minute, MoveOn: 20 * time.Minute, MinTraffic: .5},
	}
}

// What is gathered decides: the same undo is verified, consistent, stuck or not measured by what can be read around it.
func TestVerify(t *testing.T) {
	sock := errors.New("no server")
	for name, tc := range map[string]struct {
		now     float64
		metrics fakeMetrics
		past    fakePast
		change  func(*triage.UndoRequest)
		want    triage.CheckOutcome
		says    string
		blind   bool
	}{
		"verified":        {now: 12, metrics: fakeMetrics{symptom: broken(9), own: broken(9)}, want: triage.CheckVerified, says: "checkout recovered 60 s after flag new-pricing went back"},
		"stuck":           {now: 19, metrics: fakeMetrics{symptom: broken(0), own: broken(0)}, want: triage.CheckStuck, says: "trigger removed, system may be stuck"},
		"no help":         {now: 29, metrics: fakeMetrics{symptom: broken(0), own: broken(0)}, want: triage.CheckNotHelped, says: "undoing it did not help, and pricing itself has not moved"},
		"nothing is read": {now: 19, metrics: fakeMetrics{symptom: broken(0), own: broken(0), err: sock}, past: fakePast{err: sock}, want: triage.CheckUnmeasured, blind: true},
		"another undo":    {now: 12, metrics: fakeMetrics{symptom: broken(9), own: broken(9)}, change: func(r *triage.UndoRequest) { r.Undos = []triage.Change{{ID: "rb", Kind: triage.KindRollback}} }, want: triage.CheckConsistent, says: "1 other change was moving"},
		"moving since the limit before the undo": {now: 12, metrics: fakeMetrics{symptom: broken(9), own: broken(9)}, change: func(r *triage.UndoRequest) {
			r.Moving = []triage.Change{{ID: "d", Kind: triage.KindDeploy, StartedAt: t0.Add(time.Minute)}}
		}, want: triage.CheckConsistent, says: "1 other change was moving"},
		"moved long before the undo": {now: 40, metrics: fakeMetrics{symptom: broken(32), own: broken(32)}, change: func(r *triage.UndoRequest) {
			r.Undo.StartedAt = t0.Add(30 * time.Minute)
			r.Moving = []triage.Change{{ID: "d", Kind: triage.KindDeploy, StartedAt: t0.Add(time.Minute)}}
		}, want: triage.CheckVerified},
		"it always ends so soon": {
			now: 12, metrics: fakeMetrics{symptom: broken(9), own: broken(9)}, past: fakePast{firings: firings(8.5, 9, 9.5, 40)}, want: triage.CheckConsistent,
			says: "3 of the 4 earlier firings that had lasted as long ended within this time too",
		},
		"the team's own times decide": {now: 20, metrics: fakeMetrics{symptom: broken(0), own: broken(0)}, past: fakePast{reports: verifiedUndos(12)}, want: triage.CheckStuck, says: "90 % of 12 restores here were faster"},
		"its processes are down": {now: 19, metrics: fakeMetrics{symptom: func(float64) float64 { return .002 }, own: broken(0), health: []triage.Series{
			func() triage.Series {
				s := seriesOf(triage.SignalErrors, "checkout", t0.Add(19*time.Minute), between0(0, 0))
				s.Metric, s.Better = "up", triage.BetterHigher
				return s
			}(),
		}}, change: func(r *triage.UndoRequest) { r.Incident.Alerts = nil }, want: triage.CheckStuck, says: "checkout is down: up is 0 since 00:00:15", blind: true},
	} {
		t.Run(name, func(t *testing.T) {
			v, err := New(Options{
				Metrics: &tc.metrics, Past: &tc.past, Alerts: &tc.past,
				Topology: fixedTopology(triage.NewTopology([]triage.Edge{{From: "checkout", To: "pricing"}, {From: "batch", To: "ledger"}})),
			})
			if err != nil {
				t.Fatal(err)
			}
			req := request(tc.now)
			if tc.change != nil {
				tc.change(&req)
			}
			got, blind := v.Verify(t.Context(), req)
			if got.Outcome != tc.want || blind != tc.blind || !strings.Contains(got.Sentence, tc.says) {
				t.Errorf("want %s (blind %t) with %q, got %s (blind %t): %s", tc.want, tc.blind, tc.says, got.Outcome, blind, got.Sentence)
			}
			for _, q := range tc.metrics.asked {
				if want := []string{"checkout", "pricing", "batch", "ledger"}; strings.Join(q.Services, " ") != strings.Join(want, " ") {
					t.Errorf("want both services and those out of reach asked for, %v, got %v", want, q.Services)
				}
			}
		})
	}
}

// From ten of their own on, the team's times decide how long to wait.
func TestRestores(t *testing.T) {
	var r restores
	if err := r.refresh(t.Context(), &fakePast{reports: verifiedUndos(12)}, t0); err != nil {
		t.Fatal(err)
	}
	if p90, n := r.p90(triage.KindFlag); p90 != 11*time.Minute || n != 12 {
		t.Errorf("want 11 min of 12, got %s of %d", p90, n)
	}
	if _, n := r.p90(triage.KindDeploy); n != 0 {
		t.Errorf("want none for deploys, got %d", n)
	}
}
