package correlate

import (
	"math"

	"github.com/triaged-dev/triaged/triage"
)

// A finding is one factor's outcome: nats for or against, and how to say why. Without words the factor has nothing to say.
// The sentence is only made for candidates that are listed: there may be a thousand that are not.
type finding struct {
	nats   float64
	say    func() string
	direct bool // the changed service itself, or a split
	veto   bool
	about  *prepared // the series it speaks of; nil where it speaks of none, or of several
	of     string    // the service it speaks of, where about does not say
	before float64   // values it names of about: before, or of the rest
	after  float64   // since, or of what has the change
}

// weighed is a finding as it counts.
type weighed struct {
	factor string
	milli  triage.MilliNats
	finding
}

// A factor looks at one candidate. It is a pure function of the ranking.
type factor struct {
	name string
	eval func(*ranking, *candidate) finding
}

// factors are applied in this order; docs/ranking.md has a section for each.
var factors = [...]factor{
	{"timing", (*ranking).timingFactor},
	{"kind", (*ranking).kindFactor},
	{"busy", (*ranking).busyFactor},
	{"topology", (*ranking).topologyFactor},
	{"scope", (*ranking).scopeFactor},
	{"own", (*ranking).ownFactor},
	{"cascade", (*ranking).cascadeFactor},
	{"split", (*ranking).splitFactor},
	{"exposure", (*ranking).exposureFactor},
	{"size", (*ranking).sizeFactor},
	{"risk", (*ranking).riskFactor},
	{"words", (*ranking).wordsFactor},
	{"history", (*ranking).historyFactor},
	{"reverted", (*ranking).revertedFactor},
}

// Factors lists the names of the factors, in the order they are applied.
func Factors() []string {
	out := make([]string, len(factors))
	for i, f := range factors {
		out[i] = f.name
	}
	return out
}

// weigh applies every factor to the candidate. Contributions are divided by the temperature before they are rounded, so
// that they sum exactly to the log-odds.
func (m *ranking) weigh(c *candidate) {
	for _, f := range factors {
		if m.w.omits(f.name) {
			continue
		}
		r := f.eval(m, c)
		if r.say == nil {
			continue
		}
		w := weighed{f.name, m.milli(r.nats), r}
		c.findings = append(c.findings, w)
		c.logOdds += w.milli
		c.veto = c.veto || r.veto
		c.direct = c.direct || r.direct
	}
}

// evidence says every finding of a candidate.
func (c *candidate) evidence() []triage.Evidence {
	out := make([]triage.Evidence, len(c.findings))
	for i, w := range c.findings {
		out[i] = triage.Evidence{Factor: w.factor, Contribution: w.milli, Sentence: w.say(), Direct: w.direct, Veto: w.veto, Service: w.of}
		speakOf(&out[i], w.about, w.before, w.after)
	}
	return out
}

// speakOf notes which series a piece of evidence is read from, and what it was before and since.
func speakOf(e *triage.Evidence, p *prepared, before, after float64) {
	if p == nil {
		return
	}
	e.Service, e.Signal, e.Metric, e.Unit = p.service, p.signal, p.src.Metric, p.src.Measured()
	if !math.IsNaN(before) && !math.IsNaN(after) {
		e.Before, e.After = &before, &after
	}
}

// milli rounds nats to milli-nats, half away from zero.
func (m *ranking) milli(nats float64) triage.MilliNats {
	return triage.MilliNats(math.Round(clamp(nats, -100, 100) * 1000 / m.w.Temperature))
}
