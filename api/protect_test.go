package api_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/triaged-dev/triaged/api"
)

// Pages are guarded like the API: by scope, against other sites, and a browser may send the token as a password.
func TestProtect(t *testing.T) {
	h := newHarness(t, withTokens)
	served := 0
	page := h.api.Protect(api.ScopeRead, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		served++
		w.Header().Set("Content-Security-Policy", "default-src 'self'")
	}))
	open := h.api.Protect("", page)
	ask := func(handler http.Handler, method string, prepare func(*http.Request)) *httptest.ResponseRecorder {
		r := local(method, "/incidents", "")
		if prepare != nil {
			prepare(r)
		}
		rec := httptest.NewRecorder()
		handler.ServeHTTP(rec, r)
		return rec
	}
	basic := func(password string) func(*http.Request) {
		return func(r *http.Request) { r.SetBasicAuth("anybody", password) }
	}

	rec := ask(page, http.MethodGet, nil)
	wantProblem(t, rec, 401, "unauthenticated")
	if got := rec.Header().Get("WWW-Authenticate"); !strings.HasPrefix(got, "Basic ") {
		t.Errorf("want a browser to be asked, got %q", got)
	}
	wantProblem(t, ask(page, http.MethodGet, basic("not a token")), 401, "unauthenticated")
	wantProblem(t, ask(page, http.MethodGet, basic(tokenOf(api.ScopeFeedback))), 403, "forbidden")
	wantProblem(t, ask(open, http.MethodGet, nil), 401, "unauthenticated") // the inner one still asks
	if served != 0 {
		t.Fatalf("want nobody let in yet, got %d", served)
	}
	rec = ask(page, http.MethodGet, basic(tokenOf(api.ScopeRead)))
	if wantStatus(t, rec, 200); rec.Header().Get("Content-Security-Policy") != "default-src 'self'" {
		t.Errorf("want the page's own policy, got %q", rec.Header().Get("Content-Security-Policy"))
	}
	wantStatus(t, ask(page, http.MethodHead, func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+tokenOf(api.ScopeAdmin)) }), 200)
	wantProblem(t, ask(page, http.MethodPost, func(r *http.Request) {
		basic(tokenOf(api.ScopeRead))(r)
		r.Header.Set("Sec-Fetch-Site", "cross-site")
	}), 403, "cross-origin")
	if served != 2 {
		t.Errorf("want two let in, got %d", served)
	}

	r := local(http.MethodGet, "/api/v1/changes", "") // the script of a page reads with what the browser has
	basic(tokenOf(api.ScopeRead))(r)
	wantStatus(t, h.do(r), 200)
}
