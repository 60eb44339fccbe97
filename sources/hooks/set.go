package hooks

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/triaged-dev/triaged/triage"
)

const (
	bodyTime  = 10 * time.Second // for a body to arrive: senders give up after about that
	storeTime = 9 * time.Second  // for its events to become durable, before the sender gives up
)

// Options are what a Set is made from.
type Options struct {
	Hooks   []Config
	Senders func(Config) (Sender, error) // by type or mapping file; an error names what is wrong with either
	// Mounted are further handlers below /hooks/, by name, which authenticate by themselves.
	Mounted map[string]http.Handler
	// Bodies opens the body of a request of at most limit bytes, charged to a name, which has to arrive within that time. Reading fails
	// with an *http.MaxBytesError, os.ErrDeadlineExceeded, or a Temporary error where there is no room. Closing gives the room back.
	// nil: each body is bounded by itself only.
	Bodies     func(w http.ResponseWriter, r *http.Request, name string, limit int64, within time.Duration) io.ReadCloser
	Emit       triage.Emit
	Quarantine func(context.Context, triage.Quarantined)
	Logger     *slog.Logger
	Registerer prometheus.Registerer // nil allowed
	Now        func() time.Time      // nil: time.Now
}

// Set serves the hooks of one configuration. It is immutable and safe for concurrent use.
type Set struct {
	opts    Options
	hooks   map[string]*Hook
	names   []string // in the order of the configuration
	now     func() time.Time
	log     *slog.Logger
	metrics *metrics
	origin  *http.CrossOriginProtection
	mux     *http.ServeMux
}

// New checks every hook and reads every secret once, so that a missing one is an error at start. It contacts nobody.
func New(o Options) (*Set, error) {
	if o.Emit == nil || o.Quarantine == nil || o.Senders == nil {
		return nil, errors.New("hooks need Emit, Quarantine and Senders")
	}
	s := &Set{
		opts: o, hooks: make(map[string]*Hook), now: o.Now, log: o.Logger, metrics: newMetrics(o.Registerer),
		origin: http.NewCrossOriginProtection(), mux: http.NewServeMux(),
	}
	if s.now == nil {
		s.now = time.Now
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	var problems []error
	for _, c := range o.Hooks {
		if err := s.add(c); err != nil {
			problems = append(problems, fmt.Errorf("hook %s: %w", c.Name, err))
		}
	}
	if err := errors.Join(problems...); err != nil {
		return nil, err
	}
	s.mux.HandleFunc("POST /hooks/{name}", s.serveHook)
	s.mux.HandleFunc("OPTIONS /hooks/{name}", serveHandshake)
	s.mux.HandleFunc("POST /v2/change/enqueue", s.serveChangeEvent)
	s.mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPost {
			w.Header().Set("Allow", http.MethodPost)
			problem(w, http.StatusMethodNotAllowed, "Hooks are delivered by POST.")
			return
		}
		problem(w, http.StatusNotFound, "There is no such hook.")
	})
	return s, nil
}

func (s *Set) add(c Config) error {
	if err := c.Validate(); err != nil {
		return err
	}
	_, mounted := s.opts.Mounted[c.Name]
	if _, twice := s.hooks[c.Name]; twice || mounted {
		return &triage.FieldError{Field: "name", Value: c.Name, Remedy: "is the address of another hook; give each its own"}
	}
	sender, err := s.opts.Senders(c)
	if err != nil {
		return err
	}
	h := &Hook{cfg: c, sender: sender, set: s, log: s.log.With("hook", c.Name), since: s.now()}
	if _, err := c.proof(); err != nil {
		return err
	}
	for i, k := range c.RoutingKeys {
		if _, err := read(k.Key, k.KeyFile, fmt.Sprintf("routing_keys[%d].key_file", i)); err != nil {
			return err
		}
	}
	if c.Insecure {
		h.log.Warn("ANYBODY WHO REACHES THE PORT MAY REPORT CHANGES HERE: the hook is configured with insecure: true; set secret_file instead")
	}
	s.hooks[c.Name] = h
	s.names = append(s.names, c.Name)
	return nil
}

// Names lists the hooks, in the order of the configuration.
func (s *Set) Names() []string { return slices.Clone(s.names) }

// Source is the hook of that name as a source of events, for what Coverage says of it; nil if there is none.
func (s *Set) Source(name string) *Hook { return s.hooks[name] }

