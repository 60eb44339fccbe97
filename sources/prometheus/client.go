package prometheus

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/dgraph-io/ristretto/v2"
	"github.com/prometheus/client_golang/api"
	v1 "github.com/prometheus/client_golang/api/prometheus/v1"
	prom "github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/model"
	"github.com/sony/gobreaker/v2"
	"golang.org/x/sync/singleflight"
	"golang.org/x/time/rate"
)

// client is the only way to the server: every request of the package goes through fetch.
type client struct {
	*core
	background bool // takes at most half of the slots and of the budget
}

// core is what all clients of one server share.
type core struct {
	cfg     Config
	api     v1.API
	now     func() time.Time
	m       *metrics
	slots   *slots
	bgSlots chan struct{}
	budget  *rate.Limiter
	bg      *rate.Limiter
	breaker *gobreaker.CircuitBreaker[any]
	cache   *ristretto.Cache[string, any] // nil: off
	flight  singleflight.Group
	life    context.Context // ends with close
	end     context.CancelFunc
	closeRT func()
}

// newClient connects to nothing yet. base replaces the configured transport where it is not nil.
func newClient(cfg Config, base http.RoundTripper, reg prom.Registerer, now func() time.Time) (*client, error) {
	rt, err := newTransport(cfg, base)
	if err != nil {
		return nil, err
	}
	ac, err := api.NewClient(api.Config{Address: cfg.URL, RoundTripper: rt})
	if err != nil {
		return nil, fmt.Errorf("set up url of prometheus %s: %w", cfg.Name, err)
	}
	perSecond := rate.Limit(float64(cfg.QueriesPerMinute) / 60)
	c := &core{
		cfg: cfg, api: v1.NewAPI(ac), now: now,
		slots:   newSlots(cfg.MaxInFlight),
		bgSlots: make(chan struct{}, max(1, cfg.MaxInFlight/2)),
		budget:  rate.NewLimiter(perSecond, max(cfg.MaxInFlight, cfg.QueriesPerMinute/2)),
		bg:      rate.NewLimiter(perSecond/2, max(1, cfg.QueriesPerMinute/8)),
		closeRT: rt.(*transport).CloseIdleConnections,
	}
	c.life, c.end = context.WithCancel(context.Background())
	c.breaker = gobreaker.NewCircuitBreaker[any](gobreaker.Settings{
		Name: cfg.Name, Timeout: time.Duration(cfg.Breaker.Open),
		ReadyToTrip:  func(n gobreaker.Counts) bool { return int(n.ConsecutiveFailures) >= cfg.Breaker.Failures },
		IsSuccessful: func(err error) bool { return err == nil || !queryError(cfg.Name, err).Reason.unhealthy() },
		IsExcluded: func(err error) bool {
			return errors.Is(err, errShortTime) || errors.Is(err, context.Canceled)
		},
	})
	c.m = newMetrics(reg, cfg.Name, func() float64 { return float64(c.breaker.State()) })
	if cfg.Cache.MaxBytes > 0 {
		// Counters: ten per expected answer of about 4 KiB, as ristretto advises.
		c.cache, err = ristretto.NewCache(&ristretto.Config[string, any]{
			NumCounters: max(1000, cfg.Cache.MaxBytes/4096*10), MaxCost: cfg.Cache.MaxBytes, BufferItems: 64, IgnoreInternalCost: true,
		})
		if err != nil {
			return nil, fmt.Errorf("set up cache of prometheus %s: %w", cfg.Name, err)
		}
	}
	return &client{core: c}, nil
}

// inBackground is the same server for work that nobody waits for.
func (c *client) inBackground() *client { return &client{core: c.core, background: true} }

// close stops what is under way and frees the cache. Queries after it fail as canceled.
func (c *client) close() {
	c.end()
	if c.cache != nil {
		c.cache.Close()
	}
	c.closeRT()
}

// healthy is false while the breaker keeps us from asking.
func (c *client) healthy() bool { return c.breaker.State() != gobreaker.StateOpen }

// grid is an aligned range of samples: answers of one grid can be shared, and sample i lies at from + i·step.
type grid struct {
	from, to time.Time
	step     time.Duration
}

const maxPoints = 11_000 // a range query with more points per series is refused by the server

// newGrid covers [from, to] with samples on whole multiples of step; the last one is at or before to. Where that would be more
// points than a server gives, step is doubled until it fits.
func newGrid(from, to time.Time, step time.Duration) grid {
	step = max(step.Round(time.Second), time.Second)
	if to.Before(from) {
		to = from
	}
	for to.Sub(from)/step >= maxPoints {
		step *= 2
	}
	return grid{from: from.Truncate(step).UTC(), to: to.Truncate(step).UTC(), step: step}
}

func (g grid) points() int { return int(g.to.Sub(g.from)/g.step) + 1 }

