package hooks

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/prometheus/common/config"
	"go.yaml.in/yaml/v3"

	"github.com/triaged-dev/triaged/triage"
)

// store takes events as the collector would, or refuses.
type store struct {
	mu          sync.Mutex
	events      []triage.Event
	quarantined []triage.Quarantined
	err         error
}

func (s *store) emit(_ context.Context, es []triage.Event) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err == nil {
		s.events = append(s.events, es...)
	}
	return s.err
}

func (s *store) quarantine(_ context.Context, q triage.Quarantined) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.quarantined = append(s.quarantined, q)
}

// flagSender signs in X-Sig and sends {"flag":…} or {"deploy":…}.
func flagSender() Sender {
	return Sender{
		Verify: func(scheme, secret string, h http.Header, body []byte) error {
			mac := hmac.New(sha256.New, []byte(secret))
			mac.Write(body)
			given, _ := hex.DecodeString(h.Get("X-Sig"))
			switch {
			case scheme == "bearer" && h.Get("Authorization") == "Bearer "+secret, scheme == "" && hmac.Equal(given, mac.Sum(nil)):
				return nil
			case scheme == "basic":
				user, password, _ := (&http.Request{Header: h}).BasicAuth()
				if user+":"+password == secret {
					return nil
				}
			}
			return errors.New("sender is not authenticated")
		},
		Decode: func(b Body) ([]triage.Event, error) {
			var v struct{ Flag, Deploy, Build, Title string }
			at := b.Received
			if err := json.Unmarshal(b.Data, &v); err != nil {
				return nil, fmt.Errorf("is not JSON: %w", err)
			}
			if v.Build != "" {
				return nil, &triage.Ignored{Reason: "a build"}
			}
			c := &triage.Change{Kind: triage.KindFlag, StartedAt: at, Labels: map[string]string{"flag": v.Flag}}
			if v.Deploy != "" {
				c = &triage.Change{Kind: triage.KindDeploy, StartedAt: at, Scope: triage.Scope{Service: v.Deploy, Environment: "staging"}}
			}
			if v.Title != "" { // a sender that leaves the service to the hook
				c = &triage.Change{Kind: triage.KindDeploy, StartedAt: at, Title: v.Title}
			}
			c.ID = c.DeriveID()
			e := b.Complete(triage.Event{Change: c})
			return []triage.Event{e}, e.Change.Validate("change") // as every real decoder does
		},
	}
}

const testSecret = "hunter2-hunter2"

type bench struct {
	*Set
	*store
	now time.Time
}

