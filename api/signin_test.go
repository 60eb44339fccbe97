package api_test

import (
	"context"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/config"

	"github.com/triaged-dev/triaged/api"
	"github.com/triaged-dev/triaged/api/signin"
	"github.com/triaged-dev/triaged/triage"
)

const triagedHost = "triaged.example.com"

// withOIDC has people sign in at p; what is not set afterwards is as in the documentation.
func withOIDC(t testing.TB, p string, store signin.State) func(*api.Options) {
	return func(o *api.Options) {
		c := signin.DefaultOIDC()
		c.Issuer, c.ClientID, c.ClientSecret = p, clientID, config.Secret(clientSecret)
		o.Config = api.DefaultConfig()
		o.Config.OIDC = &c
		o.Config.Groups = []api.Group{
			{Group: "engineering", Scopes: []api.Scope{api.ScopeRead}},
			{Group: "team-*", Scopes: []api.Scope{api.ScopeRead, api.ScopeFeedback}, Teams: []string{"{{group}}"}},
			{Group: "sre", Scopes: []api.Scope{api.ScopeAdmin}},
		}
		o.Config.Tokens = []api.Token{{Name: "reader", Token: "a-token-that-only-reads", Scopes: []api.Scope{api.ScopeRead}}}
		o.ListenAddresses = []string{":9792"}
		o.ExternalURL = "https://" + triagedHost
		missing := func(err error) bool { return err != nil }
		var err error
		if o.SignInKey, err = signin.Key(t.Context(), store, missing); err != nil {
			t.Fatal(err)
		}
		if o.SignedOut, err = signin.OpenSignedOut(t.Context(), store, missing); err != nil {
			t.Fatal(err)
		}
		dir := triage.NewDirectory(map[string]triage.Service{"checkout": {Owner: "team-checkout"}, "pricing": {Owner: "team-pricing"}}, nil)
		o.Directory = func() *triage.Directory { return dir }
		o.Logger = slog.New(slog.DiscardHandler)
	}
}

// cellar is a store of small values.
type cellar map[string][]byte

func (c cellar) State(_ context.Context, key string) ([]byte, error) {
	if v, ok := c[key]; ok {
		return v, nil
	}
	return nil, errNotFound
}
func (c cellar) SetState(_ context.Context, key string, v []byte) error { c[key] = v; return nil }

// visitor is somebody's browser at triaged, as far as this is about cookies.
type visitor struct {
	t   testing.TB
	h   *harness
	jar map[string]string
	set []*http.Cookie // as they came
}

func newVisitor(t testing.TB, h *harness) *visitor {
	return &visitor{t: t, h: h, jar: make(map[string]string)}
}

// do asks like a browser: with what it keeps, from a page of ours.
func (v *visitor) do(method, target, body string) *httptest.ResponseRecorder {
	v.t.Helper()
	r := httptest.NewRequest(method, target, strings.NewReader(body))
	r.RemoteAddr, r.Host = "192.0.2.7:40000", triagedHost
	r.Header.Set("Accept", "text/html")
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	if method != http.MethodGet {
		r.Header.Set("Sec-Fetch-Site", "same-origin")
	}
	return v.send(r)
}

func (v *visitor) send(r *http.Request) *httptest.ResponseRecorder {
	v.t.Helper()
	for k, value := range v.jar {
		r.AddCookie(&http.Cookie{Name: k, Value: value})
	}
	handler := v.h.handler
	if !strings.HasPrefix(r.URL.Path, "/api/") && !strings.HasPrefix(r.URL.Path, "/auth/") && !strings.HasPrefix(r.URL.Path, "/-/") {
		handler = v.h.api.Protect(api.ScopeRead, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.WriteString(w, "page for "+triage.ActorOf(r.Context()).Name)
		}))
	}
	rec := httptest.NewRecorder()
	handler.ServeHTTP(rec, r)
	for _, c := range rec.Result().Cookies() {
		v.set = append(v.set, c)
		if v.jar[c.Name] = c.Value; c.MaxAge < 0 {
			delete(v.jar, c.Name)
		}
	}
	return rec
}

