package github

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"

	"github.com/google/go-github/v60/github"

	"github.com/triaged-dev/triaged/triage"
)

// Outcomes of a delivery: the values of the outcome label.
const (
	OutcomeAccepted     = "accepted"      // Changes are durable
	OutcomeIgnored      = "ignored"       // a known event that is no Change here
	OutcomeDuplicate    = "duplicate"     // this delivery was taken before
	OutcomeUnknownEvent = "unknown_event" // an event this package does not read
	OutcomeBadSignature = "bad_signature"
	OutcomeMalformed    = "malformed" // signed, but not readable: it is in the quarantine
	OutcomeTooLarge     = "too_large"
	OutcomeStoreFailed  = "store_failed" // GitHub shows it as failed; redeliver
)

const (
	maxWebhookBody = 25 << 20 // GitHub's own bound
	maxDeliveries  = 4096     // remembered ids, about 100 B each

	signaturePrefix = "sha256="
)

var (
	errSignature = errors.New("X-Hub-Signature-256 is missing or does not match the secret")
	errMalformed = errors.New("body is no event of this kind")
)

// WebhookHandler serves POSTs from GitHub and hands their Changes to emit before it answers 2xx.
// It refuses to be made without a secret.
func (s *Source) WebhookHandler(emit triage.Emit) (http.Handler, error) {
	if _, err := s.secret(); err != nil {
		return nil, err
	}
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if req.Method != http.MethodPost {
			w.Header().Set("Allow", http.MethodPost)
			problem(w, http.StatusMethodNotAllowed, "This is a webhook's address: GitHub delivers to it by POST. Enter it at the repository or organisation under Webhooks.")
			return
		}
		if !strings.HasPrefix(req.Header.Get(github.SHA256SignatureHeader), signaturePrefix) { // nothing is spent on an unsigned body
			s.metrics.deliveries.WithLabelValues(s.cfg.Name, OutcomeBadSignature).Inc()
			answer(w, OutcomeBadSignature, errSignature)
			return
		}
		body, err := io.ReadAll(http.MaxBytesReader(w, req.Body, maxWebhookBody))
		if _, over := errors.AsType[*http.MaxBytesError](err); over {
			s.metrics.deliveries.WithLabelValues(s.cfg.Name, OutcomeTooLarge).Inc()
			problem(w, http.StatusRequestEntityTooLarge, tooLarge())
			return
		}
		if err != nil { // too slow, or no room for it now: GitHub shows it as failed; redeliver
			w.Header().Set("Connection", "close")
			problem(w, http.StatusServiceUnavailable, "The body could not be read to its end; redeliver it later, and look for a proxy that cuts requests.")
			return
		}
		outcome, err := s.Webhook(req.Context(), req.Header, body, emit)
		answer(w, outcome, err)
	}), nil
}

// answer maps an outcome onto a status. What went wrong inside is in the log, not in the answer.
func answer(w http.ResponseWriter, outcome string, err error) {
	switch outcome {
	case OutcomeAccepted, OutcomeIgnored, OutcomeDuplicate, OutcomeUnknownEvent:
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusOK)
		_ = json.NewEncoder(w).Encode(map[string]string{"outcome": outcome})
	case OutcomeBadSignature:
		problem(w, http.StatusUnauthorized, errSignature.Error())
	case OutcomeTooLarge:
		problem(w, http.StatusRequestEntityTooLarge, tooLarge())
	case OutcomeMalformed:
		problem(w, http.StatusBadRequest, err.Error()+". It is kept in the quarantine (GET /api/v1/quarantine) and can be read again there.")
	default:
		problem(w, http.StatusServiceUnavailable, "the event could not be stored; redeliver it later")
	}
}

func tooLarge() string {
	return fmt.Sprintf("The body is larger than %d bytes, GitHub's own bound: deliver fewer commits at once, or let triaged poll the repository.", maxWebhookBody)
}

// docsURL is where the answers to deliveries are explained.
const docsURL = "https://github.com/triaged-dev/triaged/blob/main/docs/hooks.md#answers"

func problem(w http.ResponseWriter, status int, detail string) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]any{"type": docsURL, "title": http.StatusText(status), "status": status, "detail": detail})
}

// secret reads the webhook's secret, from its file each time, so that it may be rotated.
func (s *Source) secret() ([]byte, error) {
	w := s.cfg.Webhook
	if w == nil {
		return nil, &triage.FieldError{Field: "webhook", Remedy: "is not configured; set webhook.secret_file to take deliveries"}
	}
	secret := []byte(w.Secret)
	if w.SecretFile != "" {
		data, err := os.ReadFile(w.SecretFile)
		if err != nil {
			return nil, fmt.Errorf("webhook.secret_file: %w", err)
		}
		secret = []byte(strings.TrimSpace(string(data)))
	}
	if len(secret) == 0 {
		return nil, &triage.FieldError{Field: "webhook.secret", Remedy: "is empty, and then anybody could report changes; set it to the secret entered at GitHub"}
	}
	return secret, nil
}

