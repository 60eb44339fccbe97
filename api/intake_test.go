package api_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/triaged-dev/triaged/api"
	"github.com/triaged-dev/triaged/triage"
)

const (
	goodChange  = `{"kind":"deploy","service":"checkout","started_at":"2026-03-01T03:02:10+01:00"}`
	goodAnomaly = `{"signal":"traffic","service":"checkout","series":"rps","onset":{"best":"2026-03-01T03:01:00Z"},"from":1,"to":9,"effect":8}`
)

var errSecret = errors.New("open /var/lib/triaged/password=hunter2")

type answer struct {
	Accepted []string `json:"accepted"`
	Rejected []struct {
		Index  int                `json:"index"`
		Errors []api.FieldProblem `json:"errors"`
	} `json:"rejected"`
	Warnings []string `json:"warnings"`
}

func mustJSON(t testing.TB, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestBadChangesAreNamed(t *testing.T) {
	long := strings.Repeat("x", 2000)
	for name, tc := range map[string]struct {
		body   string
		status int
		kind   string
		parts  []string
	}{
		"empty":             {"", 400, "malformed-json", []string{"empty"}},
		"spaces":            {"  \n", 400, "malformed-json", []string{"empty"}},
		"not JSON":          {`kind=deploy`, 400, "malformed-json", []string{"byte 1"}},
		"cut off":           {`{"kind":"deploy",`, 400, "malformed-json", []string{"unexpected end"}},
		"two objects":       {goodChange + goodChange, 400, "malformed-json", []string{"after top-level value"}},
		"bad element":       {`[` + goodChange + `,{"kind":]`, 400, "malformed-json", []string{"line 1"}},
		"a number":          {`7`, 422, "invalid-record", []string{"send a JSON object"}},
		"null":              {`null`, 422, "invalid-record", []string{"send a JSON object"}},
		"unknown field":     {`{"kind":"deploy","servce":"a"}`, 422, "invalid-record", []string{"servce", "is not a known field"}},
		"wrong type":        {`{"kind":"deploy","service":7,"started_at":"2026-03-01T03:02:10Z"}`, 422, "invalid-record", []string{`"field":"service"`, "must be a string"}},
		"two faults":        {`{"kind":1,"service":2}`, 422, "invalid-record", []string{`"field":"kind"`, `"field":"service"`}},
		"time without zone": {`{"kind":"deploy","service":"a","started_at":"2026-03-01T03:02:10"}`, 422, "invalid-record", []string{"started_at", "RFC 3339 with a zone"}},
		"no time":           {`{"kind":"deploy","service":"a"}`, 422, "invalid-record", []string{"started_at", "is required"}},
		"empty service":     {`{"kind":"deploy","service":"","started_at":"2026-03-01T03:02:10Z"}`, 422, "invalid-record", []string{`"field":"service"`, "is required"}},
		"unknown kind":      {`{"kind":"deployment","service":"a","started_at":"2026-03-01T03:02:10Z"}`, 422, "invalid-record", []string{"deployment", "use one of deploy"}},
		"long title":        {`{"kind":"deploy","service":"a","started_at":"2026-03-01T03:02:10Z","title":"` + long + `"}`, 422, "invalid-record", []string{"at most 1024"}},
		"bad envelope":      {`{"change":{"kind":"deploy"},"anomaly":{}}`, 422, "invalid-record", []string{"send {"}},
		"bad in envelope":   {`{"change":{"kind":"deploy"}}`, 422, "invalid-record", []string{"change.service"}},
		"all of a list bad": {`[{"kind":"x"},7]`, 422, "invalid-record", []string{`"index":0`, `"index":1`}},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHarness(t, nil)
			r := local(http.MethodPost, "/api/v1/changes", tc.body)
			r.Header.Set("Content-Type", "application/json")
			rec := h.do(r)
			wantStatus(t, rec, tc.status)
			p := decodeAs[api.Problem](t, rec)
			if !strings.HasSuffix(p.Type, "#"+tc.kind) {
				t.Errorf("want problem %s, got %s", tc.kind, rec.Body)
			}
			for _, part := range tc.parts {
				if !strings.Contains(rec.Body.String(), part) {
					t.Errorf("want %q in %s", part, rec.Body)
				}
			}
			if rec.Body.Len() > 4096 {
				t.Errorf("the answer repeats too much of the input: %d bytes", rec.Body.Len())
			}
			if len(h.changes) != 1 {
				t.Errorf("want nothing stored, got %d changes", len(h.changes)-1)
			}
		})
	}
}

