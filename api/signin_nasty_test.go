package api_test

import (
	"encoding/base64"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/triaged-dev/triaged/api"
	"github.com/triaged-dev/triaged/api/signin"
)

// Nobody is signed in by a token that is wrong in any one way, and everybody by one that is right, or off by as little as clocks are.
func TestWhatAProviderMaySay(t *testing.T) {
	part := func(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }
	said := func(claims map[string]any) func(*idp) { return func(p *idp) { p.claims = claims } }
	hs256 := func(key []byte) func(*idp) {
		return func(p *idp) {
			p.sign = func(b []byte) string { return signed(p.t, jose.HS256, key, p.kid, b) }
		}
	}
	for name, tc := range map[string]struct {
		set  func(*idp)
		want int
	}{
		"right":                       {said(nil), 303},
		"expired a little, clocks":    {said(map[string]any{"exp": now.Add(-50 * time.Second).Unix()}), 303},
		"expired":                     {said(map[string]any{"exp": now.Add(-61 * time.Second).Unix()}), 403},
		"without an end":              {said(map[string]any{"exp": nil}), 403},
		"from the future, clocks":     {said(map[string]any{"iat": now.Add(50 * time.Second).Unix()}), 303},
		"from the future":             {said(map[string]any{"iat": now.Add(2 * time.Minute).Unix()}), 403},
		"not valid yet":               {said(map[string]any{"nbf": now.Add(time.Hour).Unix()}), 403},
		"another nonce":               {said(map[string]any{"nonce": "that-of-another-sign-in"}), 403},
		"no nonce":                    {said(map[string]any{"nonce": nil}), 403},
		"another audience":            {said(map[string]any{"aud": "another-client"}), 403},
		"no audience":                 {said(map[string]any{"aud": nil}), 403},
		"two audiences, no azp":       {said(map[string]any{"aud": []string{clientID, "another"}}), 403},
		"two audiences, another's":    {said(map[string]any{"aud": []string{clientID, "another"}, "azp": "another"}), 403},
		"two audiences, ours":         {said(map[string]any{"aud": []string{clientID, "another"}, "azp": clientID}), 303},
		"one audience, another's":     {said(map[string]any{"azp": "another"}), 403},
		"another issuer":              {said(map[string]any{"iss": "https://evil.example"}), 403},
		"no subject":                  {said(map[string]any{"sub": nil}), 403},
		"an empty subject":            {said(map[string]any{"sub": ""}), 403},
		"a subject with a line in it": {said(map[string]any{"sub": "u\n17"}), 403},
		"another access token":        {said(map[string]any{"at_hash": "AAAAAAAAAAAAAAAAAAAAAA"}), 403},
		"claims of other types":       {said(map[string]any{"groups": 7, "preferred_username": []int{1}}), 303},
		"no token":                    {func(p *idp) { p.noToken = true }, 403},
		"not signed": {func(p *idp) {
			p.sign = func(b []byte) string { return part(`{"alg":"none"}`) + "." + part(string(b)) + "." }
		}, 403},
		"signed with the secret":     {hs256([]byte(clientSecret + strings.Repeat("x", 32))), 403},
		"signed with the public key": {func(p *idp) { hs256(must(p.key.PublicKey.Bytes()))(p) }, 403},
		"signed by somebody else": {func(p *idp) {
			key, kid := p.key, p.kid
			p.rotate(p.kid)
			p.sign = func(b []byte) string { return signed(p.t, jose.ES256, key, kid, b) }
		}, 403},
		"a token that is none":        {func(p *idp) { p.sign = func([]byte) string { return "not.a.token" } }, 403},
		"another client's secret":     {func(p *idp) { p.secret = "changed" }, 403},
		"denied":                      {func(p *idp) { p.deny = "access_denied" }, 403},
		"denied with markup":          {func(p *idp) { p.deny = "<script>alert(1)</script>" }, 403},
		"issuer of the answer, right": {func(p *idp) { p.extra = url.Values{"iss": {p.URL}} }, 303},
		"issuer of the answer, wrong": {func(p *idp) { p.extra = url.Values{"iss": {"https://evil.example"}} }, 400},
		"another state":               {func(p *idp) { p.extra = url.Values{"state": {"AAAAAAAAAAAAAAAAAAAAAAAAAA"}} }, 400},
		"no state":                    {func(p *idp) { p.extra = url.Values{"state": nil} }, 400},
		"a code that is none":         {func(p *idp) { p.extra = url.Values{"code": {"guessed"}} }, 403},
		"told of another person": {func(p *idp) {
			p.claims = map[string]any{"groups": nil}
			p.info = map[string]any{"sub": "u-1", "groups": []string{"sre"}}
		}, 403},
		"told of the person elsewhere": {func(p *idp) {
			p.claims = map[string]any{"groups": nil}
			p.info = map[string]any{"sub": "u-17", "groups": []string{"sre"}}
		}, 303},
	} {
		t.Run(name, func(t *testing.T) {
			p := newIDP(t)
			h := newHarness(t, withOIDC(t, p.URL, cellar{}))
			p.info = map[string]any{"sub": "u-17"}
			p.set(tc.set)
			v := newVisitor(t, h)
			rec := v.signIn("/incidents")
			if rec.Code != tc.want {
				t.Fatalf("want %d, got %d %s", tc.want, rec.Code, rec.Body)
			}
			if signedIn := v.jar["__Host-triaged_session"] != ""; signedIn != (tc.want == 303) {
				t.Errorf("signed in: %v", signedIn)
			}
			if body := rec.Body.String(); strings.Contains(body, "<script>") || strings.Contains(body, clientSecret) {
				t.Errorf("what must not be on a page: %s", body)
			}
		})
	}
}

