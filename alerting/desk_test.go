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

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/prometheus/common/model"

	"github.com/triaged-dev/triaged/triage"
)

// fakeTriager answers with a report built from the request.
type fakeTriager struct {
	mu     sync.Mutex
	answer func(triage.Request) triage.Report
	causes []string
	delay  time.Duration
	err    error
	panics bool
}

func (f *fakeTriager) Triage(ctx context.Context, req triage.Request) (triage.Answer, error) {
	f.mu.Lock()
	f.causes = append(f.causes, req.Cause)
	answer, delay, err, panics := f.answer, f.delay, f.err, f.panics
	f.mu.Unlock()
	if delay > 0 {
		select {
		case <-time.After(delay):
		case <-ctx.Done():
			return triage.Answer{}, ctx.Err()
		}
	}
	if panics {
		panic("index out of range")
	}
	if err != nil {
		return triage.Answer{}, err
	}
	r := flagReport(.86)
	if answer != nil {
		r = answer(req)
	}
	r.CreatedAt = req.At
	return triage.Answer{Report: r}, nil
}

func (f *fakeTriager) set(answer func(triage.Request) triage.Report) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.answer = answer
}

func (f *fakeTriager) asked() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.causes)
}

// fakeNotifier records what it is asked to post.
type fakeNotifier struct {
	mu      sync.Mutex
	posts   []Notification
	reply   func(n int, nt Notification) error // n counts from 1
	hang    bool
	edits   bool
	recheck bool
}

func (f *fakeNotifier) EditsInPlace() bool { return f.edits }
func (f *fakeNotifier) Rechecks() bool     { return f.recheck }

func (f *fakeNotifier) Notify(ctx context.Context, nt Notification) (Receipt, error) {
	f.mu.Lock()
	f.posts = append(f.posts, nt)
	n, reply, hang := len(f.posts), f.reply, f.hang
	f.mu.Unlock()
	if hang {
		<-ctx.Done()
		return Receipt{}, TransportError("post", ctx.Err())
	}
	if reply != nil {
		if err := reply(n, nt); err != nil {
			return Receipt{}, err
		}
	}
	return Receipt{RemoteID: fmt.Sprint("remote-", nt.Report.Number)}, nil
}

func (f *fakeNotifier) got() []Notification {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.posts)
}

// told lists what was posted: report number and cause.
func (f *fakeNotifier) told() []string {
	var out []string
	for _, p := range f.got() {
		out = append(out, fmt.Sprintf("%d %s", p.Report.Number, p.Report.Cause))
	}
	return out
}

type fakeTopology struct{ t triage.Topology }

func (f fakeTopology) Topology() triage.Topology { return f.t }

// bench is an Alerting with everything around it faked.
type bench struct {
	*Alerting
	store    *fakeStore
	triager  *fakeTriager
	notifier *fakeNotifier
	registry *prometheus.Registry
	stop     func()
}

// newBench starts an Alerting in a synctest bubble. tune may change its options.
func newBench(t *testing.T, store *fakeStore, tune func(*Options)) *bench {
	t.Helper()
	b := &bench{store: store, triager: &fakeTriager{}, notifier: &fakeNotifier{}, registry: prometheus.NewRegistry()}
	o := Options{
		Config: DefaultConfig(), Store: store, Triager: b.triager, Registerer: b.registry, Jitter: func() float64 { return 0 },
		Route:     RouteConfig{Receiver: "oncall", Mode: ModeLive},
		Receivers: Receivers{"oncall": {{Name: "it", Notifier: b.notifier}}},
	}
	if tune != nil {
		tune(&o)
	}
	a, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	b.Alerting = a
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- a.Run(ctx) }()
	stopped := false
	b.stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: want nil after the context ended, got %v", err)
		}
	}
	t.Cleanup(b.stop)
	return b
}

func alert(service string, start time.Time, labels ...string) triage.Alert {
	ls := map[string]string{"alertname": "HighErrorRate", "service": service, "severity": "page"}
	for i := 0; i+1 < len(labels); i += 2 {
		ls[labels[i]] = labels[i+1]
	}
	return triage.Alert{Labels: ls, Status: triage.AlertFiring, StartsAt: start, ReceivedAt: start}
}

func resolved(a triage.Alert, at time.Time) triage.Alert {
	a.Status, a.EndsAt = triage.AlertResolved, at
	return a
}

