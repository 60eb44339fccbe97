package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/triaged-dev/triaged/sources/kafka"
	"github.com/triaged-dev/triaged/triage"
)

// chaos gives one daemon peers that misbehave, one way at a time, then more than it can take, then a long steady load.
func chaos(ctx context.Context, o options) error {
	fmt.Fprintf(o.out, "load %s\n", load())
	var bad error
	for _, part := range []func(context.Context, options) error{peersMisbehave, overload, slowloris, soak} {
		if err := part(ctx, o); err != nil {
			fmt.Fprintf(o.out, "FAIL  %v\n", err)
			bad = errors.Join(bad, err)
		}
	}
	return bad
}

// town is a daemon with every kind of peer, each of which can be made to misbehave.
type town struct {
	d          *daemon
	broker     *broker
	writer     *kafka.Writer
	slack      *fakeSlack
	liar       *liar
	peers      map[string]*unruly
	n          int
	closers    []func()
	alerts     []string
	kafkaIDs   []triage.ChangeID
	lastReport time.Duration
}

func newTown(ctx context.Context, o options) (*town, error) {
	t := &town{peers: make(map[string]*unruly), slack: newFakeSlack(), liar: &liar{}}
	t.closers = append(t.closers, t.slack.server.Close)
	t.slack.server.CloseClientConnections()
	urls := make(map[string]string)
	for name, h := range map[string]http.Handler{
		"prometheus": t.liar, "slack": http.HandlerFunc(t.slack.serve),
		"github": http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			_, _ = w.Write([]byte("[]"))
		}),
	} {
		u, err := newUnruly("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		s := httptest.NewUnstartedServer(h)
		_ = s.Listener.Close()
		s.Listener = u
		s.Start()
		t.peers[name], urls[name] = u, s.URL
		t.closers = append(t.closers, func() { u.set(wellBehaved); s.CloseClientConnections(); s.Close() })
	}
	var err error
	t.broker, err = newBroker(2, kfake.ListenFn(func(network, address string) (net.Listener, error) {
		u, err := newUnruly(network, address)
		t.peers["kafka"] = u
		return u, err
	}))
	if err != nil {
		return nil, err
	}
	t.closers = append(t.closers, func() { t.peers["kafka"].set(wellBehaved); t.broker.cluster.Close() })
	if t.writer, err = kafka.NewWriter(t.broker.config("writer")); err != nil {
		return nil, err
	}
	t.closers = append(t.closers, func() { _ = t.writer.Close() })
	dir, err := os.MkdirTemp("", "proof")
	if err != nil {
		return nil, err
	}
	t.closers = append(t.closers, func() { _ = os.RemoveAll(dir) })
	t.d, err = newDaemon(o.binary, dir, slackConfig(urls["slack"])+fmt.Sprintf(`
topology: {calls: {service-0000: [service-0001, service-0002], service-0001: [service-0003]}}
correlate: {deadline: 2s}
sources:
  prometheus: [{name: prometheus, url: %q, timeout: 1s, max_response_bytes: 1048576, breaker: {failures: 5, open: 1s}}]
  kafka: [{name: changes, brokers: [%q], topics: [{topic: changes, format: triaged}], start: earliest, check_interval: 500ms}]
  github: [{name: github, api_url: %q, token: ghp_proof0123456789, poll_interval: 5s, repositories: [{name: acme/shop, service: shop, environment: production}]}]
window: {ready_wait: 1s}
`, urls["prometheus"], t.broker.cluster.ListenAddrs()[0], urls["github"]))
	if err != nil {
		return nil, err
	}
	t.closers = append(t.closers, t.d.close)
	_, err = t.d.startReady(ctx, 15*time.Second)
	return t, err
}

func (t *town) close() {
	for _, v := range slices.Backward(t.closers) {
		v()
	}
}

// exercise sends a change and an alert while a peer misbehaves, and wants the answer and the report in time.
func (t *town) exercise(ctx context.Context) error {
	t.n++
	began := time.Now()
	if err := t.d.post(ctx, "/api/v1/changes", makeChange(fmt.Sprintf("chaos:%d", t.n), t.n%4, began, 512)); err != nil {
		return fmt.Errorf("a push failed: %w", err)
	}
	if d := time.Since(began); d > 2*time.Second {
		return fmt.Errorf("a push took %s", d)
	}
	name := fmt.Sprintf("Chaos%d", t.n)
	began = time.Now()
	if err := t.d.post(ctx, "/api/v1/alerts", webhook(name, fmt.Sprintf("chaos-%d", t.n), began, name)); err != nil {
		return fmt.Errorf("an alert was not taken: %w", err)
	}
	t.alerts = append(t.alerts, name)
	if d := time.Since(began); d > 2*time.Second {
		return fmt.Errorf("taking an alert took %s", d)
	}
	err := t.d.await(ctx, 10*time.Second, func() error {
		var page struct{ Items []triage.Incident }
		if err := t.d.get(ctx, fmt.Sprintf("/api/v1/incidents?service=chaos-%d", t.n), &page); err != nil {
			return err
		}
		if len(page.Items) == 0 || page.Items[0].Reports == 0 {
			return errors.New("no report")
		}
		return nil
	})
	t.lastReport = time.Since(began)
	return err
}

