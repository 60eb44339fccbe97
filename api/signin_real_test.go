package api_test

import (
	"context"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"regexp"
	"testing"
	"time"

	"github.com/prometheus/common/config"
	"github.com/zitadel/oidc/v3/example/server/exampleop"
	"github.com/zitadel/oidc/v3/example/server/storage"
	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"

	"github.com/triaged-dev/triaged/api"
	"github.com/triaged-dev/triaged/api/signin"
)

// grouped is the storage of a certified provider whose people are in groups. It tells of them where it is asked about a person, and
// not in the id_token, as many do.
type grouped struct{ *storage.Storage }

func (g grouped) SetUserinfoFromToken(ctx context.Context, info *oidc.UserInfo, tokenID, subject, origin string) error {
	info.AppendClaims("groups", []string{"engineering", "team-checkout"})
	return g.Storage.SetUserinfoFromToken(ctx, info, tokenID, subject, origin)
}

// The whole way through a provider that somebody else wrote: discovery, code flow with PKCE, its own page for the password, its
// tokens and its keys.
func TestSignInAtARealProvider(t *testing.T) {
	var handler http.Handler
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { handler.ServeHTTP(w, r) }))
	defer server.Close()
	callback := "https://" + triagedHost + signin.CallbackPath
	handler = exampleop.SetupServer(server.URL, grouped{storage.NewStorageWithClients(storage.NewUserStore(server.URL), map[string]*storage.Client{
		clientID: storage.WebClient(clientID, clientSecret, callback),
	})}, nil, false, op.WithAllowInsecure())

	h := newHarness(t, func(o *api.Options) {
		withOIDC(t, server.URL, cellar{})(o)
		o.Now = time.Now
	})
	v := newVisitor(t, h)
	rec := v.do(http.MethodGet, "/incidents/inc-1", "")
	wantStatus(t, rec, http.StatusFound)

	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	var back *url.URL
	browser := &http.Client{Jar: jar, CheckRedirect: func(r *http.Request, _ []*http.Request) error {
		if r.URL.Host == triagedHost {
			back = r.URL
			return http.ErrUseLastResponse
		}
		return nil
	}}
	form := fetch(t, browser, rec.Header().Get("Location"))
	id := regexp.MustCompile(`name="id" value="([^"]+)"`).FindStringSubmatch(form)
	if id == nil {
		t.Fatalf("want the provider's form, got %s", form)
	}
	for _, password := range []string{"wrong", "verysecure"} {
		resp, err := browser.PostForm(server.URL+"/login/username", url.Values{"id": id[1:], "username": {"test-user2"}, "password": {password}})
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if (back != nil) != (password == "verysecure") {
			t.Fatalf("with the password %q the provider sends the browser to %v", password, back)
		}
	}
	rec = v.do(http.MethodGet, back.RequestURI(), "")
	if wantStatus(t, rec, http.StatusSeeOther); rec.Header().Get("Location") != "/incidents/inc-1" {
		t.Errorf("sent to %q", rec.Header().Get("Location"))
	}
	if rec := v.do(http.MethodGet, "/incidents", ""); rec.Code != 200 || rec.Body.String() != "page for test-user2" {
		t.Errorf("want the page, got %d %s", rec.Code, rec.Body)
	}
	wantStatus(t, v.do(http.MethodPost, "/api/v1/incidents/inc-1/feedback", `{"verdict":"none"}`), 200)
	wantProblem(t, v.do(http.MethodPost, "/-/reload", ""), 403, "forbidden")

	// With a secret that is not the client's the provider gives nothing, and nobody is signed in.
	h = newHarness(t, func(o *api.Options) {
		withOIDC(t, server.URL, cellar{})(o)
		o.Now = time.Now
		o.Config.OIDC.ClientSecret = config.Secret("not this one")
	})
	v = newVisitor(t, h)
	back = nil
	form = fetch(t, browser, v.do(http.MethodGet, "/", "").Header().Get("Location"))
	id = regexp.MustCompile(`name="id" value="([^"]+)"`).FindStringSubmatch(form)
	resp, err := browser.PostForm(server.URL+"/login/username", url.Values{"id": id[1:], "username": {"test-user2"}, "password": {"verysecure"}})
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	wantStatus(t, v.do(http.MethodGet, back.RequestURI(), ""), http.StatusForbidden)
}
