package correlate

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/triaged-dev/triaged/triage"
)

// report writes the ranking down.
func (m *ranking) report(n *none) triage.Report {
	r := triage.Report{
		IncidentID: m.in.IncidentID, Number: m.in.Number, Kind: triage.ReportRanked, CreatedAt: m.at.UTC(), Cause: m.in.Cause,
		ModelVersion: m.w.Version, Onset: m.reportOnset(), LookbackS: m.in.lookback().Seconds(),
		Widened: m.in.Widened, Candidates: len(m.candidates), Deadline: m.in.Deadline, Unknown: m.in.Unknown,
		Suspects: []triage.Suspect{}, Coverage: sortedCoverage(m.in.Coverage), Notes: slices.Clone(m.in.Notes),
	}
	if len(m.candidates) > 0 && m.candidates[0].far && !m.in.Widened {
		r.Widened = true
		if m.candidates[0].micros > n.micros {
			r.Notes = append(r.Notes, fmt.Sprintf("the likeliest change began more than the usual %s before the onset", span1(m.lookback)))
		}
	}
	r.Symptom = m.symptomSummary()
	limit := max(m.cfg.MaxSuspects, 3)
	unlisted := int64(0)
	for i, c := range m.candidates {
		if i >= limit {
			unlisted += c.micros
			r.Unlisted.Changes++
			continue
		}
		r.Suspects = append(r.Suspects, m.suspect(c, i+1))
	}
	r.Unlisted.Probability = float64(unlisted) / million
	r.Recommendation = m.recommend(n)
	m.second(&r)
	m.trigger(&r, n)
	m.pair(&r)
	r.None = triage.None{Probability: float64(n.micros) / million, LogOdds: n.logOdds, Evidence: sortedEvidence(n.evidence)}
	return r
}

// suspect writes one candidate down.
func (m *ranking) suspect(c *candidate, rank int) triage.Suspect {
	s := triage.Suspect{
		Rank: rank, Probability: float64(c.micros) / million, LogOdds: c.logOdds, Path: m.path(c),
		For: []triage.Evidence{}, Against: []triage.Evidence{},
	}
	ch := *c.ch
	s.Change = &ch
	if c.hops >= 0 {
		hops := c.hops
		s.Hops = &hops
	}
	for _, e := range sortedEvidence(c.evidence()) {
		if e.Contribution >= 0 {
			s.For = append(s.For, e)
		} else {
			s.Against = append(s.Against, e)
		}
	}
	return s
}

// sortedEvidence is strongest first, for or against.
func sortedEvidence(es []triage.Evidence) []triage.Evidence {
	abs := func(m triage.MilliNats) triage.MilliNats { return max(m, -m) }
	out := append([]triage.Evidence{}, es...)
	slices.SortStableFunc(out, func(a, b triage.Evidence) int {
		return cmp.Or(cmp.Compare(abs(b.Contribution), abs(a.Contribution)), cmp.Compare(a.Factor, b.Factor))
	})
	return out
}

func sortedCoverage(cs []triage.Coverage) []triage.Coverage {
	out := append([]triage.Coverage{}, cs...)
	slices.SortStableFunc(out, func(a, b triage.Coverage) int {
		return cmp.Or(cmp.Compare(a.Source, b.Source), cmp.Compare(a.State, b.State))
	})
	return out
}

// second adds to the runner-up why it is not first: the factor that parts the two most. It weighs nothing itself.
func (m *ranking) second(r *triage.Report) {
	if len(m.candidates) < 2 || len(r.Suspects) < 2 {
		return
	}
	first, next := m.candidates[0], m.candidates[1]
	text, gap := "as likely as the first; ordered by id", triage.MilliNats(0)
	for _, f := range factors {
		d := contribution(first, f.name) - contribution(next, f.name)
		its, _ := evidenceOf(first, f.name)
		own, _ := evidenceOf(next, f.name)
		if d <= gap || its.Sentence == own.Sentence { // words that are the same for both part nothing
			continue
		}
		gap = d
		text = fmt.Sprintf("second because of %s, mostly", f.name)
		if its.Sentence != "" {
			text += ": for the first, " + its.Sentence
		}
		if own.Sentence != "" {
			text += "; here, " + own.Sentence
		}
	}
	for i := range r.Suspects {
		if s := &r.Suspects[i]; s.Change != nil && s.Change.ID == next.ch.ID {
			s.Against = append(s.Against, triage.Evidence{Factor: "order", Sentence: text})
		}
	}
}

