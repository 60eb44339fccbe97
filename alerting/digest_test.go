package alerting

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/common/model"

	"github.com/triaged-dev/triaged/alerting/digest"
	"github.com/triaged-dev/triaged/alerting/outbox"
)

// fakeState keeps values in a map; it survives the Alerting on it.
type fakeState struct {
	mu     sync.Mutex
	values map[string][]byte
}

func (s *fakeState) State(_ context.Context, key string) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.values[key], nil
}

func (s *fakeState) SetState(_ context.Context, key string, value []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.values == nil {
		s.values = make(map[string][]byte)
	}
	s.values[key] = value
	return nil
}

// digestNotifier takes digests, after refusing the first few.
type digestNotifier struct {
	fakeNotifier
	mu      sync.Mutex
	refuse  int
	digests []digest.Digest
}

func (n *digestNotifier) Digest(_ context.Context, d digest.Digest) (outbox.Receipt, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.refuse > 0 {
		n.refuse--
		return outbox.Receipt{}, &outbox.DeliveryError{Reason: outbox.ReasonServerError, Retryable: true, Err: errors.New("status 503")}
	}
	n.digests = append(n.digests, d)
	return outbox.Receipt{}, nil
}

func (n *digestNotifier) got() []digest.Digest {
	n.mu.Lock()
	defer n.mu.Unlock()
	return append([]digest.Digest(nil), n.digests...)
}

// What shadow mode kept back is told once a day to the receiver of the digest, and nothing else is posted.
func TestDigest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, state, to := newFakeStore(), &fakeState{}, &digestNotifier{refuse: 2}
		tune := func(o *Options) {
			o.State = state
			o.Config.Digest = digest.Config{Receiver: "team", Every: model.Duration(24 * time.Hour), At: "08:00"}
			o.Route = RouteConfig{Receiver: "oncall", Mode: ModeShadow}
			o.Receivers["team"] = []outbox.Integration{{Name: "chat", Notifier: to}}
		}
		b := newBench(t, store, tune)
		b.accept(t, alert("checkout", time.Now()), alert("search", time.Now()))
		time.Sleep(7*time.Hour + 59*time.Minute) // the bubble begins at midnight
		if got := to.got(); len(got) != 0 {
			t.Fatalf("told before its time: %+v", got)
		}
		time.Sleep(10 * time.Minute) // refused twice, then taken
		got := to.got()
		if len(got) != 1 || len(got[0].Incidents) != 2 || got[0].Posts != 2 {
			t.Fatalf("want one digest of two incidents, got %+v", got)
		}
		text := got[0].Text()
		for _, want := range []string{"2 posts about 2 incidents", "LIKELY: flag new-pricing", "would have told oncall/it", "mode: live"} {
			if !strings.Contains(text, want) {
				t.Errorf("want %q in the digest, got\n%s", want, text)
			}
		}
		if posts := b.notifier.got(); len(posts) != 0 {
			t.Errorf("shadow mode posted %d times", len(posts))
		}
		b.stop()

		// Not running at the end of a period: told at the next start, and what was told is not told again.
		time.Sleep(26 * time.Hour)
		b = newBench(t, store, tune)
		b.accept(t, alert("cart", time.Now()))
		time.Sleep(time.Minute)
		if got := to.got(); len(got) != 1 {
			t.Fatalf("nothing was kept back since; want no digest, got %+v", got[1:])
		}
		time.Sleep(24 * time.Hour)
		got = to.got()
		if len(got) != 2 || len(got[1].Incidents) != 1 || !strings.Contains(got[1].Text(), "1 post about 1 incident") {
			t.Errorf("want a second digest of one incident, got %+v", got[1:])
		}
	})
}

func TestDigestNeedsAReceiverThatCan(t *testing.T) {
	for name, tc := range map[string]struct {
		receiver, want string
	}{
		"unknown": {"nobody", "is not defined under receivers"},
		"cannot":  {"oncall", "can post no digest"},
	} {
		t.Run(name, func(t *testing.T) {
			o := Options{Config: DefaultConfig(), Store: newFakeStore(), Triager: &fakeTriager{}, Receivers: outbox.Receivers{"oncall": {{Name: "it", Notifier: &fakeNotifier{}}}}}
			o.Config.Digest.Receiver = tc.receiver
			if _, err := New(o); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("want %q, got %v", tc.want, err)
			}
		})
	}
}
