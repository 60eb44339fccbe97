package prometheus

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/promql/parser"

	"github.com/triaged-dev/triaged/triage"
)

// The recording rules the expressions below speak of, as sloth and kube-prometheus generate them.
var testRecordings = recordings{
	"slo:sli_error:ratio_rate5m": {{
		expr:   `sum(rate(http_requests_total{job="api",code=~"5.."}[5m])) / sum(rate(http_requests_total{job="api"}[5m]))`,
		labels: map[string]string{"sloth_id": "api-availability"}, interval: 30 * time.Second,
	}},
	"slo:sli_error:ratio_rate1h": {{
		expr:   `sum(rate(http_requests_total{job="api",code=~"5.."}[1h])) / sum(rate(http_requests_total{job="api"}[1h]))`,
		labels: map[string]string{"sloth_id": "api-availability"}, interval: 30 * time.Second,
	}},
	"slo:sli_error:ratio_rate30m": {{
		expr:   `sum_over_time(slo:sli_error:ratio_rate5m{sloth_id="api-availability"}[30m]) / count_over_time(slo:sli_error:ratio_rate5m{sloth_id="api-availability"}[30m])`,
		labels: map[string]string{"sloth_id": "api-availability"}, interval: 30 * time.Second,
	}},
	"job:request_latency_seconds:mean5m": {{
		expr: `sum by (job) (rate(request_latency_seconds_sum[5m])) / sum by (job) (rate(request_latency_seconds_count[5m]))`, interval: time.Minute,
	}},
	"instance:cpu:rate5m": {
		{expr: `a`, interval: time.Minute}, {expr: `b`, interval: time.Minute}, // ambiguous: never expanded
	},
	"loop:a": {{expr: `sum(loop:b)`, interval: time.Minute}},
	"loop:b": {{expr: `max_over_time(loop:a[10m])`, interval: time.Minute}},
}

const none = math.MaxFloat64 // no threshold

