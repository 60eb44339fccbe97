package collector

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/triaged-dev/triaged/triage"
)

const (
	firstBackoff = time.Second
	maxBackoff   = time.Minute
	stableAfter  = 30 * time.Second // a run this long, or one that stored something, is a recovery
)

// supervisor keeps the sources running and remembers what was heard of each.
type supervisor struct {
	change sync.Mutex // held while the set is replaced: one replacement at a time

	mu      sync.Mutex // guards all below; held for memory work only
	sources []Source
	ctx     context.Context // of Run; nil before it, and after it has ended
	c       *Collector
	cancel  context.CancelFunc // of the running set
	done    chan struct{}      // closed when the running set has stopped
	since   time.Time          // when the first set was started
	down    map[string]string  // why a source is not running, by name
	heardOf map[string]*heard
}

func (s *supervisor) init() {
	s.down, s.heardOf = make(map[string]string), make(map[string]*heard)
}

// SetSources replaces the set of sources. It returns when the old ones have stopped; the new ones run from then on if the
// Collector does, else from the start of Run.
func (c *Collector) SetSources(sources []Source) {
	s := &c.sup
	s.change.Lock()
	defer s.change.Unlock()
	s.halt()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sources = slices.Clone(sources)
	s.launch()
}

// source is the configured source of that name, nil if there is none.
func (s *supervisor) source(name string) Source {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, src := range s.sources {
		if src.Name() == name {
			return src
		}
	}
	return nil
}

// start begins to run the sources; ctx ends them.
func (s *supervisor) start(ctx context.Context, c *Collector) {
	s.change.Lock()
	defer s.change.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ctx, s.c = ctx, c
	s.launch()
}

// stop ends the sources for good and waits for them.
func (s *supervisor) stop() {
	s.change.Lock()
	defer s.change.Unlock()
	s.halt()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ctx = nil
}

// launch starts the set. It needs mu.
func (s *supervisor) launch() {
	if s.ctx == nil {
		return
	}
	ctx, cancel := context.WithCancel(s.ctx)
	done := make(chan struct{})
	s.cancel, s.done = cancel, done
	if s.since.IsZero() { // a reload is no start: the daemon goes on serving, whichever peer is down just then
		s.since = s.c.now()
	}
	clear(s.down)
	var wg sync.WaitGroup
	for _, src := range s.sources {
		wg.Go(func() { s.c.supervise(ctx, src) })
	}
	go func() {
		wg.Wait()
		close(done)
	}()
}

// halt stops the running set and waits for it.
func (s *supervisor) halt() {
	s.mu.Lock()
	cancel, done := s.cancel, s.done
	s.cancel, s.done = nil, nil
	s.mu.Unlock()
	if cancel != nil {
		cancel()
		<-done
	}
}

// supervise runs one source until ctx ends. A run that ends is followed by another after 1 s, 2 s, 4 s … at most a minute,
// each shortened by up to a half at random so that sources that fell together do not rise together.
func (c *Collector) supervise(ctx context.Context, src Source) {
	name := src.Name()
	log := c.log.With("source", name)
	backoff := firstBackoff
	healthy := true
	for {
		up := c.watch(log, name, !healthy)
		reason, err := c.runOnce(ctx, src, up.recovered)
		recovered := up.stop()
		if ctx.Err() != nil {
			return
		}
		if recovered {
			healthy, backoff = true, firstBackoff
		}
		wait := backoff - rand.N(backoff/2)
		backoff = min(2*backoff, maxBackoff)
		c.metrics.errors.WithLabelValues(name, reason).Inc()
		c.sup.setDown(name, "it stopped ("+reason+") and is started again every "+maxBackoff.String()+" at the latest")
		if healthy {
			log.Warn("source stopped and will be started again until it holds", "reason", reason, "err", err, "retry_in", wait.Round(time.Millisecond).String())
		} else {
			log.Debug("source stopped again", "reason", reason, "err", err, "retry_in", wait.Round(time.Millisecond).String())
		}
		healthy = false
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return
		}
	}
}

