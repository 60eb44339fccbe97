package prometheus

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/triaged-dev/triaged/triage"
)

// Over the whole Source: a server that hangs costs the caller its deadline, not more, and Status says so.
func TestDeadServerIsReported(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }))
	t.Cleanup(srv.Close)
	s := newSource(t, srv.URL, nil, nil)
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	now := time.Now()
	a := triage.Alert{Labels: map[string]string{"alertname": "X"}, StartsAt: now, Expr: "up == 0"}
	sym, err := s.Symptom(ctx, a, now.Add(-time.Hour), now)
	if err == nil || sym.Expr != "up == 0" || sym.BadDirection != badLower {
		t.Errorf("what the alert itself says must not be lost: %v %+v", err, sym)
	}
	if _, err := s.Signals(ctx, triage.SignalQuery{Services: []string{"a"}, From: now.Add(-time.Hour), To: now}); err == nil {
		t.Error("want an error")
	}
	if st := s.Status(); st.State != triage.SourceDown || st.Detail != string(ReasonTimeout) {
		t.Errorf("status %+v", st)
	}
}

// A look at the conventions that hangs must not hold up a triage that comes meanwhile.
func TestHangingDiscoveryHoldsNobodyUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSource(t, "http://p.example", nil, func(o *Options) {
			o.Config.Cache.MaxBytes = 0 // its goroutines would outlive the bubble
			o.Transport = roundTrip(func(r *http.Request) (*http.Response, error) {
				<-r.Context().Done()
				return nil, r.Context().Err()
			})
		})
		var wg sync.WaitGroup
		wg.Go(func() { _, _ = s.discover(t.Context(), s.bg) })
		synctest.Wait()
		start := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		_, err := s.Signals(ctx, triage.SignalQuery{Services: []string{"a"}, From: start.Add(-time.Hour), To: start})
		if !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != 2*time.Second {
			t.Errorf("after %s: %v", time.Since(start), err)
		}
		s.Close()
		wg.Wait()
	})
}
