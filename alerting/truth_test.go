package alerting

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/triaged-dev/triaged/alerting/digest"
	"github.com/triaged-dev/triaged/alerting/outbox"
	"github.com/triaged-dev/triaged/triage"
)

// A shadow installation in which nobody labels anything learns every week what became of what was said: here the advice was
// followed and verified, and the symptom of another incident went away while its suspect stayed in place.
func TestWeeklyTruth(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		to, reg := &digestNotifier{}, prometheus.NewRegistry()
		m := &fakeVerifier{back: 6}
		b := newBench(t, newFakeStore(), func(o *Options) {
			o.State, o.Verifier, o.Labels, o.Registerer = &fakeState{}, m, &fakeLabels{}, reg
			o.Topology = fakeTopology{triage.NewTopology([]triage.Edge{{From: "checkout", To: "pricing"}})}
			o.Config.SecondLooks = nil
			o.Config.Truth = digest.DefaultTruthConfig()
			o.Config.Truth.Receiver = "team"
			o.Route = RouteConfig{Receiver: "oncall", Mode: ModeShadow}
			o.Receivers["team"] = []outbox.Integration{{Name: "chat", Notifier: to}}
		})
		b.triager.set(onsetReport)
		time.Sleep(2 * time.Minute)
		al := alert("checkout", time.Now())
		b.accept(t, al)
		time.Sleep(3 * time.Minute)
		b.OnEvent(undoEvent(time.Now(), "ld#1"))
		time.Sleep(2 * time.Minute)
		b.accept(t, resolved(al, time.Now()))
		time.Sleep(2 * time.Hour)
		other := alert("search", time.Now())
		b.accept(t, other)
		time.Sleep(10 * time.Minute)
		b.accept(t, resolved(other, time.Now()))
		time.Sleep(7 * 24 * time.Hour)
		synctest.Wait()
		got := to.got()
		if len(got) != 1 {
			t.Fatalf("want one message in the week, got %d", len(got))
		}
		l := got[0].Truth
		if l == nil || l.Known != 2 || l.ByBasis[triage.BasisVerified] != 1 || l.ByBasis[triage.BasisByItself] != 1 {
			t.Fatalf("got %+v", l)
		}
		text := got[0].Text()
		for _, want := range []string{
			"What was said against what became of it", "2 incidents, 2 of which ended in a way that tells", "false blame 27 % (", "worth 1.1 labels", "wrong undo", "by service · checkout: false blame 0 % (", "missed –",
		} {
			if !strings.Contains(text, want) {
				t.Errorf("want %q in\n%s", want, text)
			}
		}
		if err := testutil.GatherAndCompare(reg, strings.NewReader(`
# HELP triaged_judged_wrong_total Of triaged_judged_total, what turned out wrong: false blame, wrong undo, missed.
# TYPE triaged_judged_wrong_total counter
triaged_judged_wrong_total{what="false_blame"} 0.3
triaged_judged_wrong_total{what="missed"} 0
triaged_judged_wrong_total{what="wrong_undo"} 0.3
`), "triaged_judged_wrong_total"); err != nil {
			t.Error(err)
		}
	})
}
