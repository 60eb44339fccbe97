// Package told measures an installation's hearing: of the rollouts that its metrics show, how many another source tells of too,
// and how late. What metrics cannot show, and whoever is to blame, it does not ask.
package told

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	prom "github.com/prometheus/client_golang/prometheus"

	"github.com/triaged-dev/triaged/triage"
)

const (
	span     = 14 * 24 * time.Hour // rollouts older than this say nothing of today's senders
	ripe     = time.Hour           // a younger one may still be told of
	ahead    = 30 * time.Minute    // a pipeline may tell of a deploy this long before new pods are seen
	fresh    = 30 * time.Minute    // a rollout seen later than this was seen after a gap of ours, in which others could not tell either
	maxSeen  = 2000                // about 300 KiB in the journal
	maxHeard = 1000                // reports that may still find their rollout
	saveEach = 10 * time.Minute
	stateKey = "told"
)

// State keeps a small value under a name. Nil means never set.
type State interface {
	State(ctx context.Context, key string) ([]byte, error)
	SetState(ctx context.Context, key string, value []byte) error
}

// rollout is one that metrics showed.
type rollout struct {
	ID      triage.ChangeID `json:"id"`
	Service string          `json:"service"`
	Start   time.Time       `json:"start"`
	Told    bool            `json:"told,omitempty"`
	LagS    float64         `json:"lag_s,omitempty"`
}

// report is what another source told.
type report struct {
	ID      triage.ChangeID `json:"id"`
	Service string          `json:"service"`
	At      time.Time       `json:"at"` // when it was told
}

// record is what is kept.
type record struct {
	Rollouts []*rollout `json:"rollouts"` // in order of being seen
	Reports  []report   `json:"reports"`  // in order of being told
}

// Tracker counts. It is safe for concurrent use.
type Tracker struct {
	log     *slog.Logger
	state   State
	metrics func(source string) bool // whether a source reads its changes from metrics

	mu        sync.Mutex
	rec       record
	byService map[string][]*rollout // of rec, in its order: every change that is taken passes here
	told      map[report]bool       // of rec, without their times
	dirty     bool
}

// New reads what was counted before.
func New(ctx context.Context, state State, metrics func(source string) bool, reg prom.Registerer, log *slog.Logger) (*Tracker, error) {
	t := &Tracker{log: log, state: state, metrics: metrics, byService: make(map[string][]*rollout), told: make(map[report]bool)}
	value, err := state.State(ctx, stateKey)
	if err != nil {
		return nil, fmt.Errorf("read which rollouts were told of: %w", err)
	}
	if len(value) > 0 {
		if err := json.Unmarshal(value, &t.rec); err != nil {
			log.Warn("which rollouts were told of is counted from the beginning", "err", err)
			t.rec = record{}
		}
	}
	for _, r := range t.rec.Rollouts {
		t.byService[r.Service] = append(t.byService[r.Service], r)
	}
	for _, r := range t.rec.Reports {
		t.told[r.key()] = true
	}
	if reg != nil {
		gauge := func(name, help string, of func(triage.Told) float64) {
			reg.MustRegister(prom.NewGaugeFunc(prom.GaugeOpts{Name: name, Help: help}, func() float64 {
				if m := t.Told(time.Now()); m != nil {
					return of(*m)
				}
				return 0
			}))
		}
		gauge("triaged_rollouts_seen", "Rollouts that metrics showed over two weeks.", func(m triage.Told) float64 { return float64(m.Seen) })
		gauge("triaged_rollouts_told", "Of these those that another source told of too.", func(m triage.Told) float64 { return float64(m.Told) })
		gauge("triaged_rollouts_told_lag_seconds", "How late the slowest tenth of them was told, at least.", func(m triage.Told) float64 { return m.P90LagS })
	}
	return t, nil
}

