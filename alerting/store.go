package alerting

import (
	"context"
	"time"

	"github.com/triaged-dev/triaged/triage"
)

// IncidentStore keeps incidents. SaveIncident replaces the incident whole and is durable when nil is returned.
type IncidentStore interface {
	SaveIncident(context.Context, triage.Incident) error
	Incident(ctx context.Context, id string) (triage.Incident, error)
	Incidents(context.Context, triage.IncidentQuery) ([]triage.Incident, string, error)
}

// ReportStore keeps reports. SaveReport stores the incident, the report with its input and the outbox rows, all or nothing.
type ReportStore interface {
	SaveReport(context.Context, triage.Incident, triage.Answer, []triage.Delivery) error
	Report(ctx context.Context, incidentID string, n int) (triage.Report, error)
}

// Outbox keeps deliveries. DueDeliveries are the pending ones whose NextAttempt is not after now, earliest first.
type Outbox interface {
	DueDeliveries(ctx context.Context, now time.Time, limit int) ([]triage.Delivery, error)
	SaveDelivery(context.Context, triage.Delivery) error
	Delivery(ctx context.Context, id string) (triage.Delivery, error)
	Deliveries(context.Context, triage.DeliveryQuery) ([]triage.Delivery, string, error)
}

// Store is all that alerting asks of the journal. What it returns belongs to the caller.
type Store interface {
	IncidentStore
	ReportStore
	Outbox
}

// Triager answers what most likely set an incident off. It must return by ctx's deadline, with a thinner answer if need be.
type Triager interface {
	Triage(context.Context, triage.Request) (triage.Answer, error)
}

// Metrics reads the alert's own series, the signals of services, and whether their processes are up. It may hang: it is given a
// deadline.
type Metrics interface {
	Symptom(ctx context.Context, al triage.Alert, from, to time.Time) (triage.Symptom, error)
	Signals(ctx context.Context, q triage.SignalQuery) ([]triage.Series, error)
	// Health is one series per service named "up", the share of its processes that answered the scrape.
	Health(ctx context.Context, q triage.SignalQuery) ([]triage.Series, error)
}

// History knows the earlier firings of an alert; "" as service means any.
type History interface {
	AlertHistory(ctx context.Context, name, service string, since time.Time) ([]triage.Alert, error)
}

// Labels keeps what was found about suspects, apart from what people said, and knows both.
type Labels interface {
	SaveFeedback(context.Context, triage.Feedback) error
	Feedback(ctx context.Context, incidentID string) ([]triage.Feedback, error)
}

// TopologySource says who calls whom, as known now.
type TopologySource interface {
	Topology() triage.Topology
}
