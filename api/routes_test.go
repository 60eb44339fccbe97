package api_test

import (
	"net/http"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"

	"github.com/triaged-dev/triaged/api"
	"github.com/triaged-dev/triaged/triage"
)

// Every route is described, and everything described is a route.
func TestRoutesAndDescriptionAgree(t *testing.T) {
	v, err := validator()
	if err != nil {
		t.Fatal(err)
	}
	var described []string
	for path, item := range v.Document().Paths.Map() {
		for method := range item.Operations() {
			described = append(described, method+" "+path)
		}
	}
	// The hooks are served beside the API, in the same daemon and on the same address.
	routes := []string{"OPTIONS /hooks/{name}", "POST /hooks/{name}", "POST /v2/change/enqueue"}
	for _, p := range newHarness(t, nil).api.Patterns() {
		routes = append(routes, strings.ReplaceAll(p, "...}", "}"))
	}
	slices.Sort(described)
	slices.Sort(routes)
	if !slices.Equal(described, routes) {
		t.Errorf("described: %v\nroutes: %v", described, routes)
	}
}

// Every operation has a name, a sentence, a known tag, an answer, and says what a refusal looks like: what linters warn of.
func TestOperationsAreWhole(t *testing.T) {
	v, err := validator()
	if err != nil {
		t.Fatal(err)
	}
	ids := make(map[string]bool)
	for path, item := range v.Document().Paths.Map() {
		for method, op := range item.Operations() {
			var good, refused bool
			for status := range op.Responses.Map() {
				good = good || status[0] == '2' || status[0] == '1' || status[0] == '3'
				refused = refused || status[0] == '4'
			}
			known := len(op.Tags) == 1 && slices.ContainsFunc(v.Document().Tags, func(tag *openapi3.Tag) bool { return tag.Name == op.Tags[0] && tag.Description != "" })
			if op.OperationID == "" || ids[op.OperationID] || op.Summary == "" || !known || !good || !refused {
				t.Errorf("%s %s: id %q, summary %q, tags %v, an answer %t, a refusal %t", method, path, op.OperationID, op.Summary, op.Tags, good, refused)
			}
			ids[op.OperationID] = true
		}
	}
}

// The description names every field of our types, and no other; what is always written is required where it is an answer.
func TestSchemasAreTheTypes(t *testing.T) {
	v, err := validator()
	if err != nil {
		t.Fatal(err)
	}
	schemas := v.Document().Components.Schemas
	for name, typ := range map[string]reflect.Type{
		"Change": reflect.TypeFor[triage.Change](), "Step": reflect.TypeFor[triage.Step](), "Size": reflect.TypeFor[triage.Size](), "Seen": reflect.TypeFor[triage.Seen](),
		"Reversible": reflect.TypeFor[triage.Reversible](), "Ref": reflect.TypeFor[triage.Ref](), "Anomaly": reflect.TypeFor[triage.Anomaly](),
		"Interval": reflect.TypeFor[triage.Interval](), "Event": reflect.TypeFor[triage.Event](), "Alert": reflect.TypeFor[triage.Alert](),
		"Incident": reflect.TypeFor[triage.Incident](), "Report": reflect.TypeFor[triage.Report](), "SymptomSummary": reflect.TypeFor[triage.SymptomSummary](),
		"Onset": reflect.TypeFor[triage.Onset](), "Suspect": reflect.TypeFor[triage.Suspect](), "Evidence": reflect.TypeFor[triage.Evidence](),
		"None": reflect.TypeFor[triage.None](), "Recommendation": reflect.TypeFor[triage.Recommendation](), "Target": reflect.TypeFor[triage.Target](),
		"Undone": reflect.TypeFor[triage.Undone](), "Avoid": reflect.TypeFor[triage.Avoid](), "Coverage": reflect.TypeFor[triage.Coverage](),
		"SourceStatus": reflect.TypeFor[triage.SourceStatus](), "Delivery": reflect.TypeFor[triage.Delivery](), "Quarantined": reflect.TypeFor[triage.Quarantined](),
		"Feedback": reflect.TypeFor[triage.Feedback](), "Service": reflect.TypeFor[triage.Service](), "Edge": reflect.TypeFor[triage.Edge](),
		"Case": reflect.TypeFor[triage.Case](), "CaseSource": reflect.TypeFor[triage.CaseSource](), "CaseWindow": reflect.TypeFor[triage.CaseWindow](),
		"CaseEvent": reflect.TypeFor[triage.CaseEvent](), "CaseAsk": reflect.TypeFor[triage.CaseAsk](), "Scope": reflect.TypeFor[triage.Scope](),
		"Symptom": reflect.TypeFor[triage.Symptom](), "Series": reflect.TypeFor[triage.Series](), "Reference": reflect.TypeFor[triage.Reference](),
		"Outcome": reflect.TypeFor[triage.Outcome](), "Severity": reflect.TypeFor[triage.Severity](), "Checked": reflect.TypeFor[triage.Checked](), "Actor": reflect.TypeFor[triage.Actor](), "Problem": reflect.TypeFor[api.Problem](), "FieldProblem": reflect.TypeFor[api.FieldProblem](),
	} {
		want := jsonFields(typ)
		var got []string
		for f := range schemas[name].Value.Properties {
			got = append(got, f)
		}
		slices.Sort(want)
		slices.Sort(got)
		if !slices.Equal(want, got) {
			t.Errorf("%s: the type has %v\nthe schema has %v", name, want, got)
		}
		for _, r := range schemas[name].Value.Required {
			if !slices.Contains(want, r) {
				t.Errorf("%s: requires %q, which the type does not have", name, r)
			}
		}
	}
}

