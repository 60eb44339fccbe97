package api_test

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/prometheus/common/config"

	"github.com/triaged-dev/triaged/api"
)

// needs is the scope of every route; "" is none. Kept apart from routes.go on purpose: this is the promise.
var needs = map[string]api.Scope{
	"POST /api/v1/alerts":                     api.ScopeWriteAlerts,
	"POST /api/v2/alerts":                     api.ScopeWriteAlerts,
	"POST /api/v1/changes":                    api.ScopeWriteChanges,
	"GET /api/v1/changes":                     api.ScopeRead,
	"GET /api/v1/changes/{id...}":             api.ScopeRead,
	"POST /api/v1/anomalies":                  api.ScopeWriteChanges,
	"GET /api/v1/anomalies":                   api.ScopeRead,
	"GET /api/v1/incidents":                   api.ScopeRead,
	"GET /api/v1/incidents/{id}":              api.ScopeRead,
	"GET /api/v1/incidents/{id}/reports":      api.ScopeRead,
	"GET /api/v1/incidents/{id}/reports/{n}":  api.ScopeRead,
	"GET /api/v1/incidents/{id}/timeline":     api.ScopeRead,
	"GET /api/v1/incidents/{id}/timeline.png": api.ScopeRead,
	"GET /api/v1/incidents/{id}/case":         api.ScopeRead,
	"GET /api/v1/incidents/{id}/postmortem":   api.ScopeRead,
	"GET /api/v1/incidents/{id}/update":       api.ScopeRead,
	"POST /api/v1/incidents/{id}/feedback":    api.ScopeFeedback,
	"GET /api/v1/incidents/{id}/feedback":     api.ScopeRead,
	"GET /auth/login":                         "",
	"GET /auth/callback":                      "",
	"POST /auth/logout":                       "",
	"GET /feedback/{token}":                   "",
	"POST /feedback/{token}":                  "",
	"GET /api/v1/services/{name}/outcomes":    api.ScopeRead,
	"GET /api/v1/accuracy":                    api.ScopeRead,
	"GET /api/v1/accuracy/cases":              api.ScopeRead,
	"POST /api/v1/triage":                     api.ScopeRead,
	"POST /mcp":                               api.ScopeRead,
	"GET /api/v1/topology":                    api.ScopeRead,
	"GET /api/v1/services":                    api.ScopeRead,
	"GET /api/v1/sources":                     api.ScopeRead,
	"GET /api/v1/deliveries":                  api.ScopeRead,
	"POST /api/v1/deliveries/{id}/resend":     api.ScopeAdmin,
	"POST /api/v1/quarantine/{id}/retry":      api.ScopeAdmin,
	"GET /api/v1/quarantine":                  api.ScopeAdmin,
	"GET /api/v1/status/config":               api.ScopeAdmin,
	"GET /api/v1/events":                      api.ScopeRead,
	"GET /api/openapi.yaml":                   "",
	"GET /metrics":                            "",
	"GET /-/healthy":                          "",
	"GET /-/ready":                            "",
	"POST /-/reload":                          api.ScopeAdmin,
}

func tokenOf(s api.Scope) string { return "token-for-the-scope-" + string(s) }

// withTokens configures one token for each scope and listens everywhere.
func withTokens(o *api.Options) {
	o.ListenAddresses = []string{":9792"}
	o.Config.TrustLoopback = false
	for _, s := range api.Scopes() {
		o.Config.Tokens = append(o.Config.Tokens, api.Token{Name: string(s), Token: config.Secret(tokenOf(s)), Scopes: []api.Scope{s}})
	}
}

