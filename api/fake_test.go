package api_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/triaged-dev/triaged/api"
	"github.com/triaged-dev/triaged/api/apitest"
	"github.com/triaged-dev/triaged/triage"
)

var (
	errNotFound = errors.New("not in the store")
	now         = time.Date(2026, 3, 1, 3, 10, 0, 0, time.UTC)
)

// fake is every port of the API at once, in memory. err, where set, is what each call answers.
type fake struct {
	mu              sync.Mutex
	err             error
	changes         map[triage.ChangeID]triage.Change
	aliases         map[triage.ChangeID]triage.ChangeID
	anomalies       []triage.Anomaly
	incidents       map[string]triage.Incident
	reports         map[string][]triage.Report
	inputs          map[string]triage.Case
	feedback        []triage.Feedback
	deliveries      map[string]triage.Delivery
	quarantined     []triage.Quarantined
	sources         []triage.SourceStatus // nil: those of every test
	webhooks        []string
	problems        []error // of the next alerts
	asked           triage.Request
	query           triage.ChangeQuery
	incidentQuery   triage.IncidentQuery
	deliveryQuery   triage.DeliveryQuery
	quarantineQuery string
	next            string
	said            []triage.Feedback // besides feedback, which is what was stored
	everyIncident   bool              // list all incidents by id, not only inc-1
	hold            chan struct{}     // where set, Emit blocks until it is closed
}

func newFake() *fake {
	inc := triage.Incident{
		ID: "inc-1", State: triage.IncidentOpen, Title: "checkout 5xx", Scope: triage.Scope{Service: "checkout"}, ServiceRule: triage.NameExact,
		Pages: true, OpenedAt: now, UpdatedAt: now, Reports: 1,
		Alerts: []triage.Alert{{Labels: map[string]string{"alertname": "HighErrorRate"}, Status: triage.AlertFiring, StartsAt: now.Add(-time.Minute)}},
	}
	flag := triage.Change{
		ID: "push:flag", Source: "push", Kind: triage.KindFlag, Scope: triage.Scope{Service: "checkout"}, Title: "new-pricing 0 → 100 %",
		StartedAt: now.Add(-9 * time.Minute), Labels: map[string]string{"flag": "new-pricing"},
	}
	rep := triage.Report{
		IncidentID: "inc-1", Number: 1, CreatedAt: now, ModelVersion: "1", Symptom: triage.SymptomSummary{Sentence: "checkout 5xx 0.2 % → 14 %"},
		Onset:      triage.Onset{Interval: triage.Interval{Earliest: now.Add(-8 * time.Minute), Best: now.Add(-8 * time.Minute), Latest: now.Add(-7 * time.Minute)}},
		LookbackS:  1800,
		Candidates: 1,
		Suspects: []triage.Suspect{{
			Rank: 1, Change: &flag, Probability: 0.8, LogOdds: 1400,
			For: []triage.Evidence{{Factor: "timing", Contribution: 900, Sentence: "40 s before the errors"}},
		}},
		None:           triage.None{Probability: 0.2},
		Recommendation: triage.Recommendation{Verdict: triage.VerdictAct, Action: triage.ActionFlagOff, Reason: "a flag goes back at once"},
	}
	return &fake{
		changes:   map[triage.ChangeID]triage.Change{flag.ID: flag},
		aliases:   map[triage.ChangeID]triage.ChangeID{"github:acme/shop/deployment/7": flag.ID},
		incidents: map[string]triage.Incident{inc.ID: inc},
		reports:   map[string][]triage.Report{inc.ID: {rep}},
		inputs: map[string]triage.Case{inc.ID: {
			Schema: 1, ID: "inc-1-1", Window: triage.CaseWindow{From: now.Add(-time.Hour), To: now}, Topology: triage.NewTopology([]triage.Edge{{From: "shop", To: "checkout"}}),
			Series: []triage.Series{{Metric: "errors", Signal: triage.SignalErrors, Stamp: triage.StampEnd, StepS: 15, Start: now.Add(-time.Hour)}},
		}},
		deliveries: map[string]triage.Delivery{
			"d-dead":    {ID: "d-dead", IncidentID: "inc-1", ReportNumber: 1, Receiver: "hook", State: triage.DeliveryDead, Attempts: 5, CreatedAt: now, LastError: "HTTP 500"},
			"d-pending": {ID: "d-pending", IncidentID: "inc-1", ReportNumber: 1, Receiver: "log", State: triage.DeliveryPending, CreatedAt: now},
		},
	}
}