// signIn opens a page, goes to the provider, and comes back with what it said.
func (v *visitor) signIn(page string) *httptest.ResponseRecorder {
	v.t.Helper()
	back := v.atProvider(v.do(http.MethodGet, page, ""))
	return v.do(http.MethodGet, back.RequestURI(), "")
}

// atProvider follows a redirect to the provider, and returns where that sends the browser.
func (v *visitor) atProvider(rec *httptest.ResponseRecorder) *url.URL {
	v.t.Helper()
	wantStatus(v.t, rec, http.StatusFound)
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	req, err := http.NewRequestWithContext(v.t.Context(), http.MethodGet, rec.Header().Get("Location"), nil)
	if err != nil {
		v.t.Fatal(err)
	}
	resp, err := client.Do(req)
	if err != nil {
		v.t.Fatal(err)
	}
	defer resp.Body.Close()
	back, err := resp.Location()
	if err != nil || back.Host != triagedHost || back.Path != signin.CallbackPath {
		v.t.Fatalf("want the browser sent back to us, got %v, %v", back, err)
	}
	return back
}

// Somebody who opens a page signs in on the way to it, and may do what their groups say: no more, and on their team's incidents only.
func TestSignIn(t *testing.T) {
	p := newIDP(t)
	h := newHarness(t, withOIDC(t, p.URL, cellar{}))
	v := newVisitor(t, h)
	rec := v.signIn("/incidents?state=open")
	if wantStatus(t, rec, http.StatusSeeOther); rec.Header().Get("Location") != "/incidents?state=open" {
		t.Errorf("want the page that was asked for, got %q", rec.Header().Get("Location"))
	}
	for _, c := range v.set {
		if !c.HttpOnly || !c.Secure || c.SameSite != http.SameSiteLaxMode || c.Path != "/" || !strings.HasPrefix(c.Name, "__Host-") || c.Domain != "" {
			t.Errorf("a cookie that is not as it must be: %v", c)
		}
		if strings.Contains(c.Value, "kim") {
			t.Errorf("the cookie can be read: %v", c)
		}
	}
	if len(v.jar) != 1 {
		t.Errorf("want one session and nothing left of the sign-in, got %v", v.jar)
	}
	if rec := v.do(http.MethodGet, "/incidents", ""); rec.Code != 200 || rec.Body.String() != "page for kim" {
		t.Errorf("want the page, got %d %s", rec.Code, rec.Body)
	}
	wantStatus(t, v.do(http.MethodGet, "/api/v1/incidents", ""), 200)
	wantProblem(t, v.do(http.MethodPost, "/-/reload", ""), 403, "forbidden", "admin", "signed in as kim", "auth.groups")
	wantProblem(t, v.do(http.MethodPost, "/api/v1/changes", `{}`), 403, "forbidden")

	// inc-1 is checkout's; push:flag is pricing's change.
	h.changes["push:flag"] = triage.Change{ID: "push:flag", Kind: triage.KindFlag, Source: "push", Scope: triage.Scope{Service: "pricing"}}
	wantProblem(t, v.do(http.MethodPost, "/api/v1/incidents/inc-1/feedback", `{"verdict":"none"}`), 403, "forbidden", "team-checkout")
	wantStatus(t, v.do(http.MethodPost, "/api/v1/incidents/inc-1/feedback", `{"verdict":"reject","change_id":"push:flag"}`), 200)
	if got := h.feedback; len(got) != 1 || got[0].By.Name != "kim" || got[0].By.Via != "oidc" {
		t.Fatalf("want it put down to kim, got %+v", got)
	}
	h.said = h.feedback
	if rec := v.do(http.MethodGet, "/api/v1/incidents/inc-1/feedback", ""); !strings.Contains(rec.Body.String(), `"by":{"name":"kim","via":"oidc"}`) {
		t.Errorf("want to be told who said it, got %s", rec.Body)
	}

	p.set(func(p *idp) { p.claims = map[string]any{"sub": "u-1", "preferred_username": "ada", "groups": "sre"} })
	admin := newVisitor(t, h)
	wantStatus(t, admin.signIn("/"), http.StatusSeeOther)
	wantStatus(t, admin.do(http.MethodPost, "/api/v1/incidents/inc-1/feedback", `{"verdict":"none"}`), 200)
	wantStatus(t, admin.do(http.MethodPost, "/-/reload", ""), 200)

	p.set(func(p *idp) { p.claims = map[string]any{"groups": []string{"sales"}} })
	stranger := newVisitor(t, h)
	wantStatus(t, stranger.signIn("/"), http.StatusSeeOther)
	wantProblem(t, stranger.do(http.MethodGet, "/api/v1/incidents", ""), 403, "forbidden", "signed in as kim")
}

