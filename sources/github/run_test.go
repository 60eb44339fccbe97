package github

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/triaged-dev/triaged/triage"
)

// Run must end when its context does, wake for a webhook, and keep its interval otherwise.
func TestRunWakesAndEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub := newFake(time.Now)
		hub.set(deploys, []any{})
		cfg := DefaultConfig()
		cfg.Repositories = []Repository{{Name: repoName1}}
		cfg.Webhook = &Webhook{Secret: testSecret}
		s, err := New(Options{Config: cfg, Transport: withToken{"t0ken", hub}})
		if err != nil {
			t.Fatal(err)
		}
		defer s.stopCaches()
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- s.Run(ctx, (&recorder{}).emit) }()
		synctest.Wait()
		if n := len(hub.requests()); n != 1 {
			t.Errorf("want one request at once, got %d", n)
		}
		time.Sleep(29 * time.Second)
		synctest.Wait()
		if n := len(hub.requests()); n != 0 {
			t.Errorf("want none before the interval is over, got %d", n)
		}
		s.poke(s.repos[0])
		synctest.Wait()
		if n := len(hub.requests()); n != 1 {
			t.Errorf("want a webhook to bring a poll forward, got %d requests", n)
		}
		time.Sleep(31 * time.Second)
		synctest.Wait()
		if n := len(hub.requests()); n != 1 {
			t.Errorf("want the next poll after the interval, got %d", n)
		}
		cancel()
		if err := <-done; err != nil {
			t.Errorf("want nil when the context ends, got %v", err)
		}
	})
}

// A server that never answers must not stop the loop for good, nor hold up the other repositories.
func TestHangingServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub := newFake(time.Now)
		hub.set("repos/lumen-shop/search/deployments", newest(fakeDeployment(9, sha("a"), "production", time.Now(), nil)))
		hub.set("repos/lumen-shop/search/deployments/9/statuses", []any{})
		hub.fail(deploys, fault{hang: true})
		cfg := DefaultConfig()
		cfg.Repositories = []Repository{{Name: repoName1}, {Name: "lumen-shop/search"}}
		s, err := New(Options{Config: cfg, Transport: withToken{"t0ken", hub}})
		if err != nil {
			t.Fatal(err)
		}
		defer s.stopCaches()
		rec := &recorder{}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- s.Run(ctx, rec.emit) }()
		time.Sleep(16 * time.Second)
		synctest.Wait()
		if st := s.Status(); st.State != triage.SourceLate || !strings.Contains(st.Detail, "no answer within 15s") {
			t.Errorf("want late, no answer; got %+v", st)
		}
		if len(rec.changes) != 1 {
			t.Errorf("want the other repository's deployment, got %d", len(rec.changes))
		}
		hub.heal()
		hub.set(deploys, []any{})
		time.Sleep(time.Minute)
		synctest.Wait()
		if st := s.Status(); st.State != triage.SourceOK {
			t.Errorf("want ok when the server is back, got %+v", st)
		}
		cancel()
		<-done
	})
}

var _ http.RoundTripper = (*fakeGitHub)(nil)