func TestContentTypes(t *testing.T) {
	for ct, want := range map[string]int{
		"":                                  200, // many senders forget it
		"application/json":                  200,
		"Application/JSON; charset=utf-8":   200,
		"application/x-ndjson":              200,
		"application/x-www-form-urlencoded": 415, // what curl -d sends
		"text/plain":                        415,
		"application/cloudevents+avro":      415,
		"application/cloudevents+json":      415, // no decoder was given
		"a/b/c":                             415,
	} {
		h := newHarness(t, nil)
		r := local(http.MethodPost, "/api/v1/changes", goodChange)
		r.Header.Del("Content-Type")
		if ct != "" {
			r.Header.Set("Content-Type", ct)
		}
		rec := h.do(r)
		if rec.Code != want {
			t.Errorf("%q: want %d, got %d: %s", ct, want, rec.Code, rec.Body)
		}
	}
	h := newHarness(t, nil)
	r := local(http.MethodPost, "/api/v1/changes", goodChange)
	r.Header.Set("Content-Encoding", "gzip")
	wantProblem(t, h.do(r), 415, "unsupported-media-type", "uncompressed")
}

// A bad record never blocks the rest: the good ones are stored, the bad ones named with their place and kept.
func TestBadRecordsDoNotBlockGoodOnes(t *testing.T) {
	h := newHarness(t, nil)
	rec := h.call(http.MethodPost, "/api/v1/changes", `[`+goodChange+`,{"kind":"deploy","service":7},{"anomaly":`+goodAnomaly+`},{"change":`+goodChange+`}]`)
	wantStatus(t, rec, 200)
	got := decodeAs[answer](t, rec)
	if len(got.Accepted) != 3 || got.Accepted[0] != got.Accepted[2] {
		t.Errorf("want 3 accepted, the first and last alike, got %v", got.Accepted)
	}
	if len(got.Rejected) != 1 || got.Rejected[0].Index != 1 || got.Rejected[0].Errors[0].Field != "service" {
		t.Errorf("want record 1 rejected for its service, got %+v", got.Rejected)
	}
	if len(h.anomalies) != 1 || len(h.changes) != 2 {
		t.Errorf("want 1 anomaly and 1 new change stored, got %d and %d", len(h.anomalies), len(h.changes)-1)
	}
	if len(h.quarantined) != 1 || string(h.quarantined[0].Body) != `{"kind":"deploy","service":7}` || h.quarantined[0].Source != "push" {
		t.Errorf("want the bad record in quarantine, got %+v", h.quarantined)
	}
}

func TestLines(t *testing.T) {
	h := newHarness(t, nil)
	r := local(http.MethodPost, "/api/v1/changes", goodChange+"\r\n\nnot json\n"+`{"anomaly":`+goodAnomaly+`}`)
	r.Header.Set("Content-Type", "application/x-ndjson")
	rec := h.do(r)
	wantStatus(t, rec, 200)
	got := decodeAs[answer](t, rec)
	if len(got.Accepted) != 2 || len(got.Rejected) != 1 || got.Rejected[0].Index != 1 || !strings.Contains(got.Rejected[0].Errors[0].Remedy, "is not JSON") {
		t.Errorf("want two accepted and line 1 rejected, got %s", rec.Body)
	}
}

// What is stored is in UTC, has an id and a source; a repeated record has the same id.
func TestStoredChangesAreComplete(t *testing.T) {
	h := newHarness(t, nil)
	first := decodeAs[answer](t, h.call(http.MethodPost, "/api/v1/changes", goodChange))
	second := decodeAs[answer](t, h.call(http.MethodPost, "/api/v1/changes", goodChange))
	if len(first.Accepted) != 1 || first.Accepted[0] != second.Accepted[0] {
		t.Fatalf("want one and the same id, got %v and %v", first.Accepted, second.Accepted)
	}
	c := h.changes[triage.ChangeID(first.Accepted[0])]
	if c.Source != "push" || c.StartedAt.Format("15:04:05 MST") != "02:02:10 UTC" || !strings.HasPrefix(string(c.ID), "push:") {
		t.Errorf("want source push and 02:02:10 UTC, got %+v", c)
	}
	an := decodeAs[answer](t, h.call(http.MethodPost, "/api/v1/anomalies", goodAnomaly))
	again := decodeAs[answer](t, h.call(http.MethodPost, "/api/v1/anomalies", goodAnomaly))
	if an.Accepted[0] == "" || an.Accepted[0] != again.Accepted[0] {
		t.Errorf("want one and the same anomaly id, got %v and %v", an.Accepted, again.Accepted)
	}
	if got := h.anomalies[0]; !got.Onset.Earliest.Equal(got.Onset.Best) || !got.Onset.Latest.Equal(got.Onset.Best) {
		t.Errorf("want the missing ends of the onset at its best, got %+v", got.Onset)
	}
}

