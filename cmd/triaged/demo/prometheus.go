package demo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb"

	"github.com/triaged-dev/triaged/triage"
)

// prometheusServer is Prometheus' own storage and query engine behind the part of its HTTP API that triaged asks:
// queries, label values, rules, alerts and build information. It scrapes nothing and evaluates no rule.
type prometheusServer struct {
	db     *tsdb.DB
	engine *promql.Engine
	alerts []triage.Alert
	step   time.Duration // of the loaded series: what a real server would call its scrape interval
	now    func() time.Time
}

// openPrometheus opens an empty storage in dir. Samples up to a day old are taken, in any order.
func openPrometheus(dir string, logger *slog.Logger, now func() time.Time) (*prometheusServer, error) {
	opts := tsdb.DefaultOptions()
	opts.OutOfOrderTimeWindow = (48 * time.Hour).Milliseconds()
	db, err := tsdb.Open(dir, logger, nil, opts, nil)
	if err != nil {
		return nil, fmt.Errorf("open the demo's metric storage in %s: %w", dir, err)
	}
	return &prometheusServer{
		db: db,
		engine: promql.NewEngine(promql.EngineOpts{
			Logger:                   logger,
			MaxSamples:               5_000_000,
			Timeout:                  30 * time.Second,
			LookbackDelta:            5 * time.Minute,
			NoStepSubqueryIntervalFn: func(int64) int64 { return time.Minute.Milliseconds() },
			EnableAtModifier:         true,
			EnableNegativeOffset:     true,
			Parser:                   parser.NewParser(parser.Options{}),
		}),
		step: 15 * time.Second,
		now:  now,
	}, nil
}

func (p *prometheusServer) Close() error { return p.db.Close() }

// load appends the samples whose shifted time lies in (from, to]. A sample stamped with the start of its step is stored at
// the end of it, as Prometheus would have it.
func (p *prometheusServer) load(ctx context.Context, series []triage.Series, shift time.Duration, from, to time.Time) error {
	app := p.db.Appender(ctx)
	for _, s := range series {
		b := labels.NewBuilder(labels.EmptyLabels())
		b.Set(model.MetricNameLabel, s.Metric)
		for name, value := range s.Labels {
			b.Set(name, value)
		}
		lset := b.Labels()
		for i, v := range s.Values {
			_, at := s.Covers(i)
			at = at.Add(shift)
			if math.IsNaN(v) || !at.After(from) || at.After(to) {
				continue
			}
			if _, err := app.Append(0, lset, at.UnixMilli(), v); err != nil {
				return fmt.Errorf("load series %s: %w", lset, err)
			}
		}
	}
	if err := app.Commit(); err != nil {
		return fmt.Errorf("load series: %w", err)
	}
	return nil
}

func (p *prometheusServer) handler() http.Handler {
	mux := http.NewServeMux()
	handle := func(path string, f func(*http.Request) (any, error)) {
		mux.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) { answer(w, r, f) })
	}
	handle("/api/v1/query", p.query)
	handle("/api/v1/query_range", p.queryRange)
	handle("/api/v1/label/{name}/values", p.labelValues)
	handle("/api/v1/labels", p.labelNames)
	handle("/api/v1/series", p.series)
	handle("/api/v1/rules", p.rules)
	handle("/api/v1/alerts", p.active)
	handle("/api/v1/metadata", func(*http.Request) (any, error) { return map[string]any{}, nil })
	handle("/api/v1/status/config", p.config)
	handle("/api/v1/status/buildinfo", func(*http.Request) (any, error) {
		return map[string]string{"version": "demo", "revision": "", "branch": "", "buildUser": "", "buildDate": "", "goVersion": ""}, nil
	})
	mux.HandleFunc("/-/ready", func(http.ResponseWriter, *http.Request) {})
	return mux
}

// answer writes what f returns the way Prometheus does.
func answer(w http.ResponseWriter, r *http.Request, f func(*http.Request) (any, error)) {
	w.Header().Set("Content-Type", "application/json")
	data, err := f(r)
	body := map[string]any{"status": "success", "data": data}
	if err != nil {
		w.WriteHeader(http.StatusUnprocessableEntity)
		body = map[string]any{"status": "error", "errorType": "execution", "error": err.Error()}
	}
	// The client has gone if this fails; there is nobody left to tell.
	_ = json.NewEncoder(w).Encode(body)
}

func (p *prometheusServer) query(r *http.Request) (any, error) {
	at, err := parseTime(r.FormValue("time"), p.now())
	if err != nil {
		return nil, err
	}
	q, err := p.engine.NewInstantQuery(r.Context(), p.db, nil, r.FormValue("query"), at)
	if err != nil {
		return nil, err
	}
	return run(r.Context(), q)
}

func (p *prometheusServer) queryRange(r *http.Request) (any, error) {
	start, err := parseTime(r.FormValue("start"), time.Time{})
	if err != nil {
		return nil, err
	}
	end, err := parseTime(r.FormValue("end"), time.Time{})
	if err != nil {
		return nil, err
	}
	step, err := strconv.ParseFloat(r.FormValue("step"), 64)
	if err != nil || step <= 0 {
		return nil, fmt.Errorf("invalid step %q", r.FormValue("step"))
	}
	q, err := p.engine.NewRangeQuery(r.Context(), p.db, nil, r.FormValue("query"), start, end, time.Duration(step*float64(time.Second)))
	if err != nil {
		return nil, err
	}
	return run(r.Context(), q)
}

