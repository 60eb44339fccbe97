package alerting

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/triaged-dev/triaged/alerting/card"
	"github.com/triaged-dev/triaged/alerting/digest"
	"github.com/triaged-dev/triaged/alerting/outbox"
	"github.com/triaged-dev/triaged/triage"
)

// Options are what an Alerting is made from. Config, Store and Triager are needed.
type Options struct {
	Config    Config
	Route     RouteConfig
	Receivers outbox.Receivers
	Store     Store
	Triager   Triager
	Directory *triage.Directory
	Topology  triage.TopologySource // nil: no calls are known
	Hops      func() int            // calls walked from the symptom, as the ranking walks them; nil: triage.DefaultHops
	Verifier  Verifier              // nil: what an undo did is not measured
	Labels    Labels                // nil: verified undos are not kept as labels

	// State remembers when the last digest was posted. Nil: there are no digests.
	State digest.State

	// Owners knows which workload owns a pod. Nil: the names of pods tell. It is called under a lock: it must not block.
	Owners triage.PodOwners
	// Links gives the addresses shown with report n of an incident. Nil: none are shown.
	Links func(incident triage.Incident, n int) card.Links
	// Picture paints a report's time axis as a PNG. Nil: messages carry none.
	Picture func(context.Context, triage.Report) ([]byte, error)
	// Percentages reports whether enough of the team's own labels stand behind the probabilities to print them. Nil: no.
	Percentages func(context.Context) bool
	// Shadow is shown what a shadow route kept back, as it happens. Nil: only the outbox and the digest tell.
	Shadow func(Whisper)

	Logger     *slog.Logger
	Registerer prometheus.Registerer
	Now        func() time.Time // nil: time.Now
	Jitter     func() float64   // in [0,1); nil: random
}

// Alerting is the desk where alerts arrive and reports leave. Its methods may be called at the same time.
type Alerting struct {
	cfg     Config
	store   Store
	triager Triager
	opts    Options
	log     *slog.Logger
	now     func() time.Time
	metrics *metrics

	queue   *queue
	out     *outbox.Dispatcher
	digests *digest.Sender
	subs    subscribers

	loaded  chan struct{} // closed once the incidents of an earlier run are known
	running sync.Once

	mu        sync.Mutex // guards what follows; nothing blocking happens under it
	route     RouteConfig
	directory *triage.Directory
	entries   map[string]*entry   // incidents not closed, by id
	byAlert   map[string]*entry   // by LabelFingerprint of their alerts
	byGroup   map[string][]*entry // by group key
	byService map[string][]*entry // by service; "" for those without
	near      map[string]int      // open incidents by the services in reach of them: a quick no for the others
}

// ErrBusy means that no further incident can be opened now; nothing of the alert was kept, so the sender should try again.
var ErrBusy = errors.New("as many incidents are open as incidents.max_open allows; the alert was not taken")

// ErrNotOpen means that the incident is unknown or closed.
var ErrNotOpen = errors.New("no such open incident")

