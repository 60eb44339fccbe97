package triage

import "slices"

// Tells is the state of the incident that a report speaks of; one that does not say it yet speaks of what was undone.
func (r Report) Tells() IncidentState {
	switch {
	case r.State != "":
		return r.State
	case r.Kind == ReportRecovered:
		return IncidentRecovered
	case slices.ContainsFunc(r.Checked, func(c Checked) bool { return c.Outcome.Active() }):
		return IncidentMitigating
	}
	return IncidentOpen
}

// As is the incident in the state that r speaks of: a post that was delayed must not mix two moments.
func (inc Incident) As(r Report) Incident {
	inc.State = r.Tells()
	return inc
}