// runOnce runs a source once and says how it ended: error, panic, or exit where it returned without an error.
func (c *Collector) runOnce(ctx context.Context, src Source, stored func()) (reason string, err error) {
	defer func() {
		if p := recover(); p != nil {
			reason, err = "panic", fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	err = src.Run(ctx, func(ctx context.Context, events []triage.Event) error {
		err := c.emit(ctx, src.Name(), events)
		if err == nil {
			stored()
		}
		return err
	})
	if err == nil {
		return "exit", errors.New("it returned without being told to")
	}
	return "error", err
}

// uptime notices when a run has recovered: once it has stored something, or has lasted.
type uptime struct {
	once  sync.Once
	timer *time.Timer
	note  func()
}

func (c *Collector) watch(log *slog.Logger, name string, wasDown bool) *uptime {
	u := &uptime{}
	u.note = func() {
		c.sup.setDown(name, "")
		if wasDown {
			log.Info("source is running again")
		}
	}
	u.timer = time.AfterFunc(stableAfter, u.recovered)
	return u
}

func (u *uptime) recovered() {
	u.once.Do(u.note)
}

// stop ends the watch and says whether the run had recovered.
func (u *uptime) stop() bool {
	u.timer.Stop()
	recovered := true
	u.once.Do(func() { recovered = false })
	return recovered
}

func (s *supervisor) setDown(name, why string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if why == "" {
		delete(s.down, name)
		return
	}
	s.down[name] = why
}

// heard notes an event of the source; the name is a configured one or pushSource, so there are few.
func (s *supervisor) heard(name string, at, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.of(name).event(at, now)
}

func (s *supervisor) quarantined(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.of(name).quarantined++
}

// of needs mu.
func (s *supervisor) of(name string) *heard {
	h := s.heardOf[name]
	if h == nil {
		h = &heard{}
		s.heardOf[name] = h
	}
	return h
}

// snapshot copies what Status and Coverage need, so that no source is called under the lock.
func (s *supervisor) snapshot() (sources []Source, down map[string]string, heardOf map[string]*heard) {
	s.mu.Lock()
	defer s.mu.Unlock()
	heardOf = make(map[string]*heard, len(s.heardOf))
	for name, h := range s.heardOf {
		copied := *h
		copied.times = slices.Clone(h.times)
		heardOf[name] = &copied
	}
	return slices.Clone(s.sources), maps.Clone(s.down), heardOf
}

// ready names the sources without a first success, until wait has passed since the start.
func (s *supervisor) ready(now time.Time, wait time.Duration) error {
	s.mu.Lock()
	sources, since := slices.Clone(s.sources), s.since
	s.mu.Unlock()
	if now.Sub(since) >= wait {
		return nil
	}
	var waiting []string
	for _, src := range sources {
		if src.Status().LastSuccess.IsZero() {
			waiting = append(waiting, src.Name())
		}
	}
	if len(waiting) == 0 {
		return nil
	}
	slices.Sort(waiting)
	return fmt.Errorf("waiting for the first success of %s, until %s at the latest", strings.Join(waiting, ", "), since.Add(wait).UTC().Format(time.RFC3339))
}

// running returns the sources that are supervised.
func (c *Collector) running() []Source {
	c.sup.mu.Lock()
	defer c.sup.mu.Unlock()
	return slices.Clone(c.sup.sources)
}

// label is the metric label of a supervised source, or of whoever pushes.
func (c *Collector) label(source string) string { return c.sourceLabel(source, "") }

// sourceLabel bounds the names used as labels: the supervised source that emitted; else the name an event claims, if it is
// one of a supervised source; else push.
func (c *Collector) sourceLabel(source, claimed string) string {
	if source != "" {
		return source
	}
	c.sup.mu.Lock()
	defer c.sup.mu.Unlock()
	if claimed != "" && slices.ContainsFunc(c.sup.sources, func(s Source) bool { return s.Name() == claimed }) {
		return claimed
	}
	return pushSource
}
