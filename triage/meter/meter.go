// Package meter registers metrics that outlive the part which counts them: a part that is made again after a reload counts on.
//
// It names no metric and keeps none.
package meter

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"
)

// Register adds c to reg, or returns its equal that is there already. reg may be nil: c then counts for nobody.
func Register[C prometheus.Collector](reg prometheus.Registerer, c C) C {
	if reg == nil {
		return c
	}
	if are, ok := errors.AsType[prometheus.AlreadyRegisteredError](reg.Register(c)); ok {
		if existing, ok := are.ExistingCollector.(C); ok {
			return existing
		}
	}
	return c
}
