package prometheus

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"strings"

	v1 "github.com/prometheus/client_golang/api/prometheus/v1"
	"github.com/sony/gobreaker/v2"
)

// Reason says why a query gave no answer. It is also the outcome label of triaged_prometheus_queries_total.
type Reason string

// The reasons. Only some speak of the server's health; see Reason.unhealthy.
const (
	ReasonTimeout     Reason = "timeout"      // the server, or the time we had, ran out
	ReasonCanceled    Reason = "canceled"     // nobody wants the answer any more
	ReasonUnreachable Reason = "unreachable"  // no connection, or one that broke
	ReasonServer      Reason = "server_error" // 5xx
	ReasonAuth        Reason = "auth_error"   // 401 or 403
	ReasonRateLimited Reason = "rate_limited" // 429
	ReasonRefused     Reason = "refused"      // the server answered, and refused: bad expression, too many samples, no such API
	ReasonBadAnswer   Reason = "bad_answer"   // not what the API promises
	ReasonTooLarge    Reason = "too_large"    // longer than max_response_bytes
	ReasonBreaker     Reason = "breaker_open" // not asked: too many failures in a row
	ReasonBudget      Reason = "budget"       // not asked: the budget per minute is spent
)

// QueryError is a query without an answer. It carries neither URL nor credentials.
type QueryError struct {
	Server string // configured name
	Reason Reason
	Detail string // bounded
}

func (e *QueryError) Error() string {
	if e.Detail == "" {
		return fmt.Sprintf("ask prometheus %s: %s", e.Server, e.Reason)
	}
	return fmt.Sprintf("ask prometheus %s: %s: %s", e.Server, e.Reason, e.Detail)
}

// Is makes a timeout a context.DeadlineExceeded and a cancellation a context.Canceled for callers.
func (e *QueryError) Is(target error) bool {
	return target == context.DeadlineExceeded && e.Reason == ReasonTimeout ||
		target == context.Canceled && e.Reason == ReasonCanceled
}

// unhealthy reports whether the breaker counts it as a failure of the server.
func (r Reason) unhealthy() bool {
	switch r {
	case ReasonTimeout, ReasonUnreachable, ReasonServer, ReasonRateLimited, ReasonBadAnswer, ReasonTooLarge:
		return true
	default:
		return false
	}
}

var (
	errTooMany   = fmt.Errorf("answer of more than %d series or rules; narrow the query", maxObjects/2)
	errTooLarge  = errors.New("answer longer than max_response_bytes")
	errWrongType = errors.New("answer of another type than asked for")
)

const maxErrorDetail = 300 // bytes of a server's message that are passed on

// queryError classifies err. Errors of net/http hold the URL, so only what lies beneath them is kept.
func queryError(server string, err error) *QueryError {
	if qe, ok := errors.AsType[*QueryError](err); ok {
		return qe
	}
	reason, detail := classify(err)
	if len(detail) > maxErrorDetail {
		detail = strings.ToValidUTF8(detail[:maxErrorDetail], "") + "…"
	}
	return &QueryError{Server: server, Reason: reason, Detail: detail}
}

// reasonFor is the reason of err, empty for nil.
func reasonFor(server string, err error) Reason {
	if err == nil {
		return ""
	}
	return queryError(server, err).Reason
}

func classify(err error) (Reason, string) {
	if ue, ok := errors.AsType[*url.Error](err); ok {
		err = ue.Err
	}
	var netErr net.Error
	apiErr, isAPI := errors.AsType[*v1.Error](err)
	switch {
	case errors.Is(err, errTooMany):
		return ReasonTooLarge, errTooMany.Error()
	case errors.Is(err, errTooLarge):
		return ReasonTooLarge, errTooLarge.Error()
	case errors.Is(err, gobreaker.ErrOpenState), errors.Is(err, gobreaker.ErrTooManyRequests):
		return ReasonBreaker, "left alone after repeated failures"
	case errors.Is(err, context.DeadlineExceeded):
		return ReasonTimeout, ""
	case errors.Is(err, context.Canceled):
		return ReasonCanceled, ""
	case errors.Is(err, errWrongType):
		return ReasonBadAnswer, errWrongType.Error()
	case isAPI:
		return classifyAPI(apiErr)
	case errors.As(err, &netErr) && netErr.Timeout():
		return ReasonTimeout, ""
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		return ReasonUnreachable, "connection closed early"
	}
	if op, ok := errors.AsType[*net.OpError](err); ok {
		return ReasonUnreachable, op.Op + ": " + op.Err.Error()
	}
	return ReasonUnreachable, err.Error()
}

func classifyAPI(e *v1.Error) (Reason, string) {
	switch e.Type {
	case v1.ErrTimeout:
		return ReasonTimeout, "the server gave up"
	case v1.ErrCanceled:
		return ReasonCanceled, ""
	case v1.ErrServer:
		return ReasonServer, e.Msg
	case v1.ErrBadResponse:
		return ReasonBadAnswer, e.Msg
	case v1.ErrClient:
		switch {
		case strings.HasSuffix(e.Msg, " 401"), strings.HasSuffix(e.Msg, " 403"):
			return ReasonAuth, e.Msg
		case strings.HasSuffix(e.Msg, " 429"):
			return ReasonRateLimited, e.Msg
		}
	case v1.ErrBadData, v1.ErrExec:
	}
	return ReasonRefused, e.Msg
}
