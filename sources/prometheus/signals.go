package prometheus

import (
	"context"
	"time"

	"github.com/triaged-dev/triaged/triage"
)

type discovery struct{}

// Signals are the RED and saturation series of services.
func (s *Source) Signals(ctx context.Context, q triage.SignalQuery) ([]triage.Series, error) {
	return nil, nil
}

// Symptom is what this server knows about the rule behind an alert.
func (s *Source) Symptom(ctx context.Context, a triage.Alert, from, to time.Time) (triage.Symptom, error) {
	return triage.Symptom{}, nil
}
