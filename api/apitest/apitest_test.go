package apitest

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// The helper must see what it is there to see: a wrong field, a wrong status, a wrong content type.
func TestCheckFindsWhatIsWrong(t *testing.T) {
	v, err := New()
	if err != nil {
		t.Fatal(err)
	}
	json := http.Header{"Content-Type": {"application/json"}}
	prob := http.Header{"Content-Type": {"application/problem+json"}}
	for name, tc := range map[string]struct {
		method, path string
		status       int
		header       http.Header
		body, want   string
	}{
		"right":                  {"GET", "/-/healthy", 200, json, `{"status":"healthy"}`, ""},
		"missing field":          {"GET", "/-/healthy", 200, json, `{}`, "status"},
		"wrong type":             {"GET", "/api/v1/changes", 200, json, `{"items":[{"kind":"deploy","service":7}]}`, "service"},
		"unknown kind":           {"GET", "/api/v1/changes", 200, json, `{"items":[{"kind":"deployment"}]}`, "kind"},
		"unknown field":          {"GET", "/api/v1/changes/a/b", 200, json, `{"kind":"deploy","servce":"x"}`, "servce"},
		"null list":              {"GET", "/api/v1/changes", 200, json, `{"items":null}`, "items"},
		"time without zone":      {"GET", "/api/v1/changes/a", 200, json, `{"kind":"deploy","started_at":"2026-03-01T03:02:10"}`, "date-time"},
		"undescribed status":     {"POST", "/api/v1/changes", 201, json, `{"status":"ok"}`, "Content-Type"},
		"problem as JSON":        {"GET", "/api/v1/changes", 404, json, `{"type":"a","title":"b","status":404}`, "Content-Type"},
		"problem":                {"GET", "/api/v1/changes", 404, prob, `{"type":"https://a/b","title":"b","status":404}`, ""},
		"problem without status": {"GET", "/api/v1/changes", 404, prob, `{"type":"https://a/b","title":"b"}`, "status"},
		"unknown path":           {"GET", "/nothing", 404, prob, `{"type":"https://a/b","title":"b","status":404}`, ""},
		"unknown path, text":     {"GET", "/nothing", 404, http.Header{"Content-Type": {"text/plain"}}, `404`, "not that of a problem"},
		"unknown path served":    {"GET", "/nothing", 200, json, `{}`, "no such operation"},
		"yaml":                   {"GET", "/api/openapi.yaml", 200, http.Header{"Content-Type": {"application/yaml"}}, "a: b", ""},
	} {
		t.Run(name, func(t *testing.T) {
			err := v.Check(httptest.NewRequest(tc.method, tc.path, nil), tc.status, tc.header, []byte(tc.body))
			if tc.want == "" && err != nil {
				t.Errorf("want no error, got %v", err)
			}
			if tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)) {
				t.Errorf("want %q in the error, got %v", tc.want, err)
			}
		})
	}
}
