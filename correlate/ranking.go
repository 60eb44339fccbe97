package correlate

import (
	"cmp"
	"slices"
	"time"

	"github.com/triaged-dev/triaged/triage"
)

// ranking is one ranking in progress: the input in order, prepared, with times relative to the report time.
type ranking struct {
	in       Input
	cfg      Config
	w        Weights
	at       time.Time
	alert    triage.Alert
	scope    triage.Scope // of the symptom
	lookback ms           // what is near: the usual one, whatever was searched
	reach    ms           // how far back a change is weighed
	grace    ms

	onset    onset
	rise     rise // of the symptom
	services map[string]*service
	names    []string // of services with series, sorted
	down     map[string]int
	up       map[string]int
	symptom  []*prepared // the alert's own series, or what stands in for them

	candidates []*candidate
	after      []triage.Change // began after onset: not suspects, but the card says so
	offGraph   int             // candidates without a path to the symptom
	unplaced   int             // candidates on services the graph does not know
	onsetRatio map[string]float64
	rates      map[string]float64 // changes per hour by service, counted
	alertWords map[string]bool
	undone     map[triage.ChangeID]*triage.Change // by what they undid
	wordCount  map[string]int
	cascades   map[string]cascadeResult
	passed     map[string]bool // services whose shift is a callee's
	asked      map[string]bool // services that are asked more than before
	placebo    map[placeboKey]*triage.Placebo
	noises     map[string]float64 // how likely each service shifts as it did at the onset for reasons of its own
}

// newRanking puts the input in order. It keeps nothing of the caller's that it changes.
func newRanking(in Input) *ranking {
	m := &ranking{in: in, cfg: in.Config, at: in.At, services: make(map[string]*service)}
	if m.cfg.Lookback == 0 {
		m.cfg = DefaultConfig()
	}
	if in.Weights != nil {
		m.w = *in.Weights
	} else {
		m.w = DefaultWeights()
	}
	m.lookback, m.grace = ms(in.lookback().Milliseconds()), ms(time.Duration(m.cfg.Grace).Milliseconds())
	m.reach = max(m.lookback, ms(time.Duration(m.cfg.Widen).Milliseconds()))
	if in.Widened {
		m.lookback = ms(time.Duration(m.cfg.Lookback).Milliseconds())
	}
	m.alert = firstAlert(in.Alerts)
	m.scope = symptomScope(in.Scope, m.alert)
	if m.at.IsZero() {
		m.at = m.alert.StartsAt
	}
	hops := max(m.cfg.MaxHops, 1)
	m.down = in.Topology.Downstream(m.scope.Service, hops)
	m.up = in.Topology.Upstream(m.scope.Service, hops)
	m.loadSeries()
	m.loadPlacebo()
	m.findOnset()
	m.measureRise()
	m.askWhatIsFelt()
	m.selectCandidates()
	return m
}

// rel is a time relative to the report time.
func (m *ranking) rel(t time.Time) ms { return ms(t.Sub(m.at).Milliseconds()) }

// abs is the inverse of rel, in UTC.
func (m *ranking) abs(t ms) time.Time { return m.at.Add(t.duration()).UTC() }

// firstAlert is the alert that fired first; ties go by key, so that the order of the input does not matter.
func firstAlert(alerts []triage.Alert) triage.Alert {
	var best triage.Alert
	for i, a := range alerts {
		if i == 0 || a.StartsAt.Before(best.StartsAt) || a.StartsAt.Equal(best.StartsAt) && a.Key() < best.Key() {
			best = a
		}
	}
	return best
}

// symptomScope is the incident's scope, completed from the alert's labels.
func symptomScope(s triage.Scope, a triage.Alert) triage.Scope {
	read, _ := triage.ScopeOf(a.Labels, triage.SubjectOf(a.Labels, nil), nil)
	for _, f := range [...]struct {
		dst  *string
		from string
	}{
		{&s.Service, read.Service}, {&s.Environment, read.Environment}, {&s.Region, read.Region}, {&s.Cluster, read.Cluster}, {&s.Namespace, read.Namespace},
	} {
		if *f.dst == "" {
			*f.dst = f.from
		}
	}
	return s
}

// service is what the series say of one service.
type service struct {
	name     string
	signals  [numSignals][]*prepared
	split    []*prepared // series that carry a version, variant or region label
	restarts []restart   // when its processes were replaced
	gone     gone        // when it was not there
	seen     []anomalyAt // anomalies somebody else detected, for services without series
	logs     map[ms]float64
}