func TestRealAlertExpressions(t *testing.T) {
	for _, tt := range []struct {
		name, expr string
		stripped   string // the leg that is looked at
		raw        string // what is asked; "" where it is the same
		threshold  float64
		bad        string
		longest    time.Duration
		signal     triage.Signal
	}{
		{
			name: "error ratio", expr: `sum by (service) (rate(http_requests_total{code=~"5.."}[5m])) / sum by (service) (rate(http_requests_total[5m])) > 0.05`,
			stripped: `sum by (service) (rate(http_requests_total{code=~"5.."}[5m])) / sum by (service) (rate(http_requests_total[5m]))`,
			raw: `(sum by (service) (rate(http_requests_total{code=~"5.."}[1m])) or sum by (service) (rate(http_requests_total[1m])) * 0)` +
				` / sum by (service) (rate(http_requests_total[1m]))`,
			threshold: .05, bad: badHigher, longest: 5 * time.Minute, signal: triage.SignalErrors,
		},
		{
			name: "recorded latency", expr: `job:request_latency_seconds:mean5m{job="myjob"} > 0.5`,
			stripped:  `job:request_latency_seconds:mean5m{job="myjob"}`,
			raw:       `(sum by (job) (rate(request_latency_seconds_sum{job="myjob"}[1m])) / sum by (job) (rate(request_latency_seconds_count{job="myjob"}[1m])))`,
			threshold: .5, bad: badHigher, longest: 6 * time.Minute, signal: triage.SignalLatency,
		},
		{
			name:     "p99 latency",
			expr:     `histogram_quantile(0.99, sum by (le, service) (rate(http_request_duration_seconds_bucket{service="cart"}[10m]))) >= 2`,
			stripped: `histogram_quantile(0.99, sum by (le, service) (rate(http_request_duration_seconds_bucket{service="cart"}[10m])))`,
			raw:      `histogram_quantile(0.99, sum by (le, service) (rate(http_request_duration_seconds_bucket{service="cart"}[1m])))`,
			bad:      badHigher, threshold: 2, longest: 10 * time.Minute, signal: triage.SignalLatency,
		},
		{
			name: "scalar on the left", expr: `0.9 > avg(up{job="api"})`, stripped: `avg(up{job="api"})`,
			threshold: .9, bad: badLower, signal: triage.SignalErrors,
		},
		{name: "up == 0", expr: `up{job="api"} == 0`, stripped: `up{job="api"}`, threshold: 0, bad: badLower, signal: triage.SignalErrors},
		{name: "up != 1", expr: `up != 1`, stripped: `up`, threshold: 1, bad: badLower, signal: triage.SignalErrors},
		{
			name: "absent", expr: `absent(up{job="prometheus-k8s",namespace="monitoring"} == 1)`,
			stripped: `count(up{job="prometheus-k8s",namespace="monitoring"} == 1)`,
			raw:      `sum(up{job="prometheus-k8s",namespace="monitoring"} == bool 1) or vector(0)`,
			bad:      badLower, threshold: 0, signal: triage.SignalErrors,
		},
		{
			name: "absent_over_time", expr: `absent_over_time(heartbeat_total{app="x"}[10m]) > 0`, stripped: `count(heartbeat_total{app="x"})`,
			raw: `count(heartbeat_total{app="x"}) or vector(0)`, bad: badLower, threshold: 0, longest: 10 * time.Minute, signal: triage.SignalCustom,
		},
		{
			name: "TargetDown",
			expr: `100 * (count(up == 0) BY (cluster, job, namespace, service) / count(up) BY (cluster, job, namespace, service)) > 10`,
			stripped: `100 * (count by (cluster, job, namespace, service) (up == 0)` +
				` / count by (cluster, job, namespace, service) (up))`,
			raw: `100 * ((sum by (cluster, job, namespace, service) (up == bool 0) or count by (cluster, job, namespace, service) (up) * 0)` +
				` / count by (cluster, job, namespace, service) (up))`,
			threshold: 10, bad: badHigher, signal: triage.SignalErrors,
		},
		{
			name:     "KubePodCrashLooping",
			expr:     `max_over_time(kube_pod_container_status_waiting_reason{reason="CrashLoopBackOff", job="kube-state-metrics"}[5m]) >= 1`,
			stripped: `max_over_time(kube_pod_container_status_waiting_reason{reason="CrashLoopBackOff",job="kube-state-metrics"}[5m])`,
			raw:      `max_over_time(kube_pod_container_status_waiting_reason{reason="CrashLoopBackOff",job="kube-state-metrics"}[1m])`,
			bad:      badHigher, threshold: 1, longest: 5 * time.Minute, signal: triage.SignalCustom,
		},
		{
			name: "KubePodNotReady",
			expr: `sum by (namespace, pod, cluster) (max by(namespace, pod, cluster) (kube_pod_status_phase{job="kube-state-metrics", phase=~"Pending|Unknown"})` +
				` * on(namespace, pod, cluster) group_left(owner_kind) topk by(namespace, pod, cluster) (1, max by(namespace, pod, owner_kind, cluster)` +
				` (kube_pod_owner{owner_kind!="Job"}))) > 0`,
			stripped: `sum by (namespace, pod, cluster) (max by (namespace, pod, cluster) (kube_pod_status_phase{job="kube-state-metrics",phase=~"Pending|Unknown"})` +
				` * on (namespace, pod, cluster) group_left (owner_kind) topk by (namespace, pod, cluster) (1, max by (namespace, pod, owner_kind, cluster)` +
				` (kube_pod_owner{owner_kind!="Job"})))`,
			threshold: 0, bad: badHigher, signal: triage.SignalCustom,
		},
		{
			name: "KubeDeploymentReplicasMismatch",
			expr: `(kube_deployment_spec_replicas{job="kube-state-metrics"} > kube_deployment_status_replicas_available{job="kube-state-metrics"})` +
				` and (changes(kube_deployment_status_replicas_updated{job="kube-state-metrics"}[10m]) == 0)`,
			stripped:  `kube_deployment_spec_replicas{job="kube-state-metrics"} - kube_deployment_status_replicas_available{job="kube-state-metrics"}`,
			threshold: 0, bad: badHigher, longest: 10 * time.Minute, signal: triage.SignalSaturation,
		},
		{
			name: "KubeStatefulSetGenerationMismatch", expr: `kube_statefulset_status_observed_generation != kube_statefulset_metadata_generation`,
			stripped: `abs(kube_statefulset_status_observed_generation - kube_statefulset_metadata_generation)`, threshold: 0, bad: badHigher, signal: triage.SignalCustom,
		},
		{
			name: "KubeHpaMaxedOut", expr: `kube_horizontalpodautoscaler_status_current_replicas == kube_horizontalpodautoscaler_spec_max_replicas`,
			stripped:  `kube_horizontalpodautoscaler_status_current_replicas - kube_horizontalpodautoscaler_spec_max_replicas`,
			threshold: 0, bad: badHigher, signal: triage.SignalSaturation,
		},
		{
			name: "KubePersistentVolumeFillingUp",
			expr: `(kubelet_volume_stats_available_bytes / kubelet_volume_stats_capacity_bytes) < 0.15 and kubelet_volume_stats_used_bytes > 0` +
				` and predict_linear(kubelet_volume_stats_available_bytes[6h], 4 * 24 * 3600) < 0` +
				` unless on(cluster, namespace, persistentvolumeclaim) kube_persistentvolumeclaim_access_mode{access_mode="ReadOnlyMany"} == 1`,
			stripped:  `(kubelet_volume_stats_available_bytes / kubelet_volume_stats_capacity_bytes)`,
			threshold: .15, bad: badLower, longest: 6 * time.Hour, signal: triage.SignalSaturation,
		},
		{
			name: "predict_linear alone", expr: `predict_linear(node_filesystem_avail_bytes{fstype!=""}[6h], 24*60*60) < 0`,
			stripped: `predict_linear(node_filesystem_avail_bytes{fstype!=""}[6h], 24 * 60 * 60)`, raw: `node_filesystem_avail_bytes{fstype!=""}`,
			threshold: none, bad: badLower, longest: 6 * time.Hour, signal: triage.SignalSaturation,
		},
		{
			name: "NodeFilesystemAlmostOutOfSpace",
			expr: `( node_filesystem_avail_bytes{job="node-exporter",fstype!=""} / node_filesystem_size_bytes{job="node-exporter",fstype!=""} * 100 < 5` +
				` and node_filesystem_readonly{job="node-exporter",fstype!=""} == 0 )`,
			stripped:  `node_filesystem_avail_bytes{fstype!="",job="node-exporter"} / node_filesystem_size_bytes{fstype!="",job="node-exporter"} * 100`,
			threshold: 5, bad: badLower, signal: triage.SignalSaturation,
		},
		{
			name: "CPUThrottlingHigh",
			expr: `sum(increase(container_cpu_cfs_throttled_periods_total{container!=""}[5m])) without (id, metrics_path, name, image, endpoint, job, node)` +
				` / sum(increase(container_cpu_cfs_periods_total[5m])) without (id, metrics_path, name, image, endpoint, job, node) > ( 25 / 100 )`,
			stripped: `sum without (id, metrics_path, name, image, endpoint, job, node) (increase(container_cpu_cfs_throttled_periods_total{container!=""}[5m]))` +
				` / sum without (id, metrics_path, name, image, endpoint, job, node) (increase(container_cpu_cfs_periods_total[5m]))`,
			raw: `sum without (id, metrics_path, name, image, endpoint, job, node) ((increase(container_cpu_cfs_throttled_periods_total{container!=""}[1m]) * 5))` +
				` / sum without (id, metrics_path, name, image, endpoint, job, node) ((increase(container_cpu_cfs_periods_total[1m]) * 5))`,
			threshold: .25, bad: badHigher, longest: 5 * time.Minute, signal: triage.SignalSaturation,
		},
		{
			name: "SLO burn rate, sloth",
			expr: `max(slo:sli_error:ratio_rate5m{sloth_id="api-availability"} > (14.4 * 0.001)) without (sloth_window)` +
				` and max(slo:sli_error:ratio_rate1h{sloth_id="api-availability"} > (14.4 * 0.001)) without (sloth_window)`,
			stripped: `max without (sloth_window) (slo:sli_error:ratio_rate5m{sloth_id="api-availability"})`,
			raw: `max without (sloth_window) (((sum(rate(http_requests_total{code=~"5..",job="api"}[1m])) or sum(rate(http_requests_total{job="api"}[1m])) * 0)` +
				` / sum(rate(http_requests_total{job="api"}[1m]))))`,
			threshold: .0144, bad: badHigher, longest: time.Hour + 30*time.Second, signal: triage.SignalErrors,
		},
		{
			name: "SLO burn rate, long window first",
			expr: `( slo:sli_error:ratio_rate1h{sloth_id="api-availability"} > (14.4*0.01) and slo:sli_error:ratio_rate5m{sloth_id="api-availability"} > (14.4*0.01) )` +
				` or ( slo:sli_error:ratio_rate1h{sloth_id="api-availability"} > 6*0.01 and slo:sli_error:ratio_rate30m{sloth_id="api-availability"} > 6*0.01 )`,
			stripped: `slo:sli_error:ratio_rate5m{sloth_id="api-availability"}`,
			raw: `((sum(rate(http_requests_total{code=~"5..",job="api"}[1m])) or sum(rate(http_requests_total{job="api"}[1m])) * 0)` +
				` / sum(rate(http_requests_total{job="api"}[1m])))`,
			threshold: .144, bad: badHigher, longest: time.Hour + 30*time.Second, signal: triage.SignalErrors,
		},
		{
			name: "SLO burn rate, raw windows",
			expr: `sum(rate(http_requests_total{code=~"5.."}[1h])) / sum(rate(http_requests_total[1h])) > 14.4 * (1 - 0.999)` +
				` and sum(rate(http_requests_total{code=~"5.."}[5m])) / sum(rate(http_requests_total[5m])) > 14.4 * (1 - 0.999)`,
			stripped:  `sum(rate(http_requests_total{code=~"5.."}[5m])) / sum(rate(http_requests_total[5m]))`,
			raw:       `(sum(rate(http_requests_total{code=~"5.."}[1m])) or sum(rate(http_requests_total[1m])) * 0) / sum(rate(http_requests_total[1m]))`,
			threshold: .0144, bad: badHigher, longest: time.Hour, signal: triage.SignalErrors,
		},
		{
			name: "guard by traffic", expr: `rate(grpc_server_handled_total{grpc_code="Internal"}[5m]) > 1 and on (job) sum by (job) (rate(grpc_server_handled_total[5m])) > 10`,
			stripped: `rate(grpc_server_handled_total{grpc_code="Internal"}[5m])`, raw: `rate(grpc_server_handled_total{grpc_code="Internal"}[1m])`,
			threshold: 1, bad: badHigher, longest: 5 * time.Minute, signal: triage.SignalErrors,
		},
		{
			name: "bool equals one", expr: `(avg_over_time(queue_depth[15m]) > bool 100) == 1`, stripped: `avg_over_time(queue_depth[15m])`,
			raw: `avg_over_time(queue_depth[1m])`, threshold: 100, bad: badHigher, longest: 15 * time.Minute, signal: triage.SignalSaturation,
		},
		{
			name: "bool equals zero", expr: `(orders_total > bool 5) == 0`, stripped: `orders_total`, threshold: 5, bad: badLower, signal: triage.SignalTraffic,
		},
		{
			name: "against last week", expr: `sum(rate(orders_total[10m])) < 0.5 * sum(rate(orders_total[10m] offset 1w))`,
			stripped: `sum(rate(orders_total[10m]))`, raw: `sum(rate(orders_total[1m]))`,
			threshold: none, bad: badLower, longest: 10 * time.Minute, signal: triage.SignalTraffic,
		},
		{
			name: "no progress", expr: `increase(jobs_completed_total[1h]) == 0`, stripped: `increase(jobs_completed_total[1h])`,
			threshold: 0, bad: badLower, longest: time.Hour, signal: triage.SignalCustom,
		},
		{
			name: "restarts", expr: `increase(kube_pod_container_status_restarts_total[10m]) > 3`, stripped: `increase(kube_pod_container_status_restarts_total[10m])`,
			raw: `(increase(kube_pod_container_status_restarts_total[1m]) * 10)`, threshold: 3, bad: badHigher, longest: 10 * time.Minute, signal: triage.SignalErrors,
		},
		{
			name: "subquery", expr: `avg_over_time((rate(errors_total[5m]) > bool 0.1)[1h:1m]) > 0.5`,
			stripped: `avg_over_time((rate(errors_total[5m]) > bool 0.1)[1h:1m])`, raw: `avg_over_time((rate(errors_total[1m]) > bool 0.1)[4m:1m])`,
			threshold: .5, bad: badHigher, longest: time.Hour + 5*time.Minute, signal: triage.SignalErrors,
		},
		{
			name: "smoothed recording", expr: `avg_over_time(job:request_latency_seconds:mean5m{job="a"}[30m]) > 1`,
			stripped: `avg_over_time(job:request_latency_seconds:mean5m{job="a"}[30m])`,
			raw:      `(sum by (job) (rate(request_latency_seconds_sum{job="a"}[1m])) / sum by (job) (rate(request_latency_seconds_count{job="a"}[1m])))`,
			bad:      badHigher, threshold: 1, longest: 36 * time.Minute, signal: triage.SignalLatency,
		},
		{
			name: "ambiguous recording stays", expr: `instance:cpu:rate5m > 0.9`, stripped: `instance:cpu:rate5m`,
			threshold: .9, bad: badHigher, longest: time.Minute, signal: triage.SignalSaturation,
		},
		{
			name: "recordings in a circle", expr: `loop:a > 1`, stripped: `loop:a`, raw: `sum(max_over_time(loop:a[1m]))`,
			threshold: 1, bad: badHigher, longest: 12 * time.Minute, signal: triage.SignalCustom,
		},
		{
			name: "filter under an aggregation", expr: `max by (instance) (node_load1 > 8)`, stripped: `max by (instance) (node_load1)`,
			threshold: 8, bad: badHigher, signal: triage.SignalSaturation,
		},
		{
			name: "count of broken ones", expr: `count by (cluster) (kube_node_status_condition{condition="Ready",status="true"} == 0) > 1`,
			stripped: `count by (cluster) (kube_node_status_condition{condition="Ready",status="true"} == 0)`,
			raw:      `sum by (cluster) (kube_node_status_condition{condition="Ready",status="true"} == bool 0)`,
			bad:      badHigher, threshold: 1, signal: triage.SignalCustom,
		},
		{
			name: "renamed", expr: `label_replace(probe_success == 0, "service", "$1", "target", "(.*)")`,
			stripped: `label_replace(probe_success, "service", "$1", "target", "(.*)")`, threshold: 0, bad: badLower, signal: triage.SignalErrors,
		},
		{
			name: "certificate", expr: `probe_ssl_earliest_cert_expiry - time() < 86400 * 30`, stripped: `probe_ssl_earliest_cert_expiry - time()`,
			threshold: 86400 * 30, bad: badLower, signal: triage.SignalCustom,
		},
		{name: "always", expr: `vector(1)`, stripped: `vector(1)`, threshold: none, signal: triage.SignalCustom},
		{name: "no comparison", expr: `rate(panics_total[5m])`, stripped: `rate(panics_total[5m])`, raw: `rate(panics_total[1m])`, threshold: none, longest: 5 * time.Minute, signal: triage.SignalErrors},
	} {
		t.Run(tt.name, func(t *testing.T) {
			e, err := parseExpr(tt.expr)
			if err != nil {
				t.Fatal(err)
			}
			if got := testRecordings.depth(e); got != tt.longest {
				t.Errorf("longest range: want %s, got %s", tt.longest, got)
			}
			private, err := copyExpr(e)
			if err != nil {
				t.Fatal(err)
			}
			l := eachLeg(private, func(e parser.Expr) float64 { return testRecordings.depth(e).Seconds() })[0]
			if got := l.expr.String(); got != canonicalExpr(t, tt.stripped) {
				t.Errorf("stripped:\nwant %s\ngot  %s", canonicalExpr(t, tt.stripped), got)
			}
			if l.bad != tt.bad {
				t.Errorf("bad direction: want %q, got %q", tt.bad, l.bad)
			}
			w := &rewriter{rules: testRecordings, short: time.Minute, keep: l.bad == badLower && l.threshold != nil && *l.threshold <= 0}
			signalBefore, _ := copyExpr(l.expr)
			raw := fillRatio(w.rewrite(l.expr, nil))
			if got := signalOf(signalBefore, raw); got != tt.signal {
				t.Errorf("signal: want %s, got %s", tt.signal, got)
			}
			if l.absent {
				raw = orZero(raw)
			}
			want := tt.raw
			if want == "" {
				want = tt.stripped
			}
			if got := raw.String(); got != canonicalExpr(t, want) {
				t.Errorf("raw:\nwant %s\ngot  %s", canonicalExpr(t, want), got)
			}
			if _, err := parseExpr(raw.String()); err != nil {
				t.Errorf("raw expression does not parse: %v", err)
			}
			switch {
			case tt.threshold == none && l.threshold != nil && !w.off:
				t.Errorf("threshold: want none, got %g", *l.threshold)
			case tt.threshold != none && l.threshold == nil:
				t.Errorf("threshold: want %g, got none", tt.threshold)
			case tt.threshold != none && math.Abs(*l.threshold-tt.threshold) > 1e-9:
				t.Errorf("threshold: want %g, got %g", tt.threshold, *l.threshold)
			}
		})
	}
}

// canonicalExpr writes an expression as the parser does.
func canonicalExpr(t *testing.T, s string) string {
	t.Helper()
	e, err := parseExpr(s)
	if err != nil {
		t.Fatalf("test's own expression %s: %v", s, err)
	}
	return strings.TrimSpace(e.String())
}