// A session ends: after its time, by signing out, for every copy of its cookie, and over a restart; and nowhere else.
func TestSessionsEnd(t *testing.T) {
	p := newIDP(t)
	clock := now
	store := cellar{}
	with := func(change func(*api.Options)) *harness {
		return newHarness(t, func(o *api.Options) {
			withOIDC(t, p.URL, store)(o)
			o.Now = func() time.Time { return clock }
			if change != nil {
				change(o)
			}
		})
	}
	h := with(nil)
	v := newVisitor(t, h)
	wantStatus(t, v.signIn("/"), http.StatusSeeOther)
	in := func(v *visitor) bool { return v.do(http.MethodGet, "/incidents", "").Code == 200 }

	v.h = with(nil)
	if !in(v) {
		t.Error("want the session to outlast a restart")
	}
	v.h = with(func(o *api.Options) { o.Config.OIDC.ClientID = "another" })
	if in(v) {
		t.Error("want a session of another client void")
	}
	v.h = h
	for name, value := range v.jar {
		bent := newVisitor(t, h)
		bent.jar[name] = value[:len(value)-2] + string([]byte{value[len(value)-2] ^ 1}) + value[len(value)-1:]
		if in(bent) {
			t.Error("want a bent cookie void")
		}
	}
	copied := newVisitor(t, h)
	maps.Copy(copied.jar, v.jar)
	wantStatus(t, v.do(http.MethodPost, signin.LogoutPath, ""), 200)
	if v.jar["__Host-triaged_session"] != "" || in(v) || in(copied) {
		t.Error("want the session over for every copy of it")
	}
	copied.h = with(nil)
	if in(copied) {
		t.Error("want it over after a restart, too")
	}
	clock = clock.Add(time.Minute) // the provider's clock stands still
	p.set(func(p *idp) { p.claims = map[string]any{"exp": clock.Unix() + 300} })
	wantStatus(t, v.signIn("/"), http.StatusSeeOther)
	clock = clock.Add(12*time.Hour - time.Second)
	if !in(v) {
		t.Error("want the session to last")
	}
	clock = clock.Add(time.Second)
	if in(v) {
		t.Error("want the session over")
	}
}