func newBench(t *testing.T, cfgs ...Config) *bench {
	t.Helper()
	b := &bench{store: &store{}, now: time.Date(2026, 3, 1, 3, 2, 0, 0, time.UTC)}
	for i := range cfgs {
		if cfgs[i].MaxBytes == 0 {
			cfgs[i].MaxBytes = DefaultConfig().MaxBytes
		}
		if cfgs[i].Type == "" {
			cfgs[i].Type = "flags"
		}
	}
	var err error
	b.Set, err = New(Options{
		Hooks: cfgs, Senders: func(Config) (Sender, error) { return flagSender(), nil }, Emit: b.emit, Quarantine: b.quarantine,
		Registerer: prometheus.NewRegistry(), Now: func() time.Time { return b.now },
	})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func sign(body string) http.Header {
	mac := hmac.New(sha256.New, []byte(testSecret))
	mac.Write([]byte(body))
	return http.Header{"X-Sig": {hex.EncodeToString(mac.Sum(nil))}}
}

func (b *bench) post(path, body string, h http.Header) *httptest.ResponseRecorder {
	r := httptest.NewRequest("POST", path, strings.NewReader(body))
	maps.Copy(r.Header, h)
	w := httptest.NewRecorder()
	b.ServeHTTP(w, r)
	return w
}

func TestHook(t *testing.T) {
	cfg := Config{Name: "ld", Secret: testSecret, Service: "web", Environment: "production", Flags: map[string]string{"new-*": "shop", "new-pricing*": "pricing"}, MaxBytes: 2048}
	for name, tc := range map[string]struct {
		body        string
		header      http.Header
		path        string
		broken      bool
		status      int
		outcome     string
		service     string
		env         string
		quarantined bool
	}{
		"flag of a service":  {body: `{"flag":"new-pricing-eu"}`, status: 200, outcome: outcomeAccepted, service: "pricing", env: "production"},
		"shorter pattern":    {body: `{"flag":"new-cart"}`, status: 200, outcome: outcomeAccepted, service: "shop", env: "production"},
		"default service":    {body: `{"flag":"old"}`, status: 200, outcome: outcomeAccepted, service: "web", env: "production"},
		"sender says itself": {body: `{"deploy":"cart"}`, status: 200, outcome: outcomeAccepted, service: "cart", env: "staging"},
		"ignored":            {body: `{"build":"1"}`, status: 200, outcome: outcomeIgnored},
		"no signature":       {body: `{"flag":"x"}`, header: http.Header{}, status: 401, outcome: outcomeUnauthenticated},
		"other signature":    {body: `{"flag":"x"}`, header: sign(`{"flag":"y"}`), status: 401, outcome: outcomeUnauthenticated},
		"not JSON":           {body: `{"flag":`, status: 422, outcome: outcomeUndecodable, quarantined: true},
		"unsigned garbage":   {body: `{"flag":`, header: http.Header{}, status: 401, outcome: outcomeUnauthenticated},
		"too large":          {body: `{"flag":"` + strings.Repeat("x", 3000) + `"}`, status: 413, outcome: outcomeTooLarge},
		"store fails":        {body: `{"flag":"x"}`, broken: true, status: 503, outcome: outcomeStoreFailed},
		"unknown hook":       {path: "/hooks/other", body: `{}`, status: 404},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, cfg)
			if tc.broken {
				b.err = errors.New("disk full")
			}
			h := tc.header
			if h == nil {
				h = sign(tc.body)
			}
			path := tc.path
			if path == "" {
				path = "/hooks/ld"
			}
			w := b.post(path, tc.body, h)
			if w.Code != tc.status {
				t.Errorf("status: want %d, got %d: %s", tc.status, w.Code, w.Body)
			}
			if strings.Contains(w.Body.String(), testSecret) || strings.Contains(w.Body.String(), "disk full") {
				t.Errorf("the answer tells what it must not: %s", w.Body)
			}
			if tc.outcome != "" {
				if n := testutil.ToFloat64(b.metrics.requests.WithLabelValues("ld", tc.outcome)); n != 1 {
					t.Errorf("counted as %s: want 1, got %v", tc.outcome, n)
				}
			}
			if (len(b.quarantined) == 1) != tc.quarantined {
				t.Errorf("quarantine: %v", b.quarantined)
			}
			if tc.service == "" {
				if len(b.events) > 0 {
					t.Errorf("stored %+v", b.events[0].Change)
				}
				return
			}
			if len(b.events) != 1 {
				t.Fatalf("want one event, got %d", len(b.events))
			}
			if c := b.events[0].Change; c.Service != tc.service || c.Environment != tc.env || c.Source != "ld" {
				t.Errorf("want %s in %s from ld, got %s in %s from %s", tc.service, tc.env, c.Service, c.Environment, c.Source)
			}
		})
	}
}

// A body without an id and a time of its own, delivered again, must be the same Change.
func TestRedelivery(t *testing.T) {
	b := newBench(t, Config{Name: "ld", Secret: testSecret})
	const body = `{"flag":"x"}`
	b.post("/hooks/ld", body, sign(body))
	b.now = b.now.Add(5 * time.Minute)
	b.post("/hooks/ld", body, sign(body))
	b.now = b.now.Add(time.Hour) // not a redelivery any more
	b.post("/hooks/ld", body, sign(body))
	if len(b.events) != 3 || b.events[0].Change.ID != b.events[1].Change.ID || b.events[0].Change.ID == b.events[2].Change.ID {
		t.Errorf("got ids %v, %v, %v", b.events[0].Change.ID, b.events[1].Change.ID, b.events[2].Change.ID)
	}
}

