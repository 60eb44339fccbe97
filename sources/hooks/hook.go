package hooks

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/triaged-dev/triaged/triage"
)

// Sender is how one type of sender proves itself and is read. Both functions may be called from many goroutines.
type Sender struct {
	// Verify returns nil if whoever made the request knows the secret. Scheme is "" for the sender's own ways, else "bearer"
	// or "basic". It compares in constant time, and its error holds nothing that helps to guess.
	Verify func(scheme, secret string, header http.Header, body []byte) error
	// Announces says the same of the header alone, before the body is read, as far as that can be known; nil: nothing can.
	Announces func(scheme, secret string, header http.Header) error
	// Decode reads an authenticated body. A *triage.Ignored error is no failure.
	Decode func(Body) ([]triage.Event, error)
}

// Body is an authenticated body.
type Body struct {
	Header   http.Header
	Data     []byte
	Received time.Time // a redelivery: when it first came
	// Complete fills in what the sender left open and the hook knows. A decoder calls it before it validates: an event that lacks
	// a service is sound where the hook is of one service.
	Complete func(triage.Event) triage.Event
}

// Hook is one configured sender. It implements the collector's Source: its Run only waits, since requests come by themselves.
type Hook struct {
	cfg    Config
	sender Sender
	set    *Set
	log    *slog.Logger
	seen   recent

	mu          sync.Mutex
	since       time.Time // listening
	lastEvent   time.Time
	events      uint64
	quarantined uint64
}

// Name is the configured name.
func (h *Hook) Name() string { return h.cfg.Name }

// Type is "hook".
func (h *Hook) Type() string { return "hook" }

// Run waits for the end of ctx. Requests are served whether it runs or not.
func (h *Hook) Run(ctx context.Context, _ triage.Emit) error {
	<-ctx.Done()
	return nil
}

// Status is ok as long as we listen: nobody can tell a sender that broke from one with nothing to say but by its usual rate.
func (h *Hook) Status() triage.SourceStatus {
	h.mu.Lock()
	defer h.mu.Unlock()
	s := triage.SourceStatus{
		Name: h.cfg.Name, Type: h.Type(), State: triage.SourceOK, LastSuccess: h.since, LastEvent: h.lastEvent,
		Events: h.events, Quarantined: h.quarantined,
	}
	if h.lastEvent.IsZero() {
		s.Detail = "listening; nothing has come yet"
	}
	return s
}

// announces checks who says to be sending, before anything is spent on the body.
func (h *Hook) announces(header http.Header) error {
	if h.sender.Announces == nil {
		return nil
	}
	return h.proven(func(p proof) error { return h.sender.Announces(p.scheme, p.secret, header) })
}

// verify checks who sends.
func (h *Hook) verify(header http.Header, body []byte) error {
	return h.proven(func(p proof) error { return h.sender.Verify(p.scheme, p.secret, header, body) })
}

func (h *Hook) proven(check func(proof) error) error {
	if h.cfg.Insecure {
		return nil
	}
	p, err := h.cfg.proof()
	if err != nil {
		h.log.Error("the hook's secret cannot be read; nobody is let in", "err", err)
		return errors.New("sender is not authenticated")
	}
	return check(p)
}

// result is what became of a body.
type result struct {
	outcome string
	reason  string // for ignored and undecodable
	events  int
	err     error
}

// take decodes an authenticated body and stores what it says. The defaults are filled in where the sender said nothing.
func (h *Hook) take(ctx context.Context, header http.Header, body []byte, scope triage.Scope) result {
	now := h.set.now()
	sum := sha256.Sum256(body)
	// A redelivery is read as of its first arrival, so that a body without a time of its own makes the same Change.
	events, err := h.decode(header, body, h.seen.first(sum, now), scope)
	if reason, ignored := triage.IsIgnored(err); ignored {
		return result{outcome: outcomeIgnored, reason: reason}
	}
	if err != nil {
		h.set.opts.Quarantine(ctx, h.aside(header, body, sum, scope, now, err))
		h.count(0, 1, now)
		return result{outcome: outcomeUndecodable, reason: withRemedy(err, header)}
	}
	if err := h.set.opts.Emit(ctx, events); err != nil {
		return result{outcome: outcomeStoreFailed, err: fmt.Errorf("store %d events: %w", len(events), err)}
	}
	h.count(len(events), 0, now)
	return result{outcome: outcomeAccepted, events: len(events)}
}

