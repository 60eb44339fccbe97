package alerting

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/common/model"

	"github.com/triaged-dev/triaged/triage"
)

// Second looks happen on time; they post only if the statement changed.
func TestSecondLooks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, newFakeStore(), nil)
		b.accept(t, alert("checkout", time.Now()))
		time.Sleep(90 * time.Second)
		synctest.Wait()
		if got := b.triager.asked(); !slices.Equal(got, []string{CauseAlert, CauseSecondLook}) {
			t.Fatalf("after 90 s: want the first and one second look, got %v", got)
		}
		if got := b.store.all()[0].Reports; got != 1 {
			t.Errorf("a look that finds the same says nothing: want 1 report, got %d", got)
		}
		b.triager.set(func(triage.Request) triage.Report { return flagReport(.9) })
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		if got := b.notifier.told(); !slices.Equal(got, []string{"1 alert"}) {
			t.Errorf("numbers alone are no post: got %v", got)
		}
		b.triager.set(func(triage.Request) triage.Report { return noneReport() })
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		if got := b.notifier.told(); !slices.Equal(got, []string{"1 alert", "3 second look"}) {
			t.Fatalf("a changed statement is posted: got %v", got)
		}
		last := b.notifier.got()[1]
		if last.Previous == nil || last.Previous.Number != 1 || !last.Material || len(last.Earlier) != 1 || last.Earlier[0].RemoteID != "remote-1" {
			t.Errorf("want the earlier report and its remote id with the post, got %+v", last)
		}
		if !strings.Contains(last.Card.Text(), "CHANGED: report 1 said LIKELY: flag new-pricing") {
			t.Errorf("want the card to say what changed, got\n%s", last.Card.Text())
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		if got := len(b.triager.asked()); got != 4 {
			t.Errorf("triages: want 4 in all, got %d", got)
		}
	})
}

// Moments after a post one look alone does not take it back: the next one must say so too. What grows stronger is told at once.
func TestStatementIsTakenBackByTwoLooks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, newFakeStore(), nil)
		look := func() {
			t.Helper()
			if err := b.Reconsider(t.Context(), b.store.all()[0].ID, CauseLate); err != nil {
				t.Fatal(err)
			}
			time.Sleep(16 * time.Second) // one look
			synctest.Wait()
		}
		b.accept(t, alert("checkout", time.Now()))
		time.Sleep(5 * time.Second)
		synctest.Wait()
		asked := len(b.triager.asked())
		once := true
		b.triager.set(func(triage.Request) triage.Report {
			if once {
				once = false
				return noneReport()
			}
			return flagReport(.8)
		})
		look()
		time.Sleep(20 * time.Second)
		synctest.Wait()
		if got := b.notifier.told(); !slices.Equal(got, []string{"1 alert"}) || len(b.triager.asked()) != asked+2 {
			t.Fatalf("a swing is looked at once more and no post: got %v after %v", got, b.triager.asked())
		}
		b.triager.set(func(triage.Request) triage.Report { return noneReport() })
		look()
		time.Sleep(20 * time.Second)
		synctest.Wait()
		if got := b.notifier.told(); len(got) != 2 || !b.notifier.got()[1].Material {
			t.Fatalf("two looks that agree take it back: got %v", got)
		}
		b.triager.set(func(triage.Request) triage.Report { return flagReport(.8) })
		look()
		if got := b.notifier.told(); len(got) != 3 {
			t.Errorf("what grows stronger is told at once: got %v", got)
		}
	})
}

// A notifier that edits in place is kept up to date when only numbers move.
func TestNumbersGoToEditors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, newFakeStore(), func(o *Options) { o.Receivers["oncall"][0].Notifier.(*fakeNotifier).edits = true })
		b.accept(t, alert("checkout", time.Now()))
		synctest.Wait()
		b.triager.set(func(triage.Request) triage.Report { return flagReport(.9) })
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		posts := b.notifier.got()
		if len(posts) != 2 || posts[1].Material {
			t.Fatalf("want a second, immaterial post, got %v", b.notifier.told())
		}
	})
}