func TestOtherWaysToProve(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "token")
	const body = `{"flag":"x"}`
	basic := httptest.NewRequest("POST", "/", nil)
	basic.SetBasicAuth("jenkins", testSecret)
	for name, tc := range map[string]struct {
		cfg  Config
		good http.Header
	}{
		"bearer file": {Config{BearerTokenFile: file}, http.Header{"Authorization": {"Bearer " + testSecret}}},
		"basic":       {Config{BasicAuth: &config.BasicAuth{Username: "jenkins", Password: testSecret}}, basic.Header},
		"secret file": {Config{SecretFile: file}, sign(body)},
	} {
		t.Run(name, func(t *testing.T) {
			if err := os.WriteFile(file, []byte(testSecret+"\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			tc.cfg.Name = "h"
			b := newBench(t, tc.cfg)
			if w := b.post("/hooks/h", body, tc.good); w.Code != 200 {
				t.Errorf("want 200, got %d: %s", w.Code, w.Body)
			}
			if w := b.post("/hooks/h", body, http.Header{"Authorization": {"Bearer nonsense"}}); w.Code != 401 {
				t.Errorf("want 401, got %d", w.Code)
			}
			if tc.cfg.SecretFile == "" {
				return
			}
			// A secret that was rotated counts at once; one that is gone lets nobody in.
			if err := os.WriteFile(file, []byte("another"), 0o600); err != nil {
				t.Fatal(err)
			}
			if w := b.post("/hooks/h", body, tc.good); w.Code != 401 {
				t.Errorf("old secret: want 401, got %d", w.Code)
			}
			if err := os.Remove(file); err != nil {
				t.Fatal(err)
			}
			if w := b.post("/hooks/h", body, sign(body)); w.Code != 401 {
				t.Errorf("no secret: want 401, got %d", w.Code)
			}
		})
	}
}

// Senders that switch a hook off when told of a body they cannot help get 200; the body is kept all the same.
func TestLenientSenders(t *testing.T) {
	b := newBench(t, Config{Name: "gl", Type: "gitlab", Secret: testSecret})
	if w := b.post("/hooks/gl", "{", sign("{")); w.Code != 200 || !strings.Contains(w.Body.String(), outcomeUndecodable) {
		t.Errorf("want 200 that says undecodable, got %d: %s", w.Code, w.Body)
	}
	if len(b.quarantined) != 1 || string(b.quarantined[0].Body) != "{" || b.quarantined[0].Source != "gl" {
		t.Errorf("quarantine: %+v", b.quarantined)
	}
}

// What could not be read is kept with what reading it again needs, and with nothing that proves who sends: not in a header of an
// unsuspicious name, and not as a routing key in the body.
func TestQuarantineHoldsNoSecret(t *testing.T) {
	b := newBench(t, Config{Name: "fl", Secret: testSecret, Service: "web", Environment: "live"},
		Config{Name: "pd", Type: "pagerduty", RoutingKeys: []RoutingKey{{Key: "key-of-checkout", Service: "checkout"}}})
	header := sign("{")
	header.Set("X-Event", "flag")
	header.Set("X-Greeting", "hello "+testSecret)
	header.Set("Authorization", "Bearer x")
	header.Set("User-Agent", "flags/1")
	b.post("/hooks/fl", "{", header)
	b.post("/v2/change/enqueue", `{"routing_key":"key-of-checkout","flag":7}`, nil)
	if len(b.quarantined) != 2 {
		t.Fatalf("quarantine: %+v", b.quarantined)
	}
	flag, change := b.quarantined[0], b.quarantined[1]
	if len(flag.Headers) != 1 || flag.Headers["x-event"] != "flag" || !flag.RecordTime.Equal(b.now) || flag.Scope != (triage.Scope{Service: "web", Environment: "live"}) {
		t.Errorf("kept %+v", flag)
	}
	if string(change.Body) != `{"routing_key":"(routing key)","flag":7}` || change.Scope.Service != "checkout" {
		t.Errorf("kept %s for %+v", change.Body, change.Scope)
	}
	// Mended by hand, the body is read as of then, with the defaults of then.
	b.now = b.now.Add(time.Hour)
	flag.Body = []byte(`{"flag":"new-pricing"}`)
	events, err := b.Source("fl").Redecode(flag)
	if err != nil || len(events) != 1 || events[0].Change.Service != "web" || events[0].Change.Source != "fl" || !events[0].Change.StartedAt.Equal(flag.RecordTime) {
		t.Errorf("read again: %+v, %v", events, err)
	}
}

func TestChangeEvents(t *testing.T) {
	b := newBench(t, Config{
		Name: "ci", Type: "pagerduty", Environment: "production",
		RoutingKeys: []RoutingKey{{Key: "key-of-checkout", Service: "checkout"}, {Key: "key-of-cart", Service: "cart", Environment: "live"}},
	})
	for name, tc := range map[string]struct {
		body, service, env string
		status             int
	}{
		"first key":   {`{"routing_key":"key-of-checkout"}`, "checkout", "production", 202},
		"second key":  {`{"routing_key":"key-of-cart"}`, "cart", "live", 202},
		"unknown key": {`{"routing_key":"nobody"}`, "", "", 400},
		"no key":      {`{"payload":{}}`, "", "", 400},
		"not JSON":    {`{`, "", "", 400},
	} {
		t.Run(name, func(t *testing.T) {
			b.events = nil
			w := b.post("/v2/change/enqueue", tc.body, nil)
			if w.Code != tc.status {
				t.Errorf("want %d, got %d: %s", tc.status, w.Code, w.Body)
			}
			if tc.status == 202 && strings.TrimSpace(w.Body.String()) != `{"message":"Change event processed","status":"success"}` {
				t.Errorf("answer: %s", w.Body)
			}
			if tc.service == "" {
				if len(b.events) > 0 {
					t.Errorf("stored %v", b.events)
				}
				return
			}
			if c := b.events[0].Change; c.Service != tc.service || c.Environment != tc.env {
				t.Errorf("want %s in %s, got %s in %s", tc.service, tc.env, c.Service, c.Environment)
			}
		})
	}
	if w := b.post("/hooks/ci", `{}`, nil); w.Code != 404 {
		t.Errorf("a hook of routing keys must not be open at /hooks: got %d", w.Code)
	}
}

func TestMountedAndRefused(t *testing.T) {
	b := newBench(t)
	b.opts.Mounted = map[string]http.Handler{"github": http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) })}
	if w := b.post("/hooks/github", "{}", nil); w.Code != http.StatusTeapot {
		t.Errorf("mounted handler: got %d", w.Code)
	}
	if w := b.post("/hooks/github", "{}", http.Header{"Sec-Fetch-Site": {"cross-site"}}); w.Code != http.StatusForbidden {
		t.Errorf("a page of another site: want 403, got %d", w.Code)
	}
	w := httptest.NewRecorder()
	b.ServeHTTP(w, httptest.NewRequest("GET", "/hooks/github", nil))
	if w.Code != http.StatusMethodNotAllowed {
		t.Errorf("GET: want 405, got %d", w.Code)
	}
}