func (b *bench) accept(t *testing.T, alerts ...triage.Alert) {
	t.Helper()
	if err := b.Accept(t.Context(), Group{Alerts: alerts}); err != nil {
		t.Fatalf("Accept: %v", err)
	}
}

func (b *bench) outcome(o string) float64 {
	return testutil.ToFloat64(b.metrics.alerts.WithLabelValues(o))
}

func flagChange() *triage.Change {
	return &triage.Change{
		ID: "ld#1", Kind: triage.KindFlag, Scope: triage.Scope{Service: "checkout"}, StartedAt: t0.Add(-340 * time.Second),
		Labels: map[string]string{"flag": "new-pricing", "from": "0", "to": "100 %"}, ObservedAt: t0.Add(-330 * time.Second),
	}
}

var t0 = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC) // where a synctest bubble begins

// flagReport names the flag with probability p.
func flagReport(p float64) triage.Report {
	c := flagChange()
	return triage.Report{
		Symptom:  triage.SymptomSummary{Sentence: "checkout 5xx 0.2 % → 14 %", Signal: triage.SignalErrors},
		Onset:    triage.Onset{Interval: triage.Interval{Earliest: t0.Add(-6 * time.Minute), Best: t0.Add(-5 * time.Minute), Latest: t0.Add(-4 * time.Minute)}},
		Suspects: []triage.Suspect{{Rank: 1, Change: c, Probability: p, For: []triage.Evidence{{Factor: "split", Contribution: 3000, Direct: true, Sentence: fmt.Sprintf("share %.2f", p)}}}},
		None:     triage.None{Probability: 1 - p}, Candidates: 1, LookbackS: 1800,
		Recommendation: triage.Recommendation{Verdict: triage.VerdictAct, Action: triage.ActionFlagOff, Reason: "split", Target: &triage.Target{ChangeID: c.ID, Name: "new-pricing"}},
		Coverage:       []triage.Coverage{{Source: "push", State: triage.SourceOK}},
	}
}

// noneReport names nobody.
func noneReport() triage.Report {
	r := flagReport(.1)
	r.None.Probability = .9
	r.Recommendation = triage.Recommendation{Verdict: triage.VerdictCannotTell, Action: triage.ActionInvestigate, Reason: "nothing fits"}
	return r
}

func TestOneAlertToOnePost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, newFakeStore(), nil)
		b.accept(t, alert("checkout", time.Now()))
		synctest.Wait()
		if incs := b.store.all(); len(incs) != 1 || incs[0].Service != "checkout" || incs[0].ServiceFrom != "label service=checkout" || !incs[0].Pages || incs[0].Reports != 1 {
			t.Fatalf("want one paging incident of checkout with one report, got %+v", incs)
		}
		posts := b.notifier.got()
		if len(posts) != 1 || posts[0].Report.Number != 1 || posts[0].Previous != nil || !posts[0].Material {
			t.Fatalf("want one first post, got %+v", posts)
		}
		if !strings.Contains(posts[0].Card.Text(), "LIKELY: flag new-pricing 0 → 100 %") {
			t.Errorf("want the flag on the card, got\n%s", posts[0].Card.Text())
		}
		if got := b.store.states()[triage.DeliveryDelivered]; got != 1 {
			t.Errorf("want one delivered delivery, got %v", b.store.states())
		}
		if got := b.out.pending.Load(); got != 0 {
			t.Errorf("outbox pending: want 0, got %d", got)
		}
	})
}

// Repeats, and the other one of an HA pair, change nothing: no write, no triage, no post.
func TestRepeatsAreOneAlert(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, newFakeStore(), nil)
		al := alert("checkout", time.Now())
		b.accept(t, al)
		synctest.Wait()
		saves := b.store.saves
		for range 20 {
			b.accept(t, al)
		}
		synctest.Wait()
		if b.store.saves != saves {
			t.Errorf("writes: want %d, got %d", saves, b.store.saves)
		}
		if got := b.triager.asked(); len(got) != 1 {
			t.Errorf("triages: want 1, got %v", got)
		}
		if got := b.outcome(outcomeDuplicate); got != 20 {
			t.Errorf("duplicates: want 20, got %v", got)
		}
	})
}