// Every route, with no token, a wrong one, and the token of every scope: from this machine, which must not matter.
func TestEveryRouteWithEveryScope(t *testing.T) {
	h := newHarness(t, withTokens)
	h.api.Drain() // so that the event stream ends by itself
	if len(h.api.Patterns()) != len(needs) {
		t.Fatalf("want %d routes, got %d", len(needs), len(h.api.Patterns()))
	}
	fill := strings.NewReplacer("{id...}", "push:flag", "incidents/{id}", "incidents/inc-1", "{n}", "1", "deliveries/{id}", "deliveries/d-dead", "quarantine/{id}", "quarantine/q-mended")
	for _, pattern := range h.api.Patterns() {
		need, known := needs[pattern]
		if !known {
			t.Errorf("%s: say in this test which scope it needs", pattern)
			continue
		}
		method, path, _ := strings.Cut(fill.Replace(pattern), " ")
		send := func(token string) int {
			r := local(method, path, "")
			if token != "" {
				r.Header.Set("Authorization", "Bearer "+token)
			}
			rec := h.do(r)
			switch {
			case rec.Code == 401 && !strings.HasPrefix(rec.Header().Get("WWW-Authenticate"), "Bearer "):
				t.Errorf("%s: 401 without WWW-Authenticate", pattern)
			case rec.Code == 403 && !strings.Contains(rec.Header().Get("WWW-Authenticate"), "insufficient_scope"):
				t.Errorf("%s: 403 without the scope in WWW-Authenticate", pattern)
			}
			return rec.Code
		}
		let := func(code int) bool { return code != 401 && code != 403 }
		if got := send(""); let(got) != (need == "") || (need != "" && got != 401) {
			t.Errorf("%s without a token: got %d", pattern, got)
		}
		if got := send("a-token-that-is-not-configured"); let(got) != (need == "") || (need != "" && got != 401) {
			t.Errorf("%s with a wrong token: got %d", pattern, got)
		}
		for _, s := range api.Scopes() {
			want := need == "" || s == need || s == api.ScopeAdmin
			if got := send(tokenOf(s)); let(got) != want || (!want && got != 403) {
				t.Errorf("%s with scope %s: want it let in: %v, got %d", pattern, s, want, got)
			}
		}
	}
}

// Without a token nobody is let in, but callers on this machine where that is asked for, and only while nothing says that there may be
// others. What a default nginx or HAProxy passes on looks exactly like one of them.
func TestAnonymousOnlyOnLoopback(t *testing.T) {
	for name, tc := range map[string]struct {
		listen    []string
		remote    string
		host      string
		header    string
		distrust  bool
		anonymous []api.Scope
		want      int
	}{
		"loopback":                {[]string{"127.0.0.1:9792"}, "127.0.0.1:5000", "localhost:9792", "", false, nil, 200},
		"loopback 6":              {[]string{"[::1]:9792"}, "[::1]:5000", "[::1]:9792", "", false, nil, 200},
		"mapped":                  {[]string{"localhost:9792"}, "[::ffff:127.0.0.1]:5000", "127.0.0.1:9792", "", false, nil, 200},
		"listens everywhere":      {[]string{":9792"}, "127.0.0.1:5000", "localhost:9792", "", false, nil, 401},
		"listens on 0.0.0.0":      {[]string{"0.0.0.0:9792"}, "127.0.0.1:5000", "localhost:9792", "", false, nil, 401},
		"one of two elsewhere":    {[]string{"127.0.0.1:9792", "10.0.0.7:9792"}, "127.0.0.1:5000", "localhost:9792", "", false, nil, 401},
		"listener unknown":        {nil, "127.0.0.1:5000", "localhost:9792", "", false, nil, 401},
		"remote elsewhere":        {[]string{"127.0.0.1:9792"}, "10.0.0.9:5000", "localhost:9792", "", false, nil, 401},
		"remote garbage":          {[]string{"127.0.0.1:9792"}, "@", "localhost:9792", "", false, nil, 401},
		"default proxy in front":  {[]string{"127.0.0.1:9792"}, "127.0.0.1:5000", "localhost:9792", "", true, nil, 401},
		"not asked for, tokens":   {[]string{"127.0.0.1:9792"}, "127.0.0.1:5000", "127.0.0.1:9792", "", true, nil, 401},
		"through a proxy":         {[]string{"127.0.0.1:9792"}, "127.0.0.1:5000", "localhost:9792", "X-Forwarded-For", false, nil, 401},
		"through a proxy (2)":     {[]string{"127.0.0.1:9792"}, "127.0.0.1:5000", "localhost:9792", "Forwarded", false, nil, 401},
		"rebound name":            {[]string{"127.0.0.1:9792"}, "127.0.0.1:5000", "evil.example:9792", "", false, nil, 401},
		"claims to be here":       {[]string{":9792"}, "10.0.0.9:5000", "localhost:9792", "X-Forwarded-For", false, nil, 401},
		"opted in, elsewhere":     {[]string{":9792"}, "10.0.0.9:5000", "triaged:9792", "", true, []api.Scope{api.ScopeRead}, 200},
		"opted in, another scope": {[]string{":9792"}, "10.0.0.9:5000", "triaged:9792", "", true, []api.Scope{api.ScopeFeedback}, 403},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHarness(t, func(o *api.Options) {
				o.ListenAddresses = tc.listen
				o.Config.Anonymous, o.Config.TrustLoopback = tc.anonymous, !tc.distrust
				if strings.Contains(name, "tokens") {
					o.Config.Tokens = []api.Token{{Name: "ci", Token: "0123456789abcdef", Scopes: []api.Scope{api.ScopeRead}}}
				}
			})
			r := local(http.MethodGet, "/api/v1/changes", "")
			r.RemoteAddr, r.Host = tc.remote, tc.host
			if tc.header != "" {
				r.Header.Set(tc.header, "127.0.0.1")
			}
			if rec := h.do(r); rec.Code != tc.want {
				t.Errorf("want %d, got %d: %s", tc.want, rec.Code, rec.Body)
			}
		})
	}
}

