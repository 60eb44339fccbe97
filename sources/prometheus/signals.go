package prometheus

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/common/model"

	"github.com/triaged-dev/triaged/triage"
)

const maxAlternation = 4096 // bytes of one service=~"a|b|c"

// Signals are the errors, latency, traffic and saturation of services over [q.From, q.To], and the same by version, pod, region
// or instance where q.SplitBy asks for it and the data has it. Per service and signal the first convention with data answers.
// On an error the series that could be had are returned with it.
func (s *Source) Signals(ctx context.Context, q triage.SignalQuery) ([]triage.Series, error) {
	out, err := s.read(inTurn(ctx, turn(q.Turn)), s.client, q)
	s.asked(err)
	return out, err
}

// read is Signals with the client to use.
func (s *Source) read(ctx context.Context, c *client, q triage.SignalQuery) ([]triage.Series, error) {
	if now := s.now(); q.To.After(now) {
		q.To = now
	}
	found, err := s.discover(ctx, c)
	if err != nil {
		return nil, err
	}
	scrape := finestStep
	if conf, err := s.serverConfig(ctx, c); err == nil && conf.Global.ScrapeInterval > 0 {
		scrape = time.Duration(conf.Global.ScrapeInterval)
	}
	r := &signalReader{
		s: s, c: c, query: q, grid: newGrid(q.From, q.To, max(scrape, finestStep)),
		window: max(4*scrape, time.Duration(s.signals.Range)), podsOwned: found.names["kube_pod_owner"],
	}
	if scrape < finestStep {
		r.grid = newGrid(q.From, q.To, max(scrape, 5*time.Second))
	}
	r.found = found
	if q.Edges {
		return r.run(ctx, s.planEdges(found, q))
	}
	return r.run(ctx, s.plan(found, q))
}

// part is one convention's share of a query: the services it answers for.
type part struct {
	conv     usedConvention
	signal   triage.Signal
	gauge    Gauge     // set where the series is a gauge of its own rather than requests or their duration
	edge     *usedEdge // set where it is what the services see of what they call
	services []string
}

// plan gives every service and signal to the first convention that has both, so that nothing is asked twice.
func (s *Source) plan(found *inUse, q triage.SignalQuery) []part {
	taken := make(map[string]bool)
	var out []part
	claim := func(conv usedConvention, sig triage.Signal, g Gauge) {
		p := part{conv: conv, signal: sig, gauge: g}
		for _, name := range q.Services {
			key := string(sig) + "\x00" + g.Name + "\x00" + name
			if len(conv.raw[name]) > 0 && !taken[key] {
				taken[key] = true
				p.services = append(p.services, name)
			}
		}
		if len(p.services) > 0 {
			out = append(out, p)
		}
	}
	for _, conv := range found.conventions {
		if conv.Requests != "" {
			claim(conv, triage.SignalTraffic, Gauge{})
			if conv.failed != "" || conv.FailedMetric != "" {
				claim(conv, triage.SignalErrors, Gauge{})
			}
		}
		if conv.duration != "" {
			claim(conv, triage.SignalLatency, Gauge{})
		}
		for _, g := range conv.Gauges {
			claim(conv, g.Signal, g)
		}
	}
	return out
}

// signalReader runs the parts of one query, all at once: the client bounds how many are really under way.
type signalReader struct {
	s      *Source
	c      *client
	query  triage.SignalQuery
	grid   grid
	window time.Duration
	found  *inUse // nil where no edges are asked for

	podsOwned bool // the server knows which ReplicaSet a pod belongs to
}

func (r *signalReader) run(ctx context.Context, parts []part) ([]triage.Series, error) {
	results := make([][]triage.Series, len(parts))
	errs := make([]error, len(parts))
	var wg sync.WaitGroup
	for i, p := range parts {
		wg.Go(func() { results[i], errs[i] = r.part(ctx, p) })
	}
	wg.Wait()
	attachCounts(parts, results)
	out := slices.Concat(results...)
	if r.query.Edges {
		out = firstOfEach(out)
	}
	slices.SortStableFunc(out, func(a, b triage.Series) int {
		return cmp.Or(cmp.Compare(a.Labels["service"], b.Labels["service"]), cmp.Compare(a.Labels["source"], b.Labels["source"]),
			cmp.Compare(a.Labels["destination"], b.Labels["destination"]), cmp.Compare(a.Signal, b.Signal),
			cmp.Compare(a.Metric, b.Metric), cmp.Compare(labelKey(a.Labels), labelKey(b.Labels)))
	})
	return out, errors.Join(errs...)
}

// part reads one signal of one convention, with its quiet days for the first services of the query.
func (r *signalReader) part(ctx context.Context, p part) ([]triage.Series, error) {
	values, err := r.values(ctx, p, p.services, r.splits(p), r.grid)
	if err != nil {
		return nil, fmt.Errorf("read %s of %s: %w", p.signal, p.conv.Name, err)
	}
	refs := r.references(ctx, p)
	out := make([]triage.Series, 0, len(values))
	for _, key := range slices.Sorted(maps.Keys(values)) {
		sr := r.grid.series(values[key].values)
		sr.Metric, sr.Signal, sr.Better = p.metric(r.s.signals), p.signal, p.better()
		sr.Unit = p.unit()
		sr.Labels = values[key].labels
		if !p.isGauge() || p.gauge.Counter {
			sr.RangeS = r.windowFor(r.grid).Seconds()
		}
		if len(sr.Labels) == 1 {
			sr.Reference = refs[sr.Labels["service"]]
		}
		out = append(out, sr)
	}
	return out, nil
}

