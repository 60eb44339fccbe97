package api

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/triaged-dev/triaged/triage"
)

func (a *API) getIncidents(r *request) (any, error) {
	p := query(r, "state", "service", "from", "to", "limit", "after")
	q := triage.IncidentQuery{
		States: many(p, "state", []triage.IncidentState{
			triage.IncidentOpen, triage.IncidentMitigating, triage.IncidentRecovered, triage.IncidentClosed,
		}),
		Limit: p.limit(), After: p.after(),
	}
	q.From, q.To = p.interval(a.now(), 0)
	if len(p.values["service"]) > 1 {
		p.fail("service", strings.Join(p.values["service"], ", "), "may be given once")
	}
	q.Service, _ = a.directory().Resolve(p.text("service", triage.MaxText))
	if p.err != nil {
		return nil, p.err
	}
	items, next, err := a.opts.Store.Incidents(r.Context(), q)
	if err != nil {
		return nil, fmt.Errorf("list incidents: %w", err)
	}
	for i := range items {
		items[i] = tidyIncident(items[i])
	}
	return listing(items, next), nil
}

// incident reads the Incident named in the path, for endpoints without parameters.
func (a *API) incident(r *request) (triage.Incident, error) {
	if p := query(r); p.err != nil {
		return triage.Incident{}, p.err
	}
	inc, err := a.opts.Store.Incident(r.Context(), r.PathValue("id"))
	if err != nil {
		return triage.Incident{}, fmt.Errorf("read incident: %w", err)
	}
	return inc, nil
}

func (a *API) getIncident(r *request) (any, error) {
	inc, err := a.incident(r)
	if err != nil {
		return nil, err
	}
	return tidyIncident(inc), nil
}

func (a *API) getReports(r *request) (any, error) {
	inc, err := a.incident(r)
	if err != nil {
		return nil, err
	}
	reports, err := a.opts.Store.Reports(r.Context(), inc.ID)
	if err != nil {
		return nil, fmt.Errorf("list reports: %w", err)
	}
	return listing(tidyReports(reports), ""), nil
}

func (a *API) getReport(r *request) (any, error) {
	if p := query(r); p.err != nil {
		return nil, p.err
	}
	n, err := number("n", r.PathValue("n"))
	if err != nil {
		return nil, err
	}
	rep, err := a.opts.Store.Report(r.Context(), r.PathValue("id"), n)
	if err != nil {
		return nil, fmt.Errorf("read report: %w", err)
	}
	return tidyReport(rep), nil
}

// getCase exports what a Report was made from, in the format of replay. It holds no expected answer: triage.Case cannot.
func (a *API) getCase(r *request) (any, error) {
	inc, n, c, err := a.reportInput(r)
	if err != nil {
		return nil, err
	}
	name := strings.Map(func(c rune) rune {
		if c == '-' || c == '_' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' {
			return c
		}
		return '_'
	}, inc.ID)
	return reply{value: tidyCase(c), header: http.Header{
		"Content-Disposition": {fmt.Sprintf(`attachment; filename="%s-%d.json"`, name, n)},
	}}, nil
}

// feedbackBody is what a person says about an Incident.
type feedbackBody struct {
	Verdict  string          `json:"verdict"`
	ChangeID triage.ChangeID `json:"change_id"`
	Comment  string          `json:"comment"`
}