// ServeHTTP serves /hooks/{name} and /v2/change/enqueue.
func (s *Set) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Header().Set("Cache-Control", "no-store")
	if err := s.origin.Check(r); err != nil {
		problem(w, http.StatusForbidden, "The browser says that this request was made by a page of another site.")
		return
	}
	s.mux.ServeHTTP(w, r)
}

func (s *Set) serveHook(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("name")
	if m := s.opts.Mounted[name]; m != nil {
		// It reads the body, or does not, as it sees fit.
		r.Body = s.open(w, r, name, mostBytes)
		defer r.Body.Close()
		m.ServeHTTP(w, r)
		return
	}
	h := s.hooks[name]
	if h == nil || len(h.cfg.RoutingKeys) > 0 {
		problem(w, http.StatusNotFound, "There is no such hook.")
		return
	}
	defer s.timed(name)()
	if err := h.announces(r.Header); err != nil {
		s.count(name, outcomeUnauthenticated)
		problem(w, http.StatusUnauthorized, err.Error())
		return
	}
	body, free, ok := s.body(w, r, name, h.cfg.MaxBytes)
	if !ok {
		return
	}
	defer free()
	if err := h.verify(r.Header, body); err != nil {
		s.count(name, outcomeUnauthenticated)
		problem(w, http.StatusUnauthorized, err.Error())
		return
	}
	if code := validationCode(r.Header, body); code != "" {
		s.count(name, outcomeIgnored)
		answer(w, http.StatusOK, map[string]any{"validationResponse": code})
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), storeTime)
	defer cancel()
	res := h.take(ctx, r.Header, body, triage.Scope{Service: h.cfg.Service, Environment: h.cfg.Environment})
	s.note(h, res)
	switch {
	case res.outcome == outcomeStoreFailed:
		w.Header().Set("Retry-After", "5")
		problem(w, http.StatusServiceUnavailable, "The events could not be stored; send them again.")
	case res.outcome == outcomeUndecodable && !isLenient(h.cfg.Type):
		problem(w, http.StatusUnprocessableEntity, res.reason)
	default:
		answer(w, http.StatusOK, map[string]any{"outcome": res.outcome, "events": res.events, "reason": res.reason})
	}
}

// serveChangeEvent answers as PagerDuty does: 202 for what it took, 400 for a key it does not know.
func (s *Set) serveChangeEvent(w http.ResponseWriter, r *http.Request) {
	const name = "change_events"
	defer s.timed(name)()
	body, free, ok := s.body(w, r, name, 512<<10) // PagerDuty's own bound
	if !ok {
		return
	}
	defer free()
	invalid := func(outcome, hook, why string) {
		s.count(hook, outcome)
		answer(w, http.StatusBadRequest, map[string]any{"status": "invalid event", "message": "Event object is invalid", "errors": []string{why}})
	}
	var event struct {
		RoutingKey string `json:"routing_key"`
	}
	if json.Unmarshal(bytes.TrimPrefix(body, []byte("\xef\xbb\xbf")), &event) != nil || event.RoutingKey == "" {
		invalid(outcomeUnauthenticated, name, "'routing_key' is missing or blank: send one that stands under routing_keys of a hook of type pagerduty")
		return
	}
	h, key := s.owner(event.RoutingKey)
	if h == nil {
		invalid(outcomeUnauthenticated, name, "'routing_key' is not one of those configured: add it under routing_keys of a hook of type pagerduty")
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), storeTime)
	defer cancel()
	res := h.take(ctx, r.Header, body, triage.Scope{Service: orElse(key.Service, h.cfg.Service), Environment: orElse(key.Environment, h.cfg.Environment)})
	s.note(h, res)
	switch res.outcome {
	case outcomeStoreFailed:
		w.Header().Set("Retry-After", "5")
		answer(w, http.StatusServiceUnavailable, map[string]any{"status": "unavailable", "message": "The event could not be stored; send it again"})
	case outcomeUndecodable:
		answer(w, http.StatusBadRequest, map[string]any{"status": "invalid event", "message": "Event object is invalid", "errors": []string{res.reason}})
	default:
		answer(w, http.StatusAccepted, map[string]any{"status": "success", "message": "Change event processed"})
	}
}

func orElse(a, b string) string {
	if a == "" {
		return b
	}
	return a
}

