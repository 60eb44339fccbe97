package alerting

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/triaged-dev/triaged/triage"
	"github.com/triaged-dev/triaged/triage/say"
)

// fakeVerifier answers as the real one would where everything turns back minutes after the onset, and stays; 0: never.
// That measuring leads to these answers is tested where it is done.
type fakeVerifier struct {
	back  float64
	blind bool
}

func (f *fakeVerifier) Verify(_ context.Context, q triage.UndoRequest) (triage.Checked, bool) {
	at, turned := q.Undo.EffectAt(), t0.Add(time.Duration(f.back*float64(time.Minute)))
	out := triage.Checked{Undid: q.Undid.ID, By: q.Undo.ID, At: at.UTC(), Asked: q.At.UTC(), Outcome: triage.CheckWatching, Sentence: "it is being watched"}
	what, since := say.WentBack(q.Undid), q.At.Sub(at)
	switch {
	case f.blind && since >= q.Limits.GiveUp:
		out.Outcome = triage.CheckUnmeasured
	case f.blind:
	case f.back > 0 && q.At.Sub(turned) >= q.Limits.RetryCycle:
		out.Outcome, out.Turned = triage.CheckVerified, turned
		out.Sentence = q.Incident.Service + " recovered " + say.Span(turned.Sub(at)) + " after " + what
	case f.back > 0 || since < q.Limits.GiveUp:
	case since >= q.Limits.MoveOn:
		out.Outcome, out.Sentence = triage.CheckNotHelped, what+": undoing it did not help, and pricing itself has not moved"
	default:
		out.Outcome, out.Sentence = triage.CheckStuck, "trigger removed, system may be stuck: "+what
		out.Steps = []string{"shed load on " + q.Incident.Service}
	}
	return out, f.blind
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

func (f *fakeLabels) Feedback(_ context.Context, id string) ([]triage.Feedback, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(f.got), func(o triage.Feedback) bool { return o.IncidentID != id }), nil
}

// onsetReport is flagReport with its onset where the fake verifier counts from.
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

func watchBench(t *testing.T, m *fakeVerifier, labels *fakeLabels) *bench {
	b := newBench(t, newFakeStore(), func(o *Options) {
		o.Verifier, o.Labels = m, labels
		o.Topology = fakeTopology{triage.NewTopology([]triage.Edge{{From: "checkout", To: "pricing"}})}
		o.Config.SecondLooks = nil
	})
	b.triager.set(onsetReport)
	return b
}

// The flag goes back, the symptom turns a minute later: verified, told with the recovery in one message, and kept as a label.
func TestUndoIsVerified(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, labels := &fakeVerifier{back: 6}, &fakeLabels{}
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
		b := watchBench(t, &fakeVerifier{}, &fakeLabels{})
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
		m := &fakeVerifier{back: 6}
		b := watchBench(t, m, &fakeLabels{})
		time.Sleep(2 * time.Minute)
		b.accept(t, alert("checkout", time.Now()))
		time.Sleep(3 * time.Minute)
		b.OnEvent(undoEvent(time.Now(), "ld#1"))
		time.Sleep(30 * time.Second)
		b.stop()
		store := b.store
		labels := &fakeLabels{}
		c := newBench(t, store, func(o *Options) { o.Verifier, o.Labels = m, labels; o.Config.SecondLooks = nil })
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
		b := watchBench(t, &fakeVerifier{blind: true}, &fakeLabels{})
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
		b := watchBench(t, &fakeVerifier{}, &fakeLabels{})
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
		b := watchBench(t, &fakeVerifier{}, &fakeLabels{})
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

// An undo that is itself taken back is told as what it is: what was undone acts again, and nothing is claimed of the undo any more.
func TestUndoIsTakenBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := watchBench(t, &fakeVerifier{}, &fakeLabels{})
		b.accept(t, alert("checkout", time.Now()))
		time.Sleep(time.Minute)
		undo := undoEvent(time.Now(), "ld#1")
		b.OnEvent(undo)
		time.Sleep(2 * time.Minute)
		again := triage.Change{
			ID: "on again", Kind: triage.KindFlag, Scope: triage.Scope{Service: "pricing"}, Labels: map[string]string{"flag": "new-pricing", "from": "0 %", "to": "100 %"},
			StartedAt: time.Now(), ObservedAt: time.Now(), Undoes: []triage.ChangeID{undo.Change.ID},
		}
		b.OnEvent(triage.Event{Change: &again})
		time.Sleep(time.Minute)
		synctest.Wait()
		if got := b.store.all()[0].State; got != triage.IncidentOpen {
			t.Errorf("want it open again, got %s", got)
		}
		posts := b.notifier.got()
		card := posts[len(posts)-1].Card.Text()
		if !strings.Contains(card, "CHECKED: flag new-pricing 0 → 100 % is in place again since 00:03:00") || strings.Contains(card, "UNDO SEEN") || !strings.Contains(card, "DO: set flag new-pricing back") {
			t.Errorf("got\n%s", card)
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		if inc := b.store.all()[0]; inc.State != triage.IncidentOpen {
			t.Errorf("nothing more is measured of it: got %s", inc.State)
		}
		if posts = b.notifier.got(); strings.Contains(posts[len(posts)-1].Card.Text(), "did not help") {
			t.Errorf("what was taken back cannot have failed to help:\n%s", posts[len(posts)-1].Card.Text())
		}
	})
}

// A suspect that cannot reach what fails is no remedy when it is taken back: nobody is told of it.
func TestUndoOutOfReach(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := watchBench(t, &fakeVerifier{}, &fakeLabels{})
		b.triager.set(func(r triage.Request) triage.Report {
			rep := onsetReport(r)
			far := triage.Suspect{Rank: 2, Probability: .02, Change: &triage.Change{
				ID: "d9", Kind: triage.KindDeploy, Scope: triage.Scope{Service: "mail"}, PreviousVersion: "v1", Version: "v2", StartedAt: t0.Add(-2 * time.Minute),
			}}
			rep.Suspects = append(rep.Suspects, far)
			return rep
		})
		b.accept(t, alert("checkout", time.Now()))
		time.Sleep(time.Minute)
		undo := undoEvent(time.Now(), "d9")
		undo.Change.Service = "mail"
		b.OnEvent(undo)
		time.Sleep(time.Minute)
		synctest.Wait()
		if got := b.notifier.told(); !slices.Equal(got, []string{"1 alert"}) {
			t.Errorf("got %v", got)
		}
		if got := b.store.all()[0].State; got != triage.IncidentOpen {
			t.Errorf("want it open, got %s", got)
		}
	})
}