func (f *fake) lock() func() { f.mu.Lock(); return f.mu.Unlock }

func (f *fake) Emit(ctx context.Context, events []triage.Event) error {
	if f.hold != nil {
		select {
		case <-f.hold:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	defer f.lock()()
	if f.err != nil {
		return f.err
	}
	for _, ev := range events {
		if ev.Change != nil {
			f.changes[ev.Change.ID] = *ev.Change
		} else {
			f.anomalies = append(f.anomalies, *ev.Anomaly)
		}
	}
	return nil
}

func (f *fake) Quarantine(_ context.Context, q triage.Quarantined) {
	defer f.lock()()
	f.quarantined = append(f.quarantined, q)
}

func (f *fake) Sources() []triage.SourceStatus {
	if f.sources != nil {
		return f.sources
	}
	return []triage.SourceStatus{{Name: "push", Type: "push", State: triage.SourceOK, Events: 3}}
}

func (f *fake) Coverage(from, to time.Time) []triage.Coverage {
	return []triage.Coverage{{Source: "push", State: triage.SourceOK, From: from, To: to}}
}

func (f *fake) ResolveChange(_ context.Context, id triage.ChangeID) (triage.ChangeID, error) {
	defer f.lock()()
	if to, ok := f.aliases[id]; ok {
		return to, f.err
	}
	if _, ok := f.changes[id]; ok {
		return id, f.err
	}
	return "", errNotFound
}

func (f *fake) Changes(_ context.Context, ids []triage.ChangeID) ([]triage.Change, error) {
	defer f.lock()()
	var out []triage.Change
	for _, id := range ids {
		if c, ok := f.changes[id]; ok {
			out = append(out, c)
		}
	}
	return out, f.err
}

func (f *fake) FindChanges(_ context.Context, q triage.ChangeQuery) ([]triage.Change, string, error) {
	defer f.lock()()
	f.query = q
	if q.After == "bad" {
		return nil, "", &triage.FieldError{Field: "after", Value: q.After, Remedy: "use the cursor of the previous page unchanged"}
	}
	var out []triage.Change
	for _, c := range f.changes {
		out = append(out, c)
	}
	slices.SortFunc(out, func(a, b triage.Change) int { return strings.Compare(string(a.ID), string(b.ID)) })
	return out, f.next, f.err
}

func (f *fake) FindAnomalies(_ context.Context, q triage.ChangeQuery) ([]triage.Anomaly, string, error) {
	defer f.lock()()
	f.query = q
	return slices.Clone(f.anomalies), f.next, f.err
}

func (f *fake) Incident(_ context.Context, id string) (triage.Incident, error) {
	defer f.lock()()
	inc, ok := f.incidents[id]
	if !ok {
		return inc, errNotFound
	}
	return inc, f.err
}

func (f *fake) Incidents(_ context.Context, q triage.IncidentQuery) ([]triage.Incident, string, error) {
	defer f.lock()()
	f.incidentQuery = q
	if f.everyIncident {
		var out []triage.Incident
		for _, id := range slices.Sorted(maps.Keys(f.incidents)) {
			out = append(out, f.incidents[id])
		}
		return out, "", f.err
	}
	return []triage.Incident{f.incidents["inc-1"]}, f.next, f.err
}

func (f *fake) Report(_ context.Context, id string, n int) (triage.Report, error) {
	defer f.lock()()
	if n > len(f.reports[id]) {
		return triage.Report{}, errNotFound
	}
	return f.reports[id][n-1], f.err
}

func (f *fake) Reports(_ context.Context, id string) ([]triage.Report, error) {
	defer f.lock()()
	return f.reports[id], f.err
}

func (f *fake) ReportInput(_ context.Context, id string, n int) (triage.Case, error) {
	defer f.lock()()
	if n > len(f.reports[id]) {
		return triage.Case{}, errNotFound
	}
	return f.inputs[id], f.err
}

func (f *fake) SaveFeedback(_ context.Context, fb triage.Feedback) error {
	defer f.lock()()
	if f.err != nil {
		return f.err
	}
	f.feedback = append(f.feedback, fb)
	return nil
}

func (f *fake) Feedback(_ context.Context, id string) ([]triage.Feedback, error) {
	defer f.lock()()
	return slices.DeleteFunc(slices.Concat(f.said, f.feedback), func(fb triage.Feedback) bool { return fb.IncidentID != id }), f.err
}

func (f *fake) Outcomes(context.Context) ([]triage.Outcome, error) {
	defer f.lock()()
	return []triage.Outcome{
		{Service: "checkout", Kind: triage.KindFlag, Outcome: "confirmed", N: 2}, {Service: "pricing", Kind: triage.KindDeploy, Outcome: "verified", N: 1},
	}, f.err
}

func (f *fake) Deliveries(_ context.Context, q triage.DeliveryQuery) ([]triage.Delivery, string, error) {
	defer f.lock()()
	f.deliveryQuery = q
	return []triage.Delivery{f.deliveries["d-dead"], f.deliveries["d-pending"]}, f.next, f.err
}

func (f *fake) Delivery(_ context.Context, id string) (triage.Delivery, error) {
	defer f.lock()()
	d, ok := f.deliveries[id]
	if !ok {
		return d, errNotFound
	}
	return d, f.err
}

func (f *fake) Quarantined(_ context.Context, source, after string, limit int) ([]triage.Quarantined, string, error) {
	defer f.lock()()
	f.quarantineQuery = fmt.Sprint(source, " ", after, " ", limit)
	return slices.Clone(f.quarantined), f.next, f.err
}

func (f *fake) Retry(_ context.Context, id string) (int, error) {
	defer f.lock()()
	switch id {
	case "q-mended":
		return 2, f.err
	case "q-bad":
		return 0, &triage.FieldError{Field: "record", Value: id, Remedy: "still cannot be read: no such field"}
	}
	return 0, errNotFound
}

func (f *fake) Resend(_ context.Context, id string) error {
	defer f.lock()()
	d, ok := f.deliveries[id]
	switch {
	case !ok:
		return errNotFound
	case d.State == triage.DeliveryPending:
		return &triage.FieldError{Field: "state", Value: "pending", Remedy: "is on its way already"}
	}
	d.State = triage.DeliveryPending
	f.deliveries[id] = d
	return nil
}

func (f *fake) AcceptWebhook(ctx context.Context, body []byte) ([]error, error) {
	return f.accept(body, func() bool { return json.Unmarshal(body, &struct{ Alerts []any }{}) == nil })
}

func (f *fake) AcceptAlerts(ctx context.Context, body []byte) ([]error, error) {
	return f.accept(body, func() bool { return json.Unmarshal(body, &[]any{}) == nil })
}

func (f *fake) accept(body []byte, readable func() bool) ([]error, error) {
	defer f.lock()()
	if f.err != nil {
		return nil, f.err
	}
	if !readable() {
		return nil, &triage.FieldError{Field: "alerts", Value: string(body), Remedy: "send alerts"}
	}
	f.webhooks = append(f.webhooks, string(body))
	return f.problems, nil
}

func (f *fake) Triage(_ context.Context, r triage.Request) (triage.Answer, error) {
	defer f.lock()()
	f.asked = r
	rep := f.reports["inc-1"][0]
	rep.IncidentID, rep.Number, rep.Cause = "", 0, r.Cause
	return triage.Answer{Report: rep}, f.err
}

func (f *fake) GraphCoverage() triage.GraphCoverage {
	return triage.GraphCoverageOf(f.Topology(), triage.Topology{}, []string{"checkout", "mail"})
}

func (f *fake) Topology() triage.Topology {
	return triage.NewTopology([]triage.Edge{{From: "shop", To: "checkout", Origin: "config"}})
}

// validator is parsed once: it takes longer than most tests.
var validator = sync.OnceValues(apitest.New)

// harness is an API over a fake. Its handler fails the test when an answer breaks openapi.yaml.
type harness struct {
	*fake
	api     *api.API
	handler http.Handler
	reg     *prometheus.Registry
}

func newHarness(t testing.TB, change func(*api.Options)) *harness {
	t.Helper()
	f := newFake()
	dir := triage.NewDirectory(map[string]triage.Service{"checkout": {Aliases: []string{"checkout-svc"}, Tier: 1}}, nil)
	reg := prometheus.NewRegistry()
	opts := api.Options{
		Config: trusting(), ListenAddresses: []string{"127.0.0.1:9792"},
		Store: f, Collector: f, Alerts: f, Resender: f, Triager: f, Topology: f,
		NotFound:   func(err error) bool { return errors.Is(err, errNotFound) },
		Directory:  func() *triage.Directory { return dir },
		ConfigYAML: func() string { return "journal:\n  path: x\n" },
		Reload:     func(context.Context) error { return nil },
		Registerer: reg, Gatherer: reg,
		Now: func() time.Time { return now },
	}
	if change != nil {
		change(&opts)
	}
	a, err := api.New(opts)
	if err != nil {
		t.Fatal(err)
	}
	v, err := validator()
	if err != nil {
		t.Fatal(err)
	}
	return &harness{fake: f, api: a, handler: v.Handler(t, a.Handler()), reg: reg}
}

// trusting is a configuration that lets callers on this machine do everything.
func trusting() api.Config {
	c := api.DefaultConfig()
	c.TrustLoopback = true
	return c
}

// local makes a request as from this machine.
func local(method, target, body string) *http.Request {
	r := httptest.NewRequest(method, target, strings.NewReader(body))
	r.RemoteAddr, r.Host = "127.0.0.1:40000", "localhost:9792"
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	return r
}

func (h *harness) do(r *http.Request) *httptest.ResponseRecorder {
	rec := httptest.NewRecorder()
	h.handler.ServeHTTP(rec, r)
	return rec
}

func (h *harness) call(method, target, body string) *httptest.ResponseRecorder {
	return h.do(local(method, target, body))
}

func decodeAs[T any](t testing.TB, rec *httptest.ResponseRecorder) T {
	t.Helper()
	var v T
	if err := json.Unmarshal(rec.Body.Bytes(), &v); err != nil {
		t.Fatalf("decode %s: %v", rec.Body, err)
	}
	return v
}

func wantStatus(t testing.TB, rec *httptest.ResponseRecorder, want int) {
	t.Helper()
	if rec.Code != want {
		t.Fatalf("want status %d, got %d: %s", want, rec.Code, rec.Body)
	}
}

// wantProblem checks status and kind of a problem, and that its text holds each of the parts.
func wantProblem(t testing.TB, rec *httptest.ResponseRecorder, status int, kind string, parts ...string) {
	t.Helper()
	wantStatus(t, rec, status)
	p := decodeAs[api.Problem](t, rec)
	if !strings.HasSuffix(p.Type, "#"+kind) || p.Status != status {
		t.Errorf("want problem %s with status %d, got %s", kind, status, rec.Body)
	}
	if p.Instance == "" || !strings.HasSuffix(p.Instance, rec.Header().Get("X-Request-Id")) {
		t.Errorf("want the request id in instance, got %q and %q", p.Instance, rec.Header().Get("X-Request-Id"))
	}
	text, _ := json.Marshal(p)
	for _, part := range parts {
		quoted, _ := json.Marshal(part)
		if !strings.Contains(string(text), strings.Trim(string(quoted), `"`)) {
			t.Errorf("want %q in the problem, got %s", part, text)
		}
	}
}
