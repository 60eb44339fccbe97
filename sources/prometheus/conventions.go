package prometheus

import (
	"time"

	"github.com/prometheus/common/model"

	"github.com/triaged-dev/triaged/triage"
)

// DefaultSignalsConfig knows the conventions in wide use: OpenTelemetry HTTP and RPC, span metrics, the classic client
// libraries, Istio, Linkerd, Hubble and service graphs; for saturation the container and process metrics.
// The most precise comes first: what a process says of itself, then what its traces say, then what a mesh saw.
func DefaultSignalsConfig() SignalsConfig {
	return SignalsConfig{
		Range:           model.Duration(time.Minute),
		LatencyQuantile: 0.95,
		ReplicaLabels:   []string{"prometheus_replica", "__replica__", "thanos_replica"},
		Labels: map[string][]string{
			"version": {
				"version", "service_version", "app_kubernetes_io_version", "destination_version",
				"destination_canonical_revision", "dst_pod_template_hash", "pod_template_hash",
			},
			"pod":         {"pod", "k8s_pod_name", "kubernetes_pod_name", "pod_name"},
			"region":      {"region", "cloud_region", "topology_kubernetes_io_region"},
			"instance":    {"instance", "service_instance_id"},
			"namespace":   {"namespace", "k8s_namespace_name", "kubernetes_namespace", "destination_workload_namespace", "service_namespace"},
			"cluster":     {"cluster", "k8s_cluster_name", "destination_cluster"},
			"environment": {"environment", "env", "deployment_environment_name", "deployment_environment"},
		},
		Conventions: append(requestConventions(), resourceConventions()...),
		Edges:       edgeConventions(),
	}
}

const (
	grpcFailedNumbers = `rpc_grpc_status_code=~"2|4|13|14|15"`
	grpcFailedNames   = `rpc_response_status_code=~"2|4|13|14|15|UNKNOWN|DEADLINE_EXCEEDED|INTERNAL|UNAVAILABLE|DATA_LOSS"`
	spanServer        = `span_kind="SPAN_KIND_SERVER"`
	spanFailed        = `status_code="STATUS_CODE_ERROR"`
)

func requestConventions() []Convention {
	otel := []string{"service_name", "app_kubernetes_io_name", "service", "app", "job"}
	classic := []string{"service_name", "app_kubernetes_io_name", "app", "service", "job"}
	return []Convention{
		{
			Name: "otel-http", Service: otel, Requests: "http_server_request_duration_seconds_count",
			Failed:   []string{`http_response_status_code=~"5.."`, `error_type!=""`},
			Duration: "http_server_request_duration_seconds",
		},
		{
			Name: "otel-http-old", Service: otel, Requests: "http_server_duration_milliseconds_count",
			Failed: []string{`http_status_code=~"5.."`}, Duration: "http_server_duration_milliseconds", DurationUnit: "ms",
		},
		{
			Name: "otel-rpc", Service: otel, Requests: "rpc_server_call_duration_seconds_count",
			Failed: []string{grpcFailedNames, grpcFailedNumbers}, Duration: "rpc_server_call_duration_seconds",
		},
		{
			Name: "otel-rpc-old", Service: otel, Requests: "rpc_server_duration_milliseconds_count",
			Failed: []string{grpcFailedNumbers}, Duration: "rpc_server_duration_milliseconds", DurationUnit: "ms",
		},
		{
			Name: "http", Service: classic, Requests: "http_requests_total",
			Failed: []string{`code=~"5.."`, `status=~"5.."`, `status_code=~"5.."`}, Duration: "http_request_duration_seconds",
		},
		{
			Name: "grpc", Service: classic, Requests: "grpc_server_handled_total",
			Failed: []string{`grpc_code=~"Unknown|DeadlineExceeded|Internal|Unavailable|DataLoss"`}, Duration: "grpc_server_handling_seconds",
		},
		{
			Name: "spanmetrics-tempo", Service: []string{"service"}, Match: spanServer, Requests: "traces_spanmetrics_calls_total",
			Failed: []string{spanFailed}, Duration: "traces_spanmetrics_latency",
		},
		{
			Name: "spanmetrics", Service: []string{"service_name"}, Match: spanServer, Requests: "traces_span_metrics_calls_total",
			Failed: []string{spanFailed}, Duration: "traces_span_metrics_duration_milliseconds", DurationUnit: "ms",
		},
		{
			Name: "spanmetrics-seconds", Service: []string{"service_name"}, Match: spanServer,
			Duration: "traces_span_metrics_duration_seconds",
		},
		{
			Name: "spanmetrics-old", Service: []string{"service_name"}, Match: spanServer, Requests: "calls_total",
			Failed: []string{spanFailed}, Duration: "duration_milliseconds", DurationUnit: "ms",
		},
		{
			Name: "istio", Service: []string{"destination_canonical_service", "destination_workload", "destination_service_name"},
			Match: `reporter="destination"`, Requests: "istio_requests_total", Failed: []string{`response_code=~"5.."`},
			Duration: "istio_request_duration_milliseconds", DurationUnit: "ms",
		},
		{
			Name: "linkerd", Service: []string{"deployment", "statefulset", "daemonset"}, Match: `direction="inbound"`,
			Requests: "response_total", Failed: []string{`classification="failure"`},
			Duration: "response_latency_ms", DurationUnit: "ms",
		},
		{
			Name: "hubble", Service: []string{"destination_workload", "destination_app", "destination"}, Requests: "hubble_http_requests_total",
			Failed: []string{`status=~"5.."`}, Duration: "hubble_http_request_duration_seconds",
		},
		{
			Name: "service-graph", Service: []string{"server"}, Requests: "traces_service_graph_request_total",
			FailedMetric: "traces_service_graph_request_failed_total", Duration: "traces_service_graph_request_server_seconds",
		},
	}
}

func resourceConventions() []Convention {
	return []Convention{
		{
			Name: "container", Service: []string{"container"}, Match: `container!="",container!="POD"`,
			Gauges: []Gauge{
				{Name: "cpu", Signal: triage.SignalSaturation, Metric: "container_cpu_usage_seconds_total", Counter: true, Aggregate: "sum"},
				{Name: "memory", Signal: triage.SignalSaturation, Metric: "container_memory_working_set_bytes", Aggregate: "max"},
				{Name: "cpu throttling", Signal: triage.SignalSaturation, Metric: "container_cpu_cfs_throttled_periods_total", Counter: true, Aggregate: "sum"},
			},
		},
		{
			Name: "process", Service: []string{"service_name", "app_kubernetes_io_name", "app", "service", "job"},
			Gauges: []Gauge{
				{Name: "cpu", Signal: triage.SignalSaturation, Metric: "process_cpu_seconds_total", Counter: true, Aggregate: "sum"},
				{Name: "memory", Signal: triage.SignalSaturation, Metric: "process_resident_memory_bytes", Aggregate: "max"},
			},
		},
		{
			Name: "restarts", Service: []string{"container"},
			Gauges: []Gauge{
				{Name: "restarts", Signal: triage.SignalCustom, Metric: "kube_pod_container_status_restarts_total", Counter: true, Aggregate: "sum"},
			},
		},
	}
}