func TestIdempotencyKey(t *testing.T) {
	h := newHarness(t, nil)
	send := func(key, body string) []string {
		r := local(http.MethodPost, "/api/v1/changes", body)
		r.Header.Set("Idempotency-Key", key)
		rec := h.do(r)
		wantStatus(t, rec, 200)
		return decodeAs[answer](t, rec).Accepted
	}
	if got := send("run-42", goodChange); !slices.Equal(got, []string{"push:run-42"}) {
		t.Errorf("want push:run-42, got %v", got)
	}
	if got := send("run-43", `[`+goodChange+`,{"id":"mine:1",`+goodChange[1:]+`]`); !slices.Equal(got, []string{"push:run-43/0", "mine:1"}) {
		t.Errorf("want push:run-43/0 and mine:1, got %v", got)
	}
	r := local(http.MethodPost, "/api/v1/changes", goodChange)
	r.Header.Set("Idempotency-Key", strings.Repeat("k", 201))
	wantProblem(t, h.do(r), 400, "invalid-parameter", "Idempotency-Key", "200 bytes")
}

func TestFutureTimesAreTakenWithAWarning(t *testing.T) {
	h := newHarness(t, nil)
	rec := h.call(http.MethodPost, "/api/v1/changes", `{"kind":"deploy","service":"checkout","started_at":"2026-03-01T05:10:00Z"}`)
	wantStatus(t, rec, 200)
	if got := decodeAs[answer](t, rec); len(got.Accepted) != 1 || len(got.Warnings) != 1 || !strings.Contains(got.Warnings[0], "2h0m0s ahead") {
		t.Errorf("want it accepted with a warning, got %s", rec.Body)
	}
	rec = h.call(http.MethodPost, "/api/v1/changes", `{"kind":"deploy","service":"checkout","started_at":"2026-03-01T03:12:00Z"}`)
	if got := decodeAs[answer](t, rec); len(got.Warnings) != 0 {
		t.Errorf("want no warning for two minutes of skew, got %v", got.Warnings)
	}
}

func TestEmptyList(t *testing.T) {
	rec := newHarness(t, nil).call(http.MethodPost, "/api/v1/changes", `[]`)
	wantStatus(t, rec, 200)
	if got := decodeAs[answer](t, rec); len(got.Accepted) != 0 || len(got.Warnings) != 1 {
		t.Errorf("want nothing accepted and a warning, got %s", rec.Body)
	}
}

// A 2xx only after the store took it; 503 tells the sender to come again, and nothing of why.
func TestUnstoredIsNotAcknowledged(t *testing.T) {
	h := newHarness(t, nil)
	h.err = errSecret
	for _, tc := range []struct{ target, body string }{
		{"/api/v1/changes", goodChange},
		{"/api/v1/anomalies", goodAnomaly},
		{"/api/v1/alerts", `{"alerts":[{}]}`},
		{"/api/v2/alerts", `[{}]`},
	} {
		rec := h.call(http.MethodPost, tc.target, tc.body)
		wantProblem(t, rec, 503, "unavailable", "send them again")
		if rec.Header().Get("Retry-After") == "" || strings.Contains(rec.Body.String(), "hunter2") {
			t.Errorf("%s: want Retry-After and no details, got %v %s", tc.target, rec.Header(), rec.Body)
		}
	}
}

// fakeCloud reads {"id":…,"specversion":…} as a change with that id; type "build" tells of none.
func fakeCloud(h http.Header, body []byte) ([]triage.Event, error) {
	var ev struct{ ID, Type string }
	if err := json.Unmarshal(body, &ev); err != nil {
		return nil, fmt.Errorf("read CloudEvent: %w", err)
	}
	if id := h.Get("Ce-Id"); id != "" {
		ev.ID = id
	}
	switch {
	case ev.Type == "build":
		return nil, &triage.Ignored{Reason: "a build: nothing runs yet"}
	case ev.ID == "":
		return nil, &triage.FieldError{Field: "id", Remedy: "is required"}
	}
	return []triage.Event{{Change: &triage.Change{ID: triage.ChangeID(ev.ID), Source: "ce", Kind: triage.KindDeploy, Scope: triage.Scope{Service: "a"}, StartedAt: now}}}, nil
}

