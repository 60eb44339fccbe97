package alerting

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/triaged-dev/triaged/triage"
)

// While a route is muted its reports are recorded and say why; the first one after that is posted as the first, and whoever was told
// nothing is not told that it is over.
func TestMuteTimes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // a bubble begins on Saturday, 2000-01-01, at midnight
		var route RouteConfig
		if err := decodeYAML("receiver: oncall\nmode: live\nroutes:\n  - {matchers: ['tier=\"3\"'], mute_times: [{times: [{start_time: '00:00', end_time: '00:05'}]}]}\n", &route); err != nil {
			t.Fatal(err)
		}
		b := newBench(t, newFakeStore(), func(o *Options) { o.Route, o.Config.SecondLooks = route, nil })
		b.triager.set(func(triage.Request) triage.Report { return flagReport(.8) })
		b.accept(t, alert("checkout", time.Now(), "tier", "3"), alert("pricing", time.Now().Add(-time.Hour), "tier", "1"))
		time.Sleep(time.Minute)
		synctest.Wait()
		if got := len(b.notifier.got()); got != 1 {
			t.Fatalf("want the other incident posted and no more, got %d", got)
		}
		for _, inc := range b.store.all() {
			ds, err := b.out.Of(t.Context(), inc.ID)
			if want := map[string]string{"checkout": "mute_times", "pricing": ""}[inc.Service]; err != nil || len(ds) != 1 || ds[0].Muted != want {
				t.Errorf("%s: want muted %q, got %+v %v", inc.Service, want, ds, err)
			}
			if inc.Service != "checkout" {
				continue
			}
			time.Sleep(5 * time.Minute)
			if err := b.Reconsider(t.Context(), inc.ID, CauseSecondLook); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Minute)
			synctest.Wait()
		}
		if got := b.notifier.got(); len(got) != 2 || got[1].Incident.Service != "checkout" || got[1].Previous != nil {
			t.Errorf("want it posted as the first when the time is over, got %d", len(got))
		}
	})
}

// An incident is held back while what it follows from fires elsewhere, in the same place, and not otherwise.
func TestInhibit(t *testing.T) {
	const text = "receiver: oncall\nmode: live\ninhibit: [{matchers: ['severity=\"page\"', 'alertname=\"HighErrorRate\"'], while: ['alertname=\"ClusterDown\"'], equal: [cluster]}]\n"
	var route RouteConfig
	if err := decodeYAML(text, &route); err != nil {
		t.Fatal(err)
	}
	for cluster, want := range map[string]int{"eu1": 1, "us1": 2} {
		synctest.Test(t, func(t *testing.T) {
			b := newBench(t, newFakeStore(), func(o *Options) { o.Route, o.Config.SecondLooks, o.Config.JoinHops = route, nil, 0 })
			b.triager.set(func(triage.Request) triage.Report { return noneReport() })
			down := alert("platform", time.Now(), "cluster", "eu1", "alertname", "ClusterDown")
			b.accept(t, down)
			time.Sleep(time.Second)
			b.accept(t, alert("checkout", time.Now(), "cluster", cluster))
			time.Sleep(time.Minute)
			synctest.Wait()
			if got := len(b.notifier.got()); got != want {
				t.Errorf("%s: want %d posted, got %d", cluster, want, got)
			}
		})
	}
	known := func(string) bool { return true }
	for _, bad := range []string{"inhibit: [{matchers: ['a=b']}]", "routes: [{inhibit: [{matchers: ['a=b'], while: ['c=d']}]}]"} {
		var r RouteConfig
		if err := decodeYAML(bad, &r); err != nil {
			t.Fatal(err)
		}
		if err := r.Validate(known); err == nil || !strings.Contains(err.Error(), "inhibit[0]") {
			t.Errorf("%s: want it refused, got %v", bad, err)
		}
	}
}
