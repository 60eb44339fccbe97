package api

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/semaphore"
	"golang.org/x/sync/singleflight"

	"github.com/triaged-dev/triaged/api/signin"
	"github.com/triaged-dev/triaged/triage"
)

// Timeouts of the http.Server that serves the Handler. They are the outer bounds: bodies and answers have tighter ones from
// the configuration, and /api/v1/events lifts them for itself.
const (
	ReadHeaderTimeout = 5 * time.Second
	ReadTimeout       = time.Minute
	WriteTimeout      = 2 * time.Minute
	IdleTimeout       = 2 * time.Minute
	MaxHeaderBytes    = 32 << 10
	ShutdownTimeout   = 15 * time.Second // longer than the longest answer, so that nobody is cut off
)

// Options are what the API is built from. Fields without "optional" are required.
type Options struct {
	Config          Config
	ListenAddresses []string // as configured; decides whether callers without a token may be let in
	ExternalURL     string   // optional: where browsers reach us; signing in needs it
	SignInKey       []byte   // optional: of the cookies of people, see signin.Key; signing in needs it
	SignedOut       *signin.SignedOut

	Store     Store
	Collector Collector
	Alerts    AlertIntake
	Resender  Resender
	Triager   Triager
	NotFound  func(error) bool // tells the store's "no such thing" from a failure

	Topology      Graph                                                      // optional
	Directory     func() *triage.Directory                                   // optional
	Picture       func(triage.Report, triage.Case) ([]byte, error)           // optional: paints timeline.png; 404 without
	FeedbackLinks LinkTokens                                                 // optional: /feedback/{token} says that there are none
	CloudEvents   CloudEvents                                                // optional: CloudEvents are answered with 415
	Events        func(buffer int) (events <-chan triage.Event, stop func()) // optional: what /api/v1/events streams
	Updates       func(buffer int) (updates <-chan Update, stop func())      // optional: the same, for incidents
	Healthy       func(context.Context) error                                // optional: takes the locks of the daemon; may block when it is stuck
	Ready         []Check                                                    // optional: conditions of /-/ready, in the order they are shown
	Reload        func(context.Context) error                                // optional: an error names what is wrong with the configuration
	ConfigYAML    func() string                                              // optional: the running configuration, secrets hidden
	Gatherer      prometheus.Gatherer                                        // optional: /metrics
	MCP           func(api http.Handler, mayWrite bool) http.Handler         // optional: what /mcp answers with, given the API itself to ask

	Logger     *slog.Logger
	Registerer prometheus.Registerer
	Now        func() time.Time
}

// API is the HTTP side of triaged. It is safe for concurrent use.
type API struct {
	opts     Options
	log      *slog.Logger
	now      func() time.Time
	metrics  *metrics
	settings atomic.Pointer[settings]
	bodies   map[laneName]*Budget // outlive reloads, as bodies in flight do
	mux      *http.ServeMux
	patterns []string // in the order of routes
	origin   *http.CrossOriginProtection
	probe    singleflight.Group
	answers  *semaphore.Weighted // bytes of answers on their way
	draining chan struct{}
	working  atomic.Int64
	drain    sync.Once
}

// New checks the options and reads the token files. It starts nothing.
func New(o Options) (*API, error) {
	var missing []error
	for _, f := range [...]struct {
		name string
		set  bool
	}{
		{"Store", o.Store != nil},
		{"Collector", o.Collector != nil},
		{"Alerts", o.Alerts != nil},
		{"Resender", o.Resender != nil},
		{"Triager", o.Triager != nil},
		{"NotFound", o.NotFound != nil},
	} {
		if !f.set {
			missing = append(missing, fmt.Errorf("build api: Options.%s is required", f.name))
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
	a := &API{
		opts:     o,
		log:      o.Logger,
		now:      o.Now,
		metrics:  newMetrics(o.Registerer),
		mux:      http.NewServeMux(),
		origin:   http.NewCrossOriginProtection(),
		draining: make(chan struct{}),
		bodies:   make(map[laneName]*Budget),
		answers:  semaphore.NewWeighted(maxAnswers),
	}
	for name, b := range budgets {
		a.bodies[name] = NewBudget(b.most, b.share)
	}
	apply, err := a.Prepare(o.Config)
	if err != nil {
		return nil, err
	}
	apply()
	a.routes()
	return a, nil
}

// Prepare does the fallible half of a reload: it checks the configuration and reads the token files. Nothing changes until
// the returned function is called; requests in flight finish under the old settings.
func (a *API) Prepare(c Config) (apply func(), err error) {
	s, err := newSettings(c, a.opts)
	if err != nil {
		return nil, err
	}
	return func() {
		a.settings.Store(s)
		for _, w := range s.auth.warnings {
			a.log.Warn("api access", "warning", w)
		}
	}, nil
}

// Drain ends the event streams and makes /-/ready say no. Call it when shutdown begins, before http.Server.Shutdown,
// which would otherwise wait for the streams. It may be called more than once.
// Bodies that are still arriving are given up, as their senders send them again.
func (a *API) Drain() {
	a.drain.Do(func() {
		close(a.draining)
		for _, b := range a.bodies {
			b.Drain()
		}
	})
}

// Working is how many requests are being worked on: whole, and not answered yet.
func (a *API) Working() int64 { return a.working.Load() }

// Patterns lists the routes as http.ServeMux patterns, in the order they are documented.
func (a *API) Patterns() []string { return append([]string(nil), a.patterns...) }
