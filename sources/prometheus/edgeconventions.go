package prometheus

import "github.com/triaged-dev/triaged/triage"

// Labels that hold who calls, as the client libraries' metrics are labelled: the process they come from.
var (
	otelClient    = []string{"service_name", "app_kubernetes_io_name", "service", "app", "job"}
	classicClient = []string{"service_name", "app_kubernetes_io_name", "app", "service", "application", "job"}
	sidecarClient = []string{"app_kubernetes_io_name", "app", "service_name", "service", "job"}
)

// otelServer are the labels by which OpenTelemetry's client metrics name what is called, the plainest first.
var otelServer = []string{"peer_service", "service_peer_name", "server_address", "net_peer_name", "rpc_service"}

// dbServer name a database: by its address, and by system and name of the database where there is none.
var dbServer = []string{
	"peer_service", "service_peer_name", "server_address", "net_peer_name",
	"db_namespace", "db_name", "db_system_name", "db_system",
}

// A client that got no answer has no status: an empty one is a failure too.
const (
	httpClientFailed    = `http_response_status_code=~"5..|"`
	httpClientFailedOld = `http_status_code=~"5..|"`
	anyError            = `error_type!=""`
)

// edgeConventions are calls as the caller counts them, then ways of knowing who calls whom without that. Of two that tell of the
// same edge the earlier one is believed: what a process says of its own calls, then what a mesh, then what traces say.
func edgeConventions() []EdgeConvention {
	return append(append(clientConventions(), poolConventions()...), meshConventions()...)
}

func clientConventions() []EdgeConvention {
	return []EdgeConvention{
		{
			Name: "otel-http-client", Metric: "http_client_request_duration_seconds_count", Client: otelClient, Server: otelServer, Port: "server_port",
			Failed: []string{httpClientFailed, anyError}, Duration: "http_client_request_duration_seconds",
		},
		{
			Name: "otel-http-client-old", Metric: "http_client_duration_milliseconds_count", Client: otelClient, Server: otelServer, Port: "net_peer_port",
			Failed: []string{httpClientFailedOld}, Duration: "http_client_duration_milliseconds", DurationUnit: "ms",
		},
		{
			Name: "otel-rpc-client", Metric: "rpc_client_call_duration_seconds_count", Client: otelClient, Server: otelServer, Port: "server_port",
			Failed: []string{grpcFailedNames, grpcFailedNumbers}, Duration: "rpc_client_call_duration_seconds",
		},
		{
			Name: "otel-rpc-client-old", Metric: "rpc_client_duration_milliseconds_count", Client: otelClient, Server: otelServer, Port: "server_port",
			Failed: []string{grpcFailedNumbers}, Duration: "rpc_client_duration_milliseconds", DurationUnit: "ms",
		},
		{
			Name: "otel-db-client", Metric: "db_client_operation_duration_seconds_count", Client: otelClient, Server: dbServer, Port: "server_port",
			Failed: []string{anyError}, Duration: "db_client_operation_duration_seconds",
		},
		{
			Name: "otel-messaging-client", Metric: "messaging_client_operation_duration_seconds_count", Client: otelClient,
			Server: []string{"peer_service", "server_address", "messaging_system"}, Port: "server_port",
			Failed: []string{anyError}, Duration: "messaging_client_operation_duration_seconds",
		},
		{
			Name: "spring-http-client", Metric: "http_client_requests_seconds_count", Client: classicClient,
			Server: []string{"client_name", "clientName"}, Failed: []string{`outcome=~"SERVER_ERROR|UNKNOWN"`, `status=~"5..|IO_ERROR|CLIENT_ERROR"`},
			Duration: "http_client_requests_seconds",
		},
		{
			Name: "grpc-client", Metric: "grpc_client_handled_total", Client: classicClient, Server: []string{"grpc_target", "target", "grpc_service"},
			Failed: []string{`grpc_code=~"Unknown|DeadlineExceeded|Internal|Unavailable|DataLoss"`}, Duration: "grpc_client_handling_seconds",
		},
		{
			Name: "grpc-attempts", Metric: "grpc_client_attempt_duration_seconds_count", Client: classicClient, Server: []string{"grpc_target"},
			Failed: []string{`grpc_status=~"UNKNOWN|DEADLINE_EXCEEDED|INTERNAL|UNAVAILABLE|DATA_LOSS"`}, Duration: "grpc_client_attempt_duration_seconds",
		},
		{
			Name: "lettuce", Metric: "lettuce_command_completion_seconds_count", Client: classicClient, Server: []string{"remote"},
			Duration: "lettuce_command_completion_seconds",
		},
		{
			Name: "envoy", Metric: "envoy_cluster_upstream_rq_xx", Client: sidecarClient, Server: []string{"envoy_cluster_name", "cluster_name"},
			Failed: []string{`envoy_response_code_class="5"`}, Duration: "envoy_cluster_upstream_rq_time", DurationUnit: "ms",
			Gauges: []Gauge{
				waiting("waiting for a connection", "envoy_cluster_upstream_rq_pending_active"),
				counted("failed connects", "envoy_cluster_upstream_cx_connect_fail"),
			},
		},
	}
}

