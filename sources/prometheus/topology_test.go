package prometheus

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// A graph that could not be read the first time is tried like the metrics are, not after its whole interval; part of one is used
// meanwhile, but never replaces a whole one.
func TestTopologyIsTriedUntilItIsThere(t *testing.T) {
	needPeer(t, "prometheus")
	rec, _ := edgeWorld(time.Now())
	base := startPrometheus(t, rec, edgeConf, nil)
	var failing atomic.Pointer[string] // queries that speak of it fail; "": none
	fail := func(what string) { failing.Store(&what) }
	fail("sum by")
	s := newSource(t, base, edgeDirectory, func(o *Options) {
		o.Config.QueriesPerMinute, o.Config.Breaker.Failures, o.Config.Cache.MaxBytes = 6000, 1000, 0
		o.Transport = roundTrip(func(r *http.Request) (*http.Response, error) {
			if r.Body != nil {
				body, err := io.ReadAll(r.Body)
				if err != nil {
					return nil, err
				}
				form, _ := url.ParseQuery(string(body))
				if what := *failing.Load(); what != "" && strings.Contains(form.Get("query"), what) {
					return nil, errors.New("connection reset")
				}
				r.Body = io.NopCloser(bytes.NewReader(body))
			}
			return http.DefaultTransport.RoundTrip(r)
		})
	})
	usual := time.Duration(s.cfg.Topology.Interval)
	read := func(wantErr bool, interval time.Duration) int {
		t.Helper()
		if err := s.refreshTopology(t.Context()); (err != nil) != wantErr {
			t.Fatalf("want an error %v, got %v", wantErr, err)
		}
		if got := s.topologyInterval(); got != interval {
			t.Errorf("want the next look after %s, got %s", interval, got)
		}
		return len(s.Topology().Edges())
	}
	if n := read(true, firstFresh); n != 3 { // what is seen by being there needs no such query
		t.Errorf("want the pools' edges, got %d", n)
	}
	fail("db_client")
	part := read(true, firstFresh)
	fail("")
	whole := read(false, usual)
	if part < 5 || whole <= part {
		t.Errorf("want a part and then the whole, got %d and %d edges", part, whole)
	}
	fail("sum by")
	if n := read(true, usual); n != whole {
		t.Errorf("want the whole graph kept, got %d of %d edges", n, whole)
	}
}

// The interval is asked for after each call, and counts from its beginning.
func TestEvery(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSource(t, "http://p.example", nil, func(o *Options) { o.Config.Cache.MaxBytes = 0 })
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		began, calls := time.Now(), []time.Duration(nil)
		go s.every(ctx, func() time.Duration {
			if len(calls) < 3 {
				return 30 * time.Second
			}
			return 5 * time.Minute
		}, func(context.Context) error {
			calls = append(calls, time.Since(began))
			time.Sleep(10 * time.Second)
			return nil
		})
		time.Sleep(7 * time.Minute)
		cancel()
		synctest.Wait()
		want := []time.Duration{0, 30 * time.Second, time.Minute, 6 * time.Minute}
		if len(calls) != len(want) {
			t.Fatalf("want calls at %v, got %v", want, calls)
		}
		for i := range want {
			if calls[i] != want[i] {
				t.Errorf("want calls at %v, got %v", want, calls)
				break
			}
		}
		s.Close()
	})
}
