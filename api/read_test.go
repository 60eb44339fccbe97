package api_test

import (
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/triaged-dev/triaged/api"
	"github.com/triaged-dev/triaged/triage"
)

func TestBadParametersAreNamed(t *testing.T) {
	for target, parts := range map[string][]string{
		"/api/v1/changes?limit=0":                                           {"limit", "from 1 to 1000"},
		"/api/v1/changes?limit=1001":                                        {"limit", "1001"},
		"/api/v1/changes?limit=many":                                        {"limit", "many"},
		"/api/v1/changes?limit=1&limit=2":                                   {"limit", "once"},
		"/api/v1/changes?from=yesterday":                                    {"from", "RFC 3339 with a zone"},
		"/api/v1/changes?from=2026-03-01T03:00:00":                          {"from", "RFC 3339 with a zone"},
		"/api/v1/changes?from=2026-03-01T03:00:00+01:00":                    {"from", "%2B"},
		"/api/v1/changes?from=2026-03-01T03:00:00Z&to=2026-03-01T02:00:00Z": {"to", "must not be before from"},
		"/api/v1/changes?kind=deployment":                                   {"kind", "use one of deploy"},
		"/api/v1/changes?order=best":                                        {"order", "use one of oldest, newest"},
		"/api/v1/changes?colour=red":                                        {"colour", "the known ones are from, to"},
		"/api/v1/changes?q=" + strings.Repeat("x", 201):                     {"q", "at most 200 bytes"},
		"/api/v1/changes?q=%ff":                                             {"q", "UTF-8"},
		"/api/v1/changes?q=%zz":                                             {"query", "percent-encode"},
		"/api/v1/changes?after=bad":                                         {"after", "previous page"},
		"/api/v1/changes?service=" + strings.Repeat("a,", 101):              {"service", "100 times"},
		"/api/v1/anomalies?kind=deploy":                                     {"kind", "is not a known parameter"},
		"/api/v1/incidents?state=broken":                                    {"state", "use some of open, mitigating, recovered, closed"},
		"/api/v1/incidents?service=a&service=b":                             {"service", "once"},
		"/api/v1/incidents/inc-1/reports/0":                                 {"number from 1"},
		"/api/v1/incidents/inc-1/reports/latest":                            {"number from 1"},
		"/api/v1/incidents/inc-1/case?report=-1":                            {"report", "number from 1"},
		"/api/v1/incidents/inc-1?expand=all":                                {"expand", "this takes none"},
		"/api/v1/deliveries?state=lost":                                     {"state", "use some of pending"},
		"/api/v1/topology?x=1":                                              {"x", "this takes none"},
	} {
		rec := newHarness(t, nil).call(http.MethodGet, target, "")
		t.Run(target[:min(len(target), 60)], func(t *testing.T) { wantProblem(t, rec, 400, "invalid-parameter", parts...) })
	}
}

// Filters reach the store as the words it knows: names resolved, times in UTC, 24 hours back by default.
func TestChangeFilters(t *testing.T) {
	h := newHarness(t, nil)
	wantStatus(t, h.call(http.MethodGet, "/api/v1/changes?service=checkout-svc,pricing&service=Checkout&environment=PRD&kind=flag&q=new&order=newest&limit=7&after=c"+
		"&from=2026-03-01T03:00:00%2B01:00&to=2026-03-01T03:00:00Z", ""), 200)
	want := triage.ChangeQuery{
		From: time.Date(2026, 3, 1, 2, 0, 0, 0, time.UTC), To: time.Date(2026, 3, 1, 3, 0, 0, 0, time.UTC), Services: []string{"checkout", "pricing", "checkout"},
		Environment: "production", Kind: triage.KindFlag, Text: "new", Limit: 7, After: "c", Newest: true,
	}
	if !reflect.DeepEqual(want, h.query) {
		t.Errorf("want %+v\n got %+v", want, h.query)
	}
	wantStatus(t, h.call(http.MethodGet, "/api/v1/changes", ""), 200)
	if want := (triage.ChangeQuery{From: now.Add(-24 * time.Hour), Limit: 100}); !reflect.DeepEqual(want, h.query) {
		t.Errorf("want %+v\n got %+v", want, h.query)
	}
	wantStatus(t, h.call(http.MethodGet, "/api/v1/anomalies?to=2026-02-01T00:00:00Z", ""), 200)
	if want := time.Date(2026, 1, 31, 0, 0, 0, 0, time.UTC); !h.query.From.Equal(want) {
		t.Errorf("want from %v, a day before to, got %v", want, h.query.From)
	}
}

