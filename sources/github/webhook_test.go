package github

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha1" //nolint:gosec // the test shows that it is refused
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/triaged-dev/triaged/triage"
)

func fixture(t testing.TB, name string) []byte {
	t.Helper()
	body, err := os.ReadFile(filepath.Join(ownFixtures, "webhook."+name+".json"))
	if err != nil {
		t.Fatal(err)
	}
	return body
}

func webhookSource(t *testing.T) *Source {
	t.Helper()
	cfg := DefaultConfig()
	cfg.Repositories = []Repository{everything(repoName1)}
	cfg.Webhook = &Webhook{Secret: testSecret}
	return newTestSource(t, Options{Config: cfg, Transport: refuseAll{t}})
}

// deliverTo posts one delivery over a real connection.
func deliverTo(t *testing.T, server string, h http.Header, body []byte) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header = h
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(answer)
}

func serve(t *testing.T, s *Source, emit triage.Emit) string {
	t.Helper()
	h, err := s.WebhookHandler(emit)
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	return srv.URL
}

func TestWebhookAuthenticity(t *testing.T) {
	body := fixture(t, "deployment_status.success")
	old := hmac.New(sha1.New, []byte(testSecret))
	old.Write(body)
	otherKey := hmac.New(sha1.New, []byte("another"))
	otherKey.Write(body)
	for name, x := range map[string]struct {
		signature string
		body      []byte
		status    int
		outcome   string
	}{
		"right":          {sign(body), body, 200, OutcomeAccepted},
		"missing":        {"", body, 401, OutcomeBadSignature},
		"empty":          {"sha256=", body, 401, OutcomeBadSignature},
		"not hex":        {"sha256=zz", body, 401, OutcomeBadSignature},
		"no prefix":      {strings.TrimPrefix(sign(body), "sha256="), body, 401, OutcomeBadSignature},
		"SHA-1":          {"sha1=" + hex.EncodeToString(old.Sum(nil)), body, 401, OutcomeBadSignature},
		"wrong key":      {"sha256=" + hex.EncodeToString(otherKey.Sum(nil)), body, 401, OutcomeBadSignature},
		"changed body":   {sign(body), append(bytes.Clone(body), ' '), 401, OutcomeBadSignature},
		"cut signature":  {sign(body)[:60], body, 401, OutcomeBadSignature},
		"malformed JSON": {sign([]byte("{")), []byte("{"), 400, OutcomeMalformed},
		"no repository":  {sign([]byte("{}")), []byte("{}"), 400, OutcomeMalformed},
		"array":          {sign([]byte("[]")), []byte("[]"), 400, OutcomeMalformed},
		"wrong types":    {sign([]byte(`{"repository":7}`)), []byte(`{"repository":7}`), 400, OutcomeMalformed},
		"empty body":     {sign(nil), nil, 400, OutcomeMalformed},
	} {
		t.Run(name, func(t *testing.T) {
			s, rec := webhookSource(t), &recorder{}
			h := headers("deployment_status", "1", x.body)
			h.Set("X-Hub-Signature-256", x.signature)
			status, answer := deliverTo(t, serve(t, s, rec.emit), h, x.body)
			if status != x.status {
				t.Errorf("want %d, got %d: %s", x.status, status, answer)
			}
			if strings.Contains(answer, testSecret) {
				t.Error("the answer gives the secret away")
			}
			if n := len(rec.changes); (n == 1) != (x.outcome == OutcomeAccepted) {
				t.Errorf("handed over %d changes", n)
			}
			if n := testutil.ToFloat64(s.metrics.deliveries.WithLabelValues("github", x.outcome)); n != 1 {
				t.Errorf("want one delivery counted as %s, got %v", x.outcome, n)
			}
		})
	}
}

func TestWebhookBounds(t *testing.T) {
	s, rec := webhookSource(t), &recorder{}
	u := serve(t, s, rec.emit)
	big := bytes.Repeat([]byte(" "), maxWebhookBody+1)
	if status, _ := deliverTo(t, u, headers("push", "1", big), big); status != http.StatusRequestEntityTooLarge {
		t.Errorf("too large: want 413, got %d", status)
	}
	if out, err := s.Webhook(t.Context(), headers("push", "1", big), big, rec.emit); out != OutcomeTooLarge || err == nil {
		t.Errorf("too large, called directly: got %s, %v", out, err)
	}
	resp, err := http.Get(u) //nolint:noctx // a plain GET is the point
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusMethodNotAllowed || resp.Header.Get("Allow") != "POST" {
		t.Errorf("GET: want 405 and Allow, got %d", resp.StatusCode)
	}
}

func TestWebhookAsForm(t *testing.T) {
	s, rec := webhookSource(t), &recorder{}
	body := []byte(url.Values{"payload": {string(fixture(t, "deployment_status.success"))}}.Encode())
	h := headers("deployment_status", "1", body)
	h.Set("Content-Type", "application/x-www-form-urlencoded")
	if out, err := s.Webhook(t.Context(), h, body, rec.emit); out != OutcomeAccepted || err != nil {
		t.Errorf("want accepted, got %s, %v", out, err)
	}
}

