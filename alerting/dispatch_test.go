package alerting

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/prometheus/common/model"

	"github.com/triaged-dev/triaged/alerting/outbox"
	"github.com/triaged-dev/triaged/triage"
)

func (b *bench) delivery(t *testing.T) triage.Delivery {
	t.Helper()
	ds, err := b.out.Of(t.Context(), b.store.all()[0].ID)
	if err != nil || len(ds) == 0 {
		t.Fatalf("want a delivery, got %v (%v)", ds, err)
	}
	return ds[0]
}

func TestRetries(t *testing.T) {
	serverError := &outbox.DeliveryError{Reason: outbox.ReasonServerError, Retryable: true, Err: errors.New("status 503")}
	for name, tc := range map[string]struct {
		reply    func(n int, nt outbox.Notification) error
		wait     time.Duration
		attempts int
		state    triage.DeliveryState
		tune     func(*Options)
	}{
		"comes back": {
			reply: func(n int, _ outbox.Notification) error {
				if n < 4 {
					return serverError
				}
				return nil
			},
			wait: 10 * time.Second, attempts: 4, state: triage.DeliveryDelivered, // 0 s, 1 s, 3 s, 7 s
		},
		"waits as asked": {
			reply: func(n int, _ outbox.Notification) error {
				if n < 2 {
					return &outbox.DeliveryError{Reason: outbox.ReasonRateLimited, Retryable: true, RetryAfter: time.Minute, Err: errors.New("status 429")}
				}
				return nil
			},
			wait: 59 * time.Second, attempts: 1, state: triage.DeliveryPending,
		},
		"final error": {
			reply: func(int, outbox.Notification) error {
				return &outbox.DeliveryError{Reason: outbox.ReasonAuthError, Err: errors.New("status 401")}
			},
			wait: time.Minute, attempts: 1, state: triage.DeliveryDead,
		},
		"too many attempts": {
			reply: func(int, outbox.Notification) error { return serverError },
			wait:  time.Hour, attempts: 5, state: triage.DeliveryDead,
			tune: func(o *Options) { o.Config.Delivery.MaxAttempts = 5 },
		},
		"too old": {
			reply: func(int, outbox.Notification) error { return serverError },
			wait:  time.Hour, attempts: 7, state: triage.DeliveryDead, // 0 1 3 7 15 31 63 s
			tune: func(o *Options) { o.Config.Delivery.MaxAge = model.Duration(time.Minute) },
		},
		"panics": {
			reply: func(int, outbox.Notification) error { panic("nil map") },
			wait:  time.Minute, attempts: 1, state: triage.DeliveryDead,
		},
		"unclassified error": {
			reply: func(n int, _ outbox.Notification) error {
				if n < 2 {
					return errors.New("who knows")
				}
				return nil
			},
			wait: 5 * time.Second, attempts: 2, state: triage.DeliveryDelivered,
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t, newFakeStore(), func(o *Options) {
					o.Config.SecondLooks = nil
					if tc.tune != nil {
						tc.tune(o)
					}
				})
				b.notifier.answer(tc.reply)
				b.accept(t, alert("checkout", time.Now()))
				time.Sleep(tc.wait)
				synctest.Wait()
				d := b.delivery(t)
				if got := len(b.notifier.got()); got != tc.attempts || d.Attempts != tc.attempts || d.State != tc.state {
					t.Errorf("want %d attempts and %s, got %d (recorded %d) and %s: %s", tc.attempts, tc.state, got, d.Attempts, d.State, d.LastError)
				}
				want := 0
				if tc.state == triage.DeliveryPending {
					want = 1
				}
				if got := b.out.Pending(); got != int64(want) {
					t.Errorf("outbox pending: want %d, got %d", want, got)
				}
			})
		})
	}
}

// Killed between sending and noting it, the next start knows that the post may have arrived and tells the notifier.
func TestKillDuringAttempt(t *testing.T) {
	for name, tc := range map[string]struct {
		recheck bool
		policy  outbox.OnUncertain
		posts   int
		state   triage.DeliveryState
	}{
		"notifier looks itself": {true, outbox.UncertainHold, 1, triage.DeliveryDelivered},
		"resend":                {false, outbox.UncertainResend, 1, triage.DeliveryDelivered},
		"hold":                  {false, outbox.UncertainHold, 0, triage.DeliveryHeld},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store := newFakeStore()
				first := newBench(t, store, nil)
				first.notifier.setHang(true)
				first.accept(t, alert("checkout", time.Now()))
				synctest.Wait()
				if n := len(first.notifier.got()); n != 1 {
					t.Fatalf("want the attempt begun, got %d", n)
				}
				first.stop() // what the store has now is what a kill would leave
				second := newBench(t, store, func(o *Options) {
					i := &o.Receivers["oncall"][0]
					i.OnUncertain = tc.policy
					i.Notifier.(*fakeNotifier).recheck = tc.recheck
				})
				time.Sleep(2 * time.Second)
				synctest.Wait()
				posts := second.notifier.got()
				if len(posts) != tc.posts || second.delivery(t).State != tc.state {
					t.Fatalf("want %d posts and %s, got %d and %s", tc.posts, tc.state, len(posts), second.delivery(t).State)
				}
				if tc.posts > 0 && (!posts[0].Uncertain || posts[0].Delivery.ID != first.notifier.got()[0].Delivery.ID) {
					t.Errorf("want the same delivery, marked uncertain, got %+v", posts[0].Delivery)
				}
			})
		})
	}
}

