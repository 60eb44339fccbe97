package correlate

import (
	"math"

	"github.com/triaged-dev/triaged/triage"
)

// A finding is one factor's outcome: nats for or against, and the sentence that says why. An empty sentence means the
// factor has nothing to say.
type finding struct {
	nats     float64
	sentence string
	direct   bool // the changed service itself, or a split
	veto     bool
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
		if r.sentence == "" {
			continue
		}
		e := triage.Evidence{Factor: f.name, Contribution: m.milli(r.nats), Sentence: r.sentence, Direct: r.direct, Veto: r.veto}
		c.evidence = append(c.evidence, e)
		c.logOdds += e.Contribution
		c.veto = c.veto || r.veto
		c.direct = c.direct || r.direct
	}
}

// milli rounds nats to milli-nats, half away from zero.
func (m *ranking) milli(nats float64) triage.MilliNats {
	return triage.MilliNats(math.Round(clamp(nats, -100, 100) * 1000 / m.w.Temperature))
}