// New checks the options. It starts nothing and reads nothing: Run does.
func New(o Options) (*Alerting, error) {
	if o.Store == nil || o.Triager == nil {
		return nil, errors.New("alerting needs a store and a triager")
	}
	if err := o.Config.Validate(); err != nil {
		return nil, err
	}
	if err := check(o.Config, o.Route, o.Receivers); err != nil {
		return nil, err
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Links == nil {
		o.Links = func(triage.Incident, int) card.Links { return card.Links{} }
	}
	if o.Hops == nil {
		o.Hops = func() int { return triage.DefaultHops }
	}
	if o.Percentages == nil {
		o.Percentages = func(context.Context) bool { return false }
	}
	a := &Alerting{
		cfg: o.Config, store: o.Store, triager: o.Triager, opts: o, log: o.Logger, now: o.Now,
		queue:     newQueue(o.Config.Queue),
		loaded:    make(chan struct{}),
		route:     o.Route,
		directory: o.Directory,
		entries:   make(map[string]*entry),
		byAlert:   make(map[string]*entry),
		byGroup:   make(map[string][]*entry),
		byService: make(map[string][]*entry),
		near:      make(map[string]int),
	}
	a.metrics = newMetrics(o.Registerer, a)
	a.subs.lost = a.metrics.updatesLost
	out, err := outbox.New(outbox.Options{
		Config: o.Config.Delivery, Receivers: o.Receivers, Store: o.Store, Incident: a.incident, Owner: a.ownerOf, Links: o.Links, Picture: o.Picture, Percentages: o.Percentages,
		StoreFailed: a.metrics.storeFailed.WithLabelValues("delivery").Inc, Logger: o.Logger, Registerer: o.Registerer, Now: o.Now, Jitter: o.Jitter,
	})
	if err != nil {
		return nil, err
	}
	a.out = out
	a.digests = digest.New(digest.Options{
		Shadow: o.Config.Digest, Truth: o.Config.Truth, Store: o.Store, State: o.State, Feedback: feedback(o.Labels), Incident: a.incident, Links: o.Links,
		Percentages: o.Percentages, Receiver: out.Receiver, Timeout: time.Duration(o.Config.Delivery.Timeout), Logger: o.Logger, Now: o.Now,
	})
	return a, nil
}

// Run loads the open incidents, then triages and delivers until ctx ends. What is under way then is finished or left to the
// next start: nothing is lost. It may be called once.
func (a *Alerting) Run(ctx context.Context) error {
	first := false
	a.running.Do(func() { first = true })
	if !first {
		return errors.New("alerting runs already")
	}
	if err := a.load(ctx); err != nil {
		return err
	}
	close(a.loaded)
	var wg sync.WaitGroup
	for range a.cfg.Workers {
		wg.Go(func() { a.work(ctx) })
	}
	wg.Go(func() { a.sweep(ctx) })
	if a.opts.Verifier != nil {
		wg.Go(func() { a.watchUndos(ctx) })
	}
	wg.Go(func() { a.out.Run(ctx) })
	wg.Go(func() { a.digests.Run(ctx) })
	wg.Wait()
	return nil
}

// Ready is nil once the incidents of an earlier run are loaded.
func (a *Alerting) Ready() error {
	select {
	case <-a.loaded:
		return nil
	default:
		return errors.New("alerting: open incidents are still being loaded")
	}
}

// SetRoute replaces the routing tree. Deliveries already in the outbox keep their receivers.
func (a *Alerting) SetRoute(r RouteConfig) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.route = r
}

// SetReceivers replaces the receivers. A pending delivery to a receiver that is gone becomes a dead letter.
func (a *Alerting) SetReceivers(r outbox.Receivers) { a.out.SetReceivers(r) }

// Reconfigure replaces routes and receivers together, or neither if they do not fit each other.
func (a *Alerting) Reconfigure(route RouteConfig, r outbox.Receivers) error {
	if err := check(a.cfg, route, r); err != nil {
		return err
	}
	a.out.SetReceivers(r)
	a.SetRoute(route)
	return nil
}

// SetDirectory replaces the service names by which alerts coming from now on are resolved.
func (a *Alerting) SetDirectory(d *triage.Directory) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.directory = d
}

// Resend puts a dead, held, shadow or delivered delivery back into the outbox, under its own id, with a fresh count of attempts.
func (a *Alerting) Resend(ctx context.Context, deliveryID string) error {
	return a.out.Resend(ctx, deliveryID)
}

// check holds routes and digests against the receivers there are.
func check(cfg Config, route RouteConfig, r outbox.Receivers) error {
	return errors.Join(checkReceivers(route, r), digest.Check("digest", cfg.Digest, r), digest.Check("truth", cfg.Truth, r))
}

// feedback reads labels, where there are any.
func feedback(l Labels) func(context.Context, string) ([]triage.Feedback, error) {
	if l == nil {
		return nil
	}
	return l.Feedback
}

func checkReceivers(route RouteConfig, r outbox.Receivers) error {
	for name, integrations := range r {
		seen := make(map[string]bool)
		for _, i := range integrations {
			if i.Notifier == nil || i.Name == "" || seen[i.Name] {
				return errors.New("receiver " + name + ": every integration needs a notifier and a name of its own")
			}
			seen[i.Name] = true
		}
	}
	return route.Validate(func(name string) bool { _, ok := r[name]; return ok })
}
