package alerting

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/triaged-dev/triaged/triage"
)

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
		if got := b.out.Pending(); got != 0 {
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
		saves := b.store.writes()
		for range 20 {
			b.accept(t, al)
		}
		synctest.Wait()
		if got := b.store.writes(); got != saves {
			t.Errorf("writes: want %d, got %d", saves, got)
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