func TestInsecureIsLoud(t *testing.T) {
	b := newBench(t, Config{Name: "open", Insecure: true})
	if w := b.post("/hooks/open", `{"flag":"x"}`, nil); w.Code != 200 {
		t.Errorf("want 200, got %d", w.Code)
	}
}

func TestConfig(t *testing.T) {
	for name, tc := range map[string]struct{ yaml, want string }{
		"good":             {"{name: ld, type: launchdarkly, secret: x}", ""},
		"own mapping":      {"{name: ld, mapping: x.yaml, bearer_token_file: x}", ""},
		"no secret":        {"{name: ld, type: launchdarkly}", "without one anybody could report changes"},
		"two secrets":      {"{name: ld, type: launchdarkly, secret: x, insecure: true}", "give one way"},
		"no type":          {"{name: ld, secret: x}", "exactly one of type"},
		"type and mapping": {"{name: ld, secret: x, type: a, mapping: b}", "exactly one of type"},
		"bad name":         {"{name: a/b, type: launchdarkly, secret: x}", "letters, digits"},
		"basic":            {"{name: a, type: jenkins, basic_auth: {username: u}}", "exactly one of password"},
		"routing key":      {"{name: a, type: pagerduty, routing_keys: [{service: x}]}", "exactly one of key"},
		"unknown key":      {"{name: a, type: t, secret: x, servce: y}", "field servce not found"},
		"size":             {"{name: a, type: t, secret: x, max_bytes: 1}", "must lie between"},
	} {
		t.Run(name, func(t *testing.T) {
			var c Config
			dec := yaml.NewDecoder(strings.NewReader(tc.yaml))
			dec.KnownFields(true)
			err := dec.Decode(&c)
			if (tc.want == "") != (err == nil) || (err != nil && !strings.Contains(err.Error(), tc.want)) {
				t.Errorf("want error %q, got %v", tc.want, err)
			}
		})
	}
}

func TestNewReadsSecrets(t *testing.T) {
	empty := filepath.Join(t.TempDir(), "empty")
	if err := os.WriteFile(empty, []byte("\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := &store{}
	for name, c := range map[string]Config{
		"missing file": {Name: "a", Type: "t", SecretFile: empty + ".not", MaxBytes: 4096},
		"empty file":   {Name: "a", Type: "t", SecretFile: empty, MaxBytes: 4096},
		"empty key":    {Name: "a", Type: "t", RoutingKeys: []RoutingKey{{KeyFile: empty}}, MaxBytes: 4096},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := New(Options{Hooks: []Config{c}, Senders: func(Config) (Sender, error) { return flagSender(), nil }, Emit: s.emit, Quarantine: s.quarantine})
			if err == nil || !strings.Contains(err.Error(), "_file") {
				t.Errorf("want an error that names the file's key, got %v", err)
			}
		})
	}
}

func FuzzServe(f *testing.F) {
	f.Add([]byte(`{"routing_key":"key"}`), "/v2/change/enqueue")
	f.Add([]byte(`{"flag":"x"}`), "/hooks/open")
	s := &store{}
	set, err := New(Options{
		Hooks:   []Config{{Name: "open", Type: "t", Insecure: true, MaxBytes: 4096}, {Name: "ci", Type: "pagerduty", RoutingKeys: []RoutingKey{{Key: "key"}}, MaxBytes: 4096}},
		Senders: func(Config) (Sender, error) { return flagSender(), nil }, Emit: s.emit, Quarantine: s.quarantine,
	})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, body []byte, path string) {
		if path != "/v2/change/enqueue" {
			path = "/hooks/open"
		}
		w := httptest.NewRecorder()
		set.ServeHTTP(w, httptest.NewRequest("POST", path, bytes.NewReader(body)))
		if w.Code == http.StatusInternalServerError || !json.Valid(w.Body.Bytes()) {
			t.Errorf("answer %d: %s", w.Code, w.Body)
		}
	})
}
