package say

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/triaged-dev/triaged/triage"
)

// updateEvery is when the next status update is due.
const updateEvery = 30 * time.Minute

// Update is a draft of a status update: what is affected, since when, what is being done, and when there will be more. It is read by
// people who act on every word, so no suspect is in it: what is likely is not known, and a cause is named only once an undo has shown it.
type Update struct {
	Customers string    `json:"customers"` // for a status page: no system of ours but the one they use, no figures
	Managers  string    `json:"managers"`
	Next      time.Time `json:"next_update_at,omitzero"` // zero when it is over
}

// StatusUpdate drafts an update on an incident as its latest report has it.
func StatusUpdate(inc triage.Incident, r triage.Report, now time.Time) Update {
	u := Update{}
	over := inc.State == triage.IncidentRecovered || inc.State == triage.IncidentClosed
	if !over {
		u.Next = now.UTC().Add(updateEvery).Round(5 * time.Minute)
	}
	u.Customers = strings.Join(nonEmpty(forCustomers(inc, r, over), doing(inc, over), nextUpdate(u.Next)), " ")
	u.Managers = strings.Join(nonEmpty(forManagers(inc, r), standsAt(inc, r, over), whatEnded(r), nextUpdate(u.Next)), " ")
	return u
}

func nonEmpty(ss ...string) []string {
	return slices.DeleteFunc(ss, func(s string) bool { return s == "" })
}

// affected is what people use, by its own name; where it is.
func affected(inc triage.Incident, r triage.Report) string {
	name := cmp.Or(Clean(inc.Service, MaxName), Clean(r.Symptom.Service, MaxName), "a part of our service")
	if p := Clean(inc.Region, MaxName); p != "" {
		name += " in " + p
	}
	return name
}

// beganAt is since when, as well as it is known.
func beganAt(inc triage.Incident, r triage.Report) time.Time {
	at := r.Onset.Best
	for _, a := range inc.Alerts {
		if at.IsZero() || r.Onset.Best.IsZero() && a.StartsAt.Before(at) {
			at = a.StartsAt
		}
	}
	if at.IsZero() {
		at = inc.OpenedAt
	}
	return at
}

func forCustomers(inc triage.Incident, r triage.Report, over bool) string {
	what, since := affected(inc, r), dayMinute(beganAt(inc, r))
	if over {
		end := "now"
		if !inc.RecoveredAt.IsZero() {
			end = dayMinute(inc.RecoveredAt)
		}
		return fmt.Sprintf("From %s to %s %s did not work as usual. It does again.", since, end, what)
	}
	switch r.Symptom.Signal {
	case triage.SignalErrors:
		return fmt.Sprintf("Since %s some requests to %s fail.", since, what)
	case triage.SignalLatency:
		return fmt.Sprintf("Since %s %s answers more slowly than usual.", since, what)
	case triage.SignalTraffic, triage.SignalSaturation, triage.SignalCustom:
	}
	return fmt.Sprintf("Since %s %s does not work as usual.", since, what)
}

func doing(inc triage.Incident, over bool) string {
	switch {
	case over:
		return "We are finding out how to keep it from happening again."
	case inc.State == triage.IncidentMitigating:
		return "A measure has been taken, and we are watching whether it helps."
	}
	return "We are working on it."
}

func forManagers(inc triage.Incident, r triage.Report) string {
	what := cmp.Or(Clean(r.Symptom.Sentence, MaxSentence), Clean(inc.Title, MaxPhrase), "an alert without a name")
	if p := Place(inc.Scope); p != "" {
		what += " · " + p
	}
	what += "."
	if s := r.Severity; s != nil && s.Level != "" {
		what += " Proposed severity: " + Clean(s.Level, MaxName) + "."
	}
	var others []string
	for _, a := range r.OtherAlerts {
		if s := Clean(a.Service, MaxName); s != "" && s != inc.Service && !slices.Contains(others, s) {
			others = append(others, s)
		}
	}
	if len(others) > 0 {
		what += " Alerts fire or are about to for " + List(others) + ", too."
	}
	return what
}

// standsAt is what is being done, and that no cause is known as long as none is.
func standsAt(inc triage.Incident, r triage.Report, over bool) string {
	switch {
	case over && inc.RecoveredAt.IsZero():
		return "It is over."
	case over:
		return "It is over since " + dayMinute(inc.RecoveredAt) + "."
	case len(r.Checked) > 0:
		u := r.Checked[len(r.Checked)-1].Undo
		return "At " + Minute(u.At) + " UTC " + Undone(u) + " was made to take a change back; whether it helps is being measured."
	case inc.State == triage.IncidentMitigating:
		return "A measure has been taken; whether it helps is being measured."
	}
	return "On-call is looking into it. The cause is not known yet."
}

// whatEnded names a change only where undoing it was measured to end the trouble.
func whatEnded(r triage.Report) string {
	for _, c := range r.Checked {
		if c.Outcome != triage.CheckVerified {
			continue
		}
		for _, s := range r.Suspects {
			if s.Change != nil && s.Change.ID == c.Undid {
				return "Undoing " + Change(*s.Change) + " ended it, as measured."
			}
		}
		return "Undoing a change ended it, as measured."
	}
	return ""
}

func nextUpdate(at time.Time) string {
	if at.IsZero() {
		return ""
	}
	return "Next update by " + Minute(at) + " UTC."
}

func dayMinute(t time.Time) string { return t.UTC().Format("2 January 15:04") + " UTC" }
