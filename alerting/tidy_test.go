package alerting

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/triaged-dev/triaged/alerting/outbox"
)

// A delivery that took more than one uncertain attempt is looked at again three times, over a restart too; one that did not is not.
func TestSurplusIsLookedFor(t *testing.T) {
	for name, uncertain := range map[string]bool{"uncertain": true, "certain": false} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store := newFakeStore()
				n := &tidyNotifier{}
				n.recheck = true
				n.answer(func(call int, _ outbox.Notification) error {
					if call == 1 {
						return &outbox.DeliveryError{Reason: outbox.ReasonDeadline, Retryable: true, Uncertain: uncertain, Err: errors.New("no answer in time")}
					}
					return nil
				})
				with := func(o *Options) {
					o.Config.SecondLooks = nil
					o.Receivers["oncall"][0].Notifier = n
				}
				first := newBench(t, store, with)
				first.accept(t, alert("checkout", time.Now()))
				time.Sleep(30 * time.Second)
				synctest.Wait()
				if d := first.delivery(t); d.Uncertain != uncertain || d.DeliveredAt.IsZero() {
					t.Fatalf("want it delivered, and noted as uncertain: %v, got %+v", uncertain, d)
				}
				first.stop()
				second := newBench(t, store, with)
				time.Sleep(6 * time.Minute)
				synctest.Wait()
				n.mu.Lock()
				tidied := len(n.tidied)
				n.mu.Unlock()
				if want := map[bool]int{true: 1 + 3, false: 0}[uncertain]; tidied != want { // the restart begins anew: once more does no harm
					t.Errorf("want %d looks, got %d", want, tidied)
				}
				if d := second.delivery(t); d.Uncertain {
					t.Errorf("want it settled, got %+v", d)
				}
				if got := second.value(t, "triaged_notifications_surplus_removed_total"); uncertain != (got > 0) {
					t.Errorf("counted: %v", got)
				}
			})
		})
	}
}
