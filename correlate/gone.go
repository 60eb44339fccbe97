package correlate

import (
	"time"

	"github.com/triaged-dev/triaged/triage"
)

// A process that is gone has no errors and no latency: its rates echo what was before, and its gauges end. So absence is a
// signal of its own, and the strongest: a service whose gauges end, or pause, while those of others go on, was not there.
type gone struct {
	from   ms
	metric *prepared
	log    float64
}

// How sure an absence is: one sample may be a scrape that failed, several are not.
const (
	goneOnce  = 1.5
	goneTwice = 3.0
	goneLong  = 5.0
)

// usualGaps is the share of gaps above which a series is no witness of absence.
const usualGaps = 0.02

// loadGone looks for services that went away: gauges of the whole service, never of one version or pod, which end at
// every rollout.
func (m *ranking) loadGone() {
	latest := make(map[string]ms) // by metric: the latest sample of any service
	each := func(f func(s *service, p *prepared)) {
		for _, name := range m.names {
			s := m.services[name]
			for _, p := range s.signals[signalIndex(triage.SignalSaturation)] {
				if splitLabel(p.src.Labels) == "" && p.src.Kind != "counter" {
					f(s, p)
				}
			}
		}
	}
	each(func(_ *service, p *prepared) {
		if was, ok := latest[p.src.Metric]; !ok || p.lastEnd() > was { // times lie before the report's, which is 0
			latest[p.src.Metric] = p.lastEnd()
		}
	})
	each(func(s *service, p *prepared) {
		if g, ok := p.absence(m.at, latest[p.src.Metric]); ok && g.log > s.gone.log {
			s.gone = g
		}
	})
}

// absence is the last stretch without samples of a series that had them without fail before; until is how far others reach.
// It reads the samples as they came: averages hide a short absence.
func (p *prepared) absence(at time.Time, until ms) (gone, bool) {
	v := p.src.Until(at).Values
	step := ms(p.src.Step().Milliseconds())
	end := func(i int) ms { _, to := p.src.Covers(i); return ms(to.Sub(at).Milliseconds()) }
	n := len(v)
	for n > 0 && end(n-1) > until {
		n--
	}
	last := n - 1
	for last >= 0 && v[last] == v[last] { // the latest gap; samples after it may be there again
		last--
	}
	if last < 0 {
		return gone{}, false
	}
	first := last
	for first > 0 && v[first-1] != v[first-1] {
		first--
	}
	missing, seen := 0, 0
	for _, x := range v[:first] {
		switch {
		case x == x:
			seen++
		case seen > 0:
			missing++
		}
	}
	if seen < 10 || float64(missing) > usualGaps*float64(seen) {
		return gone{}, false
	}
	long := step*ms(last-first+1) >= goneAfter
	if last == n-1 && (!long || first == last) {
		return gone{}, false // the newest samples may only be late
	}
	g := gone{from: end(first) - step, metric: p, log: goneOnce}
	if last > first {
		g.log = goneTwice
	}
	if long && last > first {
		g.log = goneLong
	}
	return g, true
}

// goneLog is the log likelihood ratio of an absence that goes with a shift at t, 0 where there is none.
func (s *service) goneLog(t ms) float64 {
	if s.gone.metric == nil || t < s.gone.from-goneBefore || t > s.gone.from+goneBehind {
		return 0
	}
	return s.gone.log
}

// A caller notices at once that somebody is gone, a scrape at the next, and an alert later.
const (
	goneBefore = ms(60_000)
	goneBehind = ms(120_000)
)
