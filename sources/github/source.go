package github

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/triaged-dev/triaged/triage"
)

// State keeps small cursors across restarts. A key that was never set is nil, or any error: the source then reads its backfill again.
type State interface {
	State(ctx context.Context, key string) ([]byte, error)
	SetState(ctx context.Context, key string, value []byte) error
}

// Options are what a Source is built from. Only Config is required.
type Options struct {
	Config     Config
	State      State                                     // nil: nothing survives a restart, and the backfill is read again
	Quarantine func(context.Context, triage.Quarantined) // where records go that cannot be read; nil: only counted and logged
	Transport  http.RoundTripper                         // instead of the one http_config describes, for tests; authentication by token is then the caller's
	Logger     *slog.Logger
	Registerer prometheus.Registerer
	Now        func() time.Time
}

// Source is one GitHub or Enterprise Server as a source of Changes. It implements collector.Source.
type Source struct {
	cfg     Config
	log     *slog.Logger
	now     func() time.Time
	api     *client
	metrics *metrics
	store   State
	reject  func(context.Context, triage.Quarantined)
	repos   []*repo // exact names, polled
	globs   []*repo // patterns, webhooks only
	seen    *deliveries
	facts   *facts
	wake    chan struct{} // buffered 1: a webhook asks for a poll of the repositories marked due

	stopCaches func() // once, however often it is called

	mu          sync.Mutex
	lastEvent   time.Time
	events      uint64
	quarantined uint64
	expiryNoted time.Time // expiry of the token that was warned about
}

// New checks the configuration and builds a Source. It reads key files, but talks to nobody and starts nothing.
func New(opts Options) (*Source, error) {
	if err := opts.Config.Validate(); err != nil {
		return nil, fmt.Errorf("configure github source %q: %w", opts.Config.Name, err)
	}
	s := &Source{
		cfg: opts.Config, log: opts.Logger, now: opts.Now, store: opts.State, reject: opts.Quarantine,
		metrics: newMetrics(opts.Registerer), wake: make(chan struct{}, 1), seen: newDeliveries(),
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	s.log = s.log.With("source", opts.Config.Name)
	if s.now == nil {
		s.now = time.Now
	}
	var err error
	if s.facts, err = newFacts(); err != nil {
		return nil, err
	}
	if s.api, err = newClient(opts, s.metrics, s.now); err != nil {
		return nil, fmt.Errorf("configure github source %q: %w", opts.Config.Name, err)
	}
	for i := range opts.Config.Repositories {
		r, err := newRepo(opts.Config.Repositories[i])
		if err != nil {
			return nil, fmt.Errorf("configure github source %q: repositories[%d]: %w", opts.Config.Name, i, err)
		}
		if r.cfg.wildcard() {
			s.globs = append(s.globs, r)
		} else {
			s.repos = append(s.repos, r)
		}
	}
	// The caches run goroutines of their own; they end with the Source, which on reload is just dropped.
	// What ends them must not hold the Source, or that would never be collected.
	facts, cache := s.facts.cache, s.api.cache
	s.stopCaches = sync.OnceFunc(func() {
		facts.Close()
		cache.Close()
	})
	runtime.AddCleanup(s, func(stop func()) { stop() }, s.stopCaches)
	return s, nil
}

// Name is the configured name.
func (s *Source) Name() string { return s.cfg.Name }

// Type is "github".
func (s *Source) Type() string { return "github" }

// maxParallel is how many repositories are polled at once. GitHub asks for few parallel requests and punishes many.
const maxParallel = 4

// Run polls until ctx ends, and then returns nil. A repository that fails is tried again later and less often;
// the others are not held up. Nothing is acknowledged (no cursor moves) before emit has returned nil.
func (s *Source) Run(ctx context.Context, emit triage.Emit) error {
	for {
		s.round(ctx, emit)
		if ctx.Err() != nil {
			return nil
		}
		timer := time.NewTimer(s.untilNext())
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-timer.C:
		case <-s.wake:
			timer.Stop()
		}
	}
}

// round polls every repository that is due, unless GitHub wants us to wait.
func (s *Source) round(ctx context.Context, emit triage.Emit) {
	if s.api.limits.err(s.now()) != nil {
		return
	}
	slots := make(chan struct{}, maxParallel)
	var wg sync.WaitGroup
	for _, r := range s.repos {
		if !r.due(s.now()) {
			continue
		}
		select {
		case slots <- struct{}{}:
		case <-ctx.Done():
		}
		if ctx.Err() != nil {
			break
		}
		wg.Go(func() {
			defer func() { <-slots }()
			s.pollOne(ctx, r, emit)
		})
	}
	wg.Wait()
	s.noteExpiry()
}

