package api_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/prometheus/common/config"

	"github.com/triaged-dev/triaged/api"
	"github.com/triaged-dev/triaged/triage"
)

// A holder of write:changes reports in its own name: it cannot name another's source, nor write under another's id. Sources may be lent
// to it, and an admin may name any.
func TestSourceIsTheTokens(t *testing.T) {
	const lent = "0123456789abcdef-lent"
	h := newHarness(t, func(o *api.Options) {
		withTokens(o)
		o.Config.Tokens = append(o.Config.Tokens, api.Token{Name: "ci", Token: config.Secret(lent), Scopes: []api.Scope{api.ScopeWriteChanges}, Sources: []string{"spinnaker"}})
	})
	send := func(token, path, body string) (id string, warnings []string) {
		t.Helper()
		r := local(http.MethodPost, path, body)
		r.Header.Set("Authorization", "Bearer "+token)
		rec := h.do(r)
		wantStatus(t, rec, 200)
		got := decodeAs[struct{ Accepted, Warnings []string }](t, rec)
		return got.Accepted[0], got.Warnings
	}
	change := func(source, id string) string {
		return `{"id":"` + id + `","source":"` + source + `","kind":"deploy","service":"a","started_at":"2026-03-01T03:02:10Z"}`
	}
	for name, tc := range map[string]struct {
		token, source, id, want string
		warned                  bool
	}{
		"another's source and id": {tokenOf(api.ScopeWriteChanges), "github", "github:acme/shop/deployment/7", "write:changes:github:acme/shop/deployment/7", true},
		"another's id only":       {tokenOf(api.ScopeWriteChanges), "", "github:acme/shop/deployment/7", "write:changes:github:acme/shop/deployment/7", false},
		"its own":                 {tokenOf(api.ScopeWriteChanges), "write:changes", "write:changes:9", "write:changes:9", false},
		"lent":                    {lent, "spinnaker", "spinnaker:8", "spinnaker:8", false},
		"not lent":                {lent, "github", "github:8", "ci:github:8", true},
		"admin":                   {tokenOf(api.ScopeAdmin), "github", "github:8", "github:8", false},
		"very long":               {lent, "", strings.Repeat("x", triage.MaxText), "", false},
	} {
		t.Run(name, func(t *testing.T) {
			id, warnings := send(tc.token, "/api/v1/changes", change(tc.source, tc.id))
			if tc.want != "" && id != tc.want || len(id) > triage.MaxText {
				t.Errorf("want id %s, got %s", tc.want, id)
			}
			if (len(warnings) > 0) != tc.warned {
				t.Errorf("want warned: %v, got %q", tc.warned, warnings)
			}
			stored := h.changes[triage.ChangeID(id)]
			if want, _, _ := strings.Cut(id, ":"); tc.token == lent && stored.Source != want {
				t.Errorf("want source %s, got %s", want, stored.Source)
			}
			if by := stored.Labels[triage.LabelPushedBy]; (by != "") != (tc.token != tokenOf(api.ScopeAdmin)) {
				t.Errorf("pushed by %q", by)
			}
		})
	}
	id, _ := send(tokenOf(api.ScopeWriteChanges), "/api/v1/anomalies", `{"id":"prometheus:x","source":"prometheus","service":"a","series":"s","signal":"errors","onset":{"best":"2026-03-01T03:02:10Z"}}`)
	if id != "write:changes:prometheus:x" || h.anomalies[0].Source != "write:changes" {
		t.Errorf("anomaly: %s of %s", id, h.anomalies[0].Source)
	}
}