// A new key of the provider is learned when it is first used, without a restart; an answer serves once, and only the browser that
// asked.
func TestKeysRotateAndAnswersServeOnce(t *testing.T) {
	p := newIDP(t)
	h := newHarness(t, withOIDC(t, p.URL, cellar{}))
	wantStatus(t, newVisitor(t, h).signIn("/"), 303)
	p.set(func(p *idp) { p.rotate("second") })
	v := newVisitor(t, h)
	back := v.atProvider(v.do(http.MethodGet, "/incidents", ""))
	wantStatus(t, newVisitor(t, h).do(http.MethodGet, back.RequestURI(), ""), 400) // lured into another browser
	kept := newVisitor(t, h)
	maps.Copy(kept.jar, v.jar)
	wantStatus(t, v.do(http.MethodGet, back.RequestURI(), ""), 303)
	wantStatus(t, v.do(http.MethodGet, back.RequestURI(), ""), 400)
	wantStatus(t, kept.do(http.MethodGet, back.RequestURI(), ""), 403) // the provider takes the code once
	if p.asked != 1 {
		t.Errorf("want its configuration asked for once, got %d", p.asked)
	}
}

// A provider that is away keeps people out and nobody else, and is found when it is back.
func TestProviderAway(t *testing.T) {
	p := newIDP(t)
	p.down = true
	h := newHarness(t, withOIDC(t, p.URL, cellar{}))
	v := newVisitor(t, h)
	wantStatus(t, v.do(http.MethodGet, "/incidents", ""), 503)
	r := local(http.MethodGet, "/api/v1/incidents", "")
	r.Header.Set("Authorization", "Bearer a-token-that-only-reads")
	wantStatus(t, h.do(r), 200)
	p.set(func(p *idp) { p.down, p.issuer = false, "https://evil.example" })
	wantStatus(t, v.do(http.MethodGet, "/incidents", ""), 503)
	p.set(func(p *idp) { p.issuer = "" })
	wantStatus(t, v.signIn("/incidents"), 303)
	if got := testutilCount(t, h, "triaged_signins_total"); got["signed_in"] != 1 || got["refused"] != 2 || got["begun"] != 1 {
		t.Errorf("counted: %v", got)
	}
}

// Whoever is sent here with an address to come back to comes back to a page of ours.
func TestNoOpenRedirect(t *testing.T) {
	p := newIDP(t)
	h := newHarness(t, func(o *api.Options) {
		withOIDC(t, p.URL, cellar{})(o)
		o.ExternalURL = "https://" + triagedHost + "/tools"
	})
	for next, want := range map[string]string{
		"/changes?service=x": "/tools/changes?service=x", "//evil.example": "/tools/", "https://evil.example": "/tools/", `/\evil.example`: "/tools/",
		"javascript:alert(1)": "/tools/", "": "/tools/", "/auth/login": "/tools/", "/" + strings.Repeat("x", 2000): "/tools/", "/a\tb": "/tools/",
	} {
		v := newVisitor(t, h)
		rec := v.do(http.MethodGet, signin.LoginPath+"?next="+url.QueryEscape(next), "")
		wantStatus(t, rec, 302)
		to, err := url.Parse(rec.Header().Get("Location"))
		if err != nil || to.Query().Get("redirect_uri") != "https://"+triagedHost+"/tools/auth/callback" {
			t.Fatalf("sent to %q: %v", rec.Header().Get("Location"), err)
		}
		state := to.Query().Get("state")
		client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
		resp, err := client.Get(to.String()) //nolint:noctx // a test's own server
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		code := must(resp.Location()).Query().Get("code")
		rec = v.do(http.MethodGet, signin.CallbackPath+"?state="+state+"&code="+code, "")
		if got := rec.Header().Get("Location"); got != want {
			t.Errorf("next %q: want %q, got %q (%d)", next, want, got, rec.Code)
		}
		for _, c := range v.set {
			if c.Path != "/tools/" || !strings.HasPrefix(c.Name, "__Secure-") {
				t.Errorf("a cookie for more than our path: %v", c)
			}
		}
	}
}

// A script that asks for data, and a form, get an answer and no redirect; sign-ins begun and left do not pile up in a browser.
func TestWhoIsSentToTheProvider(t *testing.T) {
	p := newIDP(t)
	h := newHarness(t, withOIDC(t, p.URL, cellar{}))
	page := h.api.Protect(api.ScopeRead, http.NotFoundHandler())
	for _, set := range []func(*http.Request){
		func(r *http.Request) { r.Header.Set("Sec-Fetch-Mode", "cors") },
		func(r *http.Request) { r.Header.Set("Accept", "application/json") },
		func(r *http.Request) { r.Method = http.MethodPost },
	} {
		r := local(http.MethodGet, "/incidents", "")
		r.Header.Set("Accept", "text/html")
		set(r)
		rec := httptest.NewRecorder()
		page.ServeHTTP(rec, r)
		wantProblem(t, rec, 401, "unauthenticated")
		if c := rec.Header().Get("WWW-Authenticate"); !strings.HasPrefix(c, "Bearer ") {
			t.Errorf("want no box for a password where people sign in elsewhere, got %q", c)
		}
	}
	v := newVisitor(t, h)
	for range 30 {
		wantStatus(t, v.do(http.MethodGet, "/incidents", ""), 302)
	}
	if len(v.jar) > 6 {
		t.Errorf("%d sign-ins are kept in the browser", len(v.jar))
	}
}