// pollOne polls one repository and schedules its next turn.
func (s *Source) pollOne(ctx context.Context, r *repo, emit triage.Emit) {
	r.begin()
	err := s.pollRepo(ctx, r, emit)
	if ctx.Err() != nil {
		return
	}
	changed := r.done(err, s.now(), s.interval())
	switch {
	case err == nil && changed:
		s.log.Info("repository is polled again", "repo", r.cfg.Name)
	case err != nil && changed:
		s.log.Warn("repository could not be polled; will try again", "repo", r.cfg.Name, "err", err)
	}
}

// interval is the time between two polls of a repository: the configured one, or what GitHub asks for where that is more.
func (s *Source) interval() time.Duration {
	d := time.Duration(s.cfg.PollInterval)
	if d == 0 {
		return 0
	}
	return max(d, s.api.limits.pollInterval())
}

// untilNext is how long nothing is due: to the earliest repository, and not before a rate limit ends.
func (s *Source) untilNext() time.Duration {
	now := s.now()
	wait := time.Hour // with no clock set, only a webhook wakes the loop
	for _, r := range s.repos {
		if t, ok := r.nextTurn(); ok {
			wait = min(wait, t.Sub(now))
		}
	}
	if until, limited := s.api.limits.blocked(now); limited {
		wait = max(wait, until.Sub(now))
	}
	return max(wait, 0)
}

// poke asks for an early poll of r, so that what a webhook reported is completed by what only the API knows.
func (s *Source) poke(r *repo) {
	if r == nil || r.cfg.wildcard() {
		return
	}
	r.markDue()
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// deliver hands events over, and counts them once they are safe.
func (s *Source) deliver(ctx context.Context, emit triage.Emit, changes []triage.Change) error {
	if len(changes) == 0 {
		return nil
	}
	events := make([]triage.Event, len(changes))
	for i := range changes {
		events[i].Change = &changes[i]
	}
	if err := emit(ctx, events); err != nil {
		return fmt.Errorf("hand over %d changes: %w", len(events), err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.events += uint64(len(events))
	s.lastEvent = s.now()
	return nil
}

// quarantine sets a record aside that cannot be read, so that it does not hold up the others.
func (s *Source) quarantine(ctx context.Context, origin string, body []byte, err error) {
	q := triage.Quarantined{Source: s.cfg.Name, Origin: origin, Reason: err.Error(), At: s.now()}
	q.SetBody(body)
	s.setAside(ctx, q, err)
}

func (s *Source) setAside(ctx context.Context, q triage.Quarantined, err error) {
	s.mu.Lock()
	s.quarantined++
	s.mu.Unlock()
	s.log.Warn("record set aside", "origin", q.Origin, "err", err)
	if s.reject != nil {
		s.reject(ctx, q)
	}
}

// saveState writes a repository's cursor. A failure costs a second reading after a restart, never an event, so it is only logged.
func (s *Source) saveState(ctx context.Context, r *repo, st *repoState) {
	if s.store == nil {
		return
	}
	data, err := json.Marshal(st)
	if err == nil {
		err = s.store.SetState(ctx, s.stateKey(r), data)
	}
	if err != nil {
		s.log.Warn("cursor not saved; after a restart the same changes are read again", "repo", r.cfg.Name, "err", err)
	}
}

func (s *Source) stateKey(r *repo) string { return "github/" + s.cfg.Name + "/" + r.cfg.Name }

// loadState reads a repository's cursor once. What cannot be read is started afresh.
func (s *Source) loadState(ctx context.Context, r *repo) *repoState {
	if st := r.current(); st != nil {
		return st
	}
	st := newRepoState()
	if s.store != nil {
		data, err := s.store.State(ctx, s.stateKey(r))
		if err == nil && len(data) > 0 {
			err = json.Unmarshal(data, st)
		}
		if err != nil && !errors.Is(err, context.Canceled) {
			s.log.Info("no cursor; reading the backfill", "repo", r.cfg.Name, "reason", err)
		}
		st.repair()
	}
	r.replace(st)
	return st
}
