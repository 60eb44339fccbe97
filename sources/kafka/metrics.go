package kafka

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/triaged-dev/triaged/triage/meter"
)

// Outcomes of a record, as they stand in triaged_kafka_records_total.
const (
	outcomeDecoded     = "decoded"
	outcomeIgnored     = "ignored"
	outcomeQuarantined = "quarantined"
	outcomeTombstone   = "tombstone"
)

// metrics are shared by all Kafka sources of a registry, and survive a reload.
type metrics struct {
	records       *prometheus.CounterVec // source, outcome
	lagRecords    *prometheus.GaugeVec   // source
	lagSeconds    *prometheus.GaugeVec   // source
	commits       *prometheus.CounterVec // source, result
	emitErrors    *prometheus.CounterVec // source
	clientErrors  *prometheus.CounterVec // source
	resets        *prometheus.CounterVec // source, reason
	sessions      *prometheus.CounterVec // source
	quarantineErr *prometheus.CounterVec // source
}

func newMetrics(reg prometheus.Registerer) *metrics {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return meter.Register(reg, prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels))
	}
	gauge := func(name, help string) *prometheus.GaugeVec {
		return meter.Register(reg, prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: name, Help: help}, []string{"source"}))
	}
	return &metrics{
		records:       counter("triaged_kafka_records_total", "Records read, by what became of them.", "source", "outcome"),
		lagRecords:    gauge("triaged_kafka_lag_records", "Records in the log that are not yet taken, over all partitions of the group."),
		lagSeconds:    gauge("triaged_kafka_lag_seconds", "Age of the oldest record that may not yet be taken."),
		commits:       counter("triaged_kafka_commits_total", "Offset commits, by result. A failed one means redelivery, not loss.", "source", "result"),
		emitErrors:    counter("triaged_kafka_emit_errors_total", "Batches that the store did not take; each is tried again.", "source"),
		clientErrors:  counter("triaged_kafka_client_errors_total", "Errors in talking to the brokers; each is tried again.", "source"),
		resets:        counter("triaged_kafka_log_resets_total", "Partitions whose log no longer held our position: past_end (emptied or cut), expired (deleted by retention).", "source", "reason"),
		sessions:      counter("triaged_kafka_sessions_total", "Times the source joined its group.", "source"),
		quarantineErr: counter("triaged_kafka_quarantine_errors_total", "Bad records that could not even be put into the quarantine.", "source"),
	}
}