func TestOtherFilters(t *testing.T) {
	h := newHarness(t, nil)
	wantStatus(t, h.call(http.MethodGet, "/api/v1/incidents?state=open&state=closed&service=checkout-svc&from=2026-03-01T03:00:00%2B01:00&limit=3&after=x", ""), 200)
	if want := (triage.IncidentQuery{
		States: []triage.IncidentState{"open", "closed"}, Service: "checkout", From: time.Date(2026, 3, 1, 2, 0, 0, 0, time.UTC), Limit: 3, After: "x",
	}); !reflect.DeepEqual(want, h.incidentQuery) {
		t.Errorf("want %+v\n got %+v", want, h.incidentQuery)
	}
	wantStatus(t, h.call(http.MethodGet, "/api/v1/deliveries?state=dead,held&incident=inc-1&after=y", ""), 200)
	if want := (triage.DeliveryQuery{States: []triage.DeliveryState{"dead", "held"}, IncidentID: "inc-1", Limit: 100, After: "y"}); !reflect.DeepEqual(want, h.deliveryQuery) {
		t.Errorf("want %+v\n got %+v", want, h.deliveryQuery)
	}
	wantStatus(t, h.call(http.MethodGet, "/api/v1/quarantine?source=push&limit=5&after=z", ""), 200)
	if want := "push z 5"; h.quarantineQuery != want {
		t.Errorf("want %s, got %s", want, h.quarantineQuery)
	}
}

func TestPages(t *testing.T) {
	h := newHarness(t, nil)
	type list struct {
		Items []triage.Change `json:"items"`
		Next  *string         `json:"next"`
	}
	if got := decodeAs[list](t, h.call(http.MethodGet, "/api/v1/changes", "")); len(got.Items) != 1 || got.Next != nil {
		t.Errorf("want one item and no cursor on the last page, got %+v", got)
	}
	h.next = "more"
	if got := decodeAs[list](t, h.call(http.MethodGet, "/api/v1/changes", "")); got.Next == nil || *got.Next != "more" {
		t.Errorf("want the cursor, got %+v", got)
	}
	h.changes = nil
	if body := h.call(http.MethodGet, "/api/v1/changes", "").Body.String(); !strings.Contains(body, `"items":[]`) {
		t.Errorf("want an empty list, not null: %s", body)
	}
}

// A change answers to every id it ever had, slashes as they are or encoded.
func TestChangeByAlias(t *testing.T) {
	h := newHarness(t, nil)
	h.aliases["https://ci.example/jobs#7 ä"] = "push:flag" // as of a CloudEvent
	for _, id := range []string{
		"push:flag", "github:acme/shop/deployment/7", "github:acme%2Fshop%2Fdeployment%2F7", "https:%2F%2Fci.example%2Fjobs%237%20%C3%A4",
	} {
		rec := h.call(http.MethodGet, "/api/v1/changes/"+id, "")
		wantStatus(t, rec, 200)
		if got := decodeAs[triage.Change](t, rec); got.ID != "push:flag" {
			t.Errorf("%s: want push:flag, got %s", id, got.ID)
		}
	}
	wantProblem(t, h.call(http.MethodGet, "/api/v1/changes/none", ""), 404, "not-found")
	delete(h.changes, "push:flag")
	wantProblem(t, h.call(http.MethodGet, "/api/v1/changes/github:acme/shop/deployment/7", ""), 404, "not-found", "no longer kept")
}

