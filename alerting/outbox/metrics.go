package outbox

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

const labelReceiver = "receiver" // "<receiver>/<integration>", from the configuration

type metrics struct {
	notifications *prometheus.CounterVec
	failed        *prometheus.CounterVec
	latency       *prometheus.HistogramVec
	delay         prometheus.Histogram
	dead          *prometheus.CounterVec
	surplus       *prometheus.CounterVec
}

// newMetrics registers with r, which may be nil. State gauges are read from d at scrape.
func newMetrics(r prometheus.Registerer, d *Dispatcher) *metrics {
	f := promauto.With(r)
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return f.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
	}
	f.NewGaugeFunc(prometheus.GaugeOpts{Name: "triaged_outbox_pending", Help: "Deliveries waiting to be posted."}, func() float64 { return float64(d.Pending()) })
	return &metrics{
		notifications: counter("triaged_notifications_total", "Attempts to post a report.", labelReceiver),
		failed:        counter("triaged_notifications_failed_total", "Attempts to post that failed.", labelReceiver, "reason"),
		latency: f.NewHistogramVec(prometheus.HistogramOpts{
			Name: "triaged_notification_latency_seconds", Help: "Time one attempt to post took.",
			Buckets: []float64{.01, .05, .1, .25, .5, 1, 2.5, 5, 10, 20},
		}, []string{labelReceiver}),
		delay: f.NewHistogram(prometheus.HistogramOpts{
			Name: "triaged_notification_delay_seconds", Help: "Time from a report being stored to its being accepted by the other side, retries included.",
			Buckets: []float64{.05, .1, .25, .5, 1, 5, 15, 60, 300, 1800, 7200},
		}),
		dead:    counter("triaged_notifications_dead_total", "Deliveries given up: see /api/v1/deliveries?state=dead.", labelReceiver),
		surplus: counter("triaged_notifications_surplus_removed_total", "Copies that a receiver made of attempts which were given up, and that were deleted again.", labelReceiver),
	}
}