func run(ctx context.Context, q promql.Query) (any, error) {
	defer q.Close()
	res := q.Exec(ctx)
	if res.Err != nil {
		return nil, res.Err
	}
	// The result is encoded before Close returns its memory.
	raw, err := json.Marshal(res.Value)
	if err != nil {
		return nil, err
	}
	return map[string]any{"resultType": res.Value.Type(), "result": json.RawMessage(raw)}, nil
}

func (p *prometheusServer) labelValues(r *http.Request) (any, error) {
	return p.labels(r, func(q storage.Querier, ms ...*labels.Matcher) ([]string, error) {
		values, _, err := q.LabelValues(r.Context(), r.PathValue("name"), nil, ms...)
		return values, err
	})
}

func (p *prometheusServer) labelNames(r *http.Request) (any, error) {
	return p.labels(r, func(q storage.Querier, ms ...*labels.Matcher) ([]string, error) {
		names, _, err := q.LabelNames(r.Context(), nil, ms...)
		return names, err
	})
}

// labels unites what ask finds for each selector of the request, sorted; without one it asks about everything.
func (p *prometheusServer) labels(r *http.Request, ask func(storage.Querier, ...*labels.Matcher) ([]string, error)) (any, error) {
	selectors, err := p.matchers(r)
	if err != nil {
		return nil, err
	}
	if len(selectors) == 0 {
		selectors = [][]*labels.Matcher{nil}
	}
	q, err := p.db.Querier(0, math.MaxInt64)
	if err != nil {
		return nil, err
	}
	defer q.Close()
	found := make(map[string]bool)
	for _, ms := range selectors {
		values, err := ask(q, ms...)
		if err != nil {
			return nil, err
		}
		for _, v := range values {
			found[strings.Clone(v)] = true
		}
	}
	return slices.Sorted(maps.Keys(found)), nil
}

func (p *prometheusServer) series(r *http.Request) (any, error) {
	matchers, err := p.matchers(r)
	if err != nil {
		return nil, err
	}
	q, err := p.db.Querier(0, math.MaxInt64)
	if err != nil {
		return nil, err
	}
	defer q.Close()
	out := []labels.Labels{}
	for _, ms := range matchers {
		set := q.Select(r.Context(), true, &storage.SelectHints{End: math.MaxInt64, Func: "series"}, ms...)
		for set.Next() {
			out = append(out, set.At().Labels().Copy())
		}
		if err := set.Err(); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func (p *prometheusServer) matchers(r *http.Request) ([][]*labels.Matcher, error) {
	if err := r.ParseForm(); err != nil {
		return nil, err
	}
	return parser.NewParser(parser.Options{}).ParseMetricSelectors(r.Form["match[]"])
}

// rules shows each of the case's alerts as the rule that would have fired it.
func (p *prometheusServer) rules(*http.Request) (any, error) {
	rules := []map[string]any{}
	for _, a := range p.alerts {
		if a.Expr == "" {
			continue
		}
		rules = append(rules, map[string]any{
			"type": "alerting", "name": a.Name(), "query": a.Expr, "duration": a.ForS, "keepFiringFor": 0,
			"labels": map[string]string{}, "annotations": map[string]string{}, "alerts": []any{activeAlert(a)},
			"health": "ok", "state": "firing", "evaluationTime": 0, "lastEvaluation": p.now().UTC(),
		})
	}
	interval := 15.0
	if len(p.alerts) > 0 && p.alerts[0].EvalIntervalS > 0 {
		interval = p.alerts[0].EvalIntervalS
	}
	return map[string]any{"groups": []map[string]any{{
		"name": "demo", "file": "demo.rules", "interval": interval, "limit": 0, "rules": rules,
		"evaluationTime": 0, "lastEvaluation": p.now().UTC(),
	}}}, nil
}

func (p *prometheusServer) active(*http.Request) (any, error) {
	out := []any{}
	for _, a := range p.alerts {
		out = append(out, activeAlert(a))
	}
	return map[string]any{"alerts": out}, nil
}

func activeAlert(a triage.Alert) map[string]any {
	active := a.ActiveAt
	if active.IsZero() {
		active = a.StartsAt.Add(-time.Duration(a.ForS * float64(time.Second)))
	}
	return map[string]any{"labels": a.Labels, "annotations": a.Annotations, "state": "firing", "activeAt": active, "value": "1e+00"}
}

func (p *prometheusServer) config(*http.Request) (any, error) {
	step := model.Duration(p.step)
	return map[string]string{"yaml": fmt.Sprintf("global:\n  scrape_interval: %s\n  evaluation_interval: %s\n", step, step)}, nil
}

func parseTime(s string, fallback time.Time) (time.Time, error) {
	if s == "" {
		if fallback.IsZero() {
			return fallback, errors.New("start and end are required")
		}
		return fallback, nil
	}
	if f, err := strconv.ParseFloat(s, 64); err == nil {
		return time.UnixMilli(int64(f * 1000)).UTC(), nil
	}
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		return t, fmt.Errorf("invalid time %q", s)
	}
	return t, nil
}
