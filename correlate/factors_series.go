package correlate

import (
	"fmt"
	"math"
	"strings"

	"github.com/triaged-dev/triaged/triage"
)

// ownFactor: what the changed service's own series did from the change on. Positive is direct evidence; three samples that
// had shifted alike before it began are a veto.
func (m *ranking) ownFactor(c *candidate) finding {
	if c.ch.Service == "" {
		return finding{}
	}
	c.own = m.ownShiftOf(c)
	o := &c.own
	if o.observed && o.best == nil && o.anomaly != nil {
		a := o.anomaly.src
		n := m.w.explained(o.ratio, m.w.OriginShows)
		return finding{nats: n, direct: n > 1, of: c.ch.Service, say: func() string {
			return fmt.Sprintf("%s of %s left its range at %s: %s → %s",
				a.Series, c.ch.Service, clock(a.Onset.Best), number(a.From), number(a.To))
		}}
	}
	if !o.observed || o.best == nil {
		return finding{}
	}
	if o.earlier >= 3 && o.shift.after >= 0 {
		return finding{
			nats: m.w.OwnVeto, veto: true, about: o.best,
			say: func() string {
				return fmt.Sprintf("%s of %s had been bad for %s before it began", measure(o.best), c.ch.Service, plural(o.earlier, "sample"))
			},
		}
	}
	n := m.w.explained(o.ratio, m.w.OriginShows)
	f := finding{nats: n, about: o.best, say: func() string { return m.ownSentence(c) }}
	f.direct = n > 1 && o.shift.z > 3 && !o.shift.small
	return f
}

// cascadeFactor: the shifts of callers that a fault here would explain; for a change that reaches everything, all shifts.
func (m *ranking) cascadeFactor(c *candidate) finding {
	if len(m.names) == 0 {
		return finding{}
	}
	if c.place == placeGlobal || c.place == placeNoService {
		log, shifted, seen := m.breadth()
		if seen == 0 {
			return finding{}
		}
		return finding{nats: log, direct: witnessed(shifted, seen), say: func() string {
			return fmt.Sprintf("services that shifted with the symptom: %d of %d watched", shifted, seen)
		}}
	}
	log, shifted, seen := m.cascadeCached(c.ch.Service)
	if seen == 0 {
		return finding{}
	}
	r := 1.0
	if c.own.observed {
		r = c.own.ratio
	}
	return finding{nats: believed(log, r), of: c.ch.Service, direct: !c.own.observed && witnessed(shifted, seen), say: func() string {
		return fmt.Sprintf("callers of %s that shifted with the symptom: %d of %d", c.ch.Service, shifted, seen)
	}}
}

// witnessed reports whether what a change reaches was seen to move: three services at least, and most of those watched. It
// stands for a measurement of the changed thing where that has none of its own.
func witnessed(shifted, seen int) bool { return shifted >= 3 && 2*shifted > seen }

// splitFactor: difference in differences between what has the change and what has not: version, flag variant, region or new
// pods against old ones. New bad and old fine decides nearly alone; old as bad as new is only a weak alibi, for a canary
// can saturate what all share.
func (m *ranking) splitFactor(c *candidate) finding {
	s := m.services[c.ch.Service]
	if s == nil && c.ch.Service == "" {
		s = m.services[m.scope.Service]
	}
	if s == nil || len(s.split) == 0 {
		return finding{}
	}
	best := finding{}
	for _, label := range [...]string{"version", "variant", "region", "pod"} {
		if f := m.splitBy(c, s, label); f.say != nil && (best.say == nil || f.nats > best.nats) {
			best = f
		}
	}
	return best
}

// splitBy compares new with old by one label, per signal, and combines the signals by the mean of their likelihood ratios.
func (m *ranking) splitBy(c *candidate, s *service, label string) finding {
	sum, share := 0.0, 0.0
	var top diff
	for i, group := range s.signals {
		if i > 2 {
			break // traffic moves with the split itself
		}
		n, mean := 0, 0.0
		for _, metric := range metricsOf(group, label) {
			d := m.didOf(c, metric, label)
			if !d.ok {
				continue
			}
			l := m.w.shiftLog(d.z, d.n)
			mean += exp(l)
			n++
			if !top.ok || l > top.log {
				top, top.log = d, l
			}
		}
		if n > 0 {
			sum += float64(signalOrder[i].share * mean / float64(n))
			share += signalOrder[i].share
		}
	}
	if share == 0 {
		return finding{}
	}
	log := ln(sum / share)
	what := fmt.Sprintf("%s %s", label, top.newValue)
	switch {
	case log > 1:
		return finding{
			nats: min(log, m.w.SplitMax), direct: true, about: top.series,
			say: func() string {
				return fmt.Sprintf("only %s fails: %s %s against %s on the rest", what, measure(top.series), top.newRaw, top.oldRaw)
			},
		}
	case top.bothBad:
		return finding{nats: m.w.SplitClear, about: top.series, say: func() string {
			return fmt.Sprintf("%s is no worse than the rest: %s %s against %s", what, measure(top.series), top.newRaw, top.oldRaw)
		}}
	}
	return finding{}
}

