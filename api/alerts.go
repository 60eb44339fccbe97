package api

import (
	"context"
	"errors"
)

// AlertSource is the source under which refused alerts are kept.
const AlertSource = "alerts"

// received alerts: rejected ones are those of the body that could not be used, while the others were taken.
type receivedAlerts struct {
	Status   string         `json:"status"`
	Rejected []FieldProblem `json:"rejected"`
}

// postAlertWebhook takes a webhook of Alertmanager or Grafana.
func (a *API) postAlertWebhook(r *request) (any, error) {
	return a.acceptAlerts(r, a.opts.Alerts.AcceptWebhook)
}

// postAlerts takes what Prometheus sends to Alertmanager.
func (a *API) postAlerts(r *request) (any, error) {
	return a.acceptAlerts(r, a.opts.Alerts.AcceptAlerts)
}

// acceptAlerts hands the body over. Senders drop what is answered with 4xx and do not read a 2xx, so what cannot be used
// is kept in the quarantine in either case.
func (a *API) acceptAlerts(r *request, accept func(context.Context, []byte) ([]error, error)) (any, error) {
	f, err := formOf(r.Header)
	if err != nil {
		return nil, err
	}
	if f != formJSON {
		return nil, problem(kindMediaType, "Alerts are taken as application/json.")
	}
	keep := func(reason error) {
		ctx, cancel := keepContext(r.Context())
		defer cancel()
		a.opts.Collector.Quarantine(ctx, a.refused(AlertSource, "caller="+r.caller.name, reason, r.body))
	}
	if err := checkJSON(r.body); err != nil {
		keep(err)
		return nil, err
	}
	problems, err := accept(r.Context(), r.body)
	switch {
	case err != nil && !isInput(err):
		return nil, unstored("The alerts are not stored; send them again.", err)
	case err != nil:
		keep(err)
		return nil, problem(kindRecord, "No alert could be taken; the body is kept in the quarantine.").with(fieldProblems(err)...).because(err)
	case len(problems) > 0:
		keep(errors.Join(problems...))
	}
	out := receivedAlerts{Status: "accepted", Rejected: []FieldProblem{}}
	out.Rejected = append(out.Rejected, fieldProblems(errors.Join(problems...))...)
	return out, nil
}
