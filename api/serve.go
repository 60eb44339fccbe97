package api

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"github.com/triaged-dev/triaged/triage"
)

// request is what an endpoint gets: the request with its body read whole, and who sent it.
type request struct {
	*http.Request
	id       string
	caller   *caller // nil where the route needs no scope
	settings *settings
	body     []byte
}

// endpoint answers one request with a value or an error; encoding and statuses happen in finish. A reply says more than
// its value: a status, headers, a body that is not JSON.
type endpoint func(*request) (any, error)

type reply struct {
	status  int
	header  http.Header
	value   any          // written as JSON
	raw     []byte       // or these bytes, with the content type in header
	handler http.Handler // or this handler, which writes everything
}

// route registers an endpoint behind the checks every request passes.
func (a *API) route(pattern string, scope Scope, lane laneName, e endpoint) {
	a.patterns = append(a.patterns, pattern)
	a.mux.HandleFunc(pattern, a.watch(pattern, func(w *writer, r *request) error {
		if r.ContentLength != 0 {
			// Also for those refused below: the server reads the rest of their body before it lets go of the connection.
			_ = http.NewResponseController(w.ResponseWriter).SetReadDeadline(time.Now().Add(time.Duration(r.settings.limits.BodyTimeout)))
		}
		if err := a.admit(r, scope); err != nil {
			return err
		}
		free, err := a.readBody(w, r, lane)
		if err != nil {
			return err
		}
		defer free()
		value, err := a.work(r, lane, e)
		a.audit(r, scope, pattern, err == nil)
		if err != nil {
			return err
		}
		return a.finish(w, r, value)
	}))
}

// work has the endpoint make its answer, within the lane's bounds. Its slot is free again before the answer is sent: a client that
// reads slowly holds up nobody.
func (a *API) work(r *request, lane laneName, e endpoint) (reply, error) {
	release, err := a.slot(r, lane)
	if err != nil {
		return reply{}, err
	}
	defer release()
	a.working.Add(1)
	defer a.working.Add(-1)
	ctx, cancel := context.WithTimeout(r.Context(), r.settings.lanes[lane].timeout)
	defer cancel()
	r.Request = r.WithContext(ctx)
	value, err := e(r)
	if err != nil {
		return reply{}, err
	}
	return encode(value)
}

// stream registers a handler that writes for as long as it likes.
func (a *API) stream(pattern string, scope Scope, serve func(*writer, *request) error) {
	a.patterns = append(a.patterns, pattern)
	a.mux.HandleFunc(pattern, a.watch(pattern, func(w *writer, r *request) error {
		if err := a.admit(r, scope); err != nil {
			return err
		}
		release, err := a.slot(r, laneStream)
		if err != nil {
			return err
		}
		defer release()
		return serve(w, r)
	}))
}

// watch gives the request its id and the answer its security headers, measures, turns errors into problems and survives panics.
func (a *API) watch(pattern string, serve func(*writer, *request) error) http.HandlerFunc {
	return func(rw http.ResponseWriter, hr *http.Request) {
		_, path, ok := strings.Cut(pattern, " ")
		if !ok {
			path = pattern
		}
		began := a.now()
		w := &writer{ResponseWriter: rw}
		r := &request{Request: hr, id: rand.Text()[:16], settings: a.settings.Load()}
		h := w.Header()
		h.Set("X-Request-Id", r.id)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Cache-Control", "no-store")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		defer func() {
			if v := recover(); v != nil {
				a.metrics.panics.Inc()
				a.fail(w, r, problem(kindInternal, "The request could not be answered.").because(fmt.Errorf("panic: %v\n%s", v, debug.Stack())))
			}
			a.metrics.duration.WithLabelValues(path, methodLabel(r.Method), strconv.Itoa(w.code())).Observe(a.now().Sub(began).Seconds())
		}()
		if err := serve(w, r); err != nil {
			a.fail(w, r, err)
		}
	}
}

// admit lets a request in or says why not: cross-origin, identity, scope, rate. It comes before anything that others share is spent.
func (a *API) admit(r *request, scope Scope) error {
	if err := a.origin.Check(r.Request); err != nil {
		return problem(kindCrossOrigin, "The browser says that this request was made by a page of another site.").because(err)
	}
	if scope == "" {
		return nil
	}
	return a.authorize(r, scope)
}

