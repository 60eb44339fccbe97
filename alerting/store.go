package alerting

import (
	"context"

	"github.com/triaged-dev/triaged/alerting/outbox"
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

// Store is all that alerting asks of the journal. What it returns belongs to the caller.
type Store interface {
	IncidentStore
	ReportStore
	outbox.Store
}

// Triager answers what most likely set an incident off. It must return by ctx's deadline, with a thinner answer if need be.
type Triager interface {
	Triage(context.Context, triage.Request) (triage.Answer, error)
}

// Verifier says what taking a suspect back did; blind where nothing of the symptom could be read. It must return by ctx's deadline.
type Verifier interface {
	Verify(context.Context, triage.UndoRequest) (got triage.Checked, blind bool)
}

// Labels keeps what was found about suspects, apart from what people said, and knows both.
type Labels interface {
	SaveFeedback(context.Context, triage.Feedback) error
	Feedback(ctx context.Context, incidentID string) ([]triage.Feedback, error)
}