// owner finds whose routing key it is, comparing with every one in constant time.
func (s *Set) owner(given string) (*Hook, RoutingKey) {
	sum := sha256.Sum256([]byte(given))
	var found *Hook
	var with RoutingKey
	for _, name := range s.names {
		h := s.hooks[name]
		for i, k := range h.cfg.RoutingKeys {
			secret, err := read(k.Key, k.KeyFile, fmt.Sprintf("routing_keys[%d].key_file", i))
			if err != nil {
				h.log.Error("a routing key cannot be read; its events are refused", "err", err)
				continue
			}
			own := sha256.Sum256([]byte(secret))
			if subtle.ConstantTimeCompare(sum[:], own[:]) == 1 && found == nil {
				found, with = h, k
			}
		}
	}
	return found, with
}

// open begins to read a body.
func (s *Set) open(w http.ResponseWriter, r *http.Request, name string, limit int64) io.ReadCloser {
	if s.opts.Bodies == nil {
		return http.MaxBytesReader(w, r.Body, limit)
	}
	return s.opts.Bodies(w, r, name, limit, bodyTime)
}

// body reads the whole body within its bounds. The sender has not proven itself yet, so it costs what has arrived and no more.
func (s *Set) body(w http.ResponseWriter, r *http.Request, name string, limit int64) (body []byte, free func(), ok bool) {
	from := s.open(w, r, name, limit)
	body, err := io.ReadAll(from)
	if err == nil {
		return body, func() { _ = from.Close() }, true
	}
	_ = from.Close() // it only gives back what it held
	_, over := errors.AsType[*http.MaxBytesError](err)
	noRoom, refused := errors.AsType[interface {
		error
		Temporary() bool
	}](err)
	switch {
	case over:
		s.count(name, outcomeTooLarge)
		problem(w, http.StatusRequestEntityTooLarge, tooLarge(limit))
	case errors.Is(err, os.ErrDeadlineExceeded):
		s.count(name, outcomeUnreadable)
		w.Header().Set("Connection", "close")
		problem(w, http.StatusRequestTimeout, fmt.Sprintf("The body did not arrive within %s; send it again, and look for what is slow between here and the sender.", bodyTime))
	case refused && noRoom.Temporary():
		s.count(name, outcomeBusy)
		w.Header().Set("Connection", "close")
		w.Header().Set("Retry-After", "1")
		problem(w, http.StatusServiceUnavailable, "Too many bodies are being read; send it again.")
	default:
		s.count(name, outcomeUnreadable)
		w.Header().Set("Connection", "close")
		problem(w, http.StatusBadRequest, "The body ended before its announced length; send it again, and look for a proxy that cuts requests.")
	}
	return nil, nil, false
}

func tooLarge(limit int64) string {
	return fmt.Sprintf("The body may have %d bytes: raise max_bytes of this hook (at most %d), or have the sender send less at once.", limit, mostBytes)
}

func (s *Set) count(name, outcome string) { s.metrics.requests.WithLabelValues(name, outcome).Inc() }

func (s *Set) timed(name string) func() {
	began := time.Now()
	return func() { s.metrics.duration.WithLabelValues(name).Observe(time.Since(began).Seconds()) }
}

// note counts and logs what became of an authenticated body.
func (s *Set) note(h *Hook, res result) {
	s.count(h.cfg.Name, res.outcome)
	s.metrics.events.WithLabelValues(h.cfg.Name).Add(float64(res.events))
	switch res.outcome {
	case outcomeIgnored:
		s.metrics.ignored.WithLabelValues(h.cfg.Name, res.reason).Inc()
		h.log.Debug("hook ignored", "reason", res.reason)
	case outcomeUndecodable:
		h.log.Warn("hook body could not be read; it is in the quarantine", "reason", res.reason)
	case outcomeStoreFailed:
		h.log.Error("hook not taken; the sender is asked to try again", "err", res.err)
	}
}

func answer(w http.ResponseWriter, status int, v map[string]any) {
	for k, x := range v {
		if x == "" || x == 0 {
			delete(v, k)
		}
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	// An error here means that the sender has gone; there is nobody to tell.
	_ = json.NewEncoder(w).Encode(v)
}

// docsURL is where the answers of hooks are explained.
const docsURL = "https://github.com/triaged-dev/triaged/blob/main/docs/hooks.md#answers"

func problem(w http.ResponseWriter, status int, detail string) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]any{"type": docsURL, "title": http.StatusText(status), "status": status, "detail": detail})
}
