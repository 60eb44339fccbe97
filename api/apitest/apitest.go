// Package apitest checks in tests that what the API answers is what openapi.yaml says.
//
// It validates answers, not requests: tests send bad input on purpose. Production code does not import it.
package apitest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"

	"github.com/triaged-dev/triaged/api"
)

// Validator holds the parsed description. It is safe for concurrent use.
type Validator struct {
	doc *openapi3.T
}

// New parses the embedded openapi.yaml and checks it, its examples included. That takes some 100 ms: share the Validator.
func New() (*Validator, error) {
	doc, err := openapi3.NewLoader().LoadFromData(api.OpenAPI())
	if err != nil {
		return nil, fmt.Errorf("parse openapi.yaml: %w", err)
	}
	if err := doc.Validate(context.Background(), openapi3.EnableExamplesValidation()); err != nil {
		return nil, fmt.Errorf("check openapi.yaml: %w", err)
	}
	return &Validator{doc}, nil
}

// Document is the parsed description. It must not be changed.
func (v *Validator) Document() *openapi3.T { return v.doc }

// errNoOperation says that the description knows no such method and path.
var errNoOperation = errors.New("openapi.yaml has no such operation")

// find matches a request as the daemon's mux does: a path parameter takes one segment, but one at the end of a path that
// no other path continues takes the rest, since ids may hold slashes.
func (v *Validator) find(method string, u *url.URL) (*routers.Route, error) {
	var best *routers.Route
	bestScore := -1
	for path, item := range v.doc.Paths.Map() {
		op := item.GetOperation(method)
		if method == http.MethodHead && op == nil {
			op = item.Get
		}
		score := match(path, u.EscapedPath())
		if op == nil || score <= bestScore {
			continue
		}
		bestScore = score
		best = &routers.Route{Spec: v.doc, Path: path, PathItem: item, Method: method, Operation: op}
	}
	if best == nil {
		return nil, fmt.Errorf("%s %s: %w", method, u.EscapedPath(), errNoOperation)
	}
	return best, nil
}

// match returns how many literal segments of the template the path has, or -1.
func match(template, path string) int {
	want, got := strings.Split(template, "/"), strings.Split(path, "/")
	literal := 0
	for i, seg := range want {
		switch {
		case i >= len(got):
			return -1
		case !strings.HasPrefix(seg, "{"):
			if seg != got[i] {
				return -1
			}
			literal++
		case i == len(want)-1 && template == "/api/v1/changes/{id}":
			return literal
		}
	}
	if len(want) != len(got) {
		return -1
	}
	return literal
}

// Check validates one answer. A problem to a request that no operation takes (404, 405) needs only be a problem. The body
// of an event stream is not looked at.
func (v *Validator) Check(req *http.Request, status int, header http.Header, body []byte) error {
	route, err := v.find(req.Method, req.URL)
	if err != nil {
		if status != http.StatusNotFound && status != http.StatusMethodNotAllowed {
			return err
		}
		return v.checkProblem(status, header, body)
	}
	if strings.HasPrefix(header.Get("Content-Type"), "text/event-stream") {
		if resp := route.Operation.Responses.Status(status); resp == nil || resp.Value.Content.Get("text/event-stream") == nil {
			return fmt.Errorf("%s %s: status %d is not described as an event stream", req.Method, route.Path, status)
		}
		return nil
	}
	input := &openapi3filter.ResponseValidationInput{
		RequestValidationInput: &openapi3filter.RequestValidationInput{Request: req, Route: route},
		Status:                 status,
		Header:                 header,
		Options:                &openapi3filter.Options{IncludeResponseStatus: true, MultiError: true},
	}
	// YAML is described but has no schema; the library would want a decoder for it all the same.
	input.SetBodyBytes(body)
	if err := openapi3filter.ValidateResponse(req.Context(), input); err != nil {
		return fmt.Errorf("%s %s answered %d: %w\nbody: %.2000s", req.Method, req.URL.EscapedPath(), status, err, body)
	}
	return nil
}

func (v *Validator) checkProblem(status int, header http.Header, body []byte) error {
	if ct := header.Get("Content-Type"); ct != "application/problem+json" {
		return fmt.Errorf("status %d has the content type %q, not that of a problem", status, ct)
	}
	item := v.doc.Components.Responses["Problem"].Value
	value, err := openapi3filter.RegisteredBodyDecoder("application/json")(bytes.NewReader(body), header, nil, nil)
	if err != nil {
		return fmt.Errorf("decode problem: %w", err)
	}
	return item.Content.Get("application/problem+json").Schema.Value.VisitJSON(value, openapi3.EnableJSONSchema2020())
}

// Handler wraps h so that every answer is checked; an answer that breaks the description fails the test. Answers are held
// back until they are complete, so it is not for event streams.
func (v *Validator) Handler(t testing.TB, h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		rec := httptest.NewRecorder()
		h.ServeHTTP(rec, r)
		if err := v.Check(r, rec.Code, rec.Header(), rec.Body.Bytes()); err != nil {
			t.Errorf("openapi: %v", err)
		}
		maps.Copy(w.Header(), rec.Header())
		w.WriteHeader(rec.Code)
		_, _ = w.Write(rec.Body.Bytes())
	})
}

// Transport wraps next so that every answer of the daemon is checked. Event streams pass through unread.
func (v *Validator) Transport(t testing.TB, next http.RoundTripper) http.RoundTripper {
	return &transport{t: t, v: v, next: next}
}

type transport struct {
	t    testing.TB
	v    *Validator
	next http.RoundTripper
}

func (rt *transport) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := rt.next.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	var body []byte
	if !strings.HasPrefix(resp.Header.Get("Content-Type"), "text/event-stream") {
		body, err = io.ReadAll(resp.Body)
		if cerr := resp.Body.Close(); err == nil {
			err = cerr
		}
		if err != nil {
			return nil, fmt.Errorf("read answer: %w", err)
		}
		resp.Body = io.NopCloser(bytes.NewReader(body))
	}
	if err := rt.v.Check(req, resp.StatusCode, resp.Header, body); err != nil {
		rt.t.Errorf("openapi: %v", err)
	}
	return resp, nil
}