// The signals in the order they are combined, with the share of faults that show on each first.
const numSignals = 5

var signalOrder = [numSignals]struct {
	signal triage.Signal
	share  float64
}{
	{triage.SignalErrors, 0.35},
	{triage.SignalLatency, 0.35},
	{triage.SignalSaturation, 0.15},
	{triage.SignalTraffic, 0.10},
	{triage.SignalCustom, 0.05},
}

func signalIndex(s triage.Signal) int {
	for i, o := range signalOrder {
		if o.signal == s {
			return i
		}
	}
	return numSignals - 1
}

// loadSeries prepares every series, sorted so that the order of the input does not matter.
func (m *ranking) loadSeries() {
	var all, edges []*prepared
	for i := range m.in.Series {
		s := &m.in.Series[i]
		if p, ok := prepare(s, s.Labels["service"], m.at); ok {
			all = append(all, p)
		}
	}
	if m.in.Symptom != nil {
		for i := range m.in.Symptom.Series {
			s := m.in.Symptom.Series[i]
			if s.Better == "" {
				s.Better = betterOf(m.in.Symptom.BadDirection)
			}
			s.Role = triage.RoleSymptom
			if p, ok := prepare(&s, m.scope.Service, m.at); ok {
				m.symptom = append(m.symptom, p)
			}
		}
	}
	scaleErrors(all)
	slices.SortStableFunc(all, comparePrepared)
	slices.SortStableFunc(m.symptom, comparePrepared)
	for _, p := range all {
		if p.src.Role == triage.RoleSymptom {
			m.symptom = append(m.symptom, p)
			continue
		}
		switch {
		case p.service == "" && isEdge(p):
			edges = append(edges, p)
		case p.service != "":
			m.addSeries(p)
		}
	}
	m.loadEdges(edges)
	m.loadAnomalies()
	m.loadRestarts()
	for _, s := range m.services {
		for _, group := range s.signals {
			whole := make(map[string]bool)
			for _, p := range group {
				whole[p.src.Metric] = whole[p.src.Metric] || splitLabel(p.src.Labels) == ""
			}
			for _, p := range group {
				p.restarts, p.part = s.restarts, whole[p.src.Metric] && splitLabel(p.src.Labels) != ""
			}
		}
	}
	slices.Sort(m.names)
	m.loadGone()
	m.forgetEarlier(all)
}

// An alert fires when it has gone on for a while and clears when it is over for a while.
const (
	firedAfter   = ms(180_000)
	clearedAfter = ms(60_000)
)

// forgetEarlier takes earlier episodes that are over out of what "before" means: those the input knows, else the earlier firings
// of this alert, which cases from before episodes were kept have alone.
func (m *ranking) forgetEarlier(all []*prepared) {
	spans := slices.Clip(m.in.Episodes)
	if len(spans) == 0 {
		for i := range m.in.Earlier {
			if a := &m.in.Earlier[i]; !a.StartsAt.IsZero() && !a.EndsAt.IsZero() {
				spans = append(spans, triage.Span{From: a.StartsAt, To: a.EndsAt})
			}
		}
	}
	for _, e := range spans {
		if !e.To.Before(m.alert.StartsAt) {
			continue
		}
		from, to := m.rel(e.From)-firedAfter, m.rel(e.To)+clearedAfter
		for _, p := range all {
			p.forget(from, to)
		}
		for _, p := range m.symptom {
			p.forget(from, to)
		}
	}
	for _, p := range slices.Concat(all, m.symptom) {
		p.remember()
	}
}

// addSeries files a series under its service.
func (m *ranking) addSeries(p *prepared) {
	s := m.services[p.service]
	if s == nil {
		s = &service{name: p.service, logs: make(map[ms]float64)}
		m.services[p.service] = s
		m.names = append(m.names, p.service)
	}
	i := signalIndex(p.signal)
	s.signals[i] = append(s.signals[i], p)
	if splitLabel(p.src.Labels) != "" {
		s.split = append(s.split, p)
	}
}

