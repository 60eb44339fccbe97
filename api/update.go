package api

import (
	"fmt"
	"time"

	"github.com/triaged-dev/triaged/triage"
	"github.com/triaged-dev/triaged/triage/say"
)

// statusUpdate is a draft for people outside the room, from the latest report.
type statusUpdate struct {
	IncidentID string    `json:"incident_id"`
	Report     int       `json:"report"` // 0: there is none yet
	WrittenAt  time.Time `json:"written_at"`
	say.Update
}

func (a *API) getUpdate(r *request) (any, error) {
	inc, err := a.incident(r)
	if err != nil {
		return nil, err
	}
	reports, err := a.opts.Store.Reports(r.Context(), inc.ID)
	if err != nil {
		return nil, fmt.Errorf("list reports: %w", err)
	}
	var last triage.Report
	if n := len(reports); n > 0 {
		last = reports[n-1]
	}
	now := a.now().UTC()
	return statusUpdate{IncidentID: inc.ID, Report: last.Number, WrittenAt: now, Update: say.StatusUpdate(inc, last, now)}, nil
}
