package correlate

import (
	"fmt"
	"math"
	"slices"

	"github.com/triaged-dev/triaged/triage"
)

// splitFactor: what has the change against what has not: version, flag variant, region or new pods against old ones, in the
// same minutes, both alive, after the onset, and against how they differed before. New bad and old fine decides nearly
// alone; a new version seen to be as well as the old one speaks against the change, weakly, for a canary can saturate what
// all share.
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
// Saturation is left out: it moves with replicas and traffic, as traffic moves with the split itself.
func (m *ranking) splitBy(c *candidate, s *service, label string) finding {
	sum, total := 0.0, 0.0
	var top comparison
	for i, group := range s.signals[:2] {
		n, mean := 0, 0.0
		for _, metric := range metricsOf(group, label) {
			d := m.compare(c, s, metric, label)
			if d.n == 0 {
				continue
			}
			d.log = m.w.shiftLog(d.z, d.wide, d.n)
			if !d.felt {
				d.log = min(d.log, 0)
			}
			mean += exp(d.log)
			n++
			if top.n == 0 || d.log > top.log {
				top = d
			}
		}
		if n > 0 {
			sum += float64(m.share(i) * mean / float64(n))
		} else {
			sum += m.share(i) // a signal nobody measured says nothing either way
		}
		total += m.share(i)
	}
	if top.n == 0 {
		return finding{}
	}
	log := ln(sum / total)
	what := fmt.Sprintf("%s %s", label, top.newValue)
	switch {
	case log > 1:
		return finding{
			nats: min(log, m.w.SplitMax), direct: true, about: top.series, before: top.oldRaw, after: top.newRaw,
			say: func() string {
				return fmt.Sprintf("only %s fails: %s %s against %s on the rest", what, measure(top.series), quantity(top.series, top.newRaw), quantity(top.series, top.oldRaw))
			},
		}
	case top.n >= 2 && top.bothBad:
		return finding{nats: m.w.SplitClear, about: top.series, before: top.oldRaw, after: top.newRaw, say: func() string {
			return fmt.Sprintf("%s is no worse than the rest: %s %s against %s", what, measure(top.series), quantity(top.series, top.newRaw), quantity(top.series, top.oldRaw))
		}}
	}
	return finding{}
}

// comparison is one difference in differences of one metric.
type comparison struct {
	n              int  // samples in which both were alive after the onset; 0: nothing could be compared
	bothBad        bool // the old one suffers as much
	felt           bool // large enough for the symptom
	z, wide, log   float64
	newValue       string
	newRaw, oldRaw float64
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

// valueOf is the value of the label a series is split by.
func valueOf(p *prepared, label string) string {
	if label == "pod" {
		return podOf(p)
	}
	return p.src.Labels[label]
}

// compare sets the new against the old over the samples that both have after the onset, and takes off how they differed
// before it. What is gone echoes in a rate for the length of its window: such samples are not compared.
func (m *ranking) compare(c *candidate, s *service, series []*prepared, label string) comparison {
	var fresh, old []*prepared
	for _, p := range series {
		if m.isNew(c, p, label) {
			fresh = append(fresh, p)
		} else {
			old = append(old, p)
		}
	}
	if len(fresh) == 0 || len(old) == 0 {
		return comparison{}
	}
	p := fresh[0]
	from, until := max(m.onset.earliest, c.act.first), m.replaced(c, label)
	born, cool := ms(math.MinInt64), ms(math.MaxInt64)
	if label != "region" {
		born = bornAt(s, fresh, label)
		from = max(from, born)
		if p.signal == triage.SignalLatency && born > s.begins() { // a process that was there all along is warm
			from, cool = max(from, born+max(coldSpan, p.step)), born+coolSpan // its first minute says nothing
		}
	}
	// A rate reaches back its window, and so does what it says of a version that is gone: only samples that began when the new
	// one was there compare the same time, unless a gauge shows that the old one was.
	settled := ms(math.MinInt64)
	if label != "region" {
		settled = max(born, c.act.first) + p.window()
		if s.hasGauge(old, label) {
			settled -= p.window() / 2
		}
	}
	pairs := slices.DeleteFunc(m.pairs(s, fresh, old, label), s.handover(fresh, old, label))
	var after, before, news, olds, oldBefore []float64
	warm := false
	for _, q := range pairs {
		switch {
		case q.at >= until:
		case q.at >= from && q.at+p.step >= settled:
			after, news, olds = append(after, q.fresh-q.old), append(news, q.fresh), append(olds, q.old)
			warm = warm || q.at >= cool
		case q.at+p.step <= c.act.first && q.at >= born: // an earlier life of the same version is another one
			before = append(before, q.fresh-q.old)
		}
	}
	for _, o := range old {
		for i, v := range o.bad {
			if v == v && o.end(i) <= c.act.first && o.from[i] >= c.act.first-m.lookback {
				oldBefore = append(oldBefore, v)
			}
		}
	}
	if len(after) == 0 {
		return comparison{}
	}
	scratch := make([]float64, 0, max(len(after), len(before), len(oldBefore)))
	diff, noise, n := medianMAD(after, scratch)
	last, _, _ := medianMAD(after[max(0, n-2):], scratch)
	was, _, nBefore := medianMAD(before, scratch)
	if nBefore < 3 {
		was = 0
	}
	ob, spread, nOld := medianMAD(oldBefore, scratch)
	na, _, _ := medianMAD(news, scratch)
	oa, _, _ := medianMAD(olds, scratch)
	if nOld < 3 {
		ob, spread = oa, float64(3*p.floor)
	}
	spread = max(spread, noise, p.floor)
	scale := math.Sqrt(1 + float64(0.5*(min(float64(n), afterMax)-1)))
	d := comparison{n: n, wide: 1, series: p, newValue: valueOf(p, label), newRaw: p.unbad(na), oldRaw: p.unbad(oa)}
	if len(fresh) > 1 && label == "pod" {
		d.newValue = fmt.Sprintf("%s and %d more new ones", d.newValue, len(fresh)-1)
	}
	effect := min(diff, last) - was
	d.z = effect / spread * scale
	if p.signal == triage.SignalLatency && cool != ms(math.MaxInt64) && !warm {
		d.wide = max(1, coolLatency/spread*scale)
	}
	d.felt = m.felt(p, p.unbad(oa), p.unbad(na))
	d.bothBad = oa-ob > float64(3*spread) && effect < (oa-ob)/2
	return d
}

// pair is one sample in which both sides of a split were alive.
type pair struct {
	at         ms
	fresh, old float64
}

// pairs lines up the samples of both sides.
func (m *ranking) pairs(s *service, fresh, old []*prepared, label string) []pair {
	a, b := s.alive(fresh, label), s.alive(old, label)
	var times []ms
	for t := range a {
		if _, ok := b[t]; ok {
			times = append(times, t)
		}
	}
	slices.Sort(times)
	out := make([]pair, len(times))
	for i, t := range times {
		out[i] = pair{at: t, fresh: a[t].mean(), old: b[t].mean()}
	}
	return out
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
	first := p.firstFrom()
	return first > c.act.first-p.step && first > -m.lookback-m.lookback && m.someOlder(p, c)
}

// someOlder reports whether the series begins inside what was read, so that a young series means a young pod.
func (m *ranking) someOlder(p *prepared, c *candidate) bool {
	for _, q := range m.services[p.service].split {
		if q.src.Metric == p.src.Metric && q.firstFrom() < c.act.first-3*q.step {
			return true
		}
	}
	return false
}