// slot takes one of the lane's places, until release.
func (a *API) slot(r *request, name laneName) (release func(), err error) {
	l := r.settings.lanes[name]
	gauge := a.metrics.inFlight.WithLabelValues(l.name)
	if l.slots != nil && !l.slots.TryAcquire(1) {
		return nil, problem(kindBusy, "Too many requests of this sort are being worked on; send it again.").retryAfter(time.Second)
	}
	gauge.Inc()
	return func() {
		gauge.Dec()
		if l.slots != nil {
			l.slots.Release(1)
		}
	}, nil
}

func (a *API) authorize(r *request, scope Scope) error {
	c, badToken := r.settings.auth.identify(r.Request)
	if c == nil {
		challenge := `Bearer realm="triaged"`
		detail := "Send the header Authorization: Bearer, with a token from auth.tokens."
		if badToken {
			challenge += `, error="invalid_token"`
			detail = "The token is not one of those configured."
		}
		return problem(kindUnauthorized, "%s", detail).head("WWW-Authenticate", challenge)
	}
	if c.ambient {
		if err := sameOrigin(r.Request); err != nil {
			return err
		}
	}
	if !c.may(scope) {
		return problem(kindForbidden, "This needs the scope %s.%s", scope, r.settings.auth.people.remedy(c)).
			head("WWW-Authenticate", fmt.Sprintf(`Bearer realm="triaged", error="insufficient_scope", scope=%q`, scope))
	}
	if c.limit != nil {
		if now := a.now(); !c.limit.AllowN(now, 1) {
			wait := time.Duration(float64(time.Second) / float64(c.limit.Limit()))
			return problem(kindRate, "This caller may make %v requests per second.", float64(c.limit.Limit())).retryAfter(wait)
		}
	}
	r.caller = c
	r.Request = r.WithContext(triage.WithActor(r.Context(), c.actor))
	return nil
}

// readBody reads the whole body within the bounds of its lane and of the caller's share, until free is called.
func (a *API) readBody(w *writer, r *request, name laneName) (free func(), err error) {
	limit := r.settings.lanes[name].body
	if limit == 0 {
		return func() {}, nil
	}
	who := ""
	if r.caller != nil {
		who = r.caller.name
	}
	body := a.budget(name).Open(w.ResponseWriter, r.Request, who, limit, time.Duration(r.settings.limits.BodyTimeout))
	var buf bytes.Buffer // grows with what arrives: what a sender announces is not believed
	if _, err = buf.ReadFrom(body); err != nil {
		_ = body.Close() // it only gives back what it held
		return nil, bodyProblem(w, r, limit, err)
	}
	r.body = bytes.TrimPrefix(buf.Bytes(), []byte("\xef\xbb\xbf")) // a byte order mark says nothing
	return func() { _ = body.Close() }, nil
}

// budget is the one that bodies of a lane are charged to.
func (a *API) budget(name laneName) *Budget {
	if b := a.bodies[name]; b != nil {
		return b
	}
	return a.bodies[laneSmall]
}

func bodyProblem(w *writer, r *request, limit int64, err error) *Problem {
	_, tooLarge := errors.AsType[*http.MaxBytesError](err)
	_, noRoom := errors.AsType[noRoomError](err)
	switch {
	case tooLarge:
		return problem(kindTooLarge, "The body may have %d bytes; send it in smaller parts, or raise the limit under auth.limits.", limit)
	case noRoom:
		w.Header().Set("Connection", "close")
		return problem(kindBusy, "Too many bodies are being read; send it again.").retryAfter(time.Second)
	case isTimeout(err):
		w.Header().Set("Connection", "close")
		return problem(kindSlow, "The body did not arrive within %v.", r.settings.limits.BodyTimeout)
	}
	return problem(kindMalformed, "The body ended before its announced length; send it again, and look for a proxy that cuts requests.").because(err)
}

// encode makes the bytes of an answer. Nothing is sent before that, so an encoding that fails is still a problem.
func encode(value any) (reply, error) {
	rep, ok := value.(reply)
	if !ok {
		rep = reply{value: value}
	}
	if rep.status == 0 {
		rep.status = http.StatusOK
	}
	if rep.raw == nil && rep.value != nil {
		encoded, err := json.Marshal(rep.value)
		if err != nil {
			return reply{}, fmt.Errorf("encode the answer: %w", err)
		}
		rep.raw, rep.value = append(encoded, '\n'), nil
		header := http.Header{"Content-Type": {"application/json"}}
		maps.Copy(header, rep.header)
		rep.header = header
	}
	return rep, nil
}

