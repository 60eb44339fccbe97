package github

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/triaged-dev/triaged/triage/meter"
)

// metrics of every source of this type; the label source is the configured name.
type metrics struct {
	requests   *prometheus.CounterVec
	remaining  *prometheus.GaugeVec
	expiry     *prometheus.GaugeVec
	deliveries *prometheus.CounterVec
}

// newMetrics registers the metrics. Several sources share them, and so does the source that replaces one on reload.
// A nil registerer gives metrics that nobody reads.
func newMetrics(reg prometheus.Registerer) *metrics {
	return &metrics{
		requests: meter.Register(reg, prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "triaged_github_requests_total",
			Help: "Requests to the GitHub API by outcome: ok, not_modified (free of charge), rate_limited, auth_error, client_error, server_error, network, held_back.",
		}, []string{"source", "outcome"})),
		remaining: meter.Register(reg, prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "triaged_github_rate_limit_remaining",
			Help: "Requests left in the current hour, as GitHub last reported it.",
		}, []string{"source"})),
		expiry: meter.Register(reg, prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "triaged_github_token_expiry_timestamp_seconds",
			Help: "When the configured token expires, Unix time. Absent for tokens that do not expire, and for Apps.",
		}, []string{"source"})),
		deliveries: meter.Register(reg, prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "triaged_github_webhook_deliveries_total",
			Help: "Webhook deliveries by outcome: accepted, ignored, duplicate, unknown_event, bad_signature, malformed, too_large, store_failed.",
		}, []string{"source", "outcome"})),
	}
}
