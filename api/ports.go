package api

import (
	"context"
	"net/http"
	"time"

	"github.com/triaged-dev/triaged/triage"
)

// EventStore takes events in. Emit follows triage.Emit: nil means durable and in the window. Quarantine keeps a record
// that could not be taken; it may block for the store but never fails the caller.
type EventStore interface {
	Emit(ctx context.Context, events []triage.Event) error
	Quarantine(ctx context.Context, q triage.Quarantined)
}

// Retrier reads a quarantined record again and says how many events it stored. A *triage.FieldError means that the record still
// cannot be read; it stays.
type Retrier interface {
	Retry(ctx context.Context, id string) (events int, err error)
}

// SourceReader says how the sources are doing, now and over a stretch of time.
type SourceReader interface {
	Sources() []triage.SourceStatus
	Coverage(from, to time.Time) []triage.Coverage
}

// Collector is what the API needs of the collector.
type Collector interface {
	EventStore
	SourceReader
	Retrier
}

// ChangeReader reads stored changes. ResolveChange follows aliases; Changes leaves out what it does not have.
type ChangeReader interface {
	ResolveChange(ctx context.Context, id triage.ChangeID) (triage.ChangeID, error)
	Changes(ctx context.Context, ids []triage.ChangeID) ([]triage.Change, error)
	FindChanges(ctx context.Context, q triage.ChangeQuery) (changes []triage.Change, next string, err error)
}

// AnomalyReader reads stored anomalies.
type AnomalyReader interface {
	FindAnomalies(ctx context.Context, q triage.ChangeQuery) (anomalies []triage.Anomaly, next string, err error)
}

// IncidentReader reads incidents and what was said about them. Reports are in order of their number.
type IncidentReader interface {
	Incident(ctx context.Context, id string) (triage.Incident, error)
	Incidents(ctx context.Context, q triage.IncidentQuery) (incidents []triage.Incident, next string, err error)
	Report(ctx context.Context, incidentID string, n int) (triage.Report, error)
	Reports(ctx context.Context, incidentID string) ([]triage.Report, error)
	ReportInput(ctx context.Context, incidentID string, n int) (triage.Case, error)
}

// FeedbackStore keeps what people said about an Incident.
type FeedbackStore interface {
	SaveFeedback(ctx context.Context, f triage.Feedback) error
	Feedback(ctx context.Context, incidentID string) ([]triage.Feedback, error)
}

// OutcomeReader counts how earlier suspicions turned out, by service and kind. The result belongs to the caller.
type OutcomeReader interface {
	Outcomes(ctx context.Context) ([]triage.Outcome, error)
}

// LinkTokens reads the tokens in links of messages, as FeedbackLinks does: Resolve changes nothing, Use records.
type LinkTokens interface {
	Resolve(ctx context.Context, token string) (triage.Feedback, error)
	Use(ctx context.Context, token string) error
}

// DeliveryReader reads the outbox.
type DeliveryReader interface {
	Deliveries(ctx context.Context, q triage.DeliveryQuery) (deliveries []triage.Delivery, next string, err error)
	Delivery(ctx context.Context, id string) (triage.Delivery, error)
}

// QuarantineReader reads the records that could not be taken. An empty source means all of them.
type QuarantineReader interface {
	Quarantined(ctx context.Context, source, after string, limit int) (records []triage.Quarantined, next string, err error)
}

// Store is what the API reads of the journal. Errors for which Options.NotFound is true become 404, a
// *triage.FieldError (a cursor that is not ours) becomes 400, anything else 500.
type Store interface {
	ChangeReader
	AnomalyReader
	IncidentReader
	FeedbackStore
	OutcomeReader
	DeliveryReader
	QuarantineReader
}

// AlertIntake takes alerts in; err nil means journalled. problems are alerts of the body that could not be used while the
// others were taken. A body of which nothing can be used is an error made by InvalidInput or one that wraps a
// *triage.FieldError; it becomes 422. Any other error becomes 503, which Alertmanager retries.
type AlertIntake interface {
	AcceptWebhook(ctx context.Context, body []byte) (problems []error, err error) // Alertmanager v4 and Grafana
	AcceptAlerts(ctx context.Context, body []byte) (problems []error, err error)  // Alertmanager API v2, as Prometheus sends
}

// Resender puts a Delivery back into the outbox. A *triage.FieldError means that its state does not allow it.
type Resender interface {
	Resend(ctx context.Context, deliveryID string) error
}

// Triager answers one ad hoc question. It never fails for a dead peer.
type Triager interface {
	Triage(ctx context.Context, r triage.Request) (triage.Answer, error)
}

// Graph knows who calls whom, and how much of it.
type Graph interface {
	triage.TopologySource
	GraphCoverage() triage.GraphCoverage
}

// CloudEvents decodes one CloudEvent in structured or binary mode, as the headers say, or a bare CDEvent under
// application/json. A *triage.Ignored is one that tells of no change; every other error is the sender's. Batches are
// taken apart before, so that one bad event does not cost the others.
type CloudEvents func(header http.Header, body []byte) ([]triage.Event, error)

// Update says that an Incident changed; Report is set when it was by a new one.
type Update struct {
	Incident triage.Incident
	Report   *triage.Report
}

// Check is one condition of /-/ready. Err returns nil, or one sentence without secrets.
type Check struct {
	Name string
	Err  func() error
}