func TestRecoveryIsToldOnceAndCloses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, newFakeStore(), func(o *Options) {
			o.Picture = func(context.Context, triage.Report) ([]byte, error) { return nil, nil }
		})
		al := alert("checkout", time.Now())
		b.accept(t, al)
		time.Sleep(12 * time.Minute)
		b.accept(t, resolved(al, time.Now()))
		synctest.Wait()
		if inc := b.store.all()[0]; inc.State != triage.IncidentRecovered || inc.RecoveredAt.IsZero() {
			t.Fatalf("want it recovered at once in the store, got %+v", inc)
		}
		if got := len(b.notifier.told()); got != 1 {
			t.Errorf("want the note held for a while, got %v", b.notifier.told())
		}
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		if got := b.notifier.told(); !slices.Equal(got, []string{"1 alert", "2 recovered"}) {
			t.Fatalf("want one recovery note, got %v", got)
		}
		if posts := b.notifier.got(); posts[0].Picture == nil || posts[1].Picture != nil {
			t.Error("want a picture with the report, and none of a note that has no series")
		}
		card := b.notifier.got()[1].Card.Text()
		if !strings.HasPrefix(card, "🟢 recovered: checkout at 00:12:00 UTC, 12 min after the page") {
			t.Errorf("got\n%s", card)
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		if inc := b.store.all()[0]; inc.State != triage.IncidentClosed || inc.ClosedAt.IsZero() {
			t.Errorf("want it closed after a quiet time, got %+v", inc)
		}
		if err := b.Reconsider(t.Context(), b.store.all()[0].ID, CauseLate); !errors.Is(err, ErrNotOpen) {
			t.Errorf("want ErrNotOpen for a closed incident, got %v", err)
		}
	})
}

// The same alert coming and going is one incident, and does not make a post each time.
func TestFlappingIsOneIncidentAndFewPosts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, newFakeStore(), nil)
		for range 30 {
			al := alert("checkout", time.Now())
			b.accept(t, al)
			time.Sleep(90 * time.Second)
			b.accept(t, resolved(al, time.Now()))
			time.Sleep(90 * time.Second)
		}
		time.Sleep(20 * time.Minute)
		synctest.Wait()
		incs := b.store.all()
		if len(incs) != 1 || incs[0].Reopened != 29 {
			t.Fatalf("want one incident reopened 29 times, got %d, first %+v", len(incs), incs[0].Reopened)
		}
		// First, recovered after the first pause, firing again, and recovered for good: pauses of 90 s no longer count after the first relapse.
		if got := b.notifier.told(); len(got) > 4 || got[len(got)-1] != fmt.Sprintf("%d recovered", incs[0].Reports) {
			t.Errorf("want at most 4 posts, the last one of recovery, got %v", got)
		}
	})
}

func TestLateRepeatDoesNotReopen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, newFakeStore(), nil)
		al := alert("checkout", time.Now())
		b.accept(t, al)
		time.Sleep(time.Minute)
		b.accept(t, resolved(al, time.Now()))
		time.Sleep(10 * time.Second)
		b.accept(t, al) // the slower one of an HA pair
		synctest.Wait()
		if inc := b.store.all()[0]; inc.State != triage.IncidentRecovered || inc.Reopened != 0 {
			t.Errorf("want it to stay recovered, got %s reopened %d", inc.State, inc.Reopened)
		}
	})
}

func TestUndoAndLateChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		topology := triage.NewTopology([]triage.Edge{{From: "checkout", To: "payments"}})
		b := newBench(t, newFakeStore(), func(o *Options) { o.Topology = fakeTopology{topology} })
		b.accept(t, alert("checkout", time.Now()))
		time.Sleep(20 * time.Second)
		event := func(service string, start time.Time, undoes ...triage.ChangeID) triage.Event {
			return triage.Event{Change: &triage.Change{
				ID: triage.ChangeID("x#" + service + start.String()), Kind: triage.KindFlag, Scope: triage.Scope{Service: service}, Title: "flag new-pricing set to 0 %",
				StartedAt: start, ObservedAt: time.Now(), Undoes: undoes,
			}}
		}
		b.OnEvent(event("search", t0.Add(-8*time.Minute))) // out of reach
		b.OnEvent(event("payments", t0.Add(-2*time.Hour))) // before the lookback
		b.OnEvent(triage.Event{Anomaly: &triage.Anomaly{}})
		synctest.Wait()
		if got := b.triager.asked(); len(got) != 1 {
			t.Fatalf("want no triage for changes that cannot matter, got %v", got)
		}
		b.OnEvent(event("payments", t0.Add(-8*time.Minute)))
		synctest.Wait()
		if got := b.triager.asked(); !slices.Equal(got, []string{CauseAlert, CauseLate}) {
			t.Fatalf("want a triage for the late change, got %v", got)
		}
		time.Sleep(20 * time.Second)
		b.OnEvent(event("checkout", time.Now(), "ld#1"))
		b.OnEvent(event("checkout", time.Now(), "ld#1"))
		synctest.Wait()
		if inc := b.store.all()[0]; inc.State != triage.IncidentMitigating {
			t.Errorf("want the incident mitigating, got %s", inc.State)
		}
		if got := b.notifier.told(); !slices.Equal(got, []string{"1 alert", "2 undo seen"}) {
			t.Fatalf("want the undo told once, got %v", got)
		}
		if card := b.notifier.got()[1].Card.Text(); !strings.Contains(card, "UNDO SEEN: flag new-pricing set to 0 % at 00:00:40, as advised; the same signal is being watched") {
			t.Errorf("got\n%s", card)
		}
	})
}

// A triager that fails, panics or hangs makes a report that says so, within the deadline.
func TestTriageAlwaysAnswers(t *testing.T) {
	for name, f := range map[string]func(*fakeTriager){
		"error": func(f *fakeTriager) { f.err = errors.New("no window") },
		"panic": func(f *fakeTriager) { f.panics = true },
		"hangs": func(f *fakeTriager) { f.delay = time.Hour },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t, newFakeStore(), nil)
				b.triager.mu.Lock()
				f(b.triager)
				b.triager.mu.Unlock()
				b.accept(t, alert("checkout", time.Now()))
				time.Sleep(11 * time.Second)
				synctest.Wait()
				posts := b.notifier.got()
				if len(posts) != 1 || !posts[0].Report.Deadline || posts[0].Report.None.Probability != 1 {
					t.Fatalf("want one thin report, got %+v", posts)
				}
				if card := posts[0].Card.Text(); !strings.Contains(card, "nothing was weighed") {
					t.Errorf("want the card to say so, got\n%s", card)
				}
			})
		})
	}
}

