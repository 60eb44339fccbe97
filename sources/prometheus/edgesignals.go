package prometheus

import (
	"math"
	"slices"

	"github.com/triaged-dev/triaged/triage"
)

// planEdges is plan for what the services see of what they call. A service calls in several ways, so every convention answers
// for it; which of two that tell of one edge is believed is settled by their order when the answers are there.
func (s *Source) planEdges(found *inUse, q triage.SignalQuery) []part {
	var out []part
	for i := range found.edges {
		u := &found.edges[i]
		if u.GraphOnly {
			continue
		}
		p := part{conv: u.usedConvention, edge: u}
		for _, name := range q.Services {
			if len(u.raw[name]) > 0 {
				p.services = append(p.services, name)
			}
		}
		if len(p.services) == 0 {
			continue
		}
		add := func(sig triage.Signal, g Gauge) {
			p.signal, p.gauge = sig, g
			out = append(out, p)
		}
		if p.conv.Requests != "" {
			add(triage.SignalTraffic, Gauge{})
			if p.conv.failed != "" || p.conv.FailedMetric != "" {
				add(triage.SignalErrors, Gauge{})
			}
		}
		if p.conv.duration != "" {
			add(triage.SignalLatency, Gauge{})
		}
		for _, g := range p.conv.Gauges {
			add(g.Signal, g)
		}
	}
	return out
}

// firstOfEach keeps, of series of one edge and signal that several conventions tell of, the first convention's.
func firstOfEach(in []triage.Series) []triage.Series {
	seen := make(map[string]bool)
	return slices.DeleteFunc(in, func(sr triage.Series) bool {
		key := string(sr.Signal) + "\x00" + labelKey(sr.Labels)
		if sr.Signal == triage.SignalSaturation {
			key += "\x00" + sr.Metric // several kinds of waiting
		}
		again := seen[key]
		seen[key] = true
		return again
	})
}

// attachCounts puts beside shares of failures and quantiles how many requests stand behind each of their samples: the same
// convention's traffic times the seconds that a sample averages over.
func attachCounts(parts []part, results [][]triage.Series) {
	traffic := make(map[string]triage.Values)
	key := func(p part, sr triage.Series) string { return p.conv.Name + "\x00" + labelKey(sr.Labels) }
	for i, p := range parts {
		if p.signal == triage.SignalTraffic && !p.isGauge() {
			for _, sr := range results[i] {
				traffic[key(p, sr)] = sr.Values
			}
		}
	}
	for i, p := range parts {
		if p.isGauge() || p.signal != triage.SignalErrors && p.signal != triage.SignalLatency {
			continue
		}
		for j, sr := range results[i] {
			rates := traffic[key(p, sr)]
			if len(rates) != len(sr.Values) {
				continue
			}
			counts := make(triage.Values, len(rates))
			for k, v := range rates {
				counts[k] = math.Round(v*sr.RangeS*10) / 10
			}
			results[i][j].Counts = counts
		}
	}
}
