package triage

import "testing"

func TestBetterOf(t *testing.T) {
	for metric, want := range map[string]Better{
		"up": BetterHigher, "redis_up": BetterHigher, "probe_success": BetterHigher, "haproxy_server_up": BetterHigher, "service_healthy": BetterHigher,
		"probe_ssl_earliest_cert_expiry": BetterHigher, "node_filesystem_avail_bytes": BetterHigher, "x509_cert_not_after": BetterHigher,
		"kube_deployment_status_replicas_available": BetterHigher, "checkout:availability:ratio_rate5m": BetterHigher,
		"kube_deployment_status_replicas_unavailable": BetterLower, "service_unhealthy": BetterLower, "http_errors_total": BetterLower,
		"probe_failed_due_to_regex": BetterLower, "slo:sli_error:ratio_rate5m": BetterLower, "kafka_consumergroup_lag": BetterLower,
		"http_requests_total": "", "uptime_seconds": "", "backup_size": "", "disk_used_bytes": BetterLower,
	} {
		if got := BetterOf(metric); got != want {
			t.Errorf("%s: want %q, got %q", metric, want, got)
		}
	}
	for metric, want := range map[string]bool{"up": true, "job:up": true, "redis_up": true, "probe_success": true, "catchup": false, "unhealthy": false, "backup": false, "node_healthy": true} {
		if got := IsLiveness(metric); got != want {
			t.Errorf("liveness of %s: want %v, got %v", metric, want, got)
		}
	}
}
