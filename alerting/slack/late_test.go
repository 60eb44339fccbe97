package slack

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/triaged-dev/triaged/alerting/notifytest"
	"github.com/triaged-dev/triaged/alerting/outbox"
)

// A Slack that carries out posts long after we gave them up ends with one visible message: an attempt waits a little for the one before
// it to appear, and what appears later is deleted.
func TestSlackThatCommitsLate(t *testing.T) {
	for _, late := range []time.Duration{1500 * time.Millisecond, 9 * time.Second, 12 * time.Second, 35 * time.Second, 50 * time.Second} {
		t.Run(late.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := &fakeSlack{t: t, late: late}
				cfg := DefaultConfig()
				cfg.Token, cfg.Channel = "xoxb-"+notifytest.Secret, fakeChannel
				n, err := New(Options{Config: cfg, Transport: f})
				if err != nil {
					t.Fatal(err)
				}
				nt := next(1, true, false)
				var receipt outbox.Receipt
				for attempt := 0; ; attempt++ {
					if attempt > 20 {
						t.Fatal("never delivered")
					}
					ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
					receipt, err = n.Notify(ctx, nt)
					cancel()
					if err == nil {
						break
					}
					de, isDE := errors.AsType[*outbox.DeliveryError](err)
					if !isDE || !de.Retryable {
						t.Fatalf("attempt %d: %v", attempt, err)
					}
					nt.Uncertain = nt.Uncertain || de.Uncertain
					time.Sleep(time.Second << min(attempt, 5))
				}
				nt.Delivery.RemoteID = receipt.RemoteID
				began := time.Now()
				for _, after := range []time.Duration{15 * time.Second, time.Minute, 5 * time.Minute} {
					time.Sleep(after - time.Since(began))
					if _, err := n.Tidy(t.Context(), outbox.Notification{Delivery: nt.Delivery}); err != nil {
						t.Errorf("tidy: %v", err)
					}
				}
				synctest.Wait()
				f.mu.Lock()
				defer f.mu.Unlock()
				if len(f.messages) != 1 || fakeChannel+"/"+f.messages[0].TS != receipt.RemoteID {
					t.Errorf("want the recorded message alone, got %d: %+v (recorded %s)", len(f.messages), f.messages, receipt.RemoteID)
				}
			})
		})
	}
}

// Replies that came twice lose all but the first; the message they answer stays.
func TestTidyReplies(t *testing.T) {
	f := &fakeSlack{t: t}
	n := newBot(t, f)
	r, err := n.Notify(t.Context(), next(1, true, false))
	if err != nil {
		t.Fatal(err)
	}
	second := next(2, true, false)
	second.Earlier = nil
	first := next(1, true, false).Delivery
	first.RemoteID = r.RemoteID
	second.Earlier = append(second.Earlier, first)
	for range 3 { // as if each had been given up and carried out all the same
		if _, err := n.Notify(t.Context(), second); err != nil {
			t.Fatal(err)
		}
	}
	second.Delivery.RemoteID = r.RemoteID
	removed, err := n.(outbox.Tidier).Tidy(t.Context(), outbox.Notification{Delivery: second.Delivery})
	if err != nil || removed != 2 || len(f.messages) != 2 {
		t.Errorf("want two replies removed, got %d, %v: %+v", removed, err, f.messages)
	}
}

// A token that has expired may have been rotated by the next attempt, which reads the file anew.
func TestExpiredTokenIsTriedAgain(t *testing.T) {
	n := newBot(t, &fakeSlack{t: t, fail: onceSaying("token_expired")})
	_, err := n.Notify(t.Context(), next(1, true, false))
	if de, isDE := errors.AsType[*outbox.DeliveryError](err); !isDE || !de.Retryable || de.Reason != outbox.ReasonAuthError {
		t.Fatalf("want it tried again, got %v", err)
	}
	if _, err := n.Notify(t.Context(), next(1, true, false)); err != nil {
		t.Errorf("second attempt: %v", err)
	}
}