// finish sends what encode made.
func (a *API) finish(w *writer, r *request, rep reply) error {
	if rep.handler != nil {
		rep.handler.ServeHTTP(w, r.Request)
		return nil
	}
	// Alerts and small answers are never refused: what fits the kernel's buffer does not wait.
	if n := int64(len(rep.raw)); n > smallAnswer {
		if !a.answers.TryAcquire(n) {
			return problem(kindBusy, "Too many answers are being read; ask again, or for fewer items.").retryAfter(time.Second)
		}
		defer a.answers.Release(n)
		_ = http.NewResponseController(w.ResponseWriter).SetWriteDeadline(time.Now().Add(answerTime))
	}
	maps.Copy(w.Header(), rep.header)
	w.send(rep.status, rep.raw)
	return nil
}

// smallAnswer is what the kernel takes at once, as a rule.
const smallAnswer = 64 << 10

// fail answers with a problem and logs, once, what the caller is not told.
func (a *API) fail(w *writer, r *request, err error) {
	p := a.problemFor(r, err)
	if w.status != 0 {
		// The answer has begun; all that is left is to say why it ends.
		a.log.Warn("answer cut short", "request_id", r.id, "path", r.URL.Path, "err", err)
		return
	}
	a.metrics.rejected.WithLabelValues(string(p.kind)).Inc()
	attrs := []any{"request_id", r.id, "method", r.Method, "path", r.URL.Path, "status", p.Status, "remote", r.RemoteAddr, "err", err}
	if r.caller != nil {
		attrs = append(attrs, "caller", r.caller.name)
	}
	if p.Status >= http.StatusInternalServerError && p.kind != kindBusy {
		a.log.Error("request not served", attrs...)
	} else {
		a.log.Debug("request not served", attrs...)
	}
	p.Instance = "urn:triaged:request:" + r.id
	body, err := json.Marshal(p)
	if err != nil {
		body = nil // cannot happen: strings and numbers only
	}
	maps.Copy(w.Header(), p.header)
	w.Header().Set("Content-Type", "application/problem+json")
	w.send(p.Status, append(body, '\n'))
}

// problemFor maps any error onto what the outside is told.
func (a *API) problemFor(r *request, err error) *Problem {
	if p, ok := errors.AsType[*Problem](err); ok {
		return p
	}
	switch {
	case a.opts.NotFound(err):
		return problem(kindNotFound, "Nothing is stored under %s.", r.URL.Path).because(err)
	case errors.Is(err, context.DeadlineExceeded):
		return problem(kindUnavailable, "It took too long; send it again.").retryAfter(5 * time.Second).because(err)
	case errors.Is(err, context.Canceled):
		return problem(kindUnavailable, "The request was given up.").retryAfter(time.Second).because(err)
	case r.Method == http.MethodGet && len(fieldErrors(err)) > 0:
		return problem(kindParameter, "A parameter cannot be used.").with(fieldProblems(err)...).because(err)
	}
	return problem(kindInternal, "The request could not be answered; the log says more under this id.").because(err)
}

// serveUnknown answers what no route matches.
func (a *API) serveUnknown(w http.ResponseWriter, r *http.Request) {
	a.watch("other", func(w *writer, r *request) error {
		probe := &discard{header: make(http.Header)}
		a.mux.ServeHTTP(probe, r.Request)
		if probe.status == http.StatusMethodNotAllowed {
			allow := probe.header.Get("Allow")
			return problem(kindMethod, "Use %s here.", allow).head("Allow", allow)
		}
		return problem(kindNotFound, "There is nothing at this path; /api/openapi.yaml lists what there is.")
	})(w, r)
}

// discard takes the status and headers of the mux's own answer and drops its text.
type discard struct {
	header http.Header
	status int
}

func (d *discard) Header() http.Header         { return d.header }
func (d *discard) Write(b []byte) (int, error) { return len(b), nil }
func (d *discard) WriteHeader(status int)      { d.status = status }

// writer remembers the status.
type writer struct {
	http.ResponseWriter
	status int
}

func (w *writer) WriteHeader(status int) {
	if w.status == 0 {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *writer) Write(b []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	return w.ResponseWriter.Write(b)
}

// Unwrap lets http.ResponseController through.
func (w *writer) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (w *writer) code() int {
	if w.status == 0 {
		return http.StatusOK
	}
	return w.status
}

// send writes an answer whole. A client that went away is not our concern.
func (w *writer) send(status int, body []byte) {
	if status != http.StatusNoContent {
		w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	}
	w.WriteHeader(status)
	if len(body) > 0 {
		_, _ = io.Copy(w, bytes.NewReader(body))
	}
}

func methodLabel(m string) string {
	switch m {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions:
		return m
	}
	return "other"
}
