package prometheus

import (
	"math"
	"slices"

	"github.com/prometheus/common/model"

	"github.com/triaged-dev/triaged/triage"
)

// values puts the samples of one stream on the grid. Whatever does not lie on it is left out, infinities are gaps; ok is false
// when nothing finite is left.
func (g grid) values(s *model.SampleStream) (out triage.Values, ok bool) {
	out = make(triage.Values, g.points())
	for i := range out {
		out[i] = math.NaN()
	}
	for _, p := range s.Values {
		at := p.Timestamp.Time().Sub(g.from)
		i := int(at / g.step)
		if at < 0 || at%g.step != 0 || i >= len(out) || math.IsInf(float64(p.Value), 0) {
			continue
		}
		out[i] = float64(p.Value)
		ok = ok || !math.IsNaN(out[i])
	}
	return out, ok
}

// series is a Series on the grid; a sample at t covers (t − step, t].
func (g grid) series(v triage.Values) triage.Series {
	return triage.Series{Stamp: triage.StampEnd, StepS: g.step.Seconds(), Start: g.from, Values: v}
}

// sortedMatrix orders streams by their labels, so that the same answer gives the same bytes.
func sortedMatrix(m model.Matrix) model.Matrix {
	m = slices.DeleteFunc(slices.Clone(m), func(s *model.SampleStream) bool { return s == nil })
	slices.SortFunc(m, func(a, b *model.SampleStream) int {
		switch {
		case a.Metric.Before(b.Metric):
			return -1
		case b.Metric.Before(a.Metric):
			return 1
		default:
			return 0
		}
	})
	return m
}

// reference summarises samples of quiet days; nil for fewer than ten.
func reference(samples []float64) *triage.Reference {
	samples = slices.DeleteFunc(samples, func(v float64) bool { return math.IsNaN(v) || math.IsInf(v, 0) })
	if len(samples) < 10 {
		return nil
	}
	slices.Sort(samples)
	return &triage.Reference{
		N: len(samples), P01: quantile(samples, .01), P25: quantile(samples, .25), P50: quantile(samples, .5),
		P75: quantile(samples, .75), P99: quantile(samples, .99),
	}
}

// quantile of a sorted, non-empty slice, linear between neighbours.
func quantile(sorted []float64, q float64) float64 {
	at := q * float64(len(sorted)-1)
	i := int(at)
	if i+1 >= len(sorted) {
		return sorted[len(sorted)-1]
	}
	return sorted[i] + (at-float64(i))*(sorted[i+1]-sorted[i])
}
