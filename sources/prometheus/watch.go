package prometheus

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"math"
	"slices"
	"time"

	"github.com/triaged-dev/triaged/triage"
)

const (
	maxAnomalyAge    = 2 * time.Hour // after which the new level is the usual one
	maxNewAnomalies  = 200           // of one evaluation; more of them add nothing to "everything is out of range"
	anomalyOnsetUnit = 5             // intervals that share an id: the same onset seen twice is the same anomaly
)

// watch looks for anomalies of the configured signals of every known service. It keeps the last samples of each series, so that
// an evaluation asks only for what is new: one batched query per signal and convention. One goroutine owns it.
type watch struct {
	s      *Source
	step   time.Duration
	keep   int // samples kept of each series
	last   time.Time
	series map[string]*watched
}

// watched is one series: a window of samples that ends at watch.last, and the anomaly that is going on.
type watched struct {
	labels  triage.Series // without values
	samples []float64
	open    *triage.Anomaly
	base    baseline // frozen while open
	sent    bool     // the beginning was taken
}

func newWatch(s *Source) *watch {
	step := time.Duration(s.cfg.Anomalies.Interval)
	return &watch{
		s: s, step: step, keep: int(time.Duration(s.cfg.Anomalies.Baseline)/step) + s.cfg.Anomalies.Samples,
		series: make(map[string]*watched),
	}
}

// evaluate reads what is new and hands over anomalies that began or ended. What is not taken is handed over again next time.
func (w *watch) evaluate(ctx context.Context, emit triage.Emit) error {
	now := w.s.now()
	to := now.Add(-time.Duration(w.s.signals.Range) / 4).Truncate(w.step) // a moment for late scrapes
	from := w.last.Add(w.step)
	if oldest := to.Add(-time.Duration(w.keep-1) * w.step); from.Before(oldest) {
		from = oldest
		clear(w.series)
	}
	if from.After(to) {
		return nil
	}
	found, err := w.s.discover(ctx, w.s.bg)
	if err != nil {
		return err
	}
	g := newGrid(from, to, w.step)
	r := &signalReader{
		s: w.s, c: w.s.bg, query: triage.SignalQuery{Services: found.known(), From: from, To: to}, grid: g,
		window: max(4*finestStep, time.Duration(w.s.signals.Range)),
	}
	got, err := r.run(ctx, w.s.plan(found, r.query))
	if err != nil && len(got) == 0 {
		return err // nothing was read: the same samples are asked for next time
	}
	w.take(got, g)
	w.last = g.to
	if emitErr := w.emit(ctx, emit); emitErr != nil {
		return emitErr
	}
	return err
}

// take appends the new samples and judges after each one, so that a long first read finds the same anomalies, with the same
// onsets, as many short ones would have.
func (w *watch) take(got []triage.Series, g grid) {
	fresh := make(map[string]triage.Values, len(got))
	for _, sr := range got {
		key := string(sr.Signal) + "\x00" + sr.Metric + "\x00" + labelKey(sr.Labels)
		fresh[key] = sr.Values
		if _, ok := w.series[key]; !ok {
			if len(w.series) >= w.s.cfg.Anomalies.MaxSeries {
				w.s.client.m.dropped.Inc()
				continue
			}
			sr.Values = nil
			w.series[key] = &watched{labels: sr}
		}
	}
	for key, ws := range w.series {
		values := fresh[key]
		for i := range g.points() {
			v := math.NaN()
			if i < len(values) {
				v = values[i]
			}
			ws.samples = append(ws.samples, v)
			if len(ws.samples) > w.keep {
				ws.samples = ws.samples[1:]
			}
			w.judge(ws, g.from.Add(time.Duration(i)*g.step))
		}
		ws.samples = slices.Clone(ws.samples) // let go of the array's dead beginning
		if ws.open == nil && !slices.ContainsFunc(ws.samples, func(v float64) bool { return !math.IsNaN(v) }) {
			delete(w.series, key)
		}
	}
}

