package collector

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/triaged-dev/triaged/triage"
)

// Journal is the durable store behind the window.
type Journal interface {
	// Append stores the entries, all or none; nil means they survive a crash. It replaces what was stored under an id, and an
	// alias resolves to its entry's id from then on, as does whatever resolved to the alias.
	Append(ctx context.Context, entries []triage.Entry) error
	// Index yields every change last active since then, the longest quiet first.
	Index(ctx context.Context, since time.Time, yield func(triage.IndexEntry) error) error
	// AliasesSince yields at least the aliases of the changes that Index yields.
	AliasesSince(ctx context.Context, since time.Time, yield func(alias, id triage.ChangeID) error) error
	// ResolveChange turns an alias into the id it stands for. The error for an unknown id is not distinguished here.
	ResolveChange(ctx context.Context, id triage.ChangeID) (triage.ChangeID, error)
	// Changes returns the bodies of those ids it has, in the order asked for.
	Changes(ctx context.Context, ids []triage.ChangeID) ([]triage.Change, error)
	FindChanges(ctx context.Context, q triage.ChangeQuery) ([]triage.Change, string, error)
	FindAnomalies(ctx context.Context, q triage.ChangeQuery) ([]triage.Anomaly, string, error)
	Quarantine(ctx context.Context, q triage.Quarantined) error
	QuarantinedRecord(ctx context.Context, id string) (triage.Quarantined, error)
	// Release takes a record out of the quarantine.
	Release(ctx context.Context, id string) error
}

// Source turns one outside system into events. Run blocks until ctx ends or the source cannot go on; it is started again then.
// Status may be called at any time from any goroutine, also before Run and after it.
type Source interface {
	Name() string // as configured; unique
	Type() string
	Run(ctx context.Context, emit triage.Emit) error
	Status() triage.SourceStatus
}

// Options is what a Collector is made of. Journal is required.
type Options struct {
	Config     Config
	Journal    Journal
	Directory  *triage.Directory // nil: names stay as they come
	Logger     *slog.Logger
	Registerer prometheus.Registerer
	Now        func() time.Time
	// Heard hears of every change that was taken, as its source told it, before it was folded; nil: nobody. It must not block.
	Heard func(source string, ch triage.Change, at time.Time)
}

// ErrStopped is returned by Emit once the Collector has stopped.
var ErrStopped = errors.New("collector has stopped")

// Collector supervises the sources and owns the window. It is safe for concurrent use.
type Collector struct {
	cfg       Config
	retention time.Duration
	journal   Journal
	log       *slog.Logger
	now       func() time.Time
	metrics   *metrics
	dir       atomic.Pointer[triage.Directory]
	elsewhere map[string]func(context.Context, triage.Quarantined) (int, error) // by source; see Elsewhere
	known     *idFilter
	bodies    *bodies
	tracks    *trackTable
	queue     chan *request
	stopped   chan struct{} // closed when the committer has ended
	subs      subscribers
	sup       supervisor
	told      func(source string, ch triage.Change, at time.Time) // Options.Heard

	loaded  atomic.Bool
	started atomic.Bool

	mu        sync.RWMutex // guards the two below; held for memory work only
	window    *window
	anomalies *anomalyStore

	overflowing bool // of the committer: the window was full at its last commit
}