// pair notes a latent change behind an activating one: a restart, a scaling or a command brings older changes of the same
// service to life. One in six incidents needs both.
func (m *ranking) pair(r *triage.Report) {
	if len(m.candidates) == 0 || float64(m.candidates[0].micros) < m.cfg.MinFlag*million {
		return
	}
	l := m.candidates[0]
	activates := l.ch.Kind == triage.KindScale || l.ch.Kind == triage.KindCommand || contribution(l, "risk") < 0
	if !activates || l.ch.Service == "" {
		return
	}
	var latent *triage.Change
	for i := range m.in.Changes {
		ch := &m.in.Changes[i]
		if ch.Service != l.ch.Service || ch.ID == l.ch.ID || !ch.OccurredAt().Before(l.ch.OccurredAt()) || !seenBy(*ch, m.at) {
			continue
		}
		if k := ch.Kind; k != triage.KindDeploy && k != triage.KindConfig && k != triage.KindMigration && k != triage.KindFlag {
			continue
		}
		if latent == nil || latent.OccurredAt().Before(ch.OccurredAt()) || latent.OccurredAt().Equal(ch.OccurredAt()) && ch.ID < latent.ID {
			latent = ch
		}
	}
	if latent != nil {
		r.Notes = append(r.Notes, fmt.Sprintf("set off by %s at %s; possibly made possible by %s, %s earlier", label(l.ch), clock(l.ch.OccurredAt()),
			label(latent), span1(ms(l.ch.OccurredAt().Sub(latent.OccurredAt()).Milliseconds()))))
	}
}

func evidenceOf(c *candidate, factor string) (triage.Evidence, bool) {
	for _, e := range c.evidence() {
		if e.Factor == factor {
			return e, true
		}
	}
	return triage.Evidence{}, false
}

func contribution(c *candidate, factor string) triage.MilliNats {
	for _, w := range c.findings {
		if w.factor == factor {
			return w.milli
		}
	}
	return 0
}

// trigger lets a fault with no change behind it stand in the ranking where the series point at one service: its share is
// taken from none, so changes keep theirs.
func (m *ranking) trigger(r *triage.Report, n *none) {
	if len(n.sources) == 0 {
		return
	}
	top := n.sources[0]
	if top.share < 0.5 || top.log < 2 || top.name == m.scope.Service || float64(n.micros) < 0.05*million {
		return
	}
	if m.changedAt(top.name) {
		return // a change sits there already
	}
	a, ok := m.anomalyOf(top.name)
	if !ok {
		return
	}
	micros := int64(float64(float64(n.micros) * top.share))
	n.micros -= micros
	odds := n.logOdds + m.milli(ln(top.share))
	s := triage.Suspect{Anomaly: &a, Probability: float64(micros) / million, LogOdds: odds, For: []triage.Evidence{}, Against: []triage.Evidence{}}
	text := fmt.Sprintf("%s shifted on its own account at %s and no change to it was seen", top.name, clock(a.Onset.Best))
	e := triage.Evidence{Factor: "origin", Contribution: odds, Sentence: text, Direct: true, Service: a.Service, Signal: a.Signal, Metric: a.Series, Unit: a.Measured(), Before: &a.From, After: &a.To}
	if odds >= 0 {
		s.For = append(s.For, e)
	} else {
		s.Against = append(s.Against, e)
	}
	if h, ok := m.down[top.name]; ok {
		s.Hops = &h
	}
	i := 0
	for i < len(r.Suspects) && r.Suspects[i].Probability >= s.Probability {
		i++
	}
	r.Suspects = slices.Insert(r.Suspects, i, s)
	for j := range r.Suspects {
		r.Suspects[j].Rank = j + 1
	}
}

// changedAt reports whether a candidate that is not ruled out sits on the service, or reaches it with every other.
func (m *ranking) changedAt(name string) bool {
	return slices.ContainsFunc(m.candidates, func(c *candidate) bool {
		everywhere := c.ch.Global || c.ch.Service == ""
		return !c.veto && (c.ch.Service == name || everywhere && float64(c.micros) >= 0.05*million)
	})
}

// anomalyOf describes the shift of a service at the onset: the one that was reported, else the one its series show.
func (m *ranking) anomalyOf(name string) (triage.Anomaly, bool) {
	s := m.services[name]
	at, top := m.onset.best, 0.0
	for _, t := range m.onset.points {
		if l, ok := m.logAt(s, t); ok && l > top {
			at, top = t, l
		}
	}
	if top == 0 {
		return triage.Anomaly{}, false
	}
	if a := s.anomalyNear(at); a != nil {
		return *a.src, true
	}
	o := ownShift{at: at}
	m.bestSeries(s, &o)
	if o.best == nil {
		return triage.Anomaly{}, false
	}
	from := m.abs(o.best.from[o.best.firstAfter(at)])
	return triage.Anomaly{
		ID: triage.AnomalyID("series:" + name + ":" + o.best.src.Metric + "@" + from.Format(time.RFC3339)), Scope: triage.Scope{Service: name},
		Signal: o.best.signal, Series: o.best.src.Metric, Unit: o.best.src.Measured(), Onset: triage.Interval{Earliest: from.Add(-o.best.step.duration()), Best: from, Latest: from.Add(o.best.step.duration())},
		ObservedAt: m.at.UTC(), From: o.shift.before, To: o.shift.after, Effect: o.shift.z, Labels: o.best.src.Labels,
	}, true
}
