package main

import (
	"hash/fnv"
	"slices"

	"github.com/triaged-dev/triaged/test/casegen/scenario"
	"github.com/triaged-dev/triaged/triage"
)

// variants are the cases made of one incident: as it was, without metrics, and, where a change did it, without that change.
func variants(s scenario.Scenario) []scenario.Scenario {
	out := []scenario.Scenario{s, withoutMetrics(s)}
	if len(s.Expect.Truth) > 0 {
		out = append(out, withoutTruth(s))
	}
	return out
}

// withoutMetrics is the incident where nobody wired a metrics source.
func withoutMetrics(s scenario.Scenario) scenario.Scenario {
	s.ID += "-nometrics"
	s.NoSeries, s.Symptom = true, nil
	s.Synthetic = append(slices.Clone(s.Synthetic), "variant: without metrics")
	return s
}

// withoutTruth is the incident as it looks when nobody reported the change that did it. In a third of them the source that
// would have is known to be down; in the others nothing tells.
func withoutTruth(s scenario.Scenario) scenario.Scenario {
	id := s.ID
	truth := s.Expect.Truth
	s.ID += "-removed"
	s.Synthetic = append(slices.Clone(s.Synthetic), "variant: the true change is taken away")
	h := fnv.New64a()
	h.Write([]byte("blind:" + id)) // never returns an error
	s = hideTruth(s, "removed")
	if h.Sum64()>>11%3 == 0 {
		s.Coverage = slices.Clone(s.Coverage)
		for i, c := range s.Coverage {
			if string(truth[0][:min(len(truth[0]), len(c.Source)+1)]) == c.Source+":" {
				s.Coverage[i].State, s.Coverage[i].Detail = triage.SourceDown, "nothing heard since before the onset"
			}
		}
	}
	return s
}

// hideTruth takes the true changes and all that tells of them out of a scenario.
func hideTruth(s scenario.Scenario, reason string) scenario.Scenario {
	hidden := func(c triage.Change) bool {
		return slices.Contains(s.Expect.Truth, c.ID) || slices.ContainsFunc(c.Undoes, func(id triage.ChangeID) bool { return slices.Contains(s.Expect.Truth, id) })
	}
	s.Changes = slices.DeleteFunc(slices.Clone(s.Changes), hidden)
	s.Events = slices.DeleteFunc(slices.Clone(s.Events), func(e triage.CaseEvent) bool { return e.Change != nil && hidden(*e.Change) })
	onset, recovered := s.Expect.Onset, s.Expect.RecoveredAt
	s.Expect = triage.Expect{
		Truth: []triage.ChangeID{}, NoneReason: reason, Onset: onset, RecoveredAt: recovered,
		Action: []triage.Action{triage.ActionInvestigate, triage.ActionDoNotRollBack},
	}
	return s
}
