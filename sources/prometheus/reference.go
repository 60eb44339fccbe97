package prometheus

import (
	"context"
	"sync"
	"time"

	"github.com/prometheus/common/model"
)

const (
	referenceStep = time.Minute // quiet days are read coarsely: quantiles need no more
	day           = 24 * time.Hour
	maxOptional   = 2 * time.Second
)

// optional is time for what an answer can do without: half of what is left, and little.
func optional(ctx context.Context) (context.Context, context.CancelFunc) {
	limit := maxOptional
	if d, ok := ctx.Deadline(); ok {
		limit = min(limit, time.Until(d)/2)
	}
	return context.WithTimeout(inTurn(ctx, turnOptional), limit)
}

// pastDays runs expr over the same window on each configured day before. Days without an answer are missing from the result.
func (s *Source) pastDays(ctx context.Context, expr string, g grid) []model.Matrix {
	out := make([]model.Matrix, len(s.cfg.Reference.Days))
	if !s.client.spare() {
		return out
	}
	ctx, cancel := optional(ctx)
	defer cancel()
	var wg sync.WaitGroup
	for i, d := range s.cfg.Reference.Days {
		back := time.Duration(d) * day
		past := newGrid(g.from.Add(-back), g.to.Add(-back), max(g.step, referenceStep))
		wg.Go(func() {
			if m, err := s.client.matrix(ctx, expr, past); err == nil {
				out[i] = m
			}
		})
	}
	wg.Wait()
	return out
}
