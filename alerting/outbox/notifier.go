package outbox

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/triaged-dev/triaged/alerting/card"
	"github.com/triaged-dev/triaged/triage"
)

// Notifier posts one Report to one service. It is called by the dispatcher, never twice at once for the same incident,
// in the order of the reports. It must return when ctx ends, must not retry by itself, and its errors carry no URL and no
// token: whatever is returned is logged, journalled and shown. A nil error means that the other side has accepted the post.
type Notifier interface {
	Notify(context.Context, Notification) (Receipt, error)
}

// Editor is a Notifier that can silently renew what it posted before. Only such a Notifier is asked to deliver a report
// in which nothing but numbers moved.
type Editor interface {
	EditsInPlace() bool
}

// Rechecker is a Notifier for which sending the same Delivery again is harmless: because the other side knows deliveries by
// their id, or because the Notifier looks for the earlier attempt first. Where it is not, Integration.OnUncertain decides.
type Rechecker interface {
	Rechecks() bool
}

// Notification is one Report on its way to one integration, with what its words are made from. It is not changed after it is built.
type Notification struct {
	Delivery  triage.Delivery
	Incident  triage.Incident
	Report    triage.Report
	Previous  *triage.Report    // the last report this integration delivered for the incident; nil for the first
	Earlier   []triage.Delivery // delivered to this integration for the incident, oldest first; RemoteID names what to edit or answer
	Material  bool              // leader, verdict, action or state differ from Previous; false: only numbers moved
	Uncertain bool              // an earlier attempt at this very delivery may have arrived
	Card      card.Card
	Links     card.Links

	// Picture paints the report's time axis as a PNG; nil where there is none to be had, as of a note of recovery. A post must not depend on it.
	Picture func(context.Context) ([]byte, error)
}

// Receipt is what the other side said.
type Receipt struct {
	RemoteID string // what it calls the post; empty where it gives no name
	Detail   string // one sentence worth keeping with the delivery: "posted as change event: no open incident found"
}

// Reason classifies a delivery failure for metrics and for a reader of the dead letters.
type Reason string

// The reasons, named as Alertmanager names them.
const (
	ReasonClientError Reason = "clientError"
	ReasonServerError Reason = "serverError"
	ReasonAuthError   Reason = "authError"
	ReasonRateLimited Reason = "rateLimited"
	ReasonCanceled    Reason = "contextCanceled"
	ReasonDeadline    Reason = "contextDeadlineExceeded"
	ReasonOther       Reason = "other"
)

// Reasons lists every Reason.
func Reasons() []Reason {
	return []Reason{ReasonClientError, ReasonServerError, ReasonAuthError, ReasonRateLimited, ReasonCanceled, ReasonDeadline, ReasonOther}
}

// DeliveryError is a failed post. Whether to retry is decided here, where the answer of the other side is known.
type DeliveryError struct {
	Reason     Reason
	Retryable  bool
	RetryAfter time.Duration // the other side asked for at least this long; 0: it did not
	Uncertain  bool          // the request was sent but not answered: it may have arrived
	Err        error         // no URL, no token
}

func (e *DeliveryError) Error() string { return string(e.Reason) + ": " + e.Err.Error() }

// Unwrap gives the cause.
func (e *DeliveryError) Unwrap() error { return e.Err }

// Failure classifies any error of a Notifier; one it has not classified itself is worth a retry.
func Failure(err error) *DeliveryError {
	if de, ok := errors.AsType[*DeliveryError](err); ok {
		return de
	}
	return TransportError("post", err)
}

// TransportError classifies an error of the transport, met while doing what. The message is rebuilt, because those of
// net/http contain the URL. A timeout leaves open whether the post arrived.
func TransportError(doing string, err error) *DeliveryError {
	e := &DeliveryError{Reason: ReasonOther, Retryable: true}
	netErr, isNet := errors.AsType[net.Error](err)
	dns, isDNS := errors.AsType[*net.DNSError](err)
	op, isOp := errors.AsType[*net.OpError](err)
	switch {
	case errors.Is(err, errOtherHost):
		e.Reason, e.Retryable = ReasonClientError, false
		e.Err = fmt.Errorf("%s: %w", doing, errOtherHost)
	case errors.Is(err, context.Canceled):
		e.Reason, e.Uncertain = ReasonCanceled, true
		e.Err = fmt.Errorf("%s: %w", doing, context.Canceled)
	case errors.Is(err, context.DeadlineExceeded) || (isNet && netErr.Timeout()):
		e.Reason, e.Uncertain = ReasonDeadline, true
		e.Err = fmt.Errorf("%s: no answer in time: %w", doing, context.DeadlineExceeded)
	case isDNS:
		e.Err = fmt.Errorf("%s: the host name does not resolve (not found: %t)", doing, dns.IsNotFound)
	case isOp && op.Op == "dial":
		e.Err = fmt.Errorf("%s: no connection: %w", doing, op.Err)
	default:
		e.Uncertain = true
		e.Err = fmt.Errorf("%s: the connection broke before an answer", doing)
	}
	return e
}

// Integration is one Notifier within a receiver, with how gently it is to be used.
type Integration struct {
	Name        string // unique within its receiver: "slack", "webhook-2"
	Notifier    Notifier
	Concurrency int     // posts in flight; 0: 1
	Rate        float64 // posts per second; 0: no limit of our own
	Burst       int     // posts that may go at once; 0: 1
	OnUncertain OnUncertain
}

// OnUncertain says what to do when a post may have arrived and the other side cannot be asked.
type OnUncertain string

// The choices. Empty reads as resend: rather twice than never.
const (
	UncertainResend OnUncertain = "resend"
	UncertainHold   OnUncertain = "hold"
)

// Receivers are the configured destinations by name.
type Receivers map[string][]Integration