func TestNotFound(t *testing.T) {
	h := newHarness(t, nil)
	for _, target := range []string{
		"/api/v1/incidents/none", "/api/v1/incidents/none/reports", "/api/v1/incidents/none/reports/1", "/api/v1/incidents/inc-1/reports/2",
		"/api/v1/incidents/none/timeline", "/api/v1/incidents/inc-1/timeline.png", "/api/v1/incidents/none/case", "/api/v1/incidents/inc-1/case?report=9",
	} {
		wantProblem(t, h.call(http.MethodGet, target, ""), 404, "not-found")
	}
	wantProblem(t, h.call(http.MethodPost, "/api/v1/incidents/none/feedback", `{"verdict":"none"}`), 404, "not-found")
	wantProblem(t, h.call(http.MethodPost, "/api/v1/deliveries/none/resend", ""), 404, "not-found")
	inc := h.incidents["inc-1"]
	inc.Reports = 0
	h.incidents["inc-1"] = inc
	wantProblem(t, h.call(http.MethodGet, "/api/v1/incidents/inc-1/case", ""), 404, "not-found", "no report yet")
}

func TestTimelineIsInOrder(t *testing.T) {
	h := newHarness(t, nil)
	h.feedback = []triage.Feedback{{IncidentID: "inc-1", Verdict: triage.FeedbackConfirm, ChangeID: "push:flag", Comment: "it was", At: now.Add(time.Minute)}}
	inc := h.incidents["inc-1"]
	inc.RecoveredAt = now.Add(2 * time.Minute)
	inc.Alerts[0].Status, inc.Alerts[0].EndsAt = triage.AlertResolved, now.Add(2*time.Minute)
	h.incidents["inc-1"] = inc
	got := decodeAs[struct {
		Items []struct {
			At         time.Time
			Type, Text string
		}
	}](t, h.call(http.MethodGet, "/api/v1/incidents/inc-1/timeline", ""))
	var types []string
	for i, m := range got.Items {
		types = append(types, m.Type)
		if i > 0 && m.At.Before(got.Items[i-1].At) {
			t.Errorf("%s at %v comes after %v", m.Type, m.At, got.Items[i-1].At)
		}
	}
	want := []string{"change", "onset", "alert_firing", "opened", "report", "delivery", "delivery", "feedback", "alert_resolved", "recovered"}
	if !slices.Equal(want, types) {
		t.Errorf("want %v\n got %v", want, types)
	}
	if got.Items[4].Text != "report 1: CANNOT SEPARATE; set the flag back to its previous value" {
		t.Errorf("got the headline %q", got.Items[4].Text)
	}
}

// An export holds what the report saw and never an expected answer.
func TestCaseExport(t *testing.T) {
	rec := newHarness(t, nil).call(http.MethodGet, "/api/v1/incidents/inc-1/case", "")
	wantStatus(t, rec, 200)
	if got, want := rec.Header().Get("Content-Disposition"), `attachment; filename="inc-1-1.json"`; got != want {
		t.Errorf("want %s, got %s", want, got)
	}
	if strings.Contains(rec.Body.String(), "expect") || !strings.Contains(rec.Body.String(), `"topology":[{"from":"shop","to":"checkout"}]`) {
		t.Errorf("got %s", rec.Body)
	}
}

// What was said of the recovery was made from no changes: without a number the export is that of the last report that weighed some,
// and any other one is had by its number.
func TestCaseExportIsOfTheLastRanking(t *testing.T) {
	h := newHarness(t, nil)
	reports := h.reports["inc-1"]
	reports[0].Kind = triage.ReportRanked
	over := reports[0]
	over.Number, over.Kind, over.Suspects = 2, triage.ReportRecovered, nil
	h.reports["inc-1"] = append(reports, over)
	inc := h.incidents["inc-1"]
	inc.Reports = 2
	h.incidents["inc-1"] = inc
	for query, file := range map[string]string{"": "inc-1-1.json", "?report=2": "inc-1-2.json"} {
		rec := h.call(http.MethodGet, "/api/v1/incidents/inc-1/case"+query, "")
		wantStatus(t, rec, 200)
		if got := rec.Header().Get("Content-Disposition"); !strings.Contains(got, file) {
			t.Errorf("%q: want %s, got %s", query, file, got)
		}
	}
}

