package collector

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are what the collector counts. The source label holds configured names and "push" only.
type metrics struct {
	events      *prometheus.CounterVec
	errors      *prometheus.CounterVec
	quarantined *prometheus.CounterVec
	retried     *prometheus.CounterVec
	folded      prometheus.Counter
	late        prometheus.Counter
	overflow    prometheus.Counter
	anomalyLost prometheus.Counter
	skew        prometheus.Counter
	hits        prometheus.Counter
	misses      prometheus.Counter
	lost        prometheus.Counter
	commits     prometheus.Histogram
}

func newMetrics(reg prometheus.Registerer) *metrics {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
	}
	vec := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
	}
	m := &metrics{
		events:      vec("triaged_collector_events_total", "Events taken and stored, by source and kind of change (or anomaly).", "source", "kind"),
		errors:      vec("triaged_collector_errors_total", "Failures of a source: its run ended (error, panic, exit), or its events could not be stored (store).", "source", "reason"),
		quarantined: vec("triaged_collector_quarantined_total", "Records set aside because they could not be taken.", "source"),
		retried:     vec("triaged_collector_quarantine_retries_total", "Quarantined records read again on request, by outcome: taken, ignored, refused, failed.", "source", "outcome"),
		folded:      counter("triaged_collector_folded_total", "Reports folded into a change that was known already."),
		late:        counter("triaged_window_late_total", "Changes that arrived later than the window reaches back; they are in the journal only."),
		overflow:    counter("triaged_window_overflow_total", "Changes evicted before their time because the window was full."),
		anomalyLost: counter("triaged_window_anomaly_overflow_total", "Anomalies evicted before their time because there were too many."),
		skew:        counter("triaged_collector_clock_skew_total", "Events whose sender's clock was more than 5 minutes ahead."),
		hits:        counter("triaged_collector_cache_hits_total", "Change bodies found in the cache."),
		misses:      counter("triaged_collector_cache_misses_total", "Change bodies read from the journal because the cache did not have them."),
		lost:        counter("triaged_collector_subscriber_lost_total", "Events that a subscriber was too slow to take."),
		commits: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "triaged_collector_commit_events", Help: "Events committed to the journal at once.", Buckets: prometheus.ExponentialBuckets(1, 4, 7),
		}),
	}
	if reg != nil {
		reg.MustRegister(m.events, m.errors, m.quarantined, m.retried, m.folded, m.late, m.overflow, m.anomalyLost, m.skew, m.hits, m.misses, m.lost, m.commits)
	}
	return m
}

// gauges are computed when they are scraped, from the state itself.
type gauges struct {
	c           *Collector
	changes     *prometheus.Desc
	lastSuccess *prometheus.Desc
	lag         *prometheus.Desc
}

func newGauges(c *Collector) *gauges {
	source := []string{"source"}
	return &gauges{
		c:           c,
		changes:     prometheus.NewDesc("triaged_window_changes", "Changes in the window.", nil, nil),
		lastSuccess: prometheus.NewDesc("triaged_collector_last_success_timestamp_seconds", "When the source last spoke to the other side.", source, nil),
		lag:         prometheus.NewDesc("triaged_collector_lag_seconds", "How far the source is behind the other side.", source, nil),
	}
}

func (g *gauges) Describe(ch chan<- *prometheus.Desc) {
	ch <- g.changes
	ch <- g.lastSuccess
	ch <- g.lag
}

func (g *gauges) Collect(ch chan<- prometheus.Metric) {
	ch <- prometheus.MustNewConstMetric(g.changes, prometheus.GaugeValue, float64(g.c.size()))
	for _, s := range g.c.running() {
		st := s.Status()
		if !st.LastSuccess.IsZero() {
			ch <- prometheus.MustNewConstMetric(g.lastSuccess, prometheus.GaugeValue, float64(st.LastSuccess.UnixNano())/float64(time.Second), s.Name())
		}
		ch <- prometheus.MustNewConstMetric(g.lag, prometheus.GaugeValue, st.LagS, s.Name())
	}
}
