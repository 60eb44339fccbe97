package web_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/triaged-dev/triaged/triage"
	"github.com/triaged-dev/triaged/web"
)

// TestSignedIn: who signed in sees as whom and can leave; what they say is put down to them, and is about their team's incidents only.
func TestSignedIn(t *testing.T) {
	s := rich(t)
	who := triage.Actor{Name: "Kim <kim@example.com>", Via: "oidc", Subject: "u-17"}
	srv := site(t, s, func(o *web.Options) {
		o.Protect = func(_ web.Scope, next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				next.ServeHTTP(w, r.WithContext(triage.WithActor(r.Context(), who)))
			})
		}
	})
	status, body := get(t, srv.URL+"/incidents")
	if status != 200 || !strings.Contains(body, "Kim &lt;kim@example.com&gt;") || !strings.Contains(body, `action="/auth/logout"`) {
		t.Errorf("want the name and a way out on the page, got %d", status)
	}
	inc, change := s.incidents[0], s.changes[0]
	target := "/incidents/" + url.PathEscape(inc.ID) + "/feedback"
	say := url.Values{"verdict": {"confirm"}, "change_id": {string(change.ID)}}
	if resp, _ := post(t, srv.URL, target, "", say); resp.StatusCode != http.StatusSeeOther {
		t.Fatalf("want it taken, got %d", resp.StatusCode)
	}
	if got := s.feedback[inc.ID][0].By; got.Name != who.Name || got.Via != "oidc" {
		t.Errorf("want it put down to who said it, got %+v", got)
	}
	before := len(s.feedback[inc.ID])
	who.Teams = []string{"team-nobody"}
	if resp, body := post(t, srv.URL, target, "", say); resp.StatusCode != http.StatusForbidden || !strings.Contains(body, "belongs to your team") {
		t.Errorf("want another team's word refused, got %d", resp.StatusCode)
	}
	if len(s.feedback[inc.ID]) != before {
		t.Error("it was stored all the same")
	}
	who = triage.Actor{Name: "reader", Via: "token"}
	if _, body := get(t, srv.URL+"/incidents"); strings.Contains(body, "/auth/logout") {
		t.Error("the holder of a token cannot sign out, and is offered to")
	}
}
