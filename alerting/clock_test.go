package alerting

import (
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/triaged-dev/triaged/alerting/outbox"
)

// The wall clock is stepped by hours, back or forward, between a failed post and its next attempt, and once more before the next
// alert: each incident is posted once, within the pauses that were meant.
func TestClockSteps(t *testing.T) {
	for name, step := range map[string]time.Duration{"back": -3 * time.Hour, "forward": 3 * time.Hour} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var offset atomic.Int64
				now := func() time.Time { return time.Now().Add(time.Duration(offset.Load())) }
				b := newBench(t, newFakeStore(), func(o *Options) {
					o.Config.SecondLooks = nil
					o.Now = now
				})
				b.notifier.answer(func(n int, _ outbox.Notification) error {
					if n == 1 {
						return errors.New("not now")
					}
					return nil
				})
				b.accept(t, alert("checkout", now()))
				synctest.Wait()
				if n := len(b.notifier.got()); n != 1 {
					t.Fatalf("want the first attempt, got %d", n)
				}
				offset.Store(int64(step))
				time.Sleep(time.Minute)
				synctest.Wait()
				if n := len(b.notifier.got()); n != 2 {
					t.Errorf("a minute after the clock was stepped: want the second attempt, got %d", n)
				}
				offset.Store(0)
				b.accept(t, alert("search", now()))
				time.Sleep(time.Minute)
				synctest.Wait()
				if n := len(b.notifier.got()); n != 3 {
					t.Errorf("the alert after the clock came back: want a third post, got %d in all", n)
				}
			})
		})
	}
}

// A daemon that starts after its clock was set back does not wait for times that only the other clock knew.
func TestClockStepsWhileDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newFakeStore()
		first := newBench(t, store, func(o *Options) {
			o.Config.SecondLooks = nil
			o.Now = func() time.Time { return time.Now().Add(3 * time.Hour) }
		})
		first.notifier.answer(func(int, outbox.Notification) error { return errors.New("not now") })
		first.accept(t, alert("checkout", time.Now()))
		synctest.Wait()
		first.stop()
		second := newBench(t, store, func(o *Options) { o.Config.SecondLooks = nil })
		time.Sleep(time.Minute)
		synctest.Wait()
		if n := len(second.notifier.got()); n != 1 {
			t.Errorf("want the post within a minute of the start, got %d", n)
		}
	})
}