// A start goes on where the last run ended: due deliveries, incidents without report, recovery notes owed.
func TestRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newFakeStore()
		first := newBench(t, store, nil)
		first.notifier.answer(func(int, outbox.Notification) error {
			return &outbox.DeliveryError{Reason: outbox.ReasonServerError, Retryable: true, Err: errors.New("status 500")}
		})
		al := alert("checkout", time.Now())
		first.accept(t, al)
		time.Sleep(3500 * time.Millisecond)
		first.stop()
		// An incident journalled just before the end, not triaged.
		orphan := alert("search", time.Now())
		if err := store.SaveIncident(context.Background(), triage.Incident{ID: "orphan", State: triage.IncidentOpen, Pages: true, Scope: triage.Scope{Service: "search"}, OpenedAt: time.Now(), Alerts: []triage.Alert{orphan}}); err != nil {
			t.Fatal(err)
		}
		second := newBench(t, store, nil)
		time.Sleep(time.Minute)
		synctest.Wait()
		if got := second.notifier.told(); !slices.Equal(got, []string{"1 alert", "1 alert"}) {
			t.Fatalf("want both reports posted, got %v", got)
		}
		second.accept(t, al) // Alertmanager repeats
		second.accept(t, resolved(al, time.Now()))
		time.Sleep(10 * time.Second)
		second.stop()
		third := newBench(t, store, nil)
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		if got := third.notifier.told(); !slices.Equal(got, []string{"2 recovered"}) {
			t.Errorf("want the recovery told after the restart, got %v", got)
		}
		if n := len(store.all()); n != 2 {
			t.Errorf("incidents: want 2, got %d", n)
		}
	})
}

// One receiver that hangs or limits does not keep another waiting, and reports of one incident go out in order.
func TestReceiversAreIndependentAndInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := &fakeNotifier{hang: true}
		b := newBench(t, newFakeStore(), func(o *Options) {
			o.Receivers["oncall"] = append(o.Receivers["oncall"], outbox.Integration{Name: "slow", Notifier: slow})
			o.Receivers["oncall"][0].Rate, o.Receivers["oncall"][0].Burst = 1, 1
		})
		for _, s := range []string{"a", "b", "c", "d", "e"} {
			b.accept(t, alert(s, time.Now()))
		}
		synctest.Wait()
		if got := len(b.notifier.got()); got != 1 {
			t.Errorf("at once: want 1 post under a rate of 1/s, got %d", got)
		}
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if got := len(b.notifier.got()); got != 5 {
			t.Errorf("after 10 s: want 5 posts, got %d", got)
		}
		b.triager.set(func(triage.Request) triage.Report { return noneReport() })
		time.Sleep(70 * time.Second)
		slow.setHang(false)
		time.Sleep(5 * time.Minute)
		synctest.Wait()
		last := map[string]int{}
		for _, p := range slow.got() {
			if p.Report.Number <= last[p.Incident.ID] {
				t.Errorf("incident %s: report %d after report %d", p.Incident.ID, p.Report.Number, last[p.Incident.ID])
			}
			last[p.Incident.ID] = p.Report.Number
		}
		if len(last) != 5 {
			t.Errorf("want the slow receiver to get all 5 incidents in the end, got %d", len(last))
		}
	})
}

func TestShadowRecordsOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var seen []Whisper
		b := newBench(t, newFakeStore(), func(o *Options) {
			o.Route.Mode = ""
			o.Shadow = func(w Whisper) { seen = append(seen, w) }
		})
		b.accept(t, alert("checkout", time.Now()))
		time.Sleep(time.Minute)
		synctest.Wait()
		if got := b.store.states(); got[triage.DeliveryShadow] != 1 || len(got) != 1 {
			t.Errorf("want one shadow delivery, got %v", got)
		}
		if got := b.notifier.told(); len(got) != 0 {
			t.Errorf("want nothing posted, got %v", got)
		}
		// Whoever watches the console sees at once what would have been posted, and where.
		if len(seen) != 1 || len(seen[0].Receivers) != 1 || seen[0].Receivers[0] != b.delivery(t).Receiver || !strings.Contains(seen[0].Card.Text(), "checkout") {
			t.Errorf("want the card and its receiver shown once, got %+v", seen)
		}
		if err := b.Resend(t.Context(), b.delivery(t).ID); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if got := b.notifier.told(); len(got) != 1 {
			t.Errorf("want it posted when asked for, got %v", got)
		}
	})
}