func TestWhatBelongsTogether(t *testing.T) {
	topology := triage.NewTopology([]triage.Edge{{From: "shop", To: "checkout"}, {From: "checkout", To: "payments"}, {From: "payments", To: "bank"}})
	in := func(a triage.Alert, group string) triage.Alert { a.GroupKey = group; return a }
	for name, tc := range map[string]struct {
		first, second triage.Alert
		later         time.Duration
		want          int // incidents
	}{
		"same group and service":               {in(alert("checkout", t0), "g"), in(alert("checkout", t0, "pod", "b"), "g"), time.Hour, 1},
		"same group, other service, together":  {in(alert("checkout", t0), "g"), in(alert("search", t0.Add(time.Minute)), "g"), time.Minute, 1},
		"same group, other service, later":     {in(alert("checkout", t0), "g"), in(alert("search", t0.Add(time.Hour)), "g"), time.Hour, 2},
		"same name and service, no group":      {alert("checkout", t0), alert("checkout", t0.Add(time.Hour), "pod", "b"), time.Hour, 1},
		"same service, other name, together":   {alert("checkout", t0), alert("checkout", t0.Add(time.Minute), "alertname", "Slow"), time.Minute, 1},
		"same service, other name, later":      {alert("checkout", t0), alert("checkout", t0.Add(time.Hour), "alertname", "Slow"), time.Hour, 2},
		"neighbours, together":                 {alert("checkout", t0), alert("shop", t0.Add(time.Minute)), time.Minute, 1},
		"neighbours, later":                    {alert("checkout", t0), alert("shop", t0.Add(time.Hour)), time.Hour, 2},
		"three calls apart":                    {alert("bank", t0), alert("shop", t0), 0, 2},
		"strangers":                            {alert("checkout", t0), alert("search", t0), 0, 2},
		"neighbours in different environments": {alert("checkout", t0, "env", "prod"), alert("shop", t0, "env", "staging"), 0, 2},
		"one service in two clusters":          {alert("checkout", t0, "cluster", "a"), alert("checkout", t0, "cluster", "b"), 0, 2},
		"one environment under two names":      {alert("checkout", t0, "env", "prod"), alert("checkout", t0, "environment", "production", "pod", "b"), 0, 1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t, newFakeStore(), func(o *Options) {
					o.Topology = fakeTopology{topology}
					o.Directory = triage.NewDirectory(nil, nil)
				})
				b.accept(t, tc.first)
				time.Sleep(tc.later)
				b.accept(t, tc.second)
				synctest.Wait()
				if got := len(b.store.all()); got != tc.want {
					t.Errorf("incidents: want %d, got %d", tc.want, got)
				}
			})
		})
	}
}

func TestIgnoredAndRecorded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, newFakeStore(), nil)
		b.accept(t,
			alert("a", t0, "alertname", "Watchdog"), alert("a", t0, "alertname", "InfoInhibitor"), alert("a", t0, "alertname", "DatasourceNoData"),
			alert("a", t0, "alertname", "DatasourceError"), alert("a", t0, "severity", "none"), alert("a", t0, "severity", "info"),
			alert("checkout", t0, "severity", "warning"))
		synctest.Wait()
		if got := b.outcome(outcomeIgnored); got != 6 {
			t.Errorf("ignored: want 6, got %v", got)
		}
		incs := b.store.all()
		if len(incs) != 1 || incs[0].Pages || incs[0].Reports != 1 {
			t.Fatalf("want the warning recorded and triaged, not paging, got %+v", incs)
		}
		if got := b.notifier.told(); len(got) != 0 {
			t.Errorf("want nothing posted for a warning, got %v", got)
		}
		// Once an alert that pages joins, on-call is told, without waiting for the interval between triages.
		b.accept(t, alert("checkout", t0))
		synctest.Wait()
		if got := b.notifier.told(); !slices.Equal(got, []string{"2 alert"}) {
			t.Errorf("want one post once it pages, got %v", got)
		}
	})
}

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

// A notifier that edits in place is kept up to date when only numbers move.
func TestNumbersGoToEditors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, newFakeStore(), nil)
		b.notifier.edits = true
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
		b := newBench(t, newFakeStore(), nil)
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
		b.OnEvent(event("search", t0.Add(-8*time.Minute)))   // out of reach
		b.OnEvent(event("payments", t0.Add(-2*time.Minute))) // after the onset
		b.OnEvent(event("payments", t0.Add(-2*time.Hour)))   // before the lookback
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
		if card := b.notifier.got()[1].Card.Text(); !strings.Contains(card, "UNDO SEEN: flag new-pricing set to 0 % at 00:00:40; the same signal is being watched") {
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
				f(b.triager)
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
		b.triager.delay = 20 * time.Millisecond
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
