package triage

import "testing"

// A unit is a whole word of the name: the seconds in milliseconds are none, and a count of a histogram in seconds is a count.
func TestUnitOf(t *testing.T) {
	for name, want := range map[string]Unit{
		"http_request_duration_seconds_bucket":         UnitSeconds,
		"service:request_duration_seconds:p99_1m":      UnitSeconds,
		"http_request_duration_seconds:p95_rate2m":     UnitSeconds,
		"sli:latency:p90_seconds":                      UnitSeconds,
		"istio_request_duration_milliseconds:p99":      UnitMilliseconds,
		"http_server_duration_milliseconds_bucket":     UnitMilliseconds,
		"checkout_latency_ms":                          UnitMilliseconds,
		"rpc.duration.us":                              UnitMicroseconds,
		"requests_us":                                  "", // a region
		"service:availability:ratio_5m":                UnitRatio,
		"service:request_errors:ratio_rate1m":          UnitRatio,
		"process_cpu:limit_ratio":                      UnitRatio,
		"configuration_generation":                     "", // ration is no ratio
		"pod:memory_usage:percent":                     UnitPercent,
		"pod:network_receive_bytes:rate":               UnitBytesRate,
		"container_memory_working_set_bytes":           UnitBytes,
		"service:requests:rate1m":                      UnitRate,
		"http_request_duration_seconds_count":          "",
		"aws_applicationelb_httpcode_5_xx_count_sum":   "",
		"trace.http.request.duration.p95":              "",
		"pod:cpu_usage:millicores":                     "",
		`http_requests_total{code="5..",le="seconds"}`: "",
	} {
		if got := UnitOf(name); got != want {
			t.Errorf("%s: want %q, got %q", name, want, got)
		}
	}
	for name, want := range map[string]Unit{
		"http_requests_total":               UnitRate,
		"node_network_receive_bytes_total":  UnitBytesRate,
		"container_cpu_usage_seconds_total": "",
	} {
		if got := (Series{Metric: name, Kind: "counter"}).Measured(); got != want {
			t.Errorf("increase of %s: want %q, got %q", name, want, got)
		}
	}
	if got := (Series{Metric: "http_server_duration_milliseconds p99", Unit: UnitSeconds}).Measured(); got != UnitSeconds {
		t.Errorf("what the source says goes before the name, got %q", got)
	}
}
