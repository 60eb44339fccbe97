package api

import (
	"fmt"
	"net/http"
	"time"

	"github.com/triaged-dev/triaged/triage"
)

// defaultSpan is how far back lists of changes and anomalies reach when from is not given.
const defaultSpan = 24 * time.Hour

// changeQuery reads the filters of changes and anomalies; names go through the directory like those of events.
func (a *API) changeQuery(p *params) triage.ChangeQuery {
	q := triage.ChangeQuery{
		Environment: a.directory().Environment(p.text("environment", triage.MaxText)),
		Text:        p.text("q", 200),
		Limit:       p.limit(),
		After:       p.after(),
	}
	q.From, q.To = p.interval(a.now(), defaultSpan)
	for _, s := range p.list("service") {
		name, _ := a.directory().Resolve(s)
		q.Services = append(q.Services, name)
	}
	return q
}

func (a *API) getChanges(r *request) (any, error) {
	p := query(r, "from", "to", "service", "environment", "kind", "q", "order", "limit", "after")
	q := a.changeQuery(p)
	q.Newest = one(p, "order", []string{"oldest", "newest"}) == "newest"
	q.Kind = one(p, "kind", triage.Kinds())
	if p.err != nil {
		return nil, p.err
	}
	items, next, err := a.opts.Store.FindChanges(r.Context(), q)
	if err != nil {
		return nil, fmt.Errorf("find changes: %w", err)
	}
	return listing(items, next), nil
}

// getChange answers under every id the Change ever had.
func (a *API) getChange(r *request) (any, error) {
	if p := query(r); p.err != nil {
		return nil, p.err
	}
	id, err := a.opts.Store.ResolveChange(r.Context(), triage.ChangeID(r.PathValue("id")))
	if err != nil {
		return nil, fmt.Errorf("resolve change: %w", err)
	}
	found, err := a.opts.Store.Changes(r.Context(), []triage.ChangeID{id})
	if err != nil {
		return nil, fmt.Errorf("read change: %w", err)
	}
	if len(found) == 0 {
		return nil, problem(kindNotFound, "The change is known, but its details are no longer kept.")
	}
	return found[0], nil
}

func (a *API) getAnomalies(r *request) (any, error) {
	p := query(r, "from", "to", "service", "environment", "q", "limit", "after")
	q := a.changeQuery(p)
	if p.err != nil {
		return nil, p.err
	}
	items, next, err := a.opts.Store.FindAnomalies(r.Context(), q)
	if err != nil {
		return nil, fmt.Errorf("find anomalies: %w", err)
	}
	return listing(items, next), nil
}

// graph is who calls whom, and how much of that is known.
type graph struct {
	Edges    []triage.Edge        `json:"edges"`
	Coverage triage.GraphCoverage `json:"coverage"`
}

func (a *API) getTopology(r *request) (any, error) {
	if p := query(r); p.err != nil {
		return nil, p.err
	}
	out := graph{Edges: []triage.Edge{}}
	if a.opts.Topology != nil {
		out.Edges = append(out.Edges, a.opts.Topology.Topology().Edges()...)
		out.Coverage = a.opts.Topology.GraphCoverage()
	}
	return out, nil
}

func (a *API) getServices(r *request) (any, error) {
	if p := query(r); p.err != nil {
		return nil, p.err
	}
	return listing(a.directory().Services(), ""), nil
}

// sourceList is how the sources are now, and what they could see over the lookback.
type sourceList struct {
	Items    []triage.SourceStatus `json:"items"`
	Coverage []triage.Coverage     `json:"coverage"`
}

// coverageSpan is the lookback of a triage by default.
const coverageSpan = 30 * time.Minute

func (a *API) getSources(r *request) (any, error) {
	if p := query(r); p.err != nil {
		return nil, p.err
	}
	now := a.now().UTC()
	return sourceList{
		Items:    append([]triage.SourceStatus{}, a.opts.Collector.Sources()...),
		Coverage: append([]triage.Coverage{}, a.opts.Collector.Coverage(now.Add(-coverageSpan), now)...),
	}, nil
}

func (a *API) getDeliveries(r *request) (any, error) {
	p := query(r, "state", "incident", "limit", "after")
	q := triage.DeliveryQuery{
		States: many(p, "state", []triage.DeliveryState{
			triage.DeliveryPending, triage.DeliveryDelivered, triage.DeliveryDead, triage.DeliveryShadow, triage.DeliveryHeld,
		}),
		IncidentID: p.text("incident", triage.MaxText), Limit: p.limit(), After: p.after(),
	}
	if p.err != nil {
		return nil, p.err
	}
	items, next, err := a.opts.Store.Deliveries(r.Context(), q)
	if err != nil {
		return nil, fmt.Errorf("list deliveries: %w", err)
	}
	return listing(items, next), nil
}

// postResend puts a delivery back; it is attempted by the dispatcher, later.
func (a *API) postResend(r *request) (any, error) {
	if p := query(r); p.err != nil {
		return nil, p.err
	}
	id := r.PathValue("id")
	if err := a.opts.Resender.Resend(r.Context(), id); err != nil {
		if errs := fieldErrors(err); len(errs) > 0 {
			return nil, problem(kindConflict, "The delivery cannot be sent again as it stands; errors says what keeps it, and GET /api/v1/deliveries its state.").with(fieldProblems(err)...).because(err)
		}
		return nil, fmt.Errorf("resend delivery: %w", err)
	}
	d, err := a.opts.Store.Delivery(r.Context(), id)
	if err != nil {
		return nil, fmt.Errorf("read delivery: %w", err)
	}
	return reply{status: http.StatusAccepted, value: d}, nil
}

func (a *API) getQuarantine(r *request) (any, error) {
	p := query(r, "source", "limit", "after")
	source, limit, after := p.text("source", triage.MaxText), p.limit(), p.after()
	if p.err != nil {
		return nil, p.err
	}
	items, next, err := a.opts.Store.Quarantined(r.Context(), source, after, limit)
	if err != nil {
		return nil, fmt.Errorf("list quarantine: %w", err)
	}
	return listing(items, next), nil
}

// postRetry reads a quarantined record again, after what could not read it was mended.
func (a *API) postRetry(r *request) (any, error) {
	if p := query(r); p.err != nil {
		return nil, p.err
	}
	id := r.PathValue("id")
	n, err := a.opts.Collector.Retry(r.Context(), id)
	if errs := fieldErrors(err); len(errs) > 0 {
		return nil, problem(kindConflict, "The record stays in the quarantine: it still cannot be read. Mend what errors names (the mapping, the hook, the topic), reload, and retry.").with(fieldProblems(err)...).because(err)
	}
	if err != nil {
		return nil, fmt.Errorf("retry quarantined record: %w", err)
	}
	return struct {
		ID     string `json:"id"`
		Events int    `json:"events"` // 0: it is sound, and tells of no change
	}{id, n}, nil
}
