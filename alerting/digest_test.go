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
	digests []Digest
}

func (n *digestNotifier) Digest(_ context.Context, d Digest) (Receipt, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.refuse > 0 {
		n.refuse--
		return Receipt{}, &DeliveryError{Reason: ReasonServerError, Retryable: true, Err: errors.New("status 503")}
	}
	n.digests = append(n.digests, d)
	return Receipt{}, nil
}

func (n *digestNotifier) got() []Digest {
	n.mu.Lock()
	defer n.mu.Unlock()
	return append([]Digest(nil), n.digests...)
}

// What shadow mode kept back is told once a day to the receiver of the digest, and nothing else is posted.
func TestDigest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, state, to := newFakeStore(), &fakeState{}, &digestNotifier{refuse: 2}
		tune := func(o *Options) {
			o.State = state
			o.Config.Digest = DigestConfig{Receiver: "team", Every: model.Duration(24 * time.Hour), At: "08:00"}
			o.Route = RouteConfig{Receiver: "oncall", Mode: ModeShadow}
			o.Receivers["team"] = []Integration{{Name: "chat", Notifier: to}}
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

func TestDigestPeriods(t *testing.T) {
	at := func(s string) time.Time {
		v, err := time.Parse("2 15:04", s)
		if err != nil {
			t.Fatal(err)
		}
		return v.AddDate(2026, 0, 0)
	}
	day := DigestConfig{Every: model.Duration(24 * time.Hour), At: "08:00"}
	for from, want := range map[string]string{"3 07:59": "3 08:00", "3 08:00": "4 08:00", "3 23:00": "4 08:00"} {
		if got := day.after(at(from)); !got.Equal(at(want)) {
			t.Errorf("after %s: want %s, got %s", from, want, got)
		}
	}
}

func TestDigestNeedsAReceiverThatCan(t *testing.T) {
	for name, tc := range map[string]struct {
		receiver, want string
	}{
		"unknown": {"nobody", "is not defined under receivers"},
		"cannot":  {"oncall", "can post no digest"},
	} {
		t.Run(name, func(t *testing.T) {
			o := Options{Config: DefaultConfig(), Store: newFakeStore(), Triager: &fakeTriager{}, Receivers: Receivers{"oncall": {{Name: "it", Notifier: &fakeNotifier{}}}}}
			o.Config.Digest.Receiver = tc.receiver
			if _, err := New(o); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("want %q, got %v", tc.want, err)
			}
		})
	}
}