// diff is one difference in differences.
type diff struct {
	ok, bothBad    bool
	z, log         float64
	n              int
	newValue       string
	newRaw, oldRaw string
	series         *prepared
}

// metricsOf groups a signal's series that carry the label by metric, in order.
func metricsOf(group []*prepared, label string) [][]*prepared {
	var out [][]*prepared
	last := ""
	for _, p := range group {
		if p.src.Labels[label] == "" && (label != "pod" || podOf(p) == "") {
			continue
		}
		if len(out) == 0 || p.src.Metric != last {
			out, last = append(out, nil), p.src.Metric
		}
		out[len(out)-1] = append(out[len(out)-1], p)
	}
	return out
}

func podOf(p *prepared) string {
	for _, l := range [...]string{"pod", "instance", "replicaset"} {
		if v := p.src.Labels[l]; v != "" {
			return v
		}
	}
	return ""
}

// didOf compares (new after − old after) with (new before − old before).
func (m *ranking) didOf(c *candidate, series []*prepared, label string) diff {
	var fresh, old []*prepared
	for _, p := range series {
		if m.isNew(c, p, label) {
			fresh = append(fresh, p)
		} else {
			old = append(old, p)
		}
	}
	if len(fresh) == 0 || len(old) == 0 {
		return diff{}
	}
	start := c.act.first
	na, _, nNew := pooled(fresh, start, 0)
	oa, _, nOld := pooled(old, start, 0)
	nb, _, nNewBefore := pooled(fresh, start-m.lookback, start)
	ob, spread, nOldBefore := pooled(old, start-m.lookback, start)
	if nNew == 0 || nOld == 0 {
		return diff{}
	}
	p := fresh[0]
	if nOldBefore < 3 {
		ob, spread = oa, float64(3*p.floor)
	}
	if nNewBefore == 0 {
		nb = ob
	}
	spread = max(spread, p.floor)
	eff := min(float64(nNew), afterMax)
	d := diff{ok: true, n: nNew, series: p, newValue: p.src.Labels[label], newRaw: p.show(na), oldRaw: p.show(oa)}
	if label == "pod" {
		d.newValue = podOf(p)
	}
	if len(fresh) > 1 && label == "pod" {
		d.newValue = fmt.Sprintf("%s and %d more new ones", d.newValue, len(fresh)-1)
	}
	d.z = ((na - oa) - (nb - ob)) / spread * math.Sqrt(1+float64(0.5*(eff-1)))
	d.bothBad = oa-ob > float64(3*spread) && na-oa < oa-ob
	return d
}

// isNew reports whether the series belongs to what has the change.
func (m *ranking) isNew(c *candidate, p *prepared, label string) bool {
	v := p.src.Labels[label]
	switch label {
	case "version":
		return c.ch.Version != "" && v == c.ch.Version
	case "variant":
		if want := c.ch.Labels["flag_variation"]; want != "" {
			return v == want
		}
		if c.ch.Kind != triage.KindFlag {
			return false
		}
		return v == c.ch.Version || c.ch.Version == "" && (v == "on" || v == "true" || v == "enabled" || v == "treatment")
	case "region":
		if c.ch.Region != "" {
			return v == c.ch.Region
		}
		for _, s := range c.ch.Steps {
			if s.Region == v && m.rel(s.At) <= m.onset.latest {
				return true
			}
		}
		return false
	}
	if !slow(c.ch.Kind) {
		return false
	}
	return p.from[0] > c.act.first-p.step && p.from[0] > -m.lookback-m.lookback && m.someOlder(p, c)
}

// someOlder reports whether the series begins inside what was read, so that a young series means a young pod.
func (m *ranking) someOlder(p *prepared, c *candidate) bool {
	for _, q := range m.services[p.service].split {
		if q.src.Metric == p.src.Metric && q.from[0] < c.act.first-3*q.step {
			return true
		}
	}
	return false
}

// pooled is the median over time of the mean over series, of samples that lie in [from, to).
func pooled(series []*prepared, from, to ms) (med, mad float64, n int) {
	var all []float64
	for _, p := range series {
		for i, v := range p.bad {
			if v == v && p.from[i] >= from-p.step/2 && p.end(i) <= to+p.step/2 {
				all = append(all, v)
			}
		}
	}
	med, mad, n = medianMAD(all, make([]float64, 0, len(all)))
	return med, mad, n / max(1, len(series))
}

// show writes a transformed value in the series' own unit.
func (p *prepared) show(bad float64) string {
	return quantity(p, p.unbad(bad))
}

// measure names what a series measures, for a sentence: its signal as people say it, or the metric where the signal says little.
func measure(p *prepared) string {
	if p.signal == triage.SignalErrors || p.signal == triage.SignalLatency || p.signal == triage.SignalTraffic {
		return string(p.signal)
	}
	name := p.src.Metric
	if name != "" && len(name) <= 80 && !strings.ContainsAny(name, "({[/*") {
		return name
	}
	if p.signal != "" && p.signal != triage.SignalCustom {
		return string(p.signal)
	}
	return "the alert's expression"
}
