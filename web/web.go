package web

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"html/template"
	"log/slog"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/triaged-dev/triaged/triage"
)

// Options are what the pages are built from. Fields without "optional" are required.
type Options struct {
	Store     Store
	Collector Collector
	Resender  Resender
	NotFound  func(error) bool // tells the store's "no such thing" from a failure

	Protect    Protect                  // optional: nobody is asked who they are
	Topology   triage.TopologySource    // optional
	Hops       func() int               // optional: calls walked from the symptom, as the ranking walks them
	Directory  func() *triage.Directory // optional
	ConfigYAML func() string            // optional: the running configuration, secrets hidden
	Version    string                   // optional: shown at the foot

	Logger     *slog.Logger
	Registerer prometheus.Registerer
	Now        func() time.Time
}

// Web serves the pages. It is safe for concurrent use.
type Web struct {
	opts    Options
	log     *slog.Logger
	now     func() time.Time
	metrics *metrics
	pages   map[string]*template.Template
	assets  *assets
	painter *painter
	handler http.Handler
}

// New checks the options and reads the embedded templates, assets and fonts. It starts nothing.
func New(o Options) (*Web, error) {
	var missing []error
	for _, f := range [...]struct {
		name string
		set  bool
	}{
		{"Store", o.Store != nil},
		{"Collector", o.Collector != nil},
		{"Resender", o.Resender != nil},
		{"NotFound", o.NotFound != nil},
	} {
		if !f.set {
			missing = append(missing, fmt.Errorf("build pages: Options.%s is required", f.name))
		}
	}
	if err := errors.Join(missing...); err != nil {
		return nil, err
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Protect == nil {
		o.Protect = func(_ Scope, next http.Handler) http.Handler { return next }
	}
	w := &Web{opts: o, log: o.Logger, now: o.Now, metrics: newMetrics(o.Registerer)}
	var err error
	if w.assets, err = loadAssets(); err != nil {
		return nil, err
	}
	if w.pages, err = loadPages(w.assets); err != nil {
		return nil, err
	}
	if w.painter, err = newPainter(); err != nil {
		return nil, err
	}
	w.handler = http.NewCrossOriginProtection().Handler(w.routes())
	return w, nil
}

// hops is how far from an incident changes are shown: as far as causes are sought.
func (w *Web) hops() int {
	if w.opts.Hops == nil {
		return triage.DefaultHops
	}
	return w.opts.Hops()
}

// Handler serves every page. Requests that change something are refused when a browser says that they come from another
// site. Paths that are not pages are answered with a page that says so.
func (w *Web) Handler() http.Handler { return w.handler }

// TimelinePNG is the picture of a report's time axis, for messages and post-mortems. It needs no browser and no network.
func (w *Web) TimelinePNG(r triage.Report, c triage.Case) ([]byte, error) {
	a := newAxis(axisInput{Report: r, Case: c})
	a.Head = pictureHead(r)
	return w.painter.png(a.draw(wideWidth))
}

// frame is what every page needs besides its own data.
type frame struct {
	Title   string // of the browser's tab
	Section string // which entry of the navigation is current
	Now     time.Time
	Version string
	Who     triage.Actor // who looks, where people sign in
	Live    string       // what the script listens for on the event stream: an incident's id, or "changes"; "" nothing
	Data    any
}

// failure is an error with what the visitor is told.
type failure struct {
	status int
	text   string
	cause  error
}

func (f *failure) Error() string {
	if f.cause != nil {
		return f.text + ": " + f.cause.Error()
	}
	return f.text
}

func (f *failure) Unwrap() error { return f.cause }

func fail(status int, text string, cause error) error { return &failure{status, text, cause} }

// page answers with a rendered template, or with a redirect.
type page struct {
	template string
	frame    frame
	redirect string
}

// endpoint makes one page. Errors become an error page; details go to the log.
type endpoint func(r *http.Request) (page, error)

// maxForm bounds the body of a form, bytes.
const maxForm = 64 << 10

const renderTimeout = 10 * time.Second

// serve turns an endpoint into a handler. A page is rendered whole before its first byte is sent.
func (w *Web) serve(e endpoint) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		began := w.now()
		ctx, cancel := context.WithTimeout(r.Context(), renderTimeout)
		defer cancel()
		if r.Method == http.MethodPost {
			r.Body = http.MaxBytesReader(rw, r.Body, maxForm)
		}
		p, err := e(r.WithContext(ctx))
		status := http.StatusOK
		if err != nil {
			p, status = w.errorPage(r, err)
		}
		secure(rw.Header())
		if p.redirect != "" {
			w.metrics.page("redirect", began, w.now())
			http.Redirect(rw, r, p.redirect, http.StatusSeeOther)
			return
		}
		p.frame.Now, p.frame.Version, p.frame.Who = w.now().UTC(), w.opts.Version, triage.ActorOf(r.Context())
		var b bytes.Buffer
		if err := w.pages[p.template].ExecuteTemplate(&b, "layout.html", p.frame); err != nil {
			w.log.Error("render page", "page", p.template, "err", err)
			http.Error(rw, "This page could not be rendered; the log says why.", http.StatusInternalServerError)
			return
		}
		w.metrics.page(p.template, began, w.now())
		rw.Header().Set("Content-Type", "text/html; charset=utf-8")
		rw.WriteHeader(status)
		if r.Method != http.MethodHead {
			_, _ = rw.Write(b.Bytes()) // the visitor may have gone
		}
	})
}

// secure lets a page load what we serve and nothing else, and nobody frame it.
func secure(h http.Header) {
	h.Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "same-origin")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Cache-Control", "no-store")
}

// errorPage says what the visitor can do about an error, and logs what they need not know.
func (w *Web) errorPage(r *http.Request, err error) (page, int) {
	f := &failure{http.StatusInternalServerError, "Something went wrong on our side; the log says more.", err}
	field := (*triage.FieldError)(nil)
	switch own := (*failure)(nil); {
	case errors.As(err, &own):
		f = own
	case w.opts.NotFound(err):
		f = &failure{http.StatusNotFound, "Nothing is stored here: it may be older than what is kept, or never have been.", err}
	case errors.As(err, &field):
		f = &failure{http.StatusBadRequest, "The address cannot be used: " + field.Error(), err}
	case errors.Is(err, context.DeadlineExceeded):
		f = &failure{http.StatusServiceUnavailable, "It took too long; load the page again.", err}
	}
	if f.status >= http.StatusInternalServerError {
		w.log.Error("page not served", "path", r.URL.Path, "err", err)
	} else {
		w.log.Debug("page not served", "path", r.URL.Path, "status", f.status, "err", err)
	}
	return page{template: "error.html", frame: frame{Title: http.StatusText(f.status), Data: map[string]any{
		"Status": f.status, "Word": http.StatusText(f.status), "Text": f.text,
	}}}, f.status
}