// A redelivery bears the id of the first. It must not be taken twice, and must be taken if the first could not be stored.
func TestRedelivery(t *testing.T) {
	s, rec := webhookSource(t), &recorder{err: errors.New("disk full")}
	body := fixture(t, "deployment_status.success")
	h := headers("deployment_status", "same", body)
	u := serve(t, s, rec.emit)
	status, answer := deliverTo(t, u, h, body)
	if status != http.StatusServiceUnavailable || strings.Contains(answer, "disk full") {
		t.Errorf("store down: want 503 without the inner reason, got %d %s", status, answer)
	}
	rec.err = nil
	for i, want := range []string{OutcomeAccepted, OutcomeDuplicate, OutcomeDuplicate} {
		if out, err := s.Webhook(t.Context(), h, body, rec.emit); out != want || err != nil {
			t.Errorf("delivery %d: want %s, got %s (%v)", i, want, out, err)
		}
	}
	if len(rec.changes) != 1 {
		t.Errorf("want one change, got %d", len(rec.changes))
	}
}

func TestUnknownEventsAreAnswered2xx(t *testing.T) {
	s, rec := webhookSource(t), &recorder{}
	u := serve(t, s, rec.emit)
	for event, want := range map[string]string{"star": OutcomeUnknownEvent, "": OutcomeUnknownEvent, "ping": OutcomeIgnored, "registry_package": OutcomeIgnored, "deployment_review": OutcomeIgnored} {
		status, answer := deliverTo(t, u, headers(event, "id-"+event, []byte(`{"x":1}`)), []byte(`{"x":1}`))
		if status != 200 || !strings.Contains(answer, want) {
			t.Errorf("%q: want 200 %s, got %d %s", event, want, status, answer)
		}
	}
}

func TestUnconfiguredRepositoryIsIgnored(t *testing.T) {
	cfg := DefaultConfig()
	cfg.Repositories = []Repository{{Name: "lumen-shop/other"}, {Name: "Lumen-Shop/che*", Service: "till"}}
	cfg.Webhook = &Webhook{Secret: testSecret}
	s := newTestSource(t, Options{Config: cfg, Transport: refuseAll{t}})
	body := fixture(t, "deployment_status.success")
	f, err := s.readEvent("deployment_status", body)
	if err != nil || len(f.changes) != 1 || f.changes[0].Service != "till" || f.changes[0].ID != "github:lumen-shop/checkout/deployment/9001" {
		t.Errorf("want the pattern's rules under the repository's own name, got %+v, %v", f, err)
	}
	f, err = s.readEvent("deployment_status", bytes.ReplaceAll(body, []byte("lumen-shop/checkout"), []byte("else/where")))
	if err != nil || len(f.changes) != 0 || f.why != "repository is not configured" {
		t.Errorf("want it ignored, got %+v, %v", f, err)
	}
}

