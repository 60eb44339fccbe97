package prometheus

import (
	"context"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/common/model"

	"github.com/triaged-dev/triaged/triage"
)

// values reads one signal of the services, batched: one query per chunk of services, two for the share of failures.
func (r *signalReader) values(ctx context.Context, p part, services []string, splits map[string]string, g grid) (map[string]labelled, error) {
	shares, err := r.shares(ctx, p.conv, services)
	if err != nil {
		return nil, err
	}
	by := append([]string{p.conv.service}, slices.Sorted(maps.Values(splits))...)
	if p.edge != nil {
		by = p.edge.by()
	}
	owners := splits["version"] == ownerLabel
	sum := p.signal == triage.SignalTraffic || p.signal == triage.SignalErrors || p.gauge.Aggregate == "sum"
	out, total := make(map[string]labelled), make(map[string]labelled)
	for _, sh := range shares {
		match := joinMatch(p.conv.Match, fmt.Sprintf(`%s=~"%s"`, p.conv.service, promEscape(alternatives(sh.values))), sh.scope)
		ask := func(into map[string]labelled, expr string) error {
			m, err := r.c.matrix(ctx, expr, g)
			if err != nil {
				return err
			}
			if owners {
				if m, err = r.versionsOfPods(ctx, m); err != nil {
					return err
				}
			}
			r.collect(into, m, g, p, splits, sum)
			return nil
		}
		b := builder{by: by, match: match, replicas: p.conv.replicas, window: r.windowFor(g), owners: owners}
		switch {
		case p.isGauge():
			b.match = joinMatch(match, p.gauge.Match)
			if p.gauge.Counter {
				err = ask(out, b.rate(p.gauge.Aggregate, p.gauge.Metric, ""))
			} else {
				err = ask(out, b.gauge(p.gauge.Aggregate, p.gauge.Metric))
			}
		case p.signal == triage.SignalTraffic:
			err = ask(out, b.rate("sum", p.conv.Requests, ""))
		case p.signal == triage.SignalErrors:
			if err = ask(total, b.rate("sum", p.conv.Requests, "")); err == nil {
				if p.conv.failed != "" {
					err = ask(out, b.rate("sum", p.conv.Requests, p.conv.failed))
				} else {
					err = ask(out, b.rate("sum", p.conv.FailedMetric, ""))
				}
			}
		case p.signal == triage.SignalLatency:
			err = ask(out, b.quantile(r.s.signals.LatencyQuantile, p.conv.duration, p.conv.native))
		}
		if err != nil {
			return nil, err
		}
	}
	switch {
	case p.isGauge():
	case p.signal == triage.SignalErrors:
		return share(out, total), nil
	case p.signal == triage.SignalLatency && p.conv.DurationUnit == "ms":
		for _, v := range out {
			for i := range v.values {
				v.values[i] /= 1000
			}
		}
	}
	return out, nil
}

// windowFor is the rate window: at least a step, or what happens between two samples would be seen by neither.
func (r *signalReader) windowFor(g grid) time.Duration { return max(r.window, g.step) }

// share divides failures by requests. Requests without failures are a share of 0, which is what makes a first failure visible;
// no requests, no share.
func share(failed, total map[string]labelled) map[string]labelled {
	out := make(map[string]labelled, len(total))
	for key, t := range total {
		v := make(triage.Values, len(t.values))
		f, failing := failed[key]
		for i, n := range t.values {
			switch {
			case math.IsNaN(n) || n <= 0:
				v[i] = math.NaN()
			case !failing || math.IsNaN(f.values[i]):
				v[i] = 0
			default:
				v[i] = min(1, f.values[i]/n)
			}
		}
		out[key] = labelled{t.labels, v}
	}
	return out
}

// labelsKept is how long the values of a label are taken to stay what they are.
const labelsKept = time.Minute

// scoped are label values of services with the matchers that restrict them.
type scoped struct {
	values []string
	scope  string
}