func (a *API) postFeedback(r *request) (any, error) {
	inc, err := a.incident(r)
	if err != nil {
		return nil, err
	}
	body, err := decodeBody[feedbackBody](r)
	if err != nil {
		return nil, err
	}
	var problems []FieldProblem
	add := func(field, value, remedy string) { problems = append(problems, fieldProblem(field, value, remedy)) }
	switch body.Verdict {
	case triage.FeedbackConfirm, triage.FeedbackReject:
		if body.ChangeID == "" {
			add("change_id", "", "is required with verdict "+body.Verdict)
		}
	case triage.FeedbackNone:
		if body.ChangeID != "" {
			add("change_id", string(body.ChangeID), "goes with confirm or reject; none says that it was no change")
		}
	default:
		add("verdict", body.Verdict, "use one of confirm, reject, none")
	}
	if len(body.Comment) > triage.MaxText {
		add("comment", body.Comment, fmt.Sprintf("is %d bytes; at most %d are taken", len(body.Comment), triage.MaxText))
	}
	if len(problems) == 0 && body.ChangeID != "" {
		id, err := a.opts.Store.ResolveChange(r.Context(), body.ChangeID)
		switch {
		case err == nil:
			body.ChangeID = id
		case a.opts.NotFound(err):
			add("change_id", string(body.ChangeID), "is not a change we know; take the id from the report")
		default:
			return nil, fmt.Errorf("resolve change: %w", err)
		}
	}
	if len(problems) > 0 {
		return nil, problem(kindRecord, "The feedback cannot be taken.").with(problems...)
	}
	if err := a.maySpeak(r, inc, body.ChangeID); err != nil {
		return nil, err
	}
	f := triage.Feedback{IncidentID: inc.ID, Verdict: body.Verdict, ChangeID: body.ChangeID, Comment: body.Comment, At: a.now().UTC(), By: triage.ActorOf(r.Context())}
	if err := a.opts.Store.SaveFeedback(r.Context(), f); err != nil {
		return nil, unstored("The feedback is not stored; send it again.", err)
	}
	return f, nil
}

// question is an ad hoc triage: what could have broken this service at this time?
type question struct {
	Service     string    `json:"service"`
	Environment string    `json:"environment"`
	Region      string    `json:"region"`
	Cluster     string    `json:"cluster"`
	Namespace   string    `json:"namespace"`
	At          time.Time `json:"at"`        // when the trouble was noticed; default now
	ReportAt    time.Time `json:"report_at"` // nothing later is used; default ten minutes after at, at most now
	LookbackS   float64   `json:"lookback_s"`
}

// hindsight is how much of what came after the trouble an ad hoc triage looks at by default.
const hindsight = 10 * time.Minute

// reportInput reads what a report saw: of the query parameter report, or of the latest one.
func (a *API) reportInput(r *request) (inc triage.Incident, n int, c triage.Case, err error) {
	p := query(r, "report")
	if p.err != nil {
		return inc, n, c, p.err
	}
	if inc, err = a.opts.Store.Incident(r.Context(), r.PathValue("id")); err != nil {
		return inc, n, c, fmt.Errorf("read incident: %w", err)
	}
	n = inc.Reports
	if v := p.values.Get("report"); v != "" {
		if n, err = number("report", v); err != nil {
			return inc, n, c, err
		}
	} else if n, err = a.lastRanked(r, inc, n); err != nil {
		return inc, n, c, err
	}
	if n == 0 {
		return inc, n, c, problem(kindNotFound, "The incident has no report yet.")
	}
	if c, err = a.opts.Store.ReportInput(r.Context(), inc.ID, n); err != nil {
		return inc, n, c, fmt.Errorf("read report input: %w", err)
	}
	return inc, n, c, nil
}

// lastRanked is the number of the last report that weighed changes: what was said of the recovery was made from none. Where no
// report did, it is the last of all.
func (a *API) lastRanked(r *request, inc triage.Incident, last int) (int, error) {
	if last == 0 {
		return 0, nil
	}
	reports, err := a.opts.Store.Reports(r.Context(), inc.ID)
	if err != nil {
		return 0, fmt.Errorf("read reports: %w", err)
	}
	for _, report := range slices.Backward(reports) {
		if report.Kind == triage.ReportRanked {
			return report.Number, nil
		}
	}
	return last, nil
}

// getPicture paints the time axis of a report, for messages and post-mortems.
func (a *API) getPicture(r *request) (any, error) {
	if a.opts.Picture == nil {
		return nil, problem(kindNotFound, "This daemon paints no pictures.")
	}
	inc, n, c, err := a.reportInput(r)
	if err != nil {
		return nil, err
	}
	report, err := a.opts.Store.Report(r.Context(), inc.ID, n)
	if err != nil {
		return nil, fmt.Errorf("read report: %w", err)
	}
	png, err := a.opts.Picture(report, c)
	if err != nil {
		return nil, fmt.Errorf("paint timeline: %w", err)
	}
	return reply{raw: png, header: http.Header{"Content-Type": {"image/png"}}}, nil
}

