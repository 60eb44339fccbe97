package web

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

type metrics struct {
	duration *prometheus.HistogramVec
}

// newMetrics registers the metrics of the pages; a nil Registerer is allowed.
func newMetrics(reg prometheus.Registerer) *metrics {
	m := &metrics{duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "triaged_web_page_duration_seconds", Help: "Time to make a page, by its template.",
		Buckets: []float64{.001, .005, .025, .1, .5, 2.5, 10},
	}, []string{"page"})}
	if reg != nil {
		reg.MustRegister(m.duration)
	}
	return m
}

func (m *metrics) page(name string, from, to time.Time) {
	m.duration.WithLabelValues(name).Observe(to.Sub(from).Seconds())
}