func TestCloudEvents(t *testing.T) {
	h := newHarness(t, func(o *api.Options) { o.CloudEvents = fakeCloud })
	send := func(ct, body string, headers ...string) answer {
		t.Helper()
		r := local(http.MethodPost, "/api/v1/changes", body)
		r.Header.Set("Content-Type", ct)
		for i := 0; i < len(headers); i += 2 {
			r.Header.Set(headers[i], headers[i+1])
		}
		rec := h.do(r)
		wantStatus(t, rec, 200)
		return decodeAs[answer](t, rec)
	}
	if got := send("application/cloudevents+json", `{"id":"s1"}`); !slices.Equal(got.Accepted, []string{"s1"}) {
		t.Errorf("structured: got %+v", got)
	}
	if got := send("application/json", `{}`, "Ce-Specversion", "1.0", "Ce-Id", "b1"); !slices.Equal(got.Accepted, []string{"b1"}) {
		t.Errorf("binary: got %+v", got)
	}
	if got := send("application/json", `{"specversion":"1.0","id":"j1"}`); !slices.Equal(got.Accepted, []string{"j1"}) {
		t.Errorf("without its content type: got %+v", got)
	}
	got := send("application/cloudevents-batch+json", `[{"id":"x1"},{},{"id":"x2"},{"type":"build"}]`)
	if !slices.Equal(got.Accepted, []string{"x1", "x2"}) || len(got.Rejected) != 1 || got.Rejected[0].Index != 1 {
		t.Errorf("batch: want x1 and x2 accepted and record 1 rejected, got %+v", got)
	}
	if len(got.Warnings) != 1 || !strings.Contains(got.Warnings[0], "record 3: not stored: a build") {
		t.Errorf("batch: want the build named as not stored, got %q", got.Warnings)
	}
	r := local(http.MethodPost, "/api/v1/changes", `{`)
	r.Header.Set("Content-Type", "application/cloudevents+json")
	wantProblem(t, h.do(r), 422, "invalid-record", "read CloudEvent")
}

func TestAlerts(t *testing.T) {
	h := newHarness(t, nil)
	wantStatus(t, h.call(http.MethodPost, "/api/v1/alerts", `{"version":"4","alerts":[{}]}`), 200)
	wantStatus(t, h.call(http.MethodPost, "/api/v2/alerts", `[{}]`), 200)
	if len(h.webhooks) != 2 {
		t.Fatalf("want 2 bodies handed over, got %d", len(h.webhooks))
	}
	h.problems = []error{&triage.FieldError{Field: "alerts[0].labels", Remedy: "is required"}}
	rec := h.call(http.MethodPost, "/api/v1/alerts", `{"alerts":[{},{}]}`)
	wantStatus(t, rec, 200)
	if !strings.Contains(rec.Body.String(), "alerts[0].labels") || len(h.quarantined) != 1 {
		t.Errorf("want the bad alert named and the body kept, got %s and %+v", rec.Body, h.quarantined)
	}
	// What Alertmanager will not send again is kept.
	wantProblem(t, h.call(http.MethodPost, "/api/v1/alerts", `[1]`), 422, "invalid-record", "alerts")
	wantProblem(t, h.call(http.MethodPost, "/api/v1/alerts", `{"alerts":`), 400, "malformed-json")
	if len(h.quarantined) != 3 || h.quarantined[1].Source != "alerts" {
		t.Errorf("want 3 bodies in quarantine, got %+v", h.quarantined)
	}
	r := local(http.MethodPost, "/api/v1/alerts", "x")
	r.Header.Set("Content-Type", "text/plain")
	wantProblem(t, h.do(r), 415, "unsupported-media-type")
}

