package web

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/triaged-dev/triaged/triage"
	"github.com/triaged-dev/triaged/triage/say"
)

const pageSize = 50 // rows of a list

// incidentsView lists incidents; those that need somebody come first.
type incidentsView struct {
	Active []incidentRow
	Past   []incidentRow
	States []option
	Filter string
	Query  string // service
	Next   string // address of the next page
	First  bool
}

type incidentRow struct {
	triage.Incident
	Said    string
	Tone    string
	Symptom string
	Action  string
	Began   time.Time
	Lasted  string
}

// option is one entry of a filter.
type option struct {
	Value, Label string
	On           bool
	URL          string
}

func (w *Web) getIncidents(r *http.Request) (page, error) {
	q := r.URL.Query()
	query := triage.IncidentQuery{Limit: pageSize, After: q.Get("after"), Service: say.Clean(q.Get("service"), triage.MaxText)}
	v := incidentsView{Filter: q.Get("state"), Query: query.Service, First: query.After == ""}
	states := map[string][]triage.IncidentState{
		"active": {triage.IncidentOpen, triage.IncidentMitigating},
		"past":   {triage.IncidentRecovered, triage.IncidentClosed},
	}
	query.States = states[v.Filter]
	found, next, err := w.opts.Store.Incidents(r.Context(), query)
	if err != nil {
		return page{}, fmt.Errorf("list incidents: %w", err)
	}
	for _, inc := range found {
		row := incidentRow{Incident: inc, Began: inc.OpenedAt}
		if inc.Reports > 0 {
			rep, err := w.opts.Store.Report(r.Context(), inc.ID, inc.Reports)
			switch {
			case err == nil:
				row.Said, row.Action = said(rep), say.Upper(say.Action(rep))
				if row.Tone = newCard(inc, rep).Tone; slices.Contains(states["past"], inc.State) {
					row.Tone = "none"
				}
				if h := newHead(inc, rep); h.Before != "" {
					row.Symptom = h.Service + " " + h.Signal + " " + h.Before + " → " + h.Now
				}
				row.Began = firstTime(rep.Onset.Best, inc.OpenedAt)
			case !w.opts.NotFound(err):
				return page{}, fmt.Errorf("read report %d of incident %s: %w", inc.Reports, inc.ID, err)
			}
		}
		if end := firstTime(inc.RecoveredAt, inc.ClosedAt); !end.IsZero() {
			row.Lasted = say.Span(end.Sub(row.Began))
		}
		if slices.Contains(states["active"], inc.State) {
			v.Active = append(v.Active, row)
		} else {
			v.Past = append(v.Past, row)
		}
	}
	for _, o := range []option{{Value: "", Label: "All"}, {Value: "active", Label: "Active"}, {Value: "past", Label: "Recovered"}} {
		o.On = o.Value == v.Filter
		o.URL = address("/incidents", "state", o.Value, "service", v.Query)
		v.States = append(v.States, o)
	}
	if next != "" {
		v.Next = address("/incidents", "state", v.Filter, "service", v.Query, "after", next)
	}
	return page{template: "incidents.html", frame: frame{Title: "Incidents", Section: "incidents", Live: "incidents", Data: v}}, nil
}

// address is a path with the parameters that are not empty, in the order given.
func address(path string, pairs ...string) string {
	query := ""
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			if query != "" {
				query += "&"
			}
			query += url.QueryEscape(pairs[i]) + "=" + url.QueryEscape(pairs[i+1])
		}
	}
	if query == "" {
		return path
	}
	return path + "?" + query
}