// postTriage answers a question. Nothing is stored or posted.
func (a *API) postTriage(r *request) (any, error) {
	if p := query(r); p.err != nil {
		return nil, p.err
	}
	q, err := decodeBody[question](r)
	if err != nil {
		return nil, err
	}
	now := a.now().UTC()
	var problems []FieldProblem
	add := func(field, value, remedy string) { problems = append(problems, fieldProblem(field, value, remedy)) }
	if q.Service == "" {
		add("service", "", "is required: the service that is in trouble")
	}
	for _, f := range [...]struct{ name, value string }{
		{"service", q.Service}, {"environment", q.Environment}, {"region", q.Region}, {"cluster", q.Cluster}, {"namespace", q.Namespace},
	} {
		if len(f.value) > triage.MaxText {
			add(f.name, f.value, fmt.Sprintf("is %d bytes; at most %d are taken", len(f.value), triage.MaxText))
		}
	}
	if q.At.IsZero() {
		q.At = now
	}
	if q.At.After(now.Add(futureTolerance)) {
		add("at", q.At.Format(time.RFC3339), "lies in the future; our clock says "+now.Format(time.RFC3339))
	}
	if q.At.Before(now.AddDate(-10, 0, 0)) {
		add("at", q.At.Format(time.RFC3339), "lies more than ten years back")
	}
	if q.ReportAt.IsZero() {
		q.ReportAt = q.At.Add(hindsight)
		if q.ReportAt.After(now) {
			q.ReportAt = now
		}
	}
	if q.ReportAt.Before(q.At) && q.ReportAt.Before(now) {
		add("report_at", q.ReportAt.Format(time.RFC3339), "must not be before at")
	}
	if q.ReportAt.After(now.Add(futureTolerance)) {
		add("report_at", q.ReportAt.Format(time.RFC3339), "lies in the future; our clock says "+now.Format(time.RFC3339))
	}
	const longest = 7 * 24 * time.Hour
	if q.LookbackS < 0 || q.LookbackS > longest.Seconds() {
		add("lookback_s", fmt.Sprint(q.LookbackS), fmt.Sprintf("must lie between 0 (as configured) and %.0f seconds", longest.Seconds()))
	}
	if len(problems) > 0 {
		return nil, problem(kindRecord, "The question cannot be answered.").with(problems...)
	}
	answer, err := a.opts.Triager.Triage(r.Context(), a.request(q))
	if err != nil {
		return nil, fmt.Errorf("triage %s: %w", q.Service, err)
	}
	return tidyReport(answer.Report), nil
}

// request turns a question into what the correlator takes: an Incident without id, with one alert at the time of trouble.
func (a *API) request(q question) triage.Request {
	dir := a.directory()
	name, rule := dir.Resolve(q.Service)
	scope := triage.Scope{Service: name, Environment: dir.Environment(q.Environment), Region: q.Region, Cluster: q.Cluster, Namespace: q.Namespace}
	at, reportAt := q.At.UTC(), q.ReportAt.UTC()
	labels := map[string]string{"alertname": "adhoc", "service": name}
	for k, v := range map[string]string{"environment": scope.Environment, "region": scope.Region, "cluster": scope.Cluster, "namespace": scope.Namespace} {
		if v != "" {
			labels[k] = v
		}
	}
	return triage.Request{
		Incident: triage.Incident{
			State: triage.IncidentOpen, Title: "ad hoc: " + name, Scope: scope, ServiceRule: rule, ServiceFrom: "question",
			OpenedAt: at, UpdatedAt: at,
			Alerts: []triage.Alert{{Labels: labels, Status: triage.AlertFiring, StartsAt: at, ReceivedAt: reportAt}},
		},
		At: reportAt, Cause: "ad hoc", Lookback: time.Duration(q.LookbackS * float64(time.Second)),
	}
}
