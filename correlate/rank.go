package correlate

import (
	"cmp"
	"slices"

	"github.com/triaged-dev/triaged/triage"
)

// million is how probabilities are counted: in millionths, as integers, so that they sum to 1 exactly.
const million = 1_000_000

// Rank orders the changes of the input by how likely each set off the symptom, beside the hypothesis that none of them
// did, and recommends a next step. All changes of the longer search that the input holds are weighed at once: a slow trigger
// is as much a candidate as a near one, at the density its lag has. How much changes is counted over the near ones alone. It
// is deterministic: the same input in any order gives the same bytes everywhere.
func Rank(in Input) triage.Report { return newRanking(in).rank() }

// rank weighs every candidate and none, and writes the report.
func (m *ranking) rank() triage.Report {
	n := m.order()
	return m.report(&n)
}

// order weighs every candidate and none, and sorts them.
func (m *ranking) order() none {
	for _, c := range m.candidates {
		m.weigh(c)
	}
	n := m.weighNone()
	m.normalise(&n)
	slices.SortStableFunc(m.candidates, func(a, b *candidate) int {
		return cmp.Or(cmp.Compare(b.micros, a.micros), cmp.Compare(b.logOdds, a.logOdds), cmp.Compare(a.ch.ID, b.ch.ID))
	})
	return n
}

// normalise turns log-odds into probabilities: competing hazards, each e^log-odds, none among them. Millionths are rounded
// down and none takes the rest, so that they sum to exactly a million.
func (m *ranking) normalise(n *none) {
	top := n.logOdds
	for _, c := range m.candidates {
		top = max(top, c.logOdds)
	}
	weight := func(l triage.MilliNats) float64 { return exp(float64(l-top) / 1000) }
	total := weight(n.logOdds)
	for _, c := range m.candidates {
		total += weight(c.logOdds)
	}
	in := 0.0 // what the candidates in reach weigh together
	for _, c := range m.candidates {
		if c.inReach() {
			in += weight(c.logOdds)
		}
	}
	// The model may be wrong as a whole: onset or place misread, a cause that shows nowhere. So none keeps a little for the
	// changes in reach, however little speaks for them, in the proportion the model gives them.
	lift := 1.0
	if most := m.w.NoneMost; in > 0 && weight(n.logOdds) > float64(most*total) {
		lift = (weight(n.logOdds) + in - float64(most*total)) / in
	}
	rest := int64(million)
	for _, c := range m.candidates {
		w := weight(c.logOdds)
		if c.inReach() {
			w = float64(w * lift)
		}
		c.micros = int64(float64(w / total * million))
		rest -= c.micros
	}
	n.micros = rest
}

// inReach reports whether a fault in what the change touched can reach the symptom, as far as is known, and nothing rules it out.
func (c *candidate) inReach() bool {
	return !c.veto && (c.place == placeSelf || c.place == placeCallee || c.place == placeGlobal)
}
