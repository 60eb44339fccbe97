package api

import "github.com/prometheus/client_golang/prometheus"

// metrics count what comes in over HTTP. Label values are bounded: handlers are route patterns, methods are the known ones.
type metrics struct {
	duration *prometheus.HistogramVec
	inFlight *prometheus.GaugeVec
	rejected *prometheus.CounterVec
	records  *prometheus.CounterVec
	panics   prometheus.Counter
	signins  *prometheus.CounterVec
}

func newMetrics(reg prometheus.Registerer) *metrics {
	m := &metrics{
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "triaged_http_request_duration_seconds",
			Help:    "Time to answer, by route, method and status code. Event streams count when they end.",
			Buckets: []float64{.001, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30},
		}, []string{"handler", "method", "code"}),
		inFlight: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "triaged_http_requests_in_flight",
			Help: "Requests being worked on, by lane; lanes are bounded separately.",
		}, []string{"lane"}),
		rejected: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "triaged_http_rejected_total",
			Help: "Requests that were not served, by reason.",
		}, []string{"reason"}),
		records: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "triaged_http_records_total",
			Help: "Changes and anomalies pushed, by result: accepted or rejected.",
		}, []string{"result"}),
		signins: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "triaged_signins_total",
			Help: "Sign-ins of people, by result: begun, signed_in, refused or signed_out.",
		}, []string{"result"}),
		panics: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "triaged_http_panics_total",
			Help: "Requests whose handler panicked. Always a bug.",
		}),
	}
	for kind := range problemKinds {
		m.rejected.WithLabelValues(string(kind))
	}
	for _, result := range []string{"accepted", "rejected"} {
		m.records.WithLabelValues(result)
	}
	for _, result := range signResults() {
		m.signins.WithLabelValues(result)
	}
	if reg != nil {
		reg.MustRegister(m.duration, m.inFlight, m.rejected, m.records, m.panics, m.signins)
	}
	return m
}
