package api

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/triaged-dev/triaged/triage"
	"github.com/triaged-dev/triaged/triage/say"
)

// moment is one thing that happened around an Incident.
type moment struct {
	At         time.Time       `json:"at"`
	Type       momentType      `json:"type"`
	Text       string          `json:"text"` // one line
	what       string          // Text without which report or suspect it is about
	Rank       int             `json:"rank,omitempty"` // of the suspect it is about
	ChangeID   triage.ChangeID `json:"change_id,omitempty"`
	Report     int             `json:"report,omitempty"`
	DeliveryID string          `json:"delivery_id,omitempty"`
}

type momentType string

// The types of moment, in the order in which they are shown when they share a time.
const (
	momentChange    momentType = "change"
	momentOnset     momentType = "onset"
	momentFiring    momentType = "alert_firing"
	momentOpened    momentType = "opened"
	momentReport    momentType = "report"
	momentDelivery  momentType = "delivery"
	momentUndo      momentType = "undo"
	momentTurned    momentType = "turned"
	momentFeedback  momentType = "feedback"
	momentResolved  momentType = "alert_resolved"
	momentRecovered momentType = "recovered"
	momentClosed    momentType = "closed"
)

func momentTypes() []momentType {
	return []momentType{
		momentChange, momentOnset, momentFiring, momentOpened, momentReport,
		momentDelivery, momentUndo, momentTurned, momentFeedback, momentResolved, momentRecovered, momentClosed,
	}
}

// getTimeline tells an Incident in order: suspects, onset, alerts, reports, posts, feedback, recovery.
func (a *API) getTimeline(r *request) (any, error) {
	inc, err := a.incident(r)
	if err != nil {
		return nil, err
	}
	reports, err := a.opts.Store.Reports(r.Context(), inc.ID)
	if err != nil {
		return nil, fmt.Errorf("list reports: %w", err)
	}
	feedback, err := a.opts.Store.Feedback(r.Context(), inc.ID)
	if err != nil {
		return nil, fmt.Errorf("list feedback: %w", err)
	}
	deliveries, err := a.allDeliveries(r, inc.ID)
	if err != nil {
		return nil, err
	}
	return listing(timeline(inc, reports, deliveries, feedback), ""), nil
}

// allDeliveries reads the deliveries of one Incident, at most maxListLimit of them.
func (a *API) allDeliveries(r *request, incidentID string) ([]triage.Delivery, error) {
	items, _, err := a.opts.Store.Deliveries(r.Context(), triage.DeliveryQuery{IncidentID: incidentID, Limit: maxListLimit})
	if err != nil {
		return nil, fmt.Errorf("list deliveries: %w", err)
	}
	return items, nil
}

// timeline is pure. Suspects and onset are those of the latest report: that is what we believe now.
func timeline(inc triage.Incident, reports []triage.Report, deliveries []triage.Delivery, feedback []triage.Feedback) []moment {
	var out []moment
	add := func(m moment) {
		if !m.At.IsZero() {
			m.At = m.At.UTC()
			out = append(out, m)
		}
	}
	for _, al := range inc.Alerts {
		add(moment{At: al.StartsAt, Type: momentFiring, Text: al.Name() + " fires"})
		if al.Status == triage.AlertResolved {
			add(moment{At: al.EndsAt, Type: momentResolved, Text: al.Name() + " resolved"})
		}
	}
	add(moment{At: inc.OpenedAt, Type: momentOpened, Text: "incident opened: " + inc.Title})
	add(moment{At: inc.RecoveredAt, Type: momentRecovered, Text: "incident recovered"})
	add(moment{At: inc.ClosedAt, Type: momentClosed, Text: "incident closed"})
	for i, rep := range reports {
		add(moment{At: rep.CreatedAt, Type: momentReport, Report: rep.Number, what: headline(rep), Text: fmt.Sprintf("report %d: %s", rep.Number, headline(rep))})
		if i < len(reports)-1 {
			continue
		}
		add(moment{At: rep.Onset.Best, Type: momentOnset, Text: cmp.Or(rep.Onset.Basis, "the symptom began")})
		for _, s := range rep.Suspects {
			m := moment{At: say.Began(s), Type: momentChange, Rank: s.Rank, what: say.Suspect(s), Text: fmt.Sprintf("suspect %d: %s", s.Rank, say.Suspect(s))}
			if s.Change != nil {
				m.ChangeID = s.Change.ID
			}
			add(m)
		}
	}
	if n := len(reports); n > 0 {
		for _, c := range reports[n-1].Checked {
			text := string(c.Undid)
			if s, ok := suspectOf(reports, c.Undid); ok && s.Change != nil {
				text = say.Change(*s.Change)
			}
			add(moment{At: c.At, Type: momentUndo, ChangeID: c.By, Text: "undone: " + text})
			add(moment{At: c.Turned, Type: momentTurned, ChangeID: c.By, Text: "the symptom turned"})
		}
	}
	for _, d := range deliveries {
		at := d.DeliveredAt
		if at.IsZero() {
			at = d.CreatedAt
		}
		add(moment{At: at, Type: momentDelivery, DeliveryID: d.ID, Report: d.ReportNumber, Text: fmt.Sprintf("report %d to %s: %s", d.ReportNumber, d.Receiver, d.State)})
	}
	for _, f := range feedback {
		text := map[string]string{
			triage.FeedbackConfirm:  "confirmed: it was this change",
			triage.FeedbackReject:   "rejected: it was not this change",
			triage.FeedbackNone:     "said to be no change",
			triage.FeedbackVerified: "verified: undoing this change ended it",
		}[f.Verdict]
		if f.Comment != "" && f.Verdict != triage.FeedbackVerified {
			text += " – " + f.Comment
		}
		add(moment{At: f.At, Type: momentFeedback, ChangeID: f.ChangeID, Text: text})
	}
	order := momentTypes()
	slices.SortStableFunc(out, func(x, y moment) int {
		return cmp.Or(x.At.Compare(y.At), cmp.Compare(slices.Index(order, x.Type), slices.Index(order, y.Type)), cmp.Compare(x.Text, y.Text))
	})
	return out
}

// suspectOf is the latest word on a suspect that some report named.
func suspectOf(reports []triage.Report, id triage.ChangeID) (triage.Suspect, bool) {
	for _, r := range slices.Backward(reports) {
		for _, s := range r.Suspects {
			if s.ID() == string(id) {
				return s, true
			}
		}
	}
	return triage.Suspect{}, false
}

// headline is a Report in one line: what it says, and what it advises.
func headline(rep triage.Report) string {
	return say.Statement(rep.Standing()) + "; " + say.Action(rep)
}