func TestNoWebhookWithoutSecret(t *testing.T) {
	empty := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(empty, []byte(" \n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, w := range map[string]*Webhook{"none": nil, "empty file": {SecretFile: empty}, "no file": {SecretFile: empty + "x"}} {
		cfg := DefaultConfig()
		cfg.Repositories = []Repository{{Name: repoName1}}
		cfg.Webhook = w
		s := newTestSource(t, Options{Config: cfg, Transport: refuseAll{t}})
		if _, err := s.WebhookHandler((&recorder{}).emit); err == nil {
			t.Errorf("%s: want no handler", name)
		}
		mac := hmac.New(sha1.New, nil)
		if out, err := s.Webhook(t.Context(), http.Header{"X-Hub-Signature-256": {"sha256=" + hex.EncodeToString(mac.Sum(nil))}}, []byte("{}"), (&recorder{}).emit); err == nil || out == OutcomeAccepted {
			t.Errorf("%s: want a refusal, got %s", name, out)
		}
	}
	cfg := DefaultConfig()
	cfg.Repositories, cfg.Webhook = []Repository{{Name: repoName1}}, &Webhook{}
	if _, err := New(Options{Config: cfg}); err == nil || !strings.Contains(err.Error(), "webhook.secret") {
		t.Errorf("an empty webhook section: want an error naming webhook.secret, got %v", err)
	}
}

// The secret file is read for every delivery, so rotating it needs no restart.
func TestSecretFileIsReadAgain(t *testing.T) {
	file := filepath.Join(t.TempDir(), "secret")
	write := func(s string) {
		if err := os.WriteFile(file, []byte(s+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("first")
	cfg := DefaultConfig()
	cfg.Repositories, cfg.Webhook = []Repository{{Name: repoName1}}, &Webhook{SecretFile: file}
	s := newTestSource(t, Options{Config: cfg, Transport: refuseAll{t}})
	body := []byte("{}")
	h := headers("ping", "", body)
	if out, _ := s.Webhook(t.Context(), h, body, (&recorder{}).emit); out != OutcomeBadSignature {
		t.Errorf("before: want bad_signature, got %s", out)
	}
	write(testSecret)
	if out, _ := s.Webhook(t.Context(), h, body, (&recorder{}).emit); out != OutcomeIgnored {
		t.Errorf("after: want ignored, got %s", out)
	}
}

// together folds Changes of one id as the collector does: earliest start, latest end, the terminal status of the latest end.
func together(cs []triage.Change) (start, end time.Time, status triage.Status) {
	for _, c := range cs {
		if !c.StartedAt.IsZero() && (start.IsZero() || c.StartedAt.Before(start)) {
			start = c.StartedAt
		}
		if c.FinishedAt.After(end) {
			end = c.FinishedAt
		}
		if status == "" || !status.Terminal() || c.Status == triage.StatusSuperseded {
			status = c.Status
		}
	}
	return start, end, status
}

// The deliveries of one deployment may come in any order and twice: what they say together must be the same.
func TestDeliveriesInAnyOrder(t *testing.T) {
	names := []string{"deployment.object-payload", "deployment_status.queued", "deployment_status.pending", "deployment_status.in_progress", "deployment_status.success"}
	rng := rand.New(rand.NewPCG(1, 2))
	for i := range 40 {
		s, rec := webhookSource(t), &recorder{}
		order := append(append([]string{}, names...), names[rng.IntN(len(names))])
		rng.Shuffle(len(order), func(a, b int) { order[a], order[b] = order[b], order[a] })
		for k, name := range order {
			body := fixture(t, name)
			event, _, _ := strings.Cut(name, ".")
			if _, err := s.Webhook(t.Context(), headers(event, fmt.Sprint(i, k), body), body, rec.emit); err != nil {
				t.Fatal(err)
			}
		}
		start, end, status := together(rec.changes)
		if start.Format(time.TimeOnly) != "03:00:10" || end.Format(time.TimeOnly) != "03:03:00" || status != triage.StatusSucceeded {
			t.Fatalf("order %v: got %s to %s, %s", order, start, end, status)
		}
		for _, c := range rec.changes {
			if c.ID != "github:lumen-shop/checkout/deployment/9001" {
				t.Fatalf("order %v: a second change %s", order, c.ID)
			}
		}
	}
}

func TestWebhooksInParallelWithPolling(t *testing.T) {
	hub := newFake(time.Now)
	hub.set(deploys, newest(fakeDeployment(9001, sha("a"), "production", time.Now(), nil)))
	hub.set(deploys+"/9001/statuses", []any{})
	cfg := DefaultConfig()
	cfg.Repositories = []Repository{{Name: repoName1}}
	cfg.Webhook = &Webhook{Secret: testSecret}
	s := newTestSource(t, Options{Config: cfg, Transport: withToken{"t0ken", hub}})
	var mu sync.Mutex
	n := 0
	emit := func(_ context.Context, es []triage.Event) error {
		mu.Lock()
		defer mu.Unlock()
		n += len(es)
		return nil
	}
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() { _ = s.Run(ctx, emit) })
	body := fixture(t, "deployment_status.success")
	var posts sync.WaitGroup
	for w := range 8 {
		posts.Go(func() {
			for i := range 50 {
				_, _ = s.Webhook(ctx, headers("deployment_status", fmt.Sprint(w, i), body), body, emit)
				_ = s.Status()
			}
		})
	}
	posts.Wait()
	cancel()
	wg.Wait()
	mu.Lock()
	defer mu.Unlock()
	if n < 400 {
		t.Errorf("want 400 deliveries handed over, got %d", n)
	}
}

func FuzzWebhook(f *testing.F) {
	files, err := filepath.Glob(filepath.Join(ownFixtures, "webhook.*.json"))
	if err != nil || len(files) == 0 {
		f.Fatal("no fixtures")
	}
	for _, file := range files {
		event, _, _ := strings.Cut(strings.TrimPrefix(filepath.Base(file), "webhook."), ".")
		body, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(event, body)
	}
	cfg := DefaultConfig()
	cfg.Repositories = []Repository{everything(repoName1), {Name: "lumen-shop/*", PushIsDeploy: true}}
	cfg.Webhook = &Webhook{Secret: testSecret}
	s, err := New(Options{Config: cfg, Transport: withToken{}})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(s.stopCaches)
	f.Fuzz(func(t *testing.T, event string, body []byte) {
		found, err := s.readEvent(event, body)
		if err != nil {
			if !errors.Is(err, errMalformed) {
				t.Errorf("an error of another kind: %v", err)
			}
			return
		}
		if len(found.changes) == 0 && found.why == "" {
			t.Error("neither a change nor a reason")
		}
		for _, c := range found.changes {
			if err := c.Validate(""); err != nil {
				t.Errorf("a change that cannot be stored: %v", err)
			}
			data, err := json.Marshal(c)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := triage.DecodeChange(data, ""); err != nil {
				t.Errorf("a change that cannot be read back: %v", err)
			}
		}
	})
}