func TestReload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, newFakeStore(), nil)
		b.notifier.answer(func(int, outbox.Notification) error {
			return &outbox.DeliveryError{Reason: outbox.ReasonServerError, Retryable: true, Err: errors.New("status 500")}
		})
		b.accept(t, alert("checkout", time.Now()))
		synctest.Wait()
		if err := b.Reconfigure(RouteConfig{Receiver: "gone"}, outbox.Receivers{}); err == nil {
			t.Error("want an error for a route to an unknown receiver")
		}
		other := &fakeNotifier{}
		if err := b.Reconfigure(RouteConfig{Receiver: "new", Mode: ModeLive}, outbox.Receivers{"new": {{Name: "it", Notifier: other}}}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Second)
		synctest.Wait()
		if d := b.delivery(t); d.State != triage.DeliveryDead || !strings.Contains(d.LastError, "not in the configuration") {
			t.Errorf("want a dead letter that says why, got %s: %s", d.State, d.LastError)
		}
		b.accept(t, alert("search", time.Now()))
		synctest.Wait()
		if got := other.told(); len(got) != 1 {
			t.Errorf("want new incidents at the new receiver, got %v", got)
		}
	})
}

func TestSubscribe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, newFakeStore(), nil)
		fast, stopFast := b.Subscribe(16)
		_, stopSlow := b.Subscribe(1)
		defer stopSlow()
		b.accept(t, alert("checkout", time.Now()))
		synctest.Wait()
		stopFast()
		stopFast()
		var reports int
		for u := range fast {
			if u.Report != nil {
				reports++
			}
		}
		if reports != 1 {
			t.Errorf("reports: want 1, got %d", reports)
		}
		if got := testutil.ToFloat64(b.metrics.updatesLost); got != 1 {
			t.Errorf("lost: want 1, got %v", got)
		}
	})
}

func TestStatusError(t *testing.T) {
	now := time.Date(2026, 3, 1, 3, 0, 0, 0, time.UTC)
	for v, want := range map[string]time.Duration{"": 0, "5": 5 * time.Second, "-1": 0, "x": 0, "1e9": 24 * time.Hour, "Sun, 01 Mar 2026 03:01:00 GMT": time.Minute, "Sun, 01 Mar 2026 02:01:00 GMT": 0} {
		if got := outbox.RetryAfter(http.Header{"Retry-After": {v}}, now); got != want {
			t.Errorf("Retry-After %q: want %s, got %s", v, want, got)
		}
	}
}

func TestMetricsAreNamedAsDocumented(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, newFakeStore(), nil)
		b.accept(t, alert("checkout", time.Now()))
		synctest.Wait()
		want := map[string]string{
			"triaged_incidents": `
# HELP triaged_incidents Incidents not closed, by state.
# TYPE triaged_incidents gauge
triaged_incidents{state="mitigating"} 0
triaged_incidents{state="open"} 1
triaged_incidents{state="recovered"} 0
`,
			"triaged_notifications_total": `
# HELP triaged_notifications_total Attempts to post a report.
# TYPE triaged_notifications_total counter
triaged_notifications_total{receiver="oncall/it"} 1
`,
		}
		for name, text := range want {
			if err := testutil.GatherAndCompare(b.registry, strings.NewReader(text), name); err != nil {
				t.Error(err)
			}
		}
		if problems, err := testutil.GatherAndLint(b.registry); err != nil || len(problems) > 0 {
			t.Errorf("promlint: %v %v", problems, err)
		}
		families, err := b.registry.Gather()
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, f := range families {
			names = append(names, f.GetName())
		}
		for _, n := range []string{"triaged_alerts_received_total", "triaged_triage_duration_seconds", "triaged_triage_queue_length", "triaged_triage_queue_overflow_total", "triaged_notifications_failed_total", "triaged_notification_latency_seconds", "triaged_outbox_pending"} {
			if !slices.Contains(names, n) {
				t.Errorf("metric %s is missing", n)
			}
		}
	})
}

// Once an attempt may have arrived, that stays so until one is known to have: looking for it may fail, too, and then the next attempt
// has to look again instead of posting anew.
func TestUncertaintyOutlastsAFailedLook(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, newFakeStore(), func(o *Options) { o.Config.SecondLooks = nil })
		b.notifier.answer(func(n int, _ outbox.Notification) error {
			switch n {
			case 1:
				return &outbox.DeliveryError{Reason: outbox.ReasonDeadline, Retryable: true, Uncertain: true, Err: errors.New("no answer")}
			case 2:
				return &outbox.DeliveryError{Reason: outbox.ReasonRateLimited, Retryable: true, Err: errors.New("look for an earlier message: too many requests")}
			}
			return nil
		})
		b.accept(t, alert("checkout", time.Now()))
		time.Sleep(10 * time.Second)
		synctest.Wait()
		got := b.notifier.got()
		if len(got) != 3 {
			t.Fatalf("want 3 attempts, got %d", len(got))
		}
		for i, want := range []bool{false, true, true} {
			if got[i].Uncertain != want {
				t.Errorf("attempt %d: want uncertain %t, got %t", i+1, want, got[i].Uncertain)
			}
		}
	})
}
