package correlate

import (
	"math"
	"slices"

	"github.com/triaged-dev/triaged/triage"
)

type meanOf struct {
	sum float64
	n   int
}

func (m meanOf) mean() float64 { return m.sum / float64(m.n) }

// alive is the mean over series by sample, of those samples during which what is measured was alive.
func (s *service) alive(series []*prepared, label string) map[ms]meanOf {
	out := make(map[ms]meanOf)
	for _, p := range series {
		until := s.goneAt(p, label)
		for i, v := range p.bad {
			if v == v && p.end(i) <= until && s.asked(p, label, i) {
				m := out[p.from[i]]
				out[p.from[i]] = meanOf{m.sum + v, m.n + 1}
			}
		}
	}
	return out
}

// goneAt is when what a split series measures stopped: when its gauges end, which they do at once; else when its own
// samples do, less what a rate echoes. A series that goes on has not stopped.
func (s *service) goneAt(p *prepared, label string) ms {
	never := p.end(len(p.bad) - 1)
	value, gauge := valueOf(p, label), never // the first to end: rates of a processor echo like those of requests
	for _, q := range s.signals[signalIndex(triage.SignalSaturation)] {
		if valueOf(q, label) == value {
			gauge = min(gauge, q.lastEnd())
		}
	}
	end := p.lastEnd()
	if gauge < never-max(p.step, goneAfter) {
		return gauge
	}
	if end < never-p.step/2 {
		return end - max(p.step, p.window())
	}
	return never
}

// hasGauge reports whether a gauge tells when what the series measure was alive.
func (s *service) hasGauge(series []*prepared, label string) bool {
	for _, q := range s.signals[signalIndex(triage.SignalSaturation)] {
		if v := valueOf(q, label); v != "" && slices.ContainsFunc(series, func(p *prepared) bool { return valueOf(p, label) == v }) {
			return true
		}
	}
	return false
}

// window is the time a sample of a rate averages over, as far as is known.
func (p *prepared) window() ms {
	if r := seconds2ms(p.src.RangeS); r > 0 {
		return r
	}
	return echo
}

// asked reports whether a share of requests rests on any at all: of a version whose traffic has fallen to a fraction of what it
// was, a rate only echoes what it answered before.
func (s *service) asked(p *prepared, label string, i int) bool {
	if p.counts != nil && i < len(p.counts) {
		if v := p.counts[i]; v == v && v < 1 {
			return false
		}
	}
	value, t := valueOf(p, label), p.from[i]
	for _, q := range s.signals[signalIndex(triage.SignalTraffic)] {
		if valueOf(q, label) != value || isEdge(q) {
			continue
		}
		k := int((t - q.from[0] + q.step/2) / q.step)
		if k < 0 || k >= len(q.raw) {
			continue
		}
		now := q.raw[k]
		if now != now || now <= 0 {
			return false
		}
		was := 0.0
		for j := max(0, k-int(askedSpan/q.step)); j < k; j++ {
			if v := q.raw[j]; v == v {
				was = max(was, v)
			}
		}
		return now >= float64(askedLeast*was)
	}
	return true
}

// A version that is being replaced loses its share step by step; what falls below a quarter within a minute and a half is going.
const (
	askedSpan  = ms(90_000)
	askedLeast = 0.25
)

// What a rate echoes of a process that is gone, and for how long a gauge must be missing to be gone.
const (
	echo      = ms(60_000)
	goneAfter = ms(15_000)
)

// lastEnd is when the last sample that is no gap was complete.
func (p *prepared) lastEnd() ms {
	for i, v := range slices.Backward(p.bad) {
		if v == v {
			return p.end(i)
		}
	}
	return ms(math.MinInt64)
}

// firstFrom is when the first sample that is no gap begins.
func (p *prepared) firstFrom() ms {
	for i, v := range p.bad {
		if v == v {
			return p.from[i]
		}
	}
	return 0
}

// bornAt is when what the series measure was last seen to come alive, on any signal: a version may come back.
func bornAt(s *service, fresh []*prepared, label string) ms {
	first := ms(math.MaxInt64)
	for _, p := range fresh {
		value := valueOf(p, label)
		for _, group := range s.signals {
			for _, q := range group {
				if valueOf(q, label) == value {
					first = min(first, q.lastLife())
				}
			}
		}
	}
	return first
}

// lastLife is when the last stretch of samples without a gap of a minute begins.
func (p *prepared) lastLife() ms {
	begin, last := ms(0), ms(math.MinInt64)
	for i, v := range p.bad {
		if v != v {
			continue
		}
		if last == ms(math.MinInt64) || p.from[i]-last > max(echo, 2*p.step) {
			begin = p.from[i]
		}
		last = p.end(i)
	}
	return begin
}

// replaced is when another change of the same service put something else, or the same anew, in place of what c put there.
func (m *ranking) replaced(c *candidate, label string) ms {
	until := ms(math.MaxInt64)
	if label == "region" || c.ch.Service == "" {
		return until
	}
	for i := range m.in.Changes {
		o := &m.in.Changes[i]
		if o.ID == c.ch.ID || o.Service != c.ch.Service || !seenBy(*o, m.at) {
			continue
		}
		again := label != "variant" && o.Version != "" && o.Version == c.ch.Version
		if !again && !slices.Contains(o.Undoes, c.ch.ID) && !slices.Contains(c.ch.RevertedBy, o.ID) {
			continue
		}
		if at := m.rel(o.OccurredAt()); at > c.act.start {
			until = min(until, at)
		}
	}
	return until
}

// begins is when the first sample of any split series of the service begins.
func (s *service) begins() ms {
	first := ms(math.MaxInt64)
	for _, p := range s.split {
		first = min(first, p.firstFrom())
	}
	return first
}