// poolConventions are pools of connections: who waits for one is seen before anything fails. Where the pool does not say whose
// connections it holds, its name stands for that, and it is its process's own.
func poolConventions() []EdgeConvention {
	otelPool := []string{"server_address", "pool_name", "db_client_connections_pool_name"}
	return []EdgeConvention{
		{
			Name: "otel-db-pool", Metric: "db_client_connection_pending_requests", Info: true, PerClient: true, Client: otelClient,
			Server: []string{"server_address", "db_client_connection_pool_name"}, Port: "server_port", Duration: "db_client_connection_wait_time_seconds",
			Gauges: []Gauge{
				waiting("waiting for a connection", "db_client_connection_pending_requests"),
				counted("timeouts waiting for a connection", "db_client_connection_timeouts_total"),
			},
		},
		{
			Name: "otel-db-pool-old", Metric: "db_client_connections_pending_requests", Info: true, PerClient: true, Client: otelClient, Server: otelPool,
			Duration: "db_client_connections_wait_time_milliseconds", DurationUnit: "ms",
			Gauges: []Gauge{
				waiting("waiting for a connection", "db_client_connections_pending_requests"),
				counted("timeouts waiting for a connection", "db_client_connections_timeouts_total"),
			},
		},
		{
			Name: "hikaricp", Metric: "hikaricp_connections", Info: true, PerClient: true, Client: classicClient, Server: []string{"pool"},
			Gauges: []Gauge{
				waiting("waiting for a connection", "hikaricp_connections_pending"),
				counted("timeouts waiting for a connection", "hikaricp_connections_timeout_total"),
			},
		},
		{
			Name: "go-sql", Metric: "go_sql_open_connections", Info: true, PerClient: true, Client: classicClient, Server: []string{"db_name"},
			Gauges: []Gauge{
				counted("waiting for a connection", "go_sql_wait_duration_seconds_total"), // seconds waited a second: how many wait
				counted("waits for a connection", "go_sql_wait_count_total"),
			},
		},
		{
			Name: "go-sql-stats", Metric: "go_sql_stats_connections_open", Info: true, PerClient: true, Client: classicClient, Server: []string{"db_name"},
			Gauges: []Gauge{
				counted("waiting for a connection", "go_sql_stats_connections_blocked_seconds"),
				counted("waits for a connection", "go_sql_stats_connections_waited_for"),
			},
		},
		{
			Name: "pgxpool", Metric: "pgxpool_total_conns", Info: true, PerClient: true, Client: classicClient, Server: []string{"db_name", "database", "pool"},
			Gauges: []Gauge{
				counted("waits for a connection", "pgxpool_empty_acquire"),
				counted("canceled waits for a connection", "pgxpool_canceled_acquire_count"),
			},
		},
		{
			Name: "mongodb-pool", Metric: "mongodb_driver_pool_size", Info: true, Client: classicClient, Server: []string{"server_address"},
			Gauges: []Gauge{waiting("waiting for a connection", "mongodb_driver_pool_waitqueuesize")},
		},
	}
}

// Whoever waits counts, so the copies of a service are added up.
func waiting(name, metric string) Gauge {
	return Gauge{Name: name, Signal: triage.SignalSaturation, Metric: metric, Aggregate: "sum"}
}

func counted(name, metric string) Gauge {
	return Gauge{Name: name, Signal: triage.SignalSaturation, Metric: metric, Counter: true, Aggregate: "sum"}
}

func meshConventions() []EdgeConvention {
	// The name asked for comes before the workload that answered: it is there too where nobody answers.
	istioServer := []string{"destination_service_name", "destination_canonical_service", "destination_workload", "destination_service"}
	istioClient := []string{"source_canonical_service", "source_workload"}
	linkerd := func(kind string) EdgeConvention {
		return EdgeConvention{
			Name: "linkerd-" + kind, Metric: "response_total", Match: `direction="outbound",` + kind + `!=""`, Client: []string{kind},
			Server: []string{"dst_deployment", "dst_statefulset", "dst_daemonset", "dst_service", "authority"},
			Failed: []string{`classification="failure"`}, Duration: "response_latency_ms", DurationUnit: "ms",
		}
	}
	return []EdgeConvention{
		{
			Name: "istio", Metric: "istio_requests_total", Match: `reporter="source"`, Client: istioClient, Server: istioServer,
			Failed: []string{`response_code=~"5..|0"`}, Duration: "istio_request_duration_milliseconds", DurationUnit: "ms",
		},
		{
			Name: "istio-tcp", Metric: "istio_tcp_connections_opened_total", Match: `reporter="source"`, Client: istioClient, Server: istioServer,
			Failed: []string{`response_flags!~"|-"`},
		},
		linkerd("deployment"), linkerd("statefulset"), linkerd("daemonset"),
		{
			Name: "linkerd-route", Metric: "outbound_http_route_backend_response_statuses_total", Client: []string{"deployment", "statefulset", "daemonset"},
			Server: []string{"backend_name", "parent_name"}, Failed: []string{`http_status=~"5..|"`}, Duration: "outbound_http_route_backend_response_duration_seconds",
		},
		{
			Name: "service-graph", Metric: "traces_service_graph_request_total", Client: []string{"client"}, Server: []string{"server"},
			FailedMetric: "traces_service_graph_request_failed_total", Duration: "traces_service_graph_request_client_seconds",
		},
		{Name: "tempo-presence", Metric: "traces_service_graph_connection_info", Client: []string{"client"}, Server: []string{"server"}, Info: true},
		{
			Name: "istio-inbound", Metric: "istio_requests_total", Match: `reporter="destination"`, GraphOnly: true, Client: istioClient,
			Server: []string{"destination_canonical_service", "destination_workload"},
		},
		{
			Name: "hubble", Metric: "hubble_http_requests_total", GraphOnly: true,
			Client: []string{"source_workload", "source_app"}, Server: []string{"destination_workload", "destination_app"},
		},
		{
			Name: "hubble-flows", Metric: "hubble_flows_processed_total", Match: `verdict="FORWARDED"`, GraphOnly: true,
			Client: []string{"source_workload", "source_app"}, Server: []string{"destination_workload", "destination_app"},
		},
	}
}