// Ten thousand alerts in a minute over 200 groups: each has an outcome, each incident one post, and never more than one
// write per incident under way.
func TestStorm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newFakeStore()
		store.slow = 50 * time.Millisecond
		b := newBench(t, store, func(o *Options) {
			o.Config.MaxAlerts = 40
			o.Config.Queue = 100
			o.Config.Workers = 2
			i := o.Receivers["oncall"][0]
			i.Concurrency = 8
			o.Receivers["oncall"][0] = i
		})
		b.triager.mu.Lock()
		b.triager.delay = 20 * time.Millisecond
		b.triager.mu.Unlock()
		var wg sync.WaitGroup
		const groups, perGroup = 200, 50
		for i := range groups * perGroup {
			wg.Go(func() {
				al := alert(fmt.Sprintf("svc-%03d", i%groups), time.Now(), "pod", fmt.Sprint(i/groups))
				al.GroupKey = fmt.Sprint("g", i%groups)
				if err := b.Accept(t.Context(), Group{Alerts: []triage.Alert{al}, GroupKey: al.GroupKey}); err != nil {
					t.Errorf("Accept: %v", err)
				}
			})
			if i%167 == 0 {
				time.Sleep(time.Second)
			}
		}
		wg.Wait()
		time.Sleep(30 * time.Second)
		synctest.Wait()
		total := 0.0
		for _, o := range outcomes() {
			total += b.outcome(o)
		}
		if total != groups*perGroup {
			t.Errorf("outcomes: want %d in all, got %v", groups*perGroup, total)
		}
		if got, want := b.outcome(outcomeOverflow), float64(groups*10); got != want {
			t.Errorf("overflow: want %v, got %v", want, got)
		}
		if n := len(store.all()); n != groups {
			t.Errorf("incidents: want %d, got %d", groups, n)
		}
		if n := len(b.notifier.told()); n != groups {
			t.Errorf("posts: want %d, got %d", groups, n)
		}
		if store.maxFlight > groups {
			t.Errorf("writes at once: want at most %d, got %d", groups, store.maxFlight)
		}
	})
}

// When no more incidents may be opened, the sender is told to try again, and nothing is half taken.
func TestMaxOpenRefuses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, newFakeStore(), func(o *Options) { o.Config.MaxOpen = 1 })
		b.accept(t, alert("a", t0))
		if err := b.Accept(t.Context(), Group{Alerts: []triage.Alert{alert("b", t0)}}); !errors.Is(err, ErrBusy) {
			t.Errorf("want ErrBusy, got %v", err)
		}
		if got := b.outcome(outcomeRefused); got != 1 {
			t.Errorf("refused: want 1, got %v", got)
		}
	})
}

// An alert is acknowledged only once it is stored; sent again, it is stored then, and the report is not lost either.
func TestStoreFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, newFakeStore(), nil)
		synctest.Wait()
		b.store.setBroken(true)
		al := alert("checkout", time.Now())
		if err := b.Accept(t.Context(), Group{Alerts: []triage.Alert{al}}); !errors.Is(err, errDiskFull) {
			t.Fatalf("want the store's error, got %v", err)
		}
		time.Sleep(8 * time.Second)
		b.store.setBroken(false)
		b.accept(t, al)
		if n := len(b.store.all()); n != 1 {
			t.Fatalf("want it stored when nil was returned, got %d incidents", n)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if got := b.notifier.told(); !slices.Equal(got, []string{"1 alert"}) {
			t.Errorf("want one report in the end, got %v", got)
		}
	})
}

// Prometheus promises by endsAt to repeat an alert: silence past it resolves. Alertmanager's alerts end only by its word or after stale_after.
func TestSilenceResolves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, newFakeStore(), func(o *Options) {
			o.Config.StaleAfter = model.Duration(2 * time.Hour)
		})
		al := alert("checkout", time.Now())
		for range 5 {
			al.EndsAt = time.Now().Add(4 * time.Minute)
			b.accept(t, al)
			time.Sleep(time.Minute)
		}
		b.accept(t, alert("search", time.Now()))
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		state := func(service string) triage.IncidentState {
			for _, inc := range b.store.all() {
				if inc.Service == service {
					return inc.State
				}
			}
			return ""
		}
		if got := state("checkout"); got != triage.IncidentOpen {
			t.Errorf("before the promised end: want open, got %s", got)
		}
		time.Sleep(3 * time.Minute)
		synctest.Wait()
		if got := state("checkout"); got != triage.IncidentRecovered {
			t.Errorf("after the promised end: want recovered, got %s", got)
		}
		time.Sleep(time.Hour)
		if got := state("search"); got != triage.IncidentOpen {
			t.Errorf("without a promise: want open, got %s", got)
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		if got := state("search"); got != triage.IncidentRecovered {
			t.Errorf("after stale_after: want recovered, got %s", got)
		}
	})
}