// judge looks at the series as it stood at one time.
func (w *watch) judge(ws *watched, at time.Time) {
	cfg, rule := w.s.cfg.Anomalies, ruleFor(ws.labels.Signal)
	if len(ws.samples) <= cfg.Samples {
		return
	}
	split := len(ws.samples) - cfg.Samples
	recent := slices.DeleteFunc(slices.Clone(ws.samples[split:]), math.IsNaN)
	if len(recent) == 0 {
		return
	}
	now := median(recent)
	if ws.open != nil {
		if ws.open.EndedAt.IsZero() && (ws.base.back(now, cfg.Spreads, rule) || at.Sub(ws.open.Onset.Best) > maxAnomalyAge) {
			ws.open.EndedAt = at
		}
		return
	}
	base, ok := newBaseline(ws.samples[:split], rule)
	if !ok {
		return
	}
	effect, out := base.out(now, cfg.Spreads, rule)
	if !out || len(recent) < cfg.Samples {
		return
	}
	onset := at // of the first sample that is out of range, going back from now
	for i, v := range slices.Backward(ws.samples) {
		if _, o := base.out(v, cfg.Spreads, rule); !o {
			break
		}
		onset = at.Add(-time.Duration(len(ws.samples)-1-i) * w.step)
	}
	ws.base, ws.sent = base, false
	ws.open = w.anomaly(ws.labels, onset, base, now, effect)
}

// anomaly describes one that began: the first sample out of range covers the step before it and the rate window before that.
func (w *watch) anomaly(sr triage.Series, onset time.Time, base baseline, to, effect float64) *triage.Anomaly {
	service := sr.Labels["service"]
	bucket := onset.Truncate(w.step * anomalyOnsetUnit).Unix()
	sum := sha256.Sum256(fmt.Appendf(nil, "%s\x00%s\x00%s\x00%s\x00%d", w.s.cfg.Name, sr.Signal, sr.Metric, labelKey(sr.Labels), bucket))
	labels := maps.Clone(sr.Labels)
	delete(labels, "service")
	return &triage.Anomaly{
		ID: triage.AnomalyID(w.s.cfg.Name + ":" + hex.EncodeToString(sum[:8])), Source: w.s.cfg.Name,
		Scope: w.s.anomalyScope(service), Signal: sr.Signal, Series: sr.Metric,
		Onset: triage.Interval{
			Earliest: onset.Add(-w.step - time.Duration(w.s.signals.Range)), Best: onset.Add(-w.step / 2), Latest: onset,
		},
		ObservedAt: w.s.now().UTC(), From: base.centre, To: to, Effect: effect, Labels: labels,
	}
}

// emit hands over what began and what ended since the last time, in order of ids.
func (w *watch) emit(ctx context.Context, emit triage.Emit) error {
	var changed []*watched
	for _, ws := range w.series {
		if ws.open != nil && (!ws.sent || !ws.open.EndedAt.IsZero()) {
			changed = append(changed, ws)
		}
	}
	slices.SortFunc(changed, func(a, b *watched) int {
		if a.open.ID < b.open.ID {
			return -1
		}
		return 1
	})
	if len(changed) > maxNewAnomalies {
		w.s.log.Warn("more anomalies at once than are taken; the rest comes with the next evaluations", "anomalies", len(changed))
		changed = changed[:maxNewAnomalies]
	}
	if len(changed) == 0 {
		return nil
	}
	events := make([]triage.Event, len(changed))
	for i, ws := range changed {
		a := *ws.open
		events[i] = triage.Event{Anomaly: &a}
	}
	if err := emit(ctx, events); err != nil {
		return fmt.Errorf("hand over anomalies: %w", err)
	}
	for _, ws := range changed {
		if !ws.sent {
			w.s.client.m.anomalies.Inc()
		}
		ws.sent = true
		if !ws.open.EndedAt.IsZero() {
			ws.open = nil
		}
	}
	w.s.emitted(len(events))
	return nil
}

// anomalyScope is where the server's configuration says that everything it watches lives.
func (s *Source) anomalyScope(service string) triage.Scope {
	c := s.cfg.Scope
	return triage.Scope{Service: service, Environment: s.dir.Load().Environment(c.Environment), Region: c.Region, Cluster: c.Cluster}
}