// references are the quantiles of quiet days per service, for the first services of the query only.
func (r *signalReader) references(ctx context.Context, p part) map[string]*triage.Reference {
	var names []string
	for _, n := range p.services {
		if at := slices.Index(r.query.Services, n); at < r.s.cfg.Reference.MaxServices {
			names = append(names, n)
		}
	}
	if len(names) == 0 || r.c.background || len(r.query.SplitBy) > 0 || p.edge != nil || !r.c.spare() {
		return nil
	}
	ctx, cancel := optional(ctx)
	defer cancel()
	samples := make(map[string][]float64)
	var mu sync.Mutex
	var wg sync.WaitGroup
	for _, d := range r.s.cfg.Reference.Days {
		wg.Go(func() {
			back := time.Duration(d) * day
			past := newGrid(r.grid.from.Add(-back), r.grid.to.Add(-back), max(r.grid.step, referenceStep))
			values, err := r.values(ctx, p, names, nil, past)
			if err != nil {
				return // no reference then
			}
			mu.Lock()
			defer mu.Unlock()
			for _, v := range values {
				samples[v.labels["service"]] = append(samples[v.labels["service"]], v.values...)
			}
		})
	}
	wg.Wait()
	out := make(map[string]*triage.Reference, len(samples))
	for name, vs := range samples {
		out[name] = reference(vs)
	}
	return out
}

// splits are the words of SplitBy that this convention's series have, with their labels. Where the version has no label, the
// ReplicaSet that owns the pod stands for it.
func (r *signalReader) splits(p part) map[string]string {
	out := make(map[string]string)
	for _, word := range r.query.SplitBy {
		if l := p.conv.words[word]; l != "" {
			out[word] = l
		} else if word == "version" && r.podsOwned && p.conv.words["pod"] == "pod" && p.conv.words["namespace"] == "namespace" {
			out[word] = ownerLabel
		}
	}
	return out
}

// metric names what was measured as a person would write it.
func (p part) metric(cfg SignalsConfig) string {
	if p.isGauge() {
		return p.gauge.Name + " (" + p.gauge.Metric + ")"
	}
	switch p.signal {
	case triage.SignalTraffic:
		return p.conv.Requests + " per second"
	case triage.SignalErrors:
		return p.conv.Requests + " failed share"
	case triage.SignalLatency:
		return p.conv.Duration + " p" + strconv.FormatFloat(cfg.LatencyQuantile*100, 'g', 4, 64)
	default:
		return p.conv.Name
	}
}

// unit is that of the values as they are read: a share of requests, seconds, requests per second.
func (p part) unit() triage.Unit {
	switch {
	case p.isGauge() && p.gauge.Counter:
		return known(triage.UnitOfRate(p.gauge.Metric))
	case p.isGauge():
		return known(triage.UnitOf(p.gauge.Metric))
	case p.signal == triage.SignalTraffic:
		return triage.UnitRate
	case p.signal == triage.SignalErrors:
		return triage.UnitRatio
	case p.signal == triage.SignalLatency:
		return triage.UnitSeconds
	}
	return triage.UnitUnknown
}

func (p part) isGauge() bool { return p.gauge.Metric != "" }

func (p part) better() triage.Better {
	switch {
	case p.gauge.Better != "":
		return p.gauge.Better
	case p.signal == triage.SignalTraffic:
		return ""
	case p.isGauge() && triage.BetterOf(p.gauge.Metric) != "":
		return triage.BetterOf(p.gauge.Metric)
	}
	return triage.BetterLower
}

func labelKey(ls map[string]string) string {
	var b strings.Builder
	for _, k := range slices.Sorted(maps.Keys(ls)) {
		b.WriteString(k + "\x00" + ls[k] + "\x00")
	}
	return b.String()
}

// labelled are samples on a grid with the labels of their series.
type labelled struct {
	labels map[string]string
	values triage.Values
}

// merge combines series that turn out to be of one service (two names of it): sums add, everything else takes the worse.
func merge(into map[string]labelled, ls map[string]string, v triage.Values, sum bool) {
	key := labelKey(ls)
	have, ok := into[key]
	if !ok {
		into[key] = labelled{ls, v}
		return
	}
	for i, x := range v {
		switch {
		case x != x:
		case have.values[i] != have.values[i]:
			have.values[i] = x
		case sum:
			have.values[i] += x
		default:
			have.values[i] = max(have.values[i], x)
		}
	}
}

// collect puts an answer on the grid under our names.
func (r *signalReader) collect(into map[string]labelled, m model.Matrix, g grid, p part, splits map[string]string, sum bool) {
	for _, st := range sortedMatrix(m) {
		v, ok := g.values(st)
		ls := r.labels(p, st.Metric)
		if ls == nil || !ok {
			continue
		}
		for word, l := range splits {
			if val := string(st.Metric[model.LabelName(l)]); val != "" {
				ls[word] = val
			}
		}
		merge(into, ls, v, sum)
	}
}

// labels say whose behaviour a stream is, nil where nobody's that is known.
func (r *signalReader) labels(p part, m model.Metric) map[string]string {
	if p.edge != nil {
		if from, to := r.s.ends(r.found, p.edge, m); from != "" && to != "" {
			return map[string]string{"source": from, "destination": to}
		}
		return nil
	}
	if name := r.s.serviceName(string(m[model.LabelName(p.conv.service)])); name != "" {
		return map[string]string{"service": name}
	}
	return nil
}
