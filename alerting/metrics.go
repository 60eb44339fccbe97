package alerting

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"github.com/triaged-dev/triaged/triage"
)

// What became of a received alert: the outcomes of triaged_alerts_received_total. Every alert has exactly one.
const (
	outcomeNew       = "new"       // opened an incident
	outcomeJoined    = "joined"    // joined an open one
	outcomeFlapping  = "flapping"  // fired again soon after it resolved
	outcomeDuplicate = "duplicate" // a repeat, or the other one of an HA pair
	outcomeResolved  = "resolved"  // ended an alert we knew
	outcomeUnseen    = "unknown"   // resolved, but never seen firing
	outcomeIgnored   = "ignored"   // matches incidents.ignore
	outcomeInvalid   = "invalid"   // could not be read
	outcomeOverflow  = "overflow"  // its incident holds incidents.max_alerts already; counted, not kept
	outcomeRefused   = "refused"   // incidents.max_open reached; the sender was told to retry
	outcomeTruncated = "truncated" // left out by the sender
)

func outcomes() []string {
	return []string{
		outcomeNew, outcomeJoined, outcomeFlapping, outcomeDuplicate, outcomeResolved, outcomeUnseen,
		outcomeIgnored, outcomeInvalid, outcomeOverflow, outcomeRefused, outcomeTruncated,
	}
}

type metrics struct {
	alerts         *prometheus.CounterVec
	triageDuration prometheus.Histogram
	triageFailed   prometheus.Counter
	storeFailed    *prometheus.CounterVec
	queueOverflow  prometheus.Counter
	reports        *prometheus.CounterVec
	updatesLost    prometheus.Counter
	checks         *prometheus.CounterVec
	truths         *prometheus.CounterVec
	judged         *prometheus.CounterVec
	wrong          *prometheus.CounterVec
}

// newMetrics registers with r, which may be nil. State gauges are read from a at scrape.
func newMetrics(r prometheus.Registerer, a *Alerting) *metrics {
	f := promauto.With(r)
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return f.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
	}
	gauge := func(name, help string, labels prometheus.Labels, value func() float64) {
		f.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help, ConstLabels: labels}, value)
	}
	m := &metrics{
		alerts: counter("triaged_alerts_received_total", "Alerts received, by what became of them; their sum is every alert there was.", "outcome"),
		triageDuration: f.NewHistogram(prometheus.HistogramOpts{
			Name: "triaged_triage_duration_seconds", Help: "Time from taking an incident from the queue to its report being stored.",
			Buckets: []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 15},
		}),
		triageFailed:  f.NewCounter(prometheus.CounterOpts{Name: "triaged_triage_failed_total", Help: "Triages that gave no answer; a report saying so was made instead."}),
		storeFailed:   counter("triaged_alerting_store_failures_total", "Writes of alerting that the journal refused; they are tried again.", "what"),
		queueOverflow: f.NewCounter(prometheus.CounterOpts{Name: "triaged_triage_queue_overflow_total", Help: "Incidents that found the triage queue full; they are queued again when there is room."}),
		reports:       counter("triaged_reports_total", "Reports stored, by what set them off: posted says whether they went to the outbox.", "posted"),
		checks:        counter("triaged_undo_checks_total", "What watched undos turned out to have done, by outcome; one undo may count under several in turn.", "outcome"),
		updatesLost:   f.NewCounter(prometheus.CounterOpts{Name: "triaged_incident_updates_lost_total", Help: "Updates not handed to a subscriber that read too slowly."}),
	}
	m.truths = counter("triaged_truths_total", "Incidents that closed in a way that tells what set them off, without anybody labelling them, by what tells it.", "basis")
	m.judged = counter("triaged_judged_total", "What first reports said that the ends of incidents decide, in labels of a person (see docs/advice.md), by what is judged.", "what")
	m.wrong = counter("triaged_judged_wrong_total", "Of triaged_judged_total, what turned out wrong: false blame, wrong undo, missed.", "what")
	for _, b := range triage.Bases() {
		m.truths.WithLabelValues(string(b))
	}
	for _, w := range []string{"false_blame", "wrong_undo", "missed"} {
		m.judged.WithLabelValues(w)
		m.wrong.WithLabelValues(w)
	}
	for _, o := range outcomes() {
		m.alerts.WithLabelValues(o)
	}
	for _, s := range []triage.IncidentState{triage.IncidentOpen, triage.IncidentMitigating, triage.IncidentRecovered} {
		gauge("triaged_incidents", "Incidents not closed, by state.", prometheus.Labels{"state": string(s)}, func() float64 { return float64(a.count(s)) })
	}
	gauge("triaged_triage_queue_length", "Incidents waiting for triage.", nil, func() float64 { return float64(a.queue.len()) })
	return m
}
