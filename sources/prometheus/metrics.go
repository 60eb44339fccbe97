package prometheus

import (
	prom "github.com/prometheus/client_golang/prometheus"

	"github.com/triaged-dev/triaged/triage/meter"
)

// metrics of one server; every one has the constant label server.
type metrics struct {
	queries     *prom.CounterVec // outcome
	seconds     prom.Histogram
	inflight    prom.Gauge
	cacheHits   prom.Counter
	budgetWaits prom.Counter
	dropped     prom.Counter
	anomalies   prom.Counter
	changes     *prom.CounterVec // surely
}

// newMetrics registers on reg, or nowhere when it is nil. A source made again after a reload finds its metrics there and keeps
// counting on; breakerState is read at scrape from the newest source.
func newMetrics(reg prom.Registerer, server string, breakerState func() float64) *metrics {
	same := prom.Labels{"server": server}
	m := &metrics{
		queries: meter.Register(reg, prom.NewCounterVec(prom.CounterOpts{
			ConstLabels: same, Name: "triaged_prometheus_queries_total", Help: "Requests to Prometheus by outcome: ok, or why there was no answer.",
		}, []string{"outcome"})),
		seconds: meter.Register(reg, prom.NewHistogram(prom.HistogramOpts{
			ConstLabels: same, Name: "triaged_prometheus_query_seconds", Help: "Time one request to Prometheus took, without waiting for its turn.",
			Buckets: []float64{.01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30},
		})),
		inflight: meter.Register(reg, prom.NewGauge(prom.GaugeOpts{
			ConstLabels: same, Name: "triaged_prometheus_inflight", Help: "Requests to Prometheus under way.",
		})),
		cacheHits: meter.Register(reg, prom.NewCounter(prom.CounterOpts{
			ConstLabels: same, Name: "triaged_prometheus_cache_hits_total", Help: "Queries answered without asking Prometheus.",
		})),
		budgetWaits: meter.Register(reg, prom.NewCounter(prom.CounterOpts{
			ConstLabels: same, Name: "triaged_prometheus_budget_waits_total", Help: "Queries that had to wait for the budget per minute, or were given up because of it.",
		})),
		dropped: meter.Register(reg, prom.NewCounter(prom.CounterOpts{
			ConstLabels: same, Name: "triaged_prometheus_series_dropped_total", Help: "Series of answers beyond max_series, and series the anomaly detector had no room for.",
		})),
		anomalies: meter.Register(reg, prom.NewCounter(prom.CounterOpts{
			ConstLabels: same, Name: "triaged_prometheus_anomalies_total", Help: "Anomalies that began.",
		})),
		changes: meter.Register(reg, prom.NewCounterVec(prom.CounterOpts{
			ConstLabels: same, Name: "triaged_prometheus_changes_total", Help: "Changes seen in metrics, by how surely something changed: certain, likely, possible.",
		}, []string{"surely"})),
	}
	if reg != nil {
		g := prom.NewGaugeFunc(prom.GaugeOpts{
			ConstLabels: same, Name: "triaged_prometheus_breaker_state", Help: "0 closed, 1 half open, 2 open: the server is left alone.",
		}, breakerState)
		reg.Unregister(g)
		meter.Register(reg, g)
	}
	return m
}