// Webhook takes one delivery: checks its signature over the raw body, reads it, and hands its Changes to emit. The outcome is one
// of the Outcome constants. err is set for the last four; the caller answers 2xx to the others.
func (s *Source) Webhook(ctx context.Context, header http.Header, body []byte, emit triage.Emit) (outcome string, err error) {
	outcome, reason, err := s.take(ctx, header, body, emit)
	s.metrics.deliveries.WithLabelValues(s.cfg.Name, outcome).Inc()
	event, id := clean(header.Get(github.EventTypeHeader)), clean(header.Get(github.DeliveryIDHeader))
	switch {
	case err != nil && outcome != OutcomeBadSignature:
		s.log.Warn("webhook not taken", "outcome", outcome, "event", event, "delivery", id, "err", err)
	default:
		s.log.Debug("webhook", "outcome", outcome, "event", event, "delivery", id, "reason", reason)
	}
	return outcome, err
}

func (s *Source) take(ctx context.Context, header http.Header, body []byte, emit triage.Emit) (outcome, reason string, err error) {
	if len(body) > maxWebhookBody {
		return OutcomeTooLarge, "", errors.New(tooLarge())
	}
	secret, err := s.secret()
	if err != nil {
		return OutcomeStoreFailed, "", err
	}
	// ValidateSignature would also take SHA-1, and compares in constant time.
	signature := header.Get(github.SHA256SignatureHeader)
	if !strings.HasPrefix(signature, signaturePrefix) || github.ValidateSignature(signature, body, secret) != nil {
		return OutcomeBadSignature, "", errSignature
	}
	id := header.Get(github.DeliveryIDHeader)
	if s.seen.has(id) {
		return OutcomeDuplicate, "", nil
	}
	found, err := s.readBody(header, body)
	if err != nil {
		s.keepDelivery(ctx, header, body, err)
		return OutcomeMalformed, "", err
	}
	if err := s.deliver(ctx, emit, found.changes); err != nil {
		return OutcomeStoreFailed, "", err
	}
	s.seen.add(id)
	if found.poll {
		s.poke(found.repo)
	}
	switch {
	case len(found.changes) > 0:
		return OutcomeAccepted, "", nil
	case found.unknown:
		return OutcomeUnknownEvent, found.why, nil
	}
	return OutcomeIgnored, found.why, nil
}

// readBody reads a delivery whose signature fits.
func (s *Source) readBody(header http.Header, body []byte) (found, error) {
	body, err := jsonBody(header, body)
	if err != nil {
		return found{}, err
	}
	return s.readEvent(header.Get(github.EventTypeHeader), body)
}

// keepDelivery sets a delivery aside that could not be read, with the headers that reading it again needs. The id is made of the
// content: a redelivery fills nothing.
func (s *Source) keepDelivery(ctx context.Context, header http.Header, body []byte, reason error) {
	now, sum := s.now(), sha256.Sum256(body)
	q := triage.Quarantined{
		ID: "github:" + s.cfg.Name + "/" + hex.EncodeToString(sum[:12]), Source: s.cfg.Name, Origin: "webhook", Reason: clean(reason.Error()), At: now, RecordTime: now,
	}
	q.SetBody(bytes.Clone(body))
	for _, name := range []string{github.EventTypeHeader, github.DeliveryIDHeader, "Content-Type"} {
		if v := header.Get(name); v != "" {
			q.KeepHeader(name, v)
		}
	}
	s.setAside(ctx, q, reason)
}

// Redecode reads a quarantined delivery as deliveries are read now: a newer version may know what this one did not.
func (s *Source) Redecode(q triage.Quarantined) ([]triage.Event, error) {
	if q.Origin != "webhook" {
		return nil, &triage.FieldError{Field: "origin", Value: q.Origin, Remedy: "was read from GitHub's API, and the next poll reads it again"}
	}
	if q.Cut {
		return nil, &triage.FieldError{Field: "body", Remedy: "is kept only in part; redeliver it at GitHub under Recent Deliveries"}
	}
	header := make(http.Header, len(q.Headers))
	for name, value := range q.Headers {
		header.Set(name, value)
	}
	f, err := s.readBody(header, q.Body)
	if err != nil {
		return nil, err
	}
	if len(f.changes) == 0 {
		return nil, &triage.Ignored{Reason: f.why}
	}
	events := make([]triage.Event, len(f.changes))
	for i := range f.changes {
		events[i].Change = &f.changes[i]
	}
	return events, nil
}

// jsonBody is the JSON of a delivery in either of the two content types GitHub offers.
func jsonBody(header http.Header, body []byte) ([]byte, error) {
	kind, _, err := mime.ParseMediaType(header.Get("Content-Type"))
	if err != nil || kind != "application/x-www-form-urlencoded" {
		return bytes.TrimPrefix(body, []byte("\xef\xbb\xbf")), nil // a proxy may have put a byte order mark in front
	}
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return nil, fmt.Errorf("%w: form: %w", errMalformed, err)
	}
	return []byte(form.Get("payload")), nil
}

// deliveries remembers the ids taken lately, oldest forgotten first. It spares work: taking an event twice is harmless.
type deliveries struct {
	mu   sync.Mutex
	ids  map[string]bool
	ring []string
	next int
}

func newDeliveries() *deliveries {
	return &deliveries{ids: make(map[string]bool), ring: make([]string, maxDeliveries)}
}

func (d *deliveries) has(id string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return id != "" && d.ids[id]
}

func (d *deliveries) add(id string) {
	if id == "" || len(id) > triage.MaxText {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.ids[id] {
		return
	}
	delete(d.ids, d.ring[d.next])
	d.ring[d.next], d.ids[id] = id, true
	d.next = (d.next + 1) % len(d.ring)
}
