package correlate

import "github.com/triaged-dev/triaged/triage"

// Rank orders the changes of the input by how likely each set off the symptom.
func Rank(in Input) triage.Report {
	return triage.Report{IncidentID: in.IncidentID, Number: in.Number, CreatedAt: in.At, Cause: in.Cause,
		Suspects: []triage.Suspect{}, Coverage: []triage.Coverage{},
		None:           triage.None{Probability: 1, Evidence: []triage.Evidence{}},
		Recommendation: triage.Recommendation{Verdict: triage.VerdictCannotTell, Action: triage.ActionInvestigate}}
}