// A cookie is sent by the browser whoever asks for it: only what the browser says comes from a page of ours acts with it.
func TestSessionsActForOurPagesOnly(t *testing.T) {
	p := newIDP(t)
	p.claims = map[string]any{"groups": "sre"}
	h := newHarness(t, withOIDC(t, p.URL, cellar{}))
	v := newVisitor(t, h)
	wantStatus(t, v.signIn("/"), http.StatusSeeOther)
	for name, tc := range map[string]struct {
		site, origin string
		want         int
	}{
		"ours":             {"same-origin", "https://" + triagedHost, 200},
		"ours, old":        {"", "https://" + triagedHost, 200},
		"a sibling host":   {"same-site", "https://evil.example.com", 403},
		"another site":     {"cross-site", "https://evil.example", 403},
		"another, old":     {"", "https://evil.example", 403},
		"a sandboxed page": {"", "null", 403},
		"says nothing":     {"", "", 403},
	} {
		t.Run(name, func(t *testing.T) {
			for _, target := range []string{"/-/reload", "/api/v1/incidents/inc-1/feedback", "/incidents/inc-1/feedback", signin.LogoutPath} {
				if target == signin.LogoutPath && tc.want == 200 {
					continue // it would
				}
				r := httptest.NewRequest(http.MethodPost, target, strings.NewReader(`{"verdict":"none"}`))
				r.Host = triagedHost
				r.Header.Set("Content-Type", "application/json")
				if tc.site != "" {
					r.Header.Set("Sec-Fetch-Site", tc.site)
				}
				if tc.origin != "" {
					r.Header.Set("Origin", tc.origin)
				}
				if rec := v.send(r); rec.Code != tc.want {
					t.Errorf("%s: want %d, got %d %s", target, tc.want, rec.Code, rec.Body)
				}
			}
		})
	}
	if len(h.feedback) != 2 {
		t.Errorf("want what our own page said and no more, got %v", h.feedback)
	}
}

// What a proxy in front says is believed of the proxy only, and a header that the visitor added makes nobody of them.
func TestProxySignIn(t *testing.T) {
	h := newHarness(t, func(o *api.Options) {
		c := signin.DefaultProxy()
		c.Allowed = []string{"10.1.2.3", "10.9.0.0/28"}
		o.Config = api.DefaultConfig()
		o.Config.TrustLoopback = true // must not make a person of the proxy's visitors the machine's own
		o.Config.Proxy = &c
		o.Config.Groups = []api.Group{{Group: "ops/*", Scopes: []api.Scope{api.ScopeRead}}, {Group: "admins", Scopes: []api.Scope{api.ScopeAdmin}}}
		o.ListenAddresses = []string{":9792"}
	})
	for name, tc := range map[string]struct {
		from         string
		user, groups []string
		want         int
	}{
		"a reader":            {"10.1.2.3:4711", []string{"kim"}, []string{"x, ops/eu"}, 200},
		"mapped":              {"[::ffff:10.1.2.3]:4711", []string{"kim"}, []string{"ops/eu"}, 200},
		"in the network":      {"10.9.0.14:1", []string{"kim"}, []string{"admins"}, 200},
		"no group":            {"10.1.2.3:4711", []string{"kim"}, nil, 403},
		"no user":             {"10.1.2.3:4711", nil, []string{"admins"}, 401},
		"two users":           {"10.1.2.3:4711", []string{"kim", "root"}, []string{"admins"}, 401},
		"two lists of groups": {"10.1.2.3:4711", []string{"kim"}, []string{"ops/eu", "admins"}, 401},
		"unprintable":         {"10.1.2.3:4711", []string{"kim\x01"}, []string{"admins"}, 401},
		"from elsewhere":      {"10.1.2.4:4711", []string{"kim"}, []string{"admins"}, 401},
		"beside the network":  {"10.9.0.16:1", []string{"kim"}, []string{"admins"}, 401},
		"no address":          {"@", []string{"kim"}, []string{"admins"}, 401},
	} {
		t.Run(name, func(t *testing.T) {
			r := httptest.NewRequest(http.MethodGet, "/api/v1/incidents", nil)
			r.RemoteAddr = tc.from
			r.Header["X-Forwarded-User"], r.Header["X-Forwarded-Groups"] = tc.user, tc.groups
			wantStatus(t, h.do(r), tc.want)
		})
	}
}

func fetch(t testing.TB, client *http.Client, address string) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// testutilCount reads a counter by its result.
func testutilCount(t testing.TB, h *harness, name string) map[string]float64 {
	t.Helper()
	families, err := h.reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	out := make(map[string]float64)
	for _, f := range families {
		if f.GetName() == name {
			for _, m := range f.GetMetric() {
				out[m.GetLabel()[0].GetValue()] = m.GetCounter().GetValue()
			}
		}
	}
	return out
}
