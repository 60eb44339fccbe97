package prometheus

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	prom "github.com/prometheus/client_golang/prometheus"

	"github.com/triaged-dev/triaged/triage"
)

// Options are what New needs.
type Options struct {
	Config     Config
	Signals    SignalsConfig
	Directory  *triage.Directory // nil: names stay as they come
	Logger     *slog.Logger      // nil: silent
	Registerer prom.Registerer   // nil: no metrics
	Now        func() time.Time  // nil: time.Now
	Transport  http.RoundTripper // nil: as Config.HTTPConfig says; for servers inside this process
}

// Source is one server. It answers questions about alerts and services at any time; while it Runs it also emits anomalies
// and the changes it sees, and keeps the call graph. Close it when it is replaced.
type Source struct {
	cfg     Config
	signals SignalsConfig
	log     *slog.Logger
	now     func() time.Time
	client  *client // for somebody who waits
	bg      *client // for the loops of Run
	dir     atomic.Pointer[triage.Directory]
	topo    atomic.Pointer[triage.Topology]
	// topoWhole: all conventions answered when topo was read.
	topoWhole atomic.Bool
	owned     atomic.Pointer[owners]
	found     discovery

	mu     sync.Mutex
	status triage.SourceStatus
}

// New checks the options. It connects to nothing.
func New(o Options) (*Source, error) {
	if err := o.Config.Validate(); err != nil {
		return nil, fmt.Errorf("prometheus %s: %w", o.Config.Name, err)
	}
	if err := o.Signals.Validate(); err != nil {
		return nil, fmt.Errorf("signals: %w", err)
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	c, err := newClient(o.Config, o.Transport, o.Registerer, o.Now)
	if err != nil {
		return nil, err
	}
	s := &Source{
		cfg: o.Config, signals: o.Signals, log: o.Logger.With("source", o.Config.Name), now: o.Now,
		client: c, bg: c.inBackground(), found: discovery{looking: make(chan struct{}, 1)},
		status: triage.SourceStatus{Name: o.Config.Name, Type: "prometheus", State: triage.SourceOK, Detail: "not asked yet"},
	}
	s.SetDirectory(o.Directory)
	s.topo.Store(&triage.Topology{})
	return s, nil
}

// Name is the configured name.
func (s *Source) Name() string { return s.cfg.Name }

// Type is "prometheus".
func (s *Source) Type() string { return "prometheus" }

// SetDirectory replaces the directory that resolves service names.
func (s *Source) SetDirectory(d *triage.Directory) {
	if d == nil {
		d = triage.NewDirectory(nil, nil)
	}
	s.dir.Store(d)
}

// Topology is the call graph as it was last read; empty before that.
func (s *Source) Topology() triage.Topology { return *s.topo.Load() }

// Services are those with signals, as they were last found; sorted.
func (s *Source) Services() []string {
	found := s.found.state.Load()
	if found == nil {
		return nil
	}
	return found.known()
}

// Close frees the cache and ends queries under way. The Source answers nothing afterwards.
func (s *Source) Close() { s.client.close() }

// Status says how the server did when it was last asked.
func (s *Source) Status() triage.SourceStatus {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.status
}

// asked records how a round of queries went, and logs when that changes. A refused query is an answer; one that nobody waits for
// any more says nothing.
func (s *Source) asked(err error) {
	now := s.now()
	s.mu.Lock()
	was := s.status.State
	switch reason := reasonFor(s.cfg.Name, err); reason {
	case "":
		s.status.State, s.status.Detail, s.status.LastSuccess = triage.SourceOK, "", now
	case ReasonRefused:
		s.status.State, s.status.Detail, s.status.LastSuccess = triage.SourceOK, "a query was refused", now
	case ReasonCanceled:
	case ReasonRateLimited, ReasonBudget:
		s.status.State, s.status.Detail = triage.SourceRateLimited, string(reason)
	default:
		s.status.State, s.status.Detail = triage.SourceDown, string(reason)
	}
	is := s.status.State
	s.mu.Unlock()
	if was != is {
		s.log.Info("prometheus answers differently than before", "was", was, "is", is, "err", err)
	}
}

// emitted records events handed over.
func (s *Source) emitted(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.status.Events += uint64(n)
	s.status.LastEvent = s.now()
}

// Run evaluates until ctx ends: anomalies, changes and topology, each at its interval. A failing server is reported by
// Status and tried again; Run returns only with ctx.
func (s *Source) Run(ctx context.Context, emit triage.Emit) error {
	var wg sync.WaitGroup
	if s.cfg.Topology.Enabled {
		wg.Go(func() { s.every(ctx, s.topologyInterval, s.refreshTopology) })
	}
	wg.Go(func() { s.every(ctx, s.ownersInterval, s.refreshOwners) })
	if s.cfg.Anomalies.Enabled {
		w := newWatch(s)
		wg.Go(func() {
			s.every(ctx, fixed(s.cfg.Anomalies.Interval), func(ctx context.Context) error { return w.evaluate(ctx, emit) })
		})
	}
	if s.cfg.Changes.Enabled {
		f := newFollower(s)
		wg.Go(func() {
			s.every(ctx, fixed(s.cfg.Changes.Interval), func(ctx context.Context) error { return f.evaluate(ctx, emit) })
		})
	}
	wg.Wait()
	<-ctx.Done()
	return ctx.Err()
}

// untilThere is how soon what has never been read is tried again: a server that comes up with the rest of the cluster is there a
// minute later, and nothing is known without it.
const untilThere = 30 * time.Second

// every calls f at once and then at each interval, counted from when it last began, one call at a time. The interval is asked for
// after each call: what has failed may be due sooner.
func (s *Source) every(ctx context.Context, interval func() time.Duration, f func(context.Context) error) {
	for {
		began := time.Now()
		round, cancel := context.WithTimeout(ctx, interval())
		err := f(round)
		cancel()
		if ctx.Err() == nil {
			s.asked(err)
		}
		next := time.NewTimer(interval() - time.Since(began))
		select {
		case <-ctx.Done():
			next.Stop()
			return
		case <-next.C:
		}
	}
}

func fixed[D ~int64](d D) func() time.Duration {
	return func() time.Duration { return time.Duration(d) }
}