// Heard takes one change as a source told it at the time given.
func (t *Tracker) Heard(source string, c triage.Change, at time.Time) {
	if c.Service == "" || c.Kind == triage.KindFlag || c.Kind == triage.KindScale {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.metrics(source) {
		t.report(report{c.ID, c.Service, at})
		return
	}
	if c.Kind != triage.KindDeploy && c.Kind != triage.KindRollback || c.StartedAt.IsZero() || at.Sub(c.StartedAt) > fresh || !isRollout(c.ID) {
		return
	}
	t.rollout(&rollout{ID: c.ID, Service: c.Service, Start: c.StartedAt})
}

// isRollout is true of what metrics show of new code: versions and ReplicaSets, not generations or configuration.
func isRollout(id triage.ChangeID) bool {
	_, native, _ := strings.Cut(string(id), ":")
	return strings.HasPrefix(native, "version/") || strings.HasPrefix(native, "replicaset/")
}

// key is the report whenever it was told.
func (r report) key() report { return report{ID: r.ID, Service: r.Service} }

func (t *Tracker) report(r report) {
	if t.told[r.key()] {
		return // its first report is when it was told
	}
	t.dirty, t.told[r.key()] = true, true
	if t.rec.Reports = append(t.rec.Reports, r); len(t.rec.Reports) > maxHeard {
		delete(t.told, t.rec.Reports[0].key())
		t.rec.Reports = slices.Delete(t.rec.Reports, 0, 1)
	}
	for _, o := range t.byService[r.Service] {
		o.match(r)
	}
}

func (t *Tracker) rollout(r *rollout) {
	mine := t.byService[r.Service]
	if slices.ContainsFunc(mine, func(o *rollout) bool { return o.ID == r.ID }) {
		return
	}
	t.dirty = true
	for _, h := range t.rec.Reports {
		r.match(h)
	}
	t.byService[r.Service] = append(mine, r)
	if t.rec.Rollouts = append(t.rec.Rollouts, r); len(t.rec.Rollouts) > maxSeen {
		first := t.rec.Rollouts[0].Service
		t.rec.Rollouts = slices.Delete(t.rec.Rollouts, 0, 1)
		if t.byService[first] = t.byService[first][1:]; len(t.byService[first]) == 0 {
			delete(t.byService, first)
		}
	}
}

// match notes that a report tells of the rollout: of the same service and near in time. Versions are not compared, as every system
// writes them in its own way.
func (r *rollout) match(h report) {
	lag := h.At.Sub(r.Start)
	if r.Service != h.Service || lag < -ahead || lag > ripe {
		return
	}
	if s := max(0, lag).Seconds(); !r.Told || s < r.LagS {
		r.Told, r.LagS = true, s
	}
}

// Told is the measure over the two weeks before a time; nil where metrics showed no rollout.
func (t *Tracker) Told(now time.Time) *triage.Told {
	t.mu.Lock()
	defer t.mu.Unlock()
	out := triage.Told{}
	var lags []float64
	for _, r := range t.rec.Rollouts {
		if age := now.Sub(r.Start); age < ripe || age > span {
			continue
		}
		out.Seen++
		if r.Told {
			out.Told++
			lags = append(lags, r.LagS)
		}
	}
	if out.Seen == 0 {
		return nil
	}
	if len(lags) > 0 {
		slices.Sort(lags)
		out.MedianLagS, out.P90LagS = lags[(len(lags)-1)/2], lags[(len(lags)-1)*9/10]
	}
	return &out
}

// Run saves what was counted until ctx ends, and then once more.
func (t *Tracker) Run(ctx context.Context) error {
	tick := time.NewTicker(saveEach)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
			defer cancel()
			t.save(last)
			return ctx.Err()
		case <-tick.C:
			t.save(ctx)
		}
	}
}

func (t *Tracker) save(ctx context.Context) {
	t.mu.Lock()
	value, err := json.Marshal(t.rec)
	dirty := t.dirty
	t.dirty = false
	t.mu.Unlock()
	if !dirty {
		return
	}
	if err == nil {
		err = t.state.SetState(ctx, stateKey, value)
	}
	if err != nil {
		t.log.Warn("which rollouts were told of was not saved; the next time will", "err", err)
		t.mu.Lock()
		t.dirty = true
		t.mu.Unlock()
	}
}