// shares cuts the services' label values into chunks. The query's namespace is the victim's: services that exist there are
// restricted to it, what they call may live elsewhere.
func (r *signalReader) shares(ctx context.Context, conv usedConvention, services []string) ([]scoped, error) {
	scope, err := r.scope(ctx, conv)
	if err != nil {
		return nil, err
	}
	var inside []string
	var namespace string
	if l := conv.words["namespace"]; l != "" && r.query.Scope.Namespace != "" {
		namespace = fmt.Sprintf(`%s="%s"`, l, promEscape(r.query.Scope.Namespace))
		var within []string
		for _, m := range conv.matches {
			within = append(within, narrowed(m, namespace))
		}
		if inside, err = r.c.labelValues(ctx, conv.service, within, r.query.To, labelsKept); err != nil {
			return nil, err
		}
	}
	var here, elsewhere []string
	for _, name := range services {
		for _, v := range conv.raw[name] {
			if slices.Contains(inside, v) {
				here = append(here, v)
			} else {
				elsewhere = append(elsewhere, v)
			}
		}
	}
	slices.Sort(here)
	slices.Sort(elsewhere)
	var out []scoped
	for _, c := range chunks(here, maxAlternation) {
		out = append(out, scoped{c, joinMatch(scope, namespace)})
	}
	for _, c := range chunks(elsewhere, maxAlternation) {
		out = append(out, scoped{c, scope})
	}
	return out, nil
}

// narrowed adds a matcher to a selector that selector() wrote.
func narrowed(sel, match string) string {
	body := strings.TrimSuffix(sel, "}")
	if strings.HasSuffix(body, "{") {
		return body + match + "}"
	}
	return body + "," + match + "}"
}

// scope are matchers for the query's cluster, environment and region, where the convention's series have such a label
// and one of its values is meant: another way of naming clusters must not make everything disappear.
func (r *signalReader) scope(ctx context.Context, conv usedConvention) (string, error) {
	var out []string
	dir := r.s.dir.Load()
	for _, w := range []struct{ word, want string }{
		{"cluster", r.query.Scope.Cluster}, {"environment", r.query.Scope.Environment}, {"region", r.query.Scope.Region},
	} {
		l := conv.words[w.word]
		if w.want == "" || l == "" {
			continue
		}
		values, err := r.c.labelValues(ctx, l, conv.matches, r.query.To, labelsKept)
		if err != nil {
			return "", err
		}
		var meant []string
		for _, v := range values {
			if v == w.want || w.word == "environment" && dir.Environment(v) == dir.Environment(w.want) {
				meant = append(meant, v)
			}
		}
		if len(meant) > 0 {
			out = append(out, fmt.Sprintf(`%s=~"%s"`, l, promEscape(alternatives(meant))))
		}
	}
	return strings.Join(out, ","), nil
}

func joinMatch(ms ...string) string {
	return strings.Join(slices.DeleteFunc(ms, func(m string) bool { return strings.TrimSpace(m) == "" }), ",")
}

// builder writes the queries of one convention: always aggregated, copies of a series merged first.
type builder struct {
	by       []string
	match    string
	replicas []string
	window   time.Duration
	owners   bool // join the pods' ReplicaSets in
}

func (b builder) rate(agg, metric, more string) string {
	return b.over(agg, fmt.Sprintf("rate(%s[%s])", selector(metric, joinMatch(b.match, more)), model.Duration(b.window)))
}

func (b builder) gauge(agg, metric string) string { return b.over(agg, selector(metric, b.match)) }

func (b builder) quantile(q float64, metric string, native bool) string {
	if !native {
		b.by = append(slices.Clone(b.by), "le")
	}
	return fmt.Sprintf("histogram_quantile(%g, %s)", q, b.rate("sum", metric, ""))
}

func (b builder) over(agg, inner string) string {
	if len(b.replicas) > 0 {
		inner = fmt.Sprintf("max without (%s) (%s)", strings.Join(b.replicas, ", "), inner)
	}
	if b.owners {
		inner = fmt.Sprintf("(%[1]s) * on (namespace, pod) group_left (%[2]s) %[3]s or ((%[1]s) unless on (namespace, pod) %[3]s)", inner, ownerLabel, podOwners)
	}
	return fmt.Sprintf("%s by (%s) (%s)", agg, strings.Join(b.by, ", "), inner)
}
