package prometheus

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/prometheus/common/model"

	"github.com/triaged-dev/triaged/triage"
)

const (
	maxHole  = time.Hour // over a longer one nothing is compared: what was before it is another life of the cluster
	maxHoles = 5         // of one stretch that are compared across, at two queries each
	// What moved more often than this in habitSpan is written by a habit of some controller. Hourly jobs stay under it twice over.
	maxHabit  = 12
	habitSpan = 6 * time.Hour
)

// move is a value that another one took the place of.
type move struct {
	point
	from  float64
	since time.Time // when it was last seen as it had been
}

// moves are the values of a metric that differ from those of the look before. A series that was not there before is no move, nor is
// one that comes back as it was; one that comes back from a gap in the metric with another value is.
func (r *changeReader) moves(ctx context.Context, by, metric string) ([]move, error) {
	pts, err := r.points(ctx, moved(by, metric, "!="), metric)
	if err != nil {
		return nil, err
	}
	var out []move
	if len(pts) > 0 {
		were, err := r.points(ctx, movedFrom(by, metric), metric)
		if err != nil {
			return nil, err
		}
		for _, p := range pts {
			m := move{point: p, since: p.at.Add(-changeStep)}
			if i := slices.IndexFunc(were, func(w point) bool { return w.at.Equal(p.at) && w.labels.Equal(p.labels) }); i >= 0 {
				m.from = were[i].value
			}
			out = append(out, m)
		}
	}
	for _, h := range r.holes[metric] {
		across, err := r.across(ctx, by, metric, h)
		if err != nil {
			return out, err
		}
		out = append(out, across...)
	}
	slices.SortStableFunc(out, func(a, b move) int { return a.at.Compare(b.at) })
	return out, nil
}

// moved is empty except where a value differs from that of one step before.
func moved(by, metric, op string) string {
	return fmt.Sprintf("max by (%[1]s) (%[2]s) %[3]s max by (%[1]s) (%[2]s offset %[4]s)", by, metric, op, model.Duration(changeStep))
}

// movedFrom is the value before, wherever moved with != is not empty.
func movedFrom(by, metric string) string {
	return fmt.Sprintf("max by (%[1]s) (%[2]s offset %[3]s) != max by (%[1]s) (%[2]s)", by, metric, model.Duration(changeStep))
}

// hole is a time in which a metric had no series at all: its exporter was away.
type hole struct{ last, next time.Time } // looks before and after it

// compared are the metrics whose moves are looked for across gaps.
func (s *Source) compared() []string {
	out := []string{"kube_horizontalpodautoscaler_status_desired_replicas"}
	for _, k := range workloadKinds {
		out = append(out, k.generation, k.replicas)
	}
	for _, w := range s.cfg.Changes.watch() {
		if w.match == "" && (w.means == meansWritten || w.means == meansSetting) {
			out = append(out, w.metric)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// findHoles looks for gaps in the metrics that are there, in one query.
func (r *changeReader) findHoles(ctx context.Context, metrics []string) error {
	metrics = slices.DeleteFunc(slices.Clone(metrics), func(m string) bool { return !r.exist(m) })
	r.holes = make(map[string][]hole)
	if len(metrics) == 0 {
		return nil
	}
	slices.Sort(metrics)
	m, err := r.c.matrix(ctx, fmt.Sprintf(`count by (__name__) ({__name__=~"%s"})`, promEscape(alternatives(metrics))), newGrid(r.from.Add(-maxHole), r.to, changeStep))
	if err != nil {
		return err
	}
	for _, st := range sortedMatrix(m) {
		var last time.Time
		for _, p := range st.Values {
			at := p.Timestamp.Time().UTC()
			if gap := at.Sub(last); !last.IsZero() && gap > changeStep && gap <= maxHole && at.After(r.from) {
				name := string(st.Metric[model.MetricNameLabel])
				r.holes[name] = append(r.holes[name], hole{last, at})
			}
			last = at
		}
	}
	for name, hs := range r.holes {
		r.holes[name] = hs[max(0, len(hs)-maxHoles):]
	}
	return nil
}

// across compares the values at both ends of a hole.
func (r *changeReader) across(ctx context.Context, by, metric string, h hole) ([]move, error) {
	expr := fmt.Sprintf("max by (%s) (%s)", by, metric)
	before, err := r.c.vector(ctx, expr, h.last)
	if err != nil {
		return nil, err
	}
	after, err := r.c.vector(ctx, expr, h.next)
	if err != nil {
		return nil, err
	}
	was := make(map[model.Fingerprint]float64, len(before))
	for _, s := range before {
		was[s.Metric.Fingerprint()] = float64(s.Value)
	}
	var out []move
	for _, s := range after {
		if from, there := was[s.Metric.Fingerprint()]; there && from != float64(s.Value) {
			out = append(out, move{point: point{h.next, s.Metric, float64(s.Value)}, from: from, since: h.last})
		}
	}
	slices.SortFunc(out, func(a, b move) int {
		if a.labels.Before(b.labels) {
			return -1
		}
		return 1
	})
	return out, nil
}

// habits tells which of the series that moved do so all the time, by their labels.
func (r *changeReader) habits(ctx context.Context, by, sel string, name model.LabelName, ms []move) (map[model.Fingerprint]bool, error) {
	out := make(map[model.Fingerprint]bool)
	var names []string
	for _, m := range ms {
		names = append(names, string(m.labels[name]))
	}
	slices.Sort(names)
	for _, chunk := range chunks(slices.Compact(names), maxAlternation) {
		of := sel
		if name != "" {
			of = withMatcher(sel, fmt.Sprintf(`%s=~"%s"`, name, promEscape(alternatives(chunk))))
		}
		v, err := r.c.vector(ctx, fmt.Sprintf(`max by (%s) (changes(%s[%s])) > %d`, by, of, model.Duration(habitSpan), maxHabit), r.to)
		if err != nil {
			return nil, err
		}
		for _, s := range v {
			out[s.Metric.Fingerprint()] = true
		}
	}
	return out, nil
}

// withMatcher adds a matcher to a selector.
func withMatcher(sel, matcher string) string {
	if n := len(sel); n > 0 && sel[n-1] == '}' {
		if sel[n-2] == '{' {
			return sel[:n-1] + matcher + "}"
		}
		return sel[:n-1] + "," + matcher + "}"
	}
	return sel + "{" + matcher + "}"
}

// between sets the time of something that happened after one look and before another.
func between(c *triage.Change, since, at time.Time) {
	half := at.Sub(since) / 2
	c.StartedAt = at.Add(-half)
	c.TimeUncertaintyS = (half + ksmInterval).Seconds()
}

// seen says in which metric a change showed, and how surely. late is by when it could be known, beyond the usual.
func (r *changeReader) seen(c *triage.Change, metric string, surely triage.Surely, late time.Duration) {
	c.Seen = triage.Seen{In: metric, Surely: surely, LateS: (late + changeStep + ksmInterval + time.Duration(r.s.cfg.Changes.Interval)).Seconds()}
}
