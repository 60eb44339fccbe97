package hooks

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/triaged-dev/triaged/triage/meter"
)

// Outcomes of a request: the values of the outcome label.
const (
	outcomeAccepted        = "accepted"
	outcomeIgnored         = "ignored"
	outcomeUndecodable     = "undecodable" // in the quarantine
	outcomeUnauthenticated = "unauthenticated"
	outcomeTooLarge        = "too_large"
	outcomeUnreadable      = "unreadable" // the body did not arrive
	outcomeBusy            = "busy"
	outcomeStoreFailed     = "store_failed" // the sender should try again
)

type metrics struct {
	requests *prometheus.CounterVec
	events   *prometheus.CounterVec
	ignored  *prometheus.CounterVec
	duration *prometheus.HistogramVec
}

func newMetrics(reg prometheus.Registerer) *metrics {
	return &metrics{
		requests: meter.Register(reg, prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "triaged_hook_requests_total", Help: "Requests to a hook, by what became of them.",
		}, []string{"hook", "outcome"})),
		events: meter.Register(reg, prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "triaged_hook_events_total", Help: "Changes and anomalies taken from a hook; a redelivery counts again.",
		}, []string{"hook"})),
		// The reasons stand in the mapping files, so they are few.
		ignored: meter.Register(reg, prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "triaged_hook_ignored_total", Help: "Requests that are no change, by the mapping's reason.",
		}, []string{"hook", "reason"})),
		duration: meter.Register(reg, prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "triaged_hook_duration_seconds", Help: "Time from the request to the answer, storing included.",
			Buckets: []float64{.001, .005, .01, .05, .1, .5, 1, 5, 10},
		}, []string{"hook"})),
	}
}