// afterwards wants everything that waited to arrive once the peer behaves again.
func (t *town) afterwards(ctx context.Context) error {
	c := makeChange(fmt.Sprintf("chaos-kafka:%d", t.n), t.n%4, time.Now(), 512)
	write, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	if err := t.writer.WriteEvents(write, t.broker.topic, triage.Event{Change: &c}); err != nil {
		return err
	}
	t.kafkaIDs = append(t.kafkaIDs, c.ID)
	return t.d.await(ctx, 40*time.Second, func() error {
		if err := t.d.get(ctx, "/api/v1/changes/"+string(c.ID), nil); err != nil {
			return fmt.Errorf("kafka: %w", err)
		}
		if _, visible, _ := t.slack.doubles(); len(visible) < len(t.alerts) {
			return fmt.Errorf("slack: %d of %d messages", len(visible), len(t.alerts))
		}
		return t.d.get(ctx, "/-/ready", nil)
	})
}

// peersMisbehave tries every fault on every peer.
func peersMisbehave(ctx context.Context, o options) error {
	t, err := newTown(ctx, o)
	if err != nil {
		return err
	}
	defer t.close()
	hold := 8 * time.Second
	if o.short {
		hold = 1500 * time.Millisecond
	}
	var bad error
	tryOne := func(peer, how string, begin, end func()) {
		if ctx.Err() != nil {
			return
		}
		begin()
		pause(ctx, hold/4)
		err := t.exercise(ctx)
		report := t.lastReport
		pause(ctx, hold)
		end()
		back := time.Now()
		if err == nil {
			err = t.afterwards(ctx)
		}
		if err == nil {
			if doubled, _, _ := t.slack.doubles(); len(doubled) > 0 {
				err = fmt.Errorf("visible twice: %v", doubled)
			}
		}
		if err != nil {
			err = fmt.Errorf("%s %s: %w", peer, how, err)
			fmt.Fprintf(o.out, "FAIL  %v\n", err)
			bad = errors.Join(bad, err)
			return
		}
		fmt.Fprintf(o.out, "ok    %-11s %-11s report after %s; all there %s after it ended\n", peer, how, report.Round(time.Millisecond), time.Since(back).Round(time.Millisecond))
	}
	faults := []fault{slow, hung, resets, flaps}
	peers := []string{"prometheus", "kafka", "slack", "github"}
	if o.short {
		faults = []fault{hung, resets}
	}
	for _, peer := range peers {
		for _, f := range faults {
			tryOne(peer, string(f), func() { t.peers[peer].set(f) }, func() { t.peers[peer].set(wellBehaved) })
		}
	}
	some := lies
	if o.short {
		some = lies[:3]
	}
	for _, lie := range some {
		tryOne("prometheus", lie, func() { t.liar.lie.Store(lie) }, func() { t.liar.lie.Store("") })
	}
	var calls atomic.Int64
	tryOne("slack", "429", func() {
		t.slack.set(func(s *fakeSlack) {
			s.refuse = func(int) (int, string) { calls.Add(1); return http.StatusTooManyRequests, "1" }
		})
	}, func() { t.slack.set(func(s *fakeSlack) { s.refuse = nil }) })
	tryOne("slack", "500", func() {
		t.slack.set(func(s *fakeSlack) {
			s.refuse = func(int) (int, string) { return http.StatusInternalServerError, "" }
		})
	}, func() { t.slack.set(func(s *fakeSlack) { s.refuse = nil }) })
	// A clock that jumps: changes from the far future and the far past are taken, and disturb nothing.
	tryOne("senders", "clock jumps", func() {
		for i, at := range []time.Time{time.Now().AddDate(5, 0, 0), time.Now().AddDate(-30, 0, 0), time.Unix(1, 0)} {
			c := makeChange(fmt.Sprintf("jump:%d:%d", t.n, i), 1, at, 512)
			c.ObservedAt = time.Time{}
			if err := t.d.post(ctx, "/api/v1/changes", c); err != nil {
				if _, refused := errors.AsType[*statusError](err); !refused {
					bad = errors.Join(bad, err)
				}
			}
		}
	}, func() {})
	doubled, visible, _ := t.slack.doubles()
	fmt.Fprintf(o.out, "%d alerts sent while peers misbehaved, %d messages, %d twice\n", len(t.alerts), len(visible), len(doubled))
	return bad
}