func TestFeedback(t *testing.T) {
	h := newHarness(t, nil)
	post := func(body string) *triage.Feedback {
		t.Helper()
		rec := h.call(http.MethodPost, "/api/v1/incidents/inc-1/feedback", body)
		wantStatus(t, rec, 200)
		f := decodeAs[triage.Feedback](t, rec)
		return &f
	}
	if f := post(`{"verdict":"confirm","change_id":"github:acme/shop/deployment/7","comment":"yes"}`); f.ChangeID != "push:flag" || !f.At.Equal(now) || f.IncidentID != "inc-1" {
		t.Errorf("want the canonical change, now and the incident, got %+v", f)
	}
	post(`{"verdict":"none"}`)
	if len(h.feedback) != 2 {
		t.Errorf("want 2 stored, got %d", len(h.feedback))
	}
	for body, parts := range map[string][]string{
		`{}`:                   {"verdict", "use one of confirm, reject, none"},
		`{"verdict":"maybe"}`:  {"verdict", "maybe"},
		`{"verdict":"reject"}`: {"change_id", "is required with verdict reject"},
		`{"verdict":"none","change_id":"push:flag"}`:                       {"change_id", "no change"},
		`{"verdict":"confirm","change_id":"nobody"}`:                       {"change_id", "nobody", "not a change we know"},
		`{"verdict":"none","comment":"` + strings.Repeat("x", 1025) + `"}`: {"comment", "at most 1024"},
		`{"verdict":"none","who":"me"}`:                                    {"who", "is not a known field; the known ones are verdict, change_id, comment"},
		`{"verdict":7}`:                                                    {"verdict", "must be a string, not number"},
		`[]`:                                                               {"send a JSON object"},
	} {
		wantProblem(t, h.call(http.MethodPost, "/api/v1/incidents/inc-1/feedback", body), 422, "invalid-record", parts...)
	}
	wantProblem(t, h.call(http.MethodPost, "/api/v1/incidents/inc-1/feedback", `{"verdict":`), 400, "malformed-json")
	h.err = errSecret
	if rec := h.call(http.MethodPost, "/api/v1/incidents/inc-1/feedback", `{"verdict":"none"}`); rec.Code < 500 || strings.Contains(rec.Body.String(), "hunter2") {
		t.Errorf("want it refused without details, got %d %s", rec.Code, rec.Body)
	}
}

func TestTriage(t *testing.T) {
	h := newHarness(t, nil)
	wantStatus(t, h.call(http.MethodPost, "/api/v1/triage", `{"service":"checkout-svc","environment":"prod","at":"2026-03-01T02:00:00+01:00","lookback_s":3600}`), 200)
	at := time.Date(2026, 3, 1, 1, 0, 0, 0, time.UTC)
	r := h.asked
	if r.Incident.ID != "" || r.Incident.Service != "checkout" || r.Incident.ServiceRule != triage.NameAlias || r.Incident.Environment != "production" || r.Cause != "ad hoc" {
		t.Errorf("want an incident without id about checkout in production, got %+v", r)
	}
	if !r.Incident.Alerts[0].StartsAt.Equal(at) || !r.At.Equal(at.Add(10*time.Minute)) || r.Lookback != time.Hour {
		t.Errorf("want the alert at %v, the report ten minutes later, an hour of lookback, got %+v", at, r)
	}
	wantStatus(t, h.call(http.MethodPost, "/api/v1/triage", `{"service":"checkout"}`), 200)
	if r := h.asked; !r.Incident.Alerts[0].StartsAt.Equal(now) || !r.At.Equal(now) || r.Lookback != 0 {
		t.Errorf("want now by default, got %+v", r)
	}
	for body, parts := range map[string][]string{
		`{}`: {"service", "is required"},
		`{"service":"a","at":"2026-03-01T04:00:00Z"}`:                                    {"at", "lies in the future"},
		`{"service":"a","at":"2006-03-01T04:00:00Z"}`:                                    {"at", "ten years"},
		`{"service":"a","at":"2026-03-01T02:00:00"}`:                                     {"at", "2026-03-01T02:00:00", "RFC 3339 with a zone"},
		`{"service":"a","at":"2026-03-01T02:00:00Z","report_at":"2026-03-01T01:00:00Z"}`: {"report_at", "must not be before at"},
		`{"service":"a","report_at":"2026-03-01T04:00:00Z"}`:                             {"report_at", "lies in the future"},
		`{"service":"a","lookback_s":-1}`:                                                {"lookback_s"},
		`{"service":"a","lookback_s":"1h"}`:                                              {"lookback_s", "1h", "must be a number, not string"},
		`{"service":"a","window":3}`:                                                     {"window", "is not a known field"},
		`{"service":"` + strings.Repeat("a", 1025) + `"}`:                                {"service", "at most 1024"},
	} {
		wantProblem(t, h.call(http.MethodPost, "/api/v1/triage", body), 422, "invalid-record", parts...)
	}
}