// A batch of nothing but faults costs the sender one answer and us a bounded quarantine.
func TestManyBadRecords(t *testing.T) {
	h := newHarness(t, nil)
	body := `[` + goodChange + strings.Repeat(`,{"kind":"x"}`, 5000) + `]`
	rec := h.call(http.MethodPost, "/api/v1/changes", body)
	wantStatus(t, rec, 200)
	if got := decodeAs[answer](t, rec); len(got.Accepted) != 1 || len(got.Rejected) != 5000 || len(h.quarantined) != 100 {
		t.Errorf("want 1 accepted, 5000 rejected, 100 kept, got %d, %d, %d", len(got.Accepted), len(got.Rejected), len(h.quarantined))
	}
	rec = h.call(http.MethodPost, "/api/v1/changes", `[`+strings.Repeat(`{"kind":"x"},`, 5000)+`1]`)
	wantStatus(t, rec, 422)
	if p := decodeAs[api.Problem](t, rec); len(p.Errors) != 1000 || !strings.Contains(p.Detail, "first 1000") {
		t.Errorf("want the first 1000 errors, got %d and %q", len(p.Errors), p.Detail)
	}
}

// Intake without the store: one request of 1000 changes of about 400 bytes.
func BenchmarkIntake(b *testing.B) {
	h := newHarness(b, nil)
	one := `{"id":"github:acme/shop/deployment/%d","kind":"deploy","status":"succeeded","service":"checkout","environment":"production","cluster":"eu1",` +
		`"started_at":"2026-03-01T03:02:10Z","finished_at":"2026-03-01T03:04:10Z","version":"v812","previous_version":"v811","title":"deploy checkout v812",` +
		`"refs":[{"system":"github-deployment","id":"%d"}],"labels":{"sha":"0123456789abcdef","repo":"acme/shop"}}`
	var records []string
	for i := range 1000 {
		records = append(records, fmt.Sprintf(one, i, i))
	}
	body := `[` + strings.Join(records, ",") + `]`
	b.SetBytes(int64(len(body)))
	for b.Loop() {
		rec := httptest.NewRecorder()
		h.api.Handler().ServeHTTP(rec, local(http.MethodPost, "/api/v1/changes", body))
		if rec.Code != 200 {
			b.Fatal(rec.Body)
		}
	}
	b.ReportMetric(1000*float64(b.N)/b.Elapsed().Seconds(), "changes/s")
}

func FuzzIntake(f *testing.F) {
	for _, s := range []string{goodChange, goodAnomaly, `[` + goodChange + `]`, `{"change":` + goodChange + `}`, `[{"kind":1},null,[]]`, "{}\n{}\n", "\xff", `{"specversion":"1.0"}`} {
		f.Add([]byte(s), false)
		f.Add([]byte(s), true)
	}
	h := newHarness(f, func(o *api.Options) { o.CloudEvents = fakeCloud })
	f.Fuzz(func(t *testing.T, body []byte, lines bool) {
		r := local(http.MethodPost, "/api/v1/changes", string(body))
		r.Header.Set("Content-Type", map[bool]string{false: "application/json", true: "application/x-ndjson"}[lines])
		rec := h.do(r)
		switch rec.Code {
		case 200, 400, 413, 422:
		default:
			t.Fatalf("want the input judged, got %d: %s", rec.Code, rec.Body)
		}
		if rec.Code == 200 {
			for _, id := range decodeAs[answer](t, rec).Accepted {
				if id == "" {
					t.Fatalf("accepted without an id: %q", body)
				}
			}
		}
	})
}

// What is refused whole is kept as well: the sender may be a script that looks at no answer. It is kept as its token's.
func TestRefusedChangesAreKept(t *testing.T) {
	big := `{"kind":"deploy","service":7,"title":"` + strings.Repeat("x", 200<<10) + `"}`
	for name, body := range map[string]string{
		"one record": `{"kind":"deploy","service":7}`, "a list": `[{"kind":"deploy","service":7}]`, "no JSON": `{"kind":`, "200 KiB": big,
	} {
		t.Run(name, func(t *testing.T) {
			h := newHarness(t, nil)
			rec := h.call(http.MethodPost, "/api/v1/changes", body)
			if rec.Code < 400 || len(h.quarantined) != 1 {
				t.Fatalf("want it refused and kept, got %d and %d kept", rec.Code, len(h.quarantined))
			}
			q := h.quarantined[0]
			if got, want := string(q.Body), strings.Trim(body, "[]"); got != want || q.Cut || q.Reason == "" {
				t.Errorf("want it whole, got %d bytes of %d (cut %t): %s", len(got), len(want), q.Cut, q.Reason)
			}
		})
	}
}