// withRemedy says what is wrong with a body, and where the hook itself can mend it, how.
func withRemedy(err error, header http.Header) string {
	text := err.Error()
	if kind := header.Get("Content-Type"); strings.HasPrefix(kind, "application/x-www-form-urlencoded") && strings.Contains(text, "is not JSON") {
		text += "; the body is a form: choose application/json as the sender's content type"
	}
	if fe, ok := errors.AsType[*triage.FieldError](err); ok && strings.HasSuffix(fe.Field, "change.service") && fe.Value == "" {
		text += "; or set service (or environment) at the hook or its routing key, for senders that do not say"
	}
	return text
}

// decode reads a body, with what the hook and the key it came under know.
func (h *Hook) decode(header http.Header, body []byte, received time.Time, scope triage.Scope) ([]triage.Event, error) {
	return h.sender.Decode(Body{
		Header: header, Data: body, Received: received, Complete: func(e triage.Event) triage.Event { return h.complete(e, scope) },
	})
}

// aside is a body that could not be read, with what reading it again needs. A routing key in it is blotted out.
func (h *Hook) aside(header http.Header, body []byte, sum [32]byte, scope triage.Scope, now time.Time, reason error) triage.Quarantined {
	q := triage.Quarantined{
		ID: "q:" + hex.EncodeToString(sum[:12]), Source: h.cfg.Name, Origin: "hook", Reason: reason.Error(), At: now, RecordTime: h.seen.first(sum, now), Scope: scope,
	}
	for i, k := range h.cfg.RoutingKeys {
		if secret, err := read(k.Key, k.KeyFile, fmt.Sprintf("routing_keys[%d].key_file", i)); err == nil {
			body = bytes.ReplaceAll(body, []byte(secret), []byte("(routing key)"))
		}
	}
	q.SetBody(body)
	own := ""
	if p, err := h.cfg.proof(); err == nil {
		own = p.secret
	}
	for _, name := range slices.Sorted(maps.Keys(header)) {
		values := header[name]
		if len(values) == 0 || own != "" && strings.Contains(values[0], own) {
			continue
		}
		if name == "Content-Type" || strings.HasPrefix(name, "Ce-") || strings.HasPrefix(name, "X-") {
			q.KeepHeader(name, values[0])
		}
	}
	return q
}

// Redecode reads a quarantined body as the hook reads bodies now.
func (h *Hook) Redecode(q triage.Quarantined) ([]triage.Event, error) {
	header := make(http.Header, len(q.Headers))
	for name, value := range q.Headers {
		header.Set(name, value)
	}
	if q.Cut {
		return nil, &triage.FieldError{Field: "body", Remedy: "is kept only in part; have the sender deliver it again"}
	}
	return h.decode(header, q.Body, q.RecordTime, q.Scope)
}

func (h *Hook) count(events, quarantined int, at time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.events += uint64(events)
	h.quarantined += uint64(quarantined)
	if events > 0 {
		h.lastEvent = at
	}
}

// complete names the source and fills in what the sender left open.
func (h *Hook) complete(e triage.Event, scope triage.Scope) triage.Event {
	service, environment := scope.Service, scope.Environment
	if e.Anomaly != nil {
		a := *e.Anomaly
		a.Source = h.cfg.Name
		if a.Service == "" {
			a.Service = service
		}
		if a.Environment == "" {
			a.Environment = environment
		}
		return triage.Event{Anomaly: &a}
	}
	if e.Change == nil {
		return e
	}
	c := *e.Change
	c.Source = h.cfg.Name
	if c.Service == "" && !c.Global {
		if flag := c.Labels["flag"]; flag != "" {
			c.Service = h.cfg.serviceOf(flag)
			if c.Service != "" {
				c.Labels = maps.Clone(c.Labels)
				c.Labels["service_from"] = "flags of hook " + h.cfg.Name
			}
		}
		if c.Service == "" {
			c.Service = service
		}
	}
	if c.Environment == "" {
		c.Environment = environment
	}
	return triage.Event{Change: &c}
}

const (
	redelivery = 30 * time.Minute // how long the same body is taken for a redelivery
	maxRecent  = 4096             // bodies remembered, about 100 B each
)

// recent remembers when bodies first came, oldest forgotten first.
type recent struct {
	mu   sync.Mutex
	at   map[[32]byte]time.Time
	ring [][32]byte
	next int
}

// first is when a body was first seen: now, unless it came within the redelivery time.
func (r *recent) first(sum [32]byte, now time.Time) time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	if t, ok := r.at[sum]; ok {
		if now.Sub(t) < redelivery {
			return t
		}
		r.at[sum] = now
		return now
	}
	if r.at == nil {
		r.at = make(map[[32]byte]time.Time)
	}
	if len(r.ring) < maxRecent {
		r.ring = append(r.ring, sum)
	} else {
		delete(r.at, r.ring[r.next])
		r.ring[r.next] = sum
		r.next = (r.next + 1) % maxRecent
	}
	r.at[sum] = now
	return now
}
