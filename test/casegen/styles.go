package main

import (
	"time"

	"github.com/triaged-dev/triaged/test/casegen/scenario"
	"github.com/triaged-dev/triaged/triage"
)

// measuring is a Style with what goes with it: how often it is scraped and how its alerts are written.
type measuring struct {
	scenario.Style
	step time.Duration
	expr map[triage.Signal]string // of the alert; %s is the service
}

// styles are conventions met in the field. A case has one of them.
var styles = []measuring{
	{
		Style: scenario.Style{Name: "recording rules", Metrics: map[triage.Signal]scenario.Metric{
			triage.SignalTraffic:    {Name: "service:requests:rate1m", Range: time.Minute},
			triage.SignalErrors:     {Name: "service:request_errors:ratio_rate1m", Range: time.Minute},
			triage.SignalLatency:    {Name: "service:request_duration_seconds:p99_1m", Range: time.Minute},
			triage.SignalSaturation: {Name: "service:cpu_utilisation:ratio"},
		}},
		step: 15 * time.Second,
		expr: map[triage.Signal]string{
			triage.SignalErrors:     `service:request_errors:ratio_rate1m{service="%s"} > 0.02`,
			triage.SignalLatency:    `service:request_duration_seconds:p99_1m{service="%s"} > 1`,
			triage.SignalSaturation: `service:cpu_utilisation:ratio{service="%s"} > 0.85`,
			triage.SignalTraffic:    `service:requests:rate1m{service="%s"} < 0.6 * service:requests:rate1m{service="%[1]s"} offset 1d`,
		},
	},
	{
		Style: scenario.Style{Name: "http counters", Metrics: map[triage.Signal]scenario.Metric{
			triage.SignalTraffic:    {Name: "http_requests_total", Counter: true},
			triage.SignalErrors:     {Name: "http_requests_failed_total", Counter: true, Labels: map[string]string{"code": "5xx"}},
			triage.SignalLatency:    {Name: "http_request_duration_seconds:p95_rate2m", Range: 2 * time.Minute},
			triage.SignalSaturation: {Name: "container_cpu_usage:ratio_rate2m", Range: 2 * time.Minute},
		}},
		step: 30 * time.Second,
		expr: map[triage.Signal]string{
			triage.SignalErrors:     `sum(rate(http_requests_failed_total{service="%s"}[2m])) / sum(rate(http_requests_total{service="%[1]s"}[2m])) > 0.02`,
			triage.SignalLatency:    `http_request_duration_seconds:p95_rate2m{service="%s"} > 1`,
			triage.SignalSaturation: `container_cpu_usage:ratio_rate2m{service="%s"} > 0.85`,
			triage.SignalTraffic:    `sum(rate(http_requests_total{service="%s"}[2m])) < 0.5 * sum(rate(http_requests_total{service="%[1]s"}[2m] offset 1h))`,
		},
	},
	{
		Style: scenario.Style{Name: "mesh, five-minute rates", Metrics: map[triage.Signal]scenario.Metric{
			triage.SignalTraffic:    {Name: "istio_requests:rate5m", Range: 5 * time.Minute, Labels: map[string]string{"reporter": "destination"}},
			triage.SignalErrors:     {Name: "istio_requests:error_ratio_rate5m", Range: 5 * time.Minute, Labels: map[string]string{"reporter": "destination"}},
			triage.SignalLatency:    {Name: "istio_request_duration_milliseconds:p99_rate5m", Range: 5 * time.Minute, Unit: 1000},
			triage.SignalSaturation: {Name: "container_memory_working_set:limit_ratio"},
		}},
		step: 30 * time.Second,
		expr: map[triage.Signal]string{
			triage.SignalErrors:     `istio_requests:error_ratio_rate5m{service="%s"} > 0.02`,
			triage.SignalLatency:    `istio_request_duration_milliseconds:p99_rate5m{service="%s"} > 1000`,
			triage.SignalSaturation: `container_memory_working_set:limit_ratio{service="%s"} > 0.9`,
			triage.SignalTraffic:    `istio_requests:rate5m{service="%s"} < 0.6 * istio_requests:rate5m{service="%[1]s"} offset 1w`,
		},
	},
	{
		Style: scenario.Style{Name: "cloud load balancer", Metrics: map[triage.Signal]scenario.Metric{
			triage.SignalTraffic:    {Name: "aws_applicationelb_request_count_sum", Unit: 60, Stamp: triage.StampStart},
			triage.SignalErrors:     {Name: "aws_applicationelb_httpcode_target_5_xx_count_sum", Counts: true, Unit: 60, Stamp: triage.StampStart},
			triage.SignalLatency:    {Name: "aws_applicationelb_target_response_time_p99", Stamp: triage.StampStart},
			triage.SignalSaturation: {Name: "aws_ecs_service_cpu_utilization_average", Unit: 100, Stamp: triage.StampStart},
		}},
		step: time.Minute,
		expr: map[triage.Signal]string{
			triage.SignalErrors:     `aws_applicationelb_httpcode_target_5_xx_count_sum{service="%s"} / aws_applicationelb_request_count_sum{service="%[1]s"} > 0.02`,
			triage.SignalLatency:    `aws_applicationelb_target_response_time_p99{service="%s"} > 1`,
			triage.SignalSaturation: `aws_ecs_service_cpu_utilization_average{service="%s"} > 85`,
			triage.SignalTraffic:    `aws_applicationelb_request_count_sum{service="%s"} < 0.6 * avg_over_time(aws_applicationelb_request_count_sum{service="%[1]s"}[1h])`,
		},
	},
	{
		Style: scenario.Style{Name: "service level indicators", Metrics: map[triage.Signal]scenario.Metric{
			triage.SignalTraffic:    {Name: "sli:requests:rate2m", Range: 2 * time.Minute},
			triage.SignalErrors:     {Name: "sli:availability:ratio_rate2m", Range: 2 * time.Minute, Success: true},
			triage.SignalLatency:    {Name: "sli:latency:p90_seconds", Range: 2 * time.Minute},
			triage.SignalSaturation: {Name: "worker_pool_busy:ratio"},
		}},
		step: 15 * time.Second,
		expr: map[triage.Signal]string{
			triage.SignalErrors:     `1 - sli:availability:ratio_rate2m{service="%s"} > 14.4 * 0.001`,
			triage.SignalLatency:    `sli:latency:p90_seconds{service="%s"} > 0.8`,
			triage.SignalSaturation: `worker_pool_busy:ratio{service="%s"} > 0.85`,
			triage.SignalTraffic:    `sli:requests:rate2m{service="%s"} < 0.6 * avg_over_time(sli:requests:rate2m{service="%[1]s"}[1h])`,
		},
	},
	{
		Style: scenario.Style{Name: "gRPC counters", Metrics: map[triage.Signal]scenario.Metric{
			triage.SignalTraffic:    {Name: "grpc_server_handled_total", Counter: true},
			triage.SignalErrors:     {Name: "grpc_server_handled_errors_total", Counter: true, Labels: map[string]string{"grpc_code": "Unavailable"}},
			triage.SignalLatency:    {Name: "grpc_server_handling_seconds:p99_rate1m", Range: time.Minute},
			triage.SignalSaturation: {Name: "process_cpu:limit_ratio"},
		}},
		step: 15 * time.Second,
		expr: map[triage.Signal]string{
			triage.SignalErrors:     `sum(rate(grpc_server_handled_errors_total{service="%s"}[1m])) / sum(rate(grpc_server_handled_total{service="%[1]s"}[1m])) > 0.02`,
			triage.SignalLatency:    `grpc_server_handling_seconds:p99_rate1m{service="%s"} > 1`,
			triage.SignalSaturation: `process_cpu:limit_ratio{service="%s"} > 0.85`,
			triage.SignalTraffic:    `sum(rate(grpc_server_handled_total{service="%s"}[5m])) < 0.5 * sum(rate(grpc_server_handled_total{service="%[1]s"}[5m] offset 1h))`,
		},
	},
	{
		Style: scenario.Style{Name: "tracing vendor", Metrics: map[triage.Signal]scenario.Metric{
			triage.SignalTraffic:    {Name: "trace.http.request.hits", Stamp: triage.StampStart},
			triage.SignalErrors:     {Name: "trace.http.request.errors", Counts: true, Stamp: triage.StampStart},
			triage.SignalLatency:    {Name: "trace.http.request.duration.p95", Stamp: triage.StampStart},
			triage.SignalSaturation: {Name: "system.load.norm.1", Stamp: triage.StampStart},
		}},
		step: time.Minute,
	},
}
