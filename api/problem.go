package api

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/triaged-dev/triaged/triage"
)

// docsURL is where each problem type is explained, under an anchor of its own.
const docsURL = "https://github.com/triaged-dev/triaged/blob/main/docs/api.md#"

// Problem is an RFC 9457 answer to a request that was not served. It is an error; what only the operator should know is kept
// in cause, which goes to the log.
type Problem struct {
	Type     string         `json:"type"`
	Title    string         `json:"title"`
	Status   int            `json:"status"`
	Detail   string         `json:"detail,omitempty"`
	Instance string         `json:"instance,omitempty"` // urn:triaged:request:<id>; the log has the same id
	Errors   []FieldProblem `json:"errors,omitempty"`

	kind   problemKind
	header http.Header
	cause  error
}

// FieldProblem is one thing that is wrong with the input. Index counts records from 0 where a body may hold several.
type FieldProblem struct {
	Index  *int   `json:"index,omitempty"`
	Field  string `json:"field,omitempty"`
	Value  string `json:"value,omitempty"`
	Remedy string `json:"remedy"`
}

// problemKind is the last part of a problem's type and the reason label of the rejections.
type problemKind string

const (
	kindMalformed     problemKind = "malformed-json"
	kindParameter     problemKind = "invalid-parameter"
	kindRecord        problemKind = "invalid-record"
	kindUnauthorized  problemKind = "unauthenticated"
	kindForbidden     problemKind = "forbidden"
	kindCrossOrigin   problemKind = "cross-origin"
	kindNotFound      problemKind = "not-found"
	kindMethod        problemKind = "method-not-allowed"
	kindSlow          problemKind = "request-timeout"
	kindConflict      problemKind = "conflict"
	kindTooLarge      problemKind = "too-large"
	kindMediaType     problemKind = "unsupported-media-type"
	kindConfiguration problemKind = "invalid-configuration"
	kindRate          problemKind = "rate-limited"
	kindBusy          problemKind = "busy"
	kindUnavailable   problemKind = "unavailable"
	kindInternal      problemKind = "internal"
)

// problemKinds is every kind with its status and title, as documented in docs/api.md.
var problemKinds = map[problemKind]struct {
	status int
	title  string
}{
	kindMalformed:     {http.StatusBadRequest, "The body is not what its content type says"},
	kindParameter:     {http.StatusBadRequest, "A parameter cannot be used"},
	kindUnauthorized:  {http.StatusUnauthorized, "A valid token is needed"},
	kindForbidden:     {http.StatusForbidden, "The token may not do this"},
	kindCrossOrigin:   {http.StatusForbidden, "Another web site may not do this"},
	kindNotFound:      {http.StatusNotFound, "There is no such thing"},
	kindMethod:        {http.StatusMethodNotAllowed, "The method is not allowed here"},
	kindSlow:          {http.StatusRequestTimeout, "The body did not arrive in time"},
	kindConflict:      {http.StatusConflict, "The present state does not allow this"},
	kindTooLarge:      {http.StatusRequestEntityTooLarge, "The body is too large"},
	kindMediaType:     {http.StatusUnsupportedMediaType, "The content type is not understood"},
	kindRecord:        {http.StatusUnprocessableEntity, "The input breaks the schema"},
	kindConfiguration: {http.StatusUnprocessableEntity, "The configuration is not valid; the old one stays in use"},
	kindRate:          {http.StatusTooManyRequests, "Too many requests"},
	kindBusy:          {http.StatusServiceUnavailable, "Too much is being worked on"},
	kindUnavailable:   {http.StatusServiceUnavailable, "This cannot be done right now"},
	kindInternal:      {http.StatusInternalServerError, "Something is wrong on our side"},
}

func (p *Problem) Error() string {
	s := string(p.kind)
	if p.Detail != "" {
		s += ": " + p.Detail
	}
	if p.cause != nil {
		s += ": " + p.cause.Error()
	}
	return s
}

func (p *Problem) Unwrap() error { return p.cause }

// problem makes a Problem; detail is one sentence for the caller.
func problem(kind problemKind, detail string, args ...any) *Problem {
	k := problemKinds[kind]
	if len(args) > 0 {
		detail = fmt.Sprintf(detail, args...)
	}
	return &Problem{Type: docsURL + string(kind), Title: k.title, Status: k.status, Detail: detail, kind: kind}
}

func (p *Problem) with(errs ...FieldProblem) *Problem { p.Errors = append(p.Errors, errs...); return p }

func (p *Problem) because(err error) *Problem { p.cause = err; return p }

func (p *Problem) head(key, value string) *Problem {
	if p.header == nil {
		p.header = make(http.Header)
	}
	p.header.Set(key, value)
	return p
}

// retryAfter tells the caller when to come again, in whole seconds, at least one.
func (p *Problem) retryAfter(d time.Duration) *Problem {
	return p.head("Retry-After", strconv.Itoa(max(1, int(d.Round(time.Second)/time.Second))))
}

// badParameter is a 400 about one parameter of the query or the path.
func badParameter(name, value, remedy string) *Problem {
	return problem(kindParameter, "The parameter %s cannot be used.", name).with(fieldProblem(name, value, remedy))
}

// inputError marks an error as the sender's.
type inputError struct{ err error }

func (e inputError) Error() string { return e.err.Error() }
func (e inputError) Unwrap() error { return e.err }

// InvalidInput marks err as a fault of what was sent, so that it is answered with 422 and not with 503. Its text is
// shown to the sender.
func InvalidInput(err error) error { return inputError{err} }

// isInput reports whether err is about what was sent rather than about us.
func isInput(err error) bool {
	_, marked := errors.AsType[inputError](err)
	return marked || len(fieldErrors(err)) > 0
}

// maxErrorValue is how many bytes of a rejected value are repeated to the sender.
const maxErrorValue = 80

func fieldProblem(field, value, remedy string) FieldProblem {
	if len(value) > maxErrorValue {
		value = cutText(value, maxErrorValue) + "…"
	}
	return FieldProblem{Field: field, Value: value, Remedy: remedy}
}

// fieldProblems lists every *triage.FieldError inside err; an error that has none becomes one problem without a field.
func fieldProblems(err error) []FieldProblem {
	var out []FieldProblem
	for _, fe := range fieldErrors(err) {
		out = append(out, fieldProblem(fe.Field, fe.Value, fe.Remedy))
	}
	if len(out) == 0 && err != nil {
		out = []FieldProblem{{Remedy: err.Error()}}
	}
	return out
}

// fieldErrors walks the tree of wrapped and joined errors, in order.
func fieldErrors(err error) []*triage.FieldError {
	switch e := err.(type) { //nolint:errorlint // the tree is walked here, so every node is looked at as itself
	case nil:
		return nil
	case *triage.FieldError:
		return []*triage.FieldError{e}
	case interface{ Unwrap() []error }:
		var out []*triage.FieldError
		for _, sub := range e.Unwrap() {
			out = append(out, fieldErrors(sub)...)
		}
		return out
	case interface{ Unwrap() error }:
		return fieldErrors(e.Unwrap())
	}
	return nil
}