// New checks the options and builds a Collector. It starts nothing and reads nothing.
func New(o Options) (*Collector, error) {
	if o.Journal == nil {
		return nil, errors.New("collector: Options.Journal is required")
	}
	if o.Config == (Config{}) {
		o.Config = DefaultConfig()
	}
	if err := o.Config.validate(); err != nil {
		return nil, fmt.Errorf("window: %w", err)
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	b, err := newBodies(o.Config.CacheBytes)
	if err != nil {
		return nil, err
	}
	c := &Collector{
		elsewhere: make(map[string]func(context.Context, triage.Quarantined) (int, error)),
		cfg:       o.Config,
		retention: time.Duration(o.Config.Retention),
		journal:   o.Journal,
		log:       o.Logger,
		now:       func() time.Time { return o.Now().UTC().Round(0) },
		metrics:   newMetrics(o.Registerer),
		known:     newIDFilter(),
		bodies:    b,
		tracks:    newTrackTable(),
		queue:     make(chan *request, o.Config.QueueSize),
		stopped:   make(chan struct{}),
		told:      o.Heard,
		window:    newWindow(),
		anomalies: &anomalyStore{byID: make(map[triage.AnomalyID]*triage.Anomaly), max: o.Config.MaxAnomalies},
	}
	c.dir.Store(o.Directory)
	c.sup.init()
	if o.Registerer != nil {
		if err := o.Registerer.Register(newGauges(c)); err != nil {
			b.close()
			return nil, fmt.Errorf("register the gauges of the collector: %w", err)
		}
	}
	return c, nil
}

// SetDirectory replaces the names by which services are resolved. Changes that are in keep the name they got.
func (c *Collector) SetDirectory(d *triage.Directory) { c.dir.Store(d) }

// Load rebuilds the window from the journal's index without decoding a body. It comes before Run.
func (c *Collector) Load(ctx context.Context) error {
	since := c.now().Add(-c.retention)
	begin := time.Now()
	c.mu.Lock() // nobody else is there yet; held so that what is read below is never half a window
	defer c.mu.Unlock()
	err := c.journal.Index(ctx, since, func(e triage.IndexEntry) error {
		c.known.add(e.ID)
		c.window.put(item{id: e.ID, kind: e.Kind, scope: e.Scope, start: e.Start, last: e.LastActivity, keys: e.JoinKeys})
		return nil
	})
	if err != nil {
		return fmt.Errorf("load the window from the journal: %w", err)
	}
	if n := c.window.count - c.cfg.MaxChanges; n > 0 {
		c.metrics.overflow.Add(float64(c.window.evictOldest(n)))
		c.log.Warn("window is full: the oldest changes are in the journal only", "evicted", n, "max_changes", c.cfg.MaxChanges)
	}
	err = c.journal.AliasesSince(ctx, since, func(alias, id triage.ChangeID) error {
		c.known.add(alias)
		c.window.alias(alias, id)
		return nil
	})
	if err != nil {
		return fmt.Errorf("load the aliases of changes from the journal: %w", err)
	}
	for q := (triage.ChangeQuery{From: since, Limit: 1000}); ; {
		found, next, err := c.journal.FindAnomalies(ctx, q)
		if err != nil {
			return fmt.Errorf("load the anomalies from the journal: %w", err)
		}
		for i := range found {
			c.anomalies.put(&found[i])
		}
		if next == "" {
			break
		}
		q.After = next
	}
	c.loaded.Store(true)
	c.log.Info("window loaded", "changes", c.window.count, "anomalies", len(c.anomalies.byID), "took", time.Since(begin).Round(time.Millisecond).String())
	return nil
}

// Run keeps the sources running and commits what they emit, until ctx ends. Then it stops the sources, commits what has been
// handed over, and returns nil.
func (c *Collector) Run(ctx context.Context) error {
	if !c.started.CompareAndSwap(false, true) {
		return errors.New("collector: Run was called twice")
	}
	var wg sync.WaitGroup
	defer wg.Wait()
	commitCtx, stopCommitter := context.WithCancel(context.WithoutCancel(ctx))
	defer stopCommitter()
	wg.Go(func() { c.commitLoop(commitCtx) })
	learnCtx, stopLearning := context.WithCancel(ctx)
	defer stopLearning()
	wg.Go(func() { c.learnIDs(learnCtx) })

	c.sup.start(ctx, c)
	<-ctx.Done()
	c.sup.stop() // the sources end before the committer, so that what they wait for is answered
	return nil
}

// learnIDs reads the index of the whole journal, once; from then on what is not in the filter needs no look into the journal.
func (c *Collector) learnIDs(ctx context.Context) {
	err := c.journal.Index(ctx, time.Time{}, func(e triage.IndexEntry) error {
		c.known.add(e.ID)
		c.known.add(indexKey(e))
		return ctx.Err()
	})
	if err == nil {
		err = c.journal.AliasesSince(ctx, time.Time{}, func(alias, _ triage.ChangeID) error {
			c.known.add(alias)
			return ctx.Err()
		})
	}
	switch {
	case err == nil:
		c.known.complete.Store(true)
	case ctx.Err() == nil:
		c.log.Warn("ids in the journal could not be read; every new id will be looked up there, which is slower", "err", err)
	}
}

func (c *Collector) size() int {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.window.count
}

// Ready returns nil once the window is loaded and every source has had its first success or ReadyWait has passed; otherwise
// what is being waited for.
func (c *Collector) Ready() error {
	switch {
	case !c.loaded.Load():
		return errors.New("the window is being loaded from the journal")
	case !c.started.Load():
		return errors.New("the collector is not running")
	}
	return c.sup.ready(c.now(), time.Duration(c.cfg.ReadyWait))
}