// A wrong token is refused even where none would be needed.
func TestWrongTokenIsNotAnonymous(t *testing.T) {
	h := newHarness(t, func(o *api.Options) { o.Config.Anonymous = []api.Scope{api.ScopeRead} })
	for _, header := range []string{"Bearer x", "bearer ", "Bearer"} {
		r := local(http.MethodGet, "/api/v1/changes", "")
		r.Header.Set("Authorization", header)
		wantProblem(t, h.do(r), 401, "unauthenticated")
	}
	r := local(http.MethodGet, "/api/v1/changes", "")
	r.SetBasicAuth("who", "checked by the web configuration")
	wantStatus(t, h.do(r), 200)
}

func TestCrossOriginWritesAreRefused(t *testing.T) {
	h := newHarness(t, nil)
	r := local(http.MethodPost, "/api/v1/changes", goodChange)
	r.Header.Set("Sec-Fetch-Site", "cross-site")
	wantProblem(t, h.do(r), 403, "cross-origin")
	r = local(http.MethodPost, "/-/reload", "")
	r.Header.Set("Origin", "https://evil.example")
	wantProblem(t, h.do(r), 403, "cross-origin")
	r = local(http.MethodGet, "/api/v1/changes", "")
	r.Header.Set("Sec-Fetch-Site", "cross-site")
	wantStatus(t, h.do(r), 200)
}

// Tokens are read again by Prepare, and nothing changes until its function is called or when it fails.
func TestTokensReload(t *testing.T) {
	file := filepath.Join(t.TempDir(), "token")
	write := func(s string) {
		if err := os.WriteFile(file, []byte(s), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("the-first-token-0123\n")
	cfg := api.DefaultConfig()
	cfg.Tokens = []api.Token{{Name: "ci", TokenFile: file, Scopes: []api.Scope{api.ScopeRead}}}
	h := newHarness(t, func(o *api.Options) { o.Config = cfg })
	status := func(token string) int {
		r := local(http.MethodGet, "/api/v1/changes", "")
		r.Header.Set("Authorization", "Bearer "+token)
		return h.do(r).Code
	}
	if got := status("the-first-token-0123"); got != 200 {
		t.Fatalf("want the token of the file let in, got %d", got)
	}
	write("short")
	if _, err := h.api.Prepare(cfg); err == nil || strings.Contains(err.Error(), "short") {
		t.Errorf("want a short token refused without being shown, got %v", err)
	}
	write("the-second-token-0123")
	apply, err := h.api.Prepare(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if got := status("the-second-token-0123"); got != 401 {
		t.Errorf("want nothing changed before apply, got %d", got)
	}
	apply()
	if a, b := status("the-first-token-0123"), status("the-second-token-0123"); a != 401 || b != 200 {
		t.Errorf("want the new token only, got %d for the old and %d for the new", a, b)
	}
}