// loadEdges lets what callers see of a service stand for what it does not measure itself: databases, caches and vendors seldom
// have series of their own. What it says of itself, of the same signal, is nearer.
func (m *ranking) loadEdges(edges []*prepared) {
	type seen struct {
		service string
		signal  int
	}
	own := make(map[seen]bool)
	for _, p := range edges {
		k := seen{p.src.Labels["destination"], signalIndex(p.signal)}
		if s := m.services[k.service]; s != nil && len(s.signals[k.signal]) > 0 {
			own[k] = true
		}
	}
	for _, p := range edges {
		if k := (seen{p.src.Labels["destination"], signalIndex(p.signal)}); !own[k] && p.signal != triage.SignalTraffic {
			p.service = k.service
			m.addSeries(p)
		}
	}
}

// scaleErrors measures counts of errors against the most that any service shows of the same metric: a service that never
// failed and now fails once in an hour has not shifted much where another fails a hundred times a second.
func scaleErrors(all []*prepared) {
	most := make(map[string]float64)
	for _, p := range all {
		if p.signal == triage.SignalErrors && !p.ratio {
			for _, v := range p.raw {
				if v == v {
					most[p.src.Metric] = max(most[p.src.Metric], v)
				}
			}
		}
	}
	for _, p := range all {
		if o := float64(errorScale * most[p.src.Metric]); p.signal == triage.SignalErrors && !p.ratio && o > p.offset {
			p.offset = o
			for i, v := range p.raw {
				p.bad[i] = p.badness(v)
			}
			p.calm, p.usual = p.bad, nil
			p.reference()
		}
	}
}

// errorScale is the share of a metric's largest value below which differences do not count.
const errorScale = 0.02

// anomalyAt is an anomaly in the model's time.
type anomalyAt struct {
	from, to ms
	effect   float64 // in the bad direction
	weak     bool    // the signal says little about health
	src      *triage.Anomaly
}

// loadAnomalies lets anomalies stand in for services whose series we do not have. Where we have the series, they were
// found in these, and counting them again would be counting twice.
func (m *ranking) loadAnomalies() {
	withSeries := make(map[string]bool, len(m.names))
	for _, n := range m.names {
		withSeries[n] = true
	}
	anomalies := slices.Clone(m.in.Anomalies)
	slices.SortStableFunc(anomalies, func(a, b triage.Anomaly) int {
		return cmp.Or(cmp.Compare(a.Service, b.Service), cmp.Compare(a.ID, b.ID), a.Onset.Best.Compare(b.Onset.Best))
	})
	for i := range anomalies {
		a := &anomalies[i]
		if a.Service == "" || withSeries[a.Service] || a.Onset.Best.After(m.at) || a.ObservedAt.After(m.at) {
			continue
		}
		at := anomalyAt{from: m.rel(a.Onset.Best), to: m.rel(a.Onset.Best), effect: a.Effect, src: a}
		if !a.Onset.Earliest.IsZero() {
			at.from = m.rel(a.Onset.Earliest)
		}
		if !a.Onset.Latest.IsZero() {
			at.to = m.rel(a.Onset.Latest)
		}
		if a.Signal == triage.SignalTraffic {
			at.effect, at.weak = -a.Effect, true
		}
		at.weak = at.weak || a.Signal == triage.SignalCustom
		s := m.services[a.Service]
		if s == nil {
			s = &service{name: a.Service, logs: make(map[ms]float64)}
			m.services[a.Service] = s
			m.names = append(m.names, a.Service)
		}
		s.seen = append(s.seen, at)
	}
}

func betterOf(bad string) triage.Better {
	switch bad {
	case "higher":
		return triage.BetterLower
	case "lower":
		return triage.BetterHigher
	}
	return ""
}

// comparePrepared orders series by what they measure, then by their values: a total order up to identical series.
func comparePrepared(a, b *prepared) int {
	if c := cmp.Or(cmp.Compare(a.service, b.service), cmp.Compare(a.signal, b.signal), cmp.Compare(a.src.Metric, b.src.Metric)); c != 0 {
		return c
	}
	if c := compareLabels(a.src.Labels, b.src.Labels); c != 0 {
		return c
	}
	return cmp.Or(cmp.Compare(a.step, b.step), cmp.Compare(a.from[0], b.from[0]), slices.Compare(a.raw, b.raw))
}

func compareLabels(a, b map[string]string) int {
	return slices.Compare(flatLabels(a), flatLabels(b))
}

func flatLabels(l map[string]string) []string {
	out := make([]string, 0, len(l))
	for k, v := range l {
		out = append(out, k+"\x00"+v)
	}
	slices.Sort(out)
	return out
}
