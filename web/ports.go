package web

import (
	"context"
	"net/http"
	"time"

	"github.com/triaged-dev/triaged/triage"
)

// Store is what the pages read of the journal, and the one thing they write to it: feedback. Lists page by cursor.
// Errors for which Options.NotFound is true become 404, a *triage.FieldError becomes 400, anything else 500.
type Store interface {
	ResolveChange(ctx context.Context, id triage.ChangeID) (triage.ChangeID, error)
	Changes(ctx context.Context, ids []triage.ChangeID) ([]triage.Change, error)
	FindChanges(ctx context.Context, q triage.ChangeQuery) (changes []triage.Change, next string, err error)
	// CountChanges counts by triage.CountByKind, CountByService or nothing, in bins of equal length over [q.From, q.To).
	CountChanges(ctx context.Context, q triage.ChangeQuery, bins int, by string) (map[string][]int, error)

	Incident(ctx context.Context, id string) (triage.Incident, error)
	Incidents(ctx context.Context, q triage.IncidentQuery) (incidents []triage.Incident, next string, err error)
	Report(ctx context.Context, incidentID string, n int) (triage.Report, error)
	Reports(ctx context.Context, incidentID string) ([]triage.Report, error)
	ReportInput(ctx context.Context, incidentID string, n int) (triage.Case, error)

	SaveFeedback(ctx context.Context, f triage.Feedback) error
	Feedback(ctx context.Context, incidentID string) ([]triage.Feedback, error)
	Outcomes(ctx context.Context) ([]triage.Outcome, error)

	Deliveries(ctx context.Context, q triage.DeliveryQuery) (deliveries []triage.Delivery, next string, err error)
	Quarantined(ctx context.Context, source, after string, limit int) (records []triage.Quarantined, next string, err error)
}

// Collector takes a change written by hand in, reads what was set aside again, and says how the sources are doing. Emit follows triage.Emit.
type Collector interface {
	Emit(ctx context.Context, events []triage.Event) error
	Sources() []triage.SourceStatus
	Coverage(from, to time.Time) []triage.Coverage
	// Retry reads a quarantined record again. A *triage.FieldError means that it still cannot be read.
	Retry(ctx context.Context, id string) (events int, err error)
}

// Resender puts a Delivery back into the outbox. A *triage.FieldError means that its state does not allow it.
type Resender interface {
	Resend(ctx context.Context, deliveryID string) error
}

// Scope is what a visitor must be allowed for a route. The words are those of the API's auth section.
type Scope string

// The scopes the pages ask for.
const (
	ScopeOpen         Scope = ""              // anybody: assets, and what is not there
	ScopeRead         Scope = "read"          // look
	ScopeWriteChanges Scope = "write:changes" // add a change by hand
	ScopeFeedback     Scope = "feedback"      // say whether a suspect was right
	ScopeAdmin        Scope = "admin"         // configuration, quarantine, resend, retry
)

// Protect wraps a handler so that only visitors with the scope reach it.
type Protect func(scope Scope, next http.Handler) http.Handler
