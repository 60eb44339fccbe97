package main

import (
	"context"
	"log/slog"
	"time"

	"github.com/triaged-dev/triaged/triage"
)

// percentages reports whether cards may print probabilities: once enough incidents carry the team's own labels.
func percentages(store interface {
	Labelled(ctx context.Context) (int, error)
}, log *slog.Logger,
) func(context.Context) bool {
	return func(ctx context.Context) bool {
		ctx, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		n, err := store.Labelled(ctx)
		if err != nil {
			log.Warn("labels cannot be counted, so cards go without percentages", "error", err)
		}
		return err == nil && n >= triage.EnoughLabels
	}
}