func TestResend(t *testing.T) {
	h := newHarness(t, nil)
	rec := h.call(http.MethodPost, "/api/v1/deliveries/d-dead/resend", "")
	wantStatus(t, rec, 202)
	if got := decodeAs[triage.Delivery](t, rec); got.State != triage.DeliveryPending {
		t.Errorf("want it pending, got %+v", got)
	}
	wantProblem(t, h.call(http.MethodPost, "/api/v1/deliveries/d-pending/resend", ""), 409, "conflict", "on its way already")
}

func TestRetry(t *testing.T) {
	h := newHarness(t, nil)
	rec := h.call(http.MethodPost, "/api/v1/quarantine/q-mended/retry", "")
	wantStatus(t, rec, 200)
	if got := decodeAs[struct{ Events int }](t, rec); got.Events != 2 {
		t.Errorf("want two events, got %+v", got)
	}
	wantProblem(t, h.call(http.MethodPost, "/api/v1/quarantine/q-bad/retry", ""), 409, "conflict", "still cannot be read: no such field")
	wantProblem(t, h.call(http.MethodPost, "/api/v1/quarantine/q-unknown/retry", ""), 404, "not-found")
}

// Without optional parts the API still answers, with nothing where it knows nothing.
func TestWithoutOptionalParts(t *testing.T) {
	h := newHarness(t, func(o *api.Options) {
		o.Topology, o.Directory, o.ConfigYAML, o.Reload, o.Gatherer = nil, nil, nil, nil, nil
	})
	for target, want := range map[string]string{
		"/api/v1/topology": `{"edges":[],"coverage":{"declared":0,"seen":0,"both":0,"services":0,"alone":0}}`,
		"/api/v1/services": `{"items":[]}`,
	} {
		if got := strings.TrimSpace(h.call(http.MethodGet, target, "").Body.String()); got != want {
			t.Errorf("%s: want %s, got %s", target, want, got)
		}
	}
	wantProblem(t, h.call(http.MethodGet, "/api/v1/status/config", ""), 404, "not-found")
	wantProblem(t, h.call(http.MethodGet, "/metrics", ""), 404, "not-found")
	wantProblem(t, h.call(http.MethodPost, "/-/reload", ""), 404, "not-found")
	wantStatus(t, h.call(http.MethodPost, "/api/v1/triage", `{"service":"a"}`), 200)
}

// The picture is of the report asked for, and what the painter makes is passed on as it is.
func TestPictureIsPainted(t *testing.T) {
	var got int
	h := newHarness(t, func(o *api.Options) {
		o.Picture = func(r triage.Report, c triage.Case) ([]byte, error) {
			got = r.Number
			if c.ID == "" {
				t.Error("the case of the report was not handed on")
			}
			return []byte("\x89PNG"), nil
		}
	})
	res := h.call(http.MethodGet, "/api/v1/incidents/inc-1/timeline.png?report=1", "")
	if res.Code != http.StatusOK || res.Header().Get("Content-Type") != "image/png" || got != 1 {
		t.Errorf("got %d %s for report %d", res.Code, res.Header().Get("Content-Type"), got)
	}
}