func jsonFields(t reflect.Type) []string {
	var out []string
	for f := range t.Fields() {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case f.Anonymous && name == "":
			out = append(out, jsonFields(f.Type)...)
		case name != "" && name != "-":
			out = append(out, name)
		}
	}
	return out
}

// Enums in the description are those of the code.
func TestEnumsAreTheTypes(t *testing.T) {
	v, err := validator()
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string][]string{
		"Kind": words(triage.Kinds()), "ChangeStatus": words(triage.Statuses()), "Signal": words(triage.Signals()),
	} {
		var got []string
		for _, e := range v.Document().Components.Schemas[name].Value.Enum {
			got = append(got, e.(string))
		}
		if !slices.Equal(want, got) {
			t.Errorf("%s: want %v, got %v", name, want, got)
		}
	}
}

func words[T ~string](in []T) (out []string) {
	for _, s := range in {
		out = append(out, string(s))
	}
	return out
}

// Each problem type leads to an explanation.
func TestEveryProblemIsDocumented(t *testing.T) {
	source, err := os.ReadFile("problem.go")
	if err != nil {
		t.Fatal(err)
	}
	doc, err := os.ReadFile("../docs/api.md")
	if err != nil {
		t.Fatal(err)
	}
	kinds := regexp.MustCompile(`problemKind = "([a-z-]+)"`).FindAllStringSubmatch(string(source), -1)
	if len(kinds) < 15 {
		t.Fatalf("found only %d kinds in problem.go", len(kinds))
	}
	for _, k := range kinds {
		if !strings.Contains(string(doc), `<a id="`+k[1]+`"></a>`) {
			t.Errorf("docs/api.md has no anchor %s", k[1])
		}
	}
}

// The body of an example request is taken by the real intake.
func TestExamplesOfTheDescriptionAreTaken(t *testing.T) {
	v, err := validator()
	if err != nil {
		t.Fatal(err)
	}
	h := newHarness(t, nil)
	n := 0
	for path, item := range v.Document().Paths.Map() {
		if item.Post == nil || item.Post.RequestBody == nil || strings.Contains(path, "{id}") {
			continue
		}
		if path == "/v2/change/enqueue" || path == "/mcp" { // the daemon's tests send these: they need hooks, and an assistant's server
			continue
		}
		media := item.Post.RequestBody.Value.Content["application/json"]
		examples := map[string]any{}
		if media.Example != nil {
			examples["example"] = media.Example
		}
		for name, e := range media.Examples {
			examples[name] = e.Value.Value
		}
		for name, value := range examples {
			n++
			rec := h.call(http.MethodPost, path, mustJSON(t, value))
			if rec.Code != http.StatusOK {
				t.Errorf("%s %s: want 200, got %d: %s", path, name, rec.Code, rec.Body)
			}
		}
	}
	if n < 6 {
		t.Errorf("want at least 6 examples, got %d", n)
	}
}

func TestUnknownPathsAndMethods(t *testing.T) {
	h := newHarness(t, nil)
	wantProblem(t, h.call(http.MethodGet, "/api/v1/nothing", ""), 404, "not-found")
	wantProblem(t, h.call(http.MethodGet, "/", ""), 404, "not-found")
	rec := h.call(http.MethodDelete, "/api/v1/changes", "")
	wantProblem(t, rec, 405, "method-not-allowed", "GET, HEAD, POST")
	if got := rec.Header().Get("Allow"); got != "GET, HEAD, POST" {
		t.Errorf("want Allow: GET, HEAD, POST, got %q", got)
	}
	wantProblem(t, h.call("BREW", "/api/v1/changes", ""), 405, "method-not-allowed")
	wantProblem(t, h.call(http.MethodGet, "/-/reload", ""), 405, "method-not-allowed")
}