// matrix runs a range query over the grid.
func (c *client) matrix(ctx context.Context, expr string, g grid) (model.Matrix, error) {
	key := fmt.Sprintf("range\x00%d\x00%d\x00%d\x00%s", g.from.Unix(), g.to.Unix(), g.step/time.Second, expr)
	m, err := fetch(ctx, c, query[model.Matrix]{
		key: key, until: g.to, cost: matrixCost,
		call: func(ctx context.Context, left time.Duration) (model.Matrix, error) {
			v, _, _, err := c.api.QueryRange(ctx, expr, v1.Range{Start: g.from, End: g.to, Step: g.step}, v1.WithTimeout(wholeSeconds(left)))
			return answer[model.Matrix](v, err)
		},
	})
	if len(m) > c.cfg.MaxSeries {
		c.m.dropped.Add(float64(len(m) - c.cfg.MaxSeries))
		m = slices.Clone(m)
		slices.SortFunc(m, func(a, b *model.SampleStream) int { return strings.Compare(a.Metric.String(), b.Metric.String()) })
		m = m[:c.cfg.MaxSeries]
	}
	return m, err
}

// vector runs an instant query at the time given, cut to seconds.
func (c *client) vector(ctx context.Context, expr string, at time.Time) (model.Vector, error) {
	at = at.Truncate(time.Second)
	return fetch(ctx, c, query[model.Vector]{
		key: fmt.Sprintf("instant\x00%d\x00%s", at.Unix(), expr), until: at,
		cost: func(v model.Vector) int64 { return int64(len(v)) * 256 },
		call: func(ctx context.Context, left time.Duration) (model.Vector, error) {
			v, _, _, err := c.api.Query(ctx, expr, at, v1.WithTimeout(wholeSeconds(left)))
			return answer[model.Vector](v, err)
		},
	})
}

// labelNames and labelValues look at the series of the last hour that match. Answers are kept for the time given.
func (c *client) labelNames(ctx context.Context, matches []string, at time.Time, keep time.Duration) ([]string, error) {
	return fetch(ctx, c, query[[]string]{
		key: "names\x00" + strings.Join(matches, "\x00"), ttl: keep, cost: stringsCost,
		call: func(ctx context.Context, _ time.Duration) ([]string, error) {
			names, _, _, err := c.api.LabelNames(ctx, matches, at.Add(-time.Hour), at)
			return toStrings(names), err
		},
	})
}

func (c *client) labelValues(ctx context.Context, label string, matches []string, at time.Time, keep time.Duration) ([]string, error) {
	return fetch(ctx, c, query[[]string]{
		key: "values\x00" + label + "\x00" + strings.Join(matches, "\x00"), ttl: keep, cost: stringsCost,
		call: func(ctx context.Context, _ time.Duration) ([]string, error) {
			values, _, _, err := c.api.LabelValues(ctx, label, matches, at.Add(-time.Hour), at)
			return toStrings(values), err
		},
	})
}

// rules are all rules with their active alerts, as they stood at most the cache's TTL ago.
func (c *client) rules(ctx context.Context) (v1.RulesResult, error) {
	return fetch(ctx, c, query[v1.RulesResult]{
		key: "rules", ttl: time.Duration(c.cfg.Cache.TTL), cost: func(r v1.RulesResult) int64 { return int64(len(r.Groups)) * 16 << 10 },
		call: func(ctx context.Context, _ time.Duration) (v1.RulesResult, error) { return c.api.Rules(ctx, nil) },
	})
}

// configYAML is the server's own configuration; servers other than Prometheus have none.
func (c *client) configYAML(ctx context.Context) (string, error) {
	return fetch(ctx, c, query[string]{
		key: "config", ttl: time.Duration(c.cfg.DiscoveryInterval), cost: func(s string) int64 { return int64(len(s)) },
		call: func(ctx context.Context, _ time.Duration) (string, error) {
			r, err := c.api.Config(ctx)
			return r.YAML, err
		},
	})
}

// answer checks that a query gave the type its form promises.
func answer[T model.Value](v model.Value, err error) (T, error) {
	var none T
	if err != nil {
		return none, err
	}
	t, ok := v.(T)
	if !ok {
		return none, errWrongType
	}
	return t, nil
}

func toStrings[S ~[]E, E ~string](in S) []string {
	out := make([]string, len(in))
	for i, s := range in {
		out[i] = string(s)
	}
	slices.Sort(out)
	return out
}

func matrixCost(m model.Matrix) int64 {
	n := int64(64)
	for _, s := range m {
		n += 256 + 16*int64(len(s.Values))
	}
	return n
}

func stringsCost(ss []string) int64 {
	n := int64(64)
	for _, s := range ss {
		n += 16 + int64(len(s))
	}
	return n
}

// wholeSeconds is the time left in a form every Prometheus reads: "4.998s", as Go prints it, is refused by those before 3.
// It is rounded up; the context ends the request in time anyway.
func wholeSeconds(left time.Duration) time.Duration {
	return max(time.Second, (left + time.Second - 1).Truncate(time.Second))
}
