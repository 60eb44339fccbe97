package correlate

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/triaged-dev/triaged/triage"
)

// report writes the ranking down.
func (m *ranking) report(n *none) triage.Report {
	r := triage.Report{
		IncidentID: m.in.IncidentID, Number: m.in.Number, CreatedAt: m.at.UTC(), Cause: m.in.Cause,
		ModelVersion: m.w.Version, Onset: m.reportOnset(), LookbackS: m.in.lookback().Seconds(),
		Widened: m.in.Widened, Candidates: len(m.candidates), Deadline: m.in.Deadline,
		Suspects: []triage.Suspect{}, Coverage: sortedCoverage(m.in.Coverage), Notes: slices.Clone(m.in.Notes),
	}
	r.Symptom = m.symptomSummary()
	limit := max(m.cfg.MaxSuspects, 3)
	cut, cutMass := 0, int64(0)
	for i, c := range m.candidates {
		if i >= limit {
			cut, cutMass = cut+1, cutMass+c.micros
			continue
		}
		r.Suspects = append(r.Suspects, m.suspect(c, i+1))
	}
	n.micros += cutMass
	if cut > 0 {
		r.Notes = append(r.Notes, fmt.Sprintf("%s weighed but not listed: together %s", plural(cut, "more change"), percentage(float64(cutMass)/million)))
	}
	r.None = triage.None{Probability: float64(n.micros) / million, LogOdds: n.logOdds, Evidence: sortedEvidence(n.evidence)}
	m.second(&r)
	r.Recommendation = m.recommend(n)
	return r
}

// suspect writes one candidate down.
func (m *ranking) suspect(c *candidate, rank int) triage.Suspect {
	s := triage.Suspect{Rank: rank, Probability: float64(c.micros) / million, LogOdds: c.logOdds, Path: m.path(c),
		For: []triage.Evidence{}, Against: []triage.Evidence{}}
	ch := *c.ch
	s.Change = &ch
	if c.hops >= 0 {
		hops := c.hops
		s.Hops = &hops
	}
	for _, e := range sortedEvidence(c.evidence) {
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

// second adds to the runner-up why it is not first: the factor that parts the two most.
func (m *ranking) second(*triage.Report) {}

func (m *ranking) symptomSummary() triage.SymptomSummary {
	return triage.SymptomSummary{Service: m.scope.Service}
}

func (m *ranking) recommend(*none) triage.Recommendation {
	return triage.Recommendation{Verdict: triage.VerdictCannotTell, Action: triage.ActionInvestigate, Reason: "weak evidence"}
}