// Every answer that can be had from the fake without an error, validated by the harness against the description.
func TestEveryRouteAnswers(t *testing.T) {
	h := newHarness(t, nil)
	h.next = "cursor"
	for _, tc := range []struct {
		method, target, body string
		status               int
	}{
		{"POST", "/api/v1/alerts", `{"alerts":[{"labels":{"alertname":"A"}}]}`, 200},
		{"POST", "/api/v2/alerts", `[{"labels":{"alertname":"A"}}]`, 200},
		{"POST", "/api/v1/changes", goodChange, 200},
		{"GET", "/api/v1/changes", "", 200},
		{"HEAD", "/api/v1/changes", "", 200},
		{"GET", "/api/v1/changes/push:flag", "", 200},
		{"POST", "/api/v1/anomalies", goodAnomaly, 200},
		{"GET", "/api/v1/anomalies", "", 200},
		{"GET", "/api/v1/incidents?state=open,closed&service=checkout-svc", "", 200},
		{"GET", "/api/v1/incidents/inc-1", "", 200},
		{"GET", "/api/v1/incidents/inc-1/reports", "", 200},
		{"GET", "/api/v1/incidents/inc-1/reports/1", "", 200},
		{"GET", "/api/v1/incidents/inc-1/timeline", "", 200},
		{"GET", "/api/v1/incidents/inc-1/case", "", 200},
		{"GET", "/api/v1/incidents/inc-1/postmortem", "", 200},
		{"GET", "/api/v1/incidents/inc-1/update", "", 200},
		{"GET", "/feedback/nothing", "", 404},
		{"POST", "/feedback/nothing", "", 404},
		{"GET", "/api/v1/services/checkout-svc/outcomes", "", 200},
		{"GET", "/api/v1/accuracy", "", 200},
		{"GET", "/api/v1/accuracy/cases", "", 200},
		{"POST", "/api/v1/incidents/inc-1/feedback", `{"verdict":"none"}`, 200},
		{"POST", "/api/v1/triage", `{"service":"checkout"}`, 200},
		{"HEAD", "/api/v1/events", "", 200},
		{"GET", "/api/v1/topology", "", 200},
		{"GET", "/api/v1/services", "", 200},
		{"GET", "/api/v1/sources", "", 200},
		{"GET", "/api/v1/deliveries?state=dead", "", 200},
		{"POST", "/api/v1/deliveries/d-dead/resend", "", 202},
		{"GET", "/api/v1/quarantine", "", 200},
		{"GET", "/api/v1/status/config", "", 200},
		{"GET", "/api/openapi.yaml", "", 200},
		{"GET", "/metrics", "", 200},
		{"GET", "/-/healthy", "", 200},
		{"GET", "/-/ready", "", 200},
		{"POST", "/-/reload", "", 200},
	} {
		t.Run(tc.method+" "+tc.target, func(t *testing.T) {
			rec := h.call(tc.method, tc.target, tc.body)
			wantStatus(t, rec, tc.status)
			for _, k := range []string{"X-Request-Id", "X-Content-Type-Options", "Content-Security-Policy", "Cache-Control"} {
				if rec.Header().Get(k) == "" {
					t.Errorf("want the header %s", k)
				}
			}
		})
	}
}

// An error of the store is told as a code and a sentence; what it says stays in the log.
func TestStoreErrorsStayInside(t *testing.T) {
	for _, target := range []string{
		"/api/v1/changes", "/api/v1/changes/push:flag", "/api/v1/anomalies", "/api/v1/incidents", "/api/v1/incidents/inc-1", "/api/v1/incidents/inc-1/reports",
		"/api/v1/incidents/inc-1/reports/1", "/api/v1/incidents/inc-1/timeline", "/api/v1/incidents/inc-1/case", "/api/v1/deliveries", "/api/v1/quarantine",
	} {
		h := newHarness(t, nil)
		h.err = errSecret
		rec := h.call(http.MethodGet, target, "")
		wantProblem(t, rec, 500, "internal")
		if strings.Contains(rec.Body.String(), "hunter2") {
			t.Errorf("%s: the answer tells what the store said: %s", target, rec.Body)
		}
	}
}
