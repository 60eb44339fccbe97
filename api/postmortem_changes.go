package api

import (
	"slices"

	"github.com/triaged-dev/triaged/triage"
)

// mentioned are the changes that people confirmed and those that were undone.
func (d *draft) mentioned() []triage.ChangeID {
	var out []triage.ChangeID
	for _, f := range d.feedback {
		if f.ChangeID != "" && !slices.Contains(out, f.ChangeID) {
			out = append(out, f.ChangeID)
		}
	}
	for _, r := range d.reports {
		for _, c := range r.Checked {
			if c.Undid != "" && !slices.Contains(out, c.Undid) {
				out = append(out, c.Undid)
			}
		}
	}
	return out
}

// suspect finds a change among the suspects of the reports, else in the journal: what ended it need never have been listed.
func (d *draft) suspect(id triage.ChangeID) (triage.Suspect, bool) {
	if s, ok := suspectOf(d.reports, id); ok {
		return s, true
	}
	for i := range d.changes {
		if id != "" && d.changes[i].ID == id {
			return triage.Suspect{Change: &d.changes[i]}, true
		}
	}
	return triage.Suspect{}, false
}
