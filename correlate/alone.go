package correlate

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/triaged-dev/triaged/triage"
)

// aloneMost is how many series are left out one by one, the clearest first.
const aloneMost = 8

// alone says on which single piece of evidence the leader's place before other changes stands, "" where it keeps it without any one: a
// series of its service that shifted or differed, or all that somebody else detected. What one reading could turn is not acted on.
func (m *ranking) alone(l *candidate) string {
	for _, p := range m.bearing(l) {
		i := slices.IndexFunc(m.in.Series, func(s triage.Series) bool { return same(&s, p.src) })
		if i < 0 {
			continue
		}
		in := m.in
		in.Series = slices.Delete(slices.Clone(m.in.Series), i, i+1)
		if first := newRanking(in).first(); first != l.ch.ID {
			return fmt.Sprintf("%s of %s", measure(p), orUnknown(p.service)) + m.instead(first)
		}
	}
	if len(m.in.Anomalies) > 0 {
		in := m.in
		in.Anomalies = nil
		if first := newRanking(in).first(); first != l.ch.ID {
			return "what was detected elsewhere" + m.instead(first)
		}
	}
	return ""
}

// same reports whether two values are one series of the input.
func same(a, b *triage.Series) bool {
	return len(a.Values) > 0 && len(b.Values) > 0 && &a.Values[0] == &b.Values[0]
}

// instead names what would lead.
func (m *ranking) instead(id triage.ChangeID) string {
	for _, c := range m.candidates {
		if c.ch.ID == id {
			return ": without it " + label(c.ch) + " leads"
		}
	}
	return ""
}

// bearing are the series that speak for the leader, the clearest first: those of its service that shifted with it, and those that tell
// its versions apart.
func (m *ranking) bearing(l *candidate) []*prepared {
	s := m.services[l.ch.Service]
	if s == nil {
		return nil
	}
	log := func(p *prepared) float64 { return p.logAt(l.own.at, &m.w) }
	var out []*prepared
	for _, group := range s.signals {
		for _, p := range group {
			if log(p) > 0 {
				out = append(out, p)
			}
		}
	}
	slices.SortStableFunc(out, func(a, b *prepared) int { return cmp.Compare(log(b), log(a)) })
	return out[:min(len(out), aloneMost)]
}

// first is the change that leads the changes.
func (m *ranking) first() triage.ChangeID {
	m.order()
	if len(m.candidates) == 0 {
		return ""
	}
	return m.candidates[0].ch.ID
}
