package triage

import (
	"regexp"
	"strings"
)

// subjectLabel is one label that may name the subject.
type subjectLabel struct {
	name   string
	beside string                // another label that must be there too
	form   func(v string) string // how the name is in it; nil: plainName
}

// Labels by which alerts name their subject, best first in each list.
var (
	saidLabels = []subjectLabel{
		{name: "sloth_service"}, {name: "slo_service"}, {name: "openslo_service"}, {name: "affected_service"}, {name: "target_service"},
	}
	// Who answers is whose requests fail. A mesh writes both ends on every series.
	destinationLabels = []subjectLabel{
		{name: "destination_canonical_service"},
		{name: "destination_workload"},
		{name: "destination_service_name"},
		{name: "destination_app"},
		{name: "destination_service"},
		{name: "dst_deployment"},
		{name: "dst_statefulset"},
		{name: "dst_daemonset"},
		{name: "dst_service"},
		{name: "server", beside: "client"},
		{name: "upstream_cluster", form: clusterName},
		{name: "envoy_cluster_name", form: clusterName},
		{name: "envoy_cluster", form: clusterName},
		{name: "cluster_name", beside: "envoy_response_code_class", form: clusterName},
		{name: "upstream_service"},
		{name: "upstream"},
		{name: "backend_service"},
		{name: "backend", form: backendName},
		{name: "backend_name", form: backendName},
		{name: "backend_service_name"},
		{name: "destination", beside: "source"},
	}
	nameLabels = []subjectLabel{
		{name: "service_name"},
		{name: "app_kubernetes_io_name"},
		{name: "label_app_kubernetes_io_name"},
		{name: "app"},
		{name: "label_app"},
		{name: "application"},
		{name: "application_name"},
		{name: "app_name"},
		{name: "appname"},
		{name: "microservice"},
		{name: "svc"},
		{name: "k8s_app"},
		{name: "label_k8s_app"},
		{name: "kubernetes_name"},
		{name: "kubernetes_service_name"},
		{name: "consul_service"},
		{name: "container_label_com_docker_compose_service"},
		{name: "container_label_com_docker_swarm_service_name"},
		{name: "faas_name"},
		{name: "function_name"},
		{name: "dimension_FunctionName"},
		{name: "dimension_ServiceName"},
		{name: "dimension_DBInstanceIdentifier"},
		{name: "dbinstance_identifier"},
		{name: "app_id"},
		{name: "name", beside: "dest_namespace"},
		{name: "name", beside: "dest_server"},
		{name: "name", beside: "customresource_kind"},
		{name: "app_kubernetes_io_instance"},
		{name: "label_app_kubernetes_io_instance"},
	}
	workloadLabels = []subjectLabel{
		{name: "deployment"},
		{name: "statefulset"},
		{name: "daemonset"},
		{name: "workload"},
		{name: "workload_name"},
		{name: "rollout"},
		{name: "k8s_deployment_name"},
		{name: "k8s_statefulset_name"},
		{name: "k8s_daemonset_name"},
		{name: "k8s_cronjob_name"},
		{name: "k8s_job_name", form: cronName},
		{name: "kubernetes_deployment_name"},
		{name: "deployment_name"},
		{name: "replicaset", form: setName},
		{name: "k8s_replicaset_name", form: setName},
		{name: "replicationcontroller", form: controllerName},
		{name: "deploymentconfig"},
		{name: "cronjob"},
		{name: "job_name", form: cronName},
		{name: "scaledobject"},
		{name: "scaledObject"},
		{name: "horizontalpodautoscaler", form: scalerName},
		{name: "hpa", form: scalerName},
		{name: "owner_name", form: setName},
		{name: "created_by_name", form: setName},
	}
)

// reports is what kind of thing something that only measures tells of.
type reports int

const (
	reportsNothing reports = iota // it is measured itself
	reportsObjects                // its namespace, pod and container labels are those of the object spoken of
	reportsHosts                  // of machines
	reportsProbes                 // of what it calls from outside
	reportsOthers                 // of anything else: databases, queues, whatever was pushed to it
)

// Names of what only measures, in the order they are tried. A word stands alone between separators.
var reporterNames = []struct {
	kind reports
	re   *regexp.Regexp
}{
	{reportsObjects, regexp.MustCompile(`(^|[-_/.])(kube[-_]?state[-_]metrics|ksm|kubelet|cadvisor|kubernetes-nodes|dcgm-exporter|opencost|kube-resource-report)([-_/.]|$)`)},
	{reportsHosts, regexp.MustCompile(`(^|[-_/.])(node[-_]?exporter|windows[-_]exporter|wmi[-_]exporter|node-problem-detector|smartctl[-_]exporter|ipmi[-_]exporter|process[-_]exporter|systemd[-_]exporter)([-_/.]|$)|^(nodes?|hosts?|telegraf|netdata|collectd|node-metrics|integrations)$`)},
	{reportsProbes, regexp.MustCompile(`(^|[-_/.])(blackbox|probes?|cloudprober|smokeping|synthetics?|ssl[-_]exporter|ping[-_]exporter|http_2xx|icmp)([-_/.]|$)`)},
	{reportsOthers, regexp.MustCompile(`(^|[-_/.a-z])exporters?([-_/.]|$)|(^|[-_/.])(push[-_]?gateway|otel-collector|otelcol|opentelemetry-collector|otel-agent|statsd|graphite|cloudwatch|yace|snmp|burrow|kminion|kafka-lag|grafana-agent|alloy|vmagent|kube-rbac-proxy|federate|federation|jmx|stackdriver|spanmetrics|metrics-generator)([-_/.]|$)`)},
}

func reporterKind(name string) reports {
	if name == "" {
		return reportsNothing
	}
	name = strings.ToLower(name)
	for _, r := range reporterNames {
		if r.re.MatchString(name) {
			return r.kind
		}
	}
	return reportsNothing
}

// IsReporter reports whether a name is of something that only measures others: an exporter, a probe, a collector.
func IsReporter(name string) bool { return reporterKind(lastPart(name)) != reportsNothing }

var (
	// Jobs named after how their targets were found, and containers named after nothing.
	generic = regexp.MustCompile(`^(kubernetes-(pods?|services?|service-endpoints|endpoints?|ingress(es)?)(-slow)?|pods?|services?|endpoints?|(service|pod)-?monitors?|docker|dockerswarm|consul|ec2|static|default|otlp|app|main|server|container|application|worker|prometheus\.scrape\..*|envoy-stats|istio-(mesh|proxy-stats))$`)
	sidecar = regexp.MustCompile(`^(POD|pause|istio-(proxy|init|validation|cni)|linkerd-(proxy|init)|envoy(-sidecar|-proxy)?|consul-(connect-envoy-sidecar|dataplane)|daprd|vault-agent(-init)?|cloud-?sql-(auth-)?proxy|kube-rbac-proxy|(prometheus-)?config-reloader|oauth2?-proxy|fluent-?bit|fluentd-sidecar|filebeat|promtail|vector-agent|jaeger-agent|otc-container|otel-(agent|sidecar)|datadog-agent|xray-daemon|git-sync|queue-proxy|metrics(-exporter)?|aws-sigv4-proxy|k8s-sidecar|grafana-sc-.*|kuma-sidecar|wait-for-.*|init-.*)$`)
	proxies = regexp.MustCompile(`(^|[-_])(ingress|nginx|traefik|haproxy|envoy|kong|contour|gateway|router|skipper)([-_]|$)`)

	metricsAffix   = regexp.MustCompile(`^[-_](metrics|monitoring|monitor|prometheus|headless|internal|http|web|svc|service|cluster-ip|np|lb)$`)
	groupAffix     = regexp.MustCompile(`(?i)[-_.](consumers?([-_.]group)?|consumergroup|group|grp|cg)$`)
	objectiveAffix = regexp.MustCompile(`(?i)[-_.]((http|grpc|requests?|api)[-_.])?(availability|latency|errors?([-_.](rate|ratio|budget))?|slos?|success([-_.]rate)?|uptime|p9[059]|duration|requests?)$`)
	claimAffix     = regexp.MustCompile(`^(data|datadir|storage|db|pvc|vol|volume|www|logs?|wal|config|persistent-storage|redis-data|claim)-`)
	composeName    = regexp.MustCompile(`^(?:[^-_]+[-_])?(.+?)[-_.]\d+(?:\..*)?$`)
)

func isGeneric(name string) bool { return generic.MatchString(name) }
func isSidecar(name string) bool { return sidecar.MatchString(name) }
func isProxy(name string) bool   { return proxies.MatchString(name) }

// isNobody is true of values that stand for no service.
func isNobody(v string) bool {
	switch strings.ToLower(v) {
	case "", "unknown", "none", "<none>", "null", "-", "*", "user", "passthroughcluster", "blackholecluster", "inboundpassthroughcluster", "upstream-default-backend":
		return true
	}
	return strings.Contains(v, "{{")
}

// foldLabel writes a label name as it would be without UTF-8 names: service.name and service_name are one.
func foldLabel(name string) string {
	return strings.Map(func(c rune) rune {
		if c == '.' || c == '/' || c == '-' {
			return '_'
		}
		return c
	}, name)
}

// onlyAffix reports whether service is owner with nothing but the affix of a Service that carries metrics.
func onlyAffix(service, owner string) bool {
	rest, ok := strings.CutPrefix(service, owner)
	return ok && metricsAffix.MatchString(rest)
}

var portPart = regexp.MustCompile(`[-.:](\d{2,5}|https?|grpc)$`)

// plainName takes from a value what proxies and cluster DNS add to a service's name: cart@docker, shop-cart-80@kubernetes,
// cart.shop.svc.cluster.local, shop/cart and shop.cart.80 are cart, or what is left of it.
func plainName(v string) string {
	if name, _, ok := strings.Cut(v, "@"); ok && name != "" {
		return portPart.ReplaceAllString(name, "")
	}
	if i := strings.Index(v+".", ".svc."); i > 0 {
		name, _, _ := strings.Cut(v, ".")
		return name
	}
	v = lastPart(v)
	if parts := strings.Split(v, "."); len(parts) == 3 && portPart.MatchString(v) {
		return parts[1]
	}
	return v
}

// clusterName is the service in the name of a cluster of Envoy: outbound|8080||cart.shop.svc.cluster.local as Istio has it,
// shop/cart/80/da39a3ee5e as Contour has it.
func clusterName(v string) string {
	if parts := strings.Split(v, "|"); len(parts) == 4 {
		return HostOf(parts[3])
	}
	if parts := strings.Split(v, "/"); len(parts) >= 3 {
		return parts[1]
	}
	return strings.TrimSuffix(plainName(v), "_cluster")
}

// backendName is the service in the name of a backend of HAProxy.
func backendName(v string) string {
	for _, p := range []string{"be_", "bk_", "backend_", "backend-"} {
		v = strings.TrimPrefix(v, p)
	}
	return portPart.ReplaceAllString(plainName(v), "")
}

func scalerName(v string) string {
	return strings.TrimSuffix(strings.TrimPrefix(v, "keda-hpa-"), "-hpa")
}

// Kubernetes makes hashes and suffixes of these letters only: no vowels, no 0, 1, 3. Other senders are less exact, so a hash with a
// digit passes too where its place leaves no doubt.
var (
	deploymentPod = regexp.MustCompile(`^(.+)-(?:[bcdfghjklmnpqrstvwxz2456789]{6,10}|[a-z]*[0-9][a-z0-9]{5,9})-[a-z0-9]{5}$`)
	daemonPod     = regexp.MustCompile(`^(.+)-(?:[bcdfghjklmnpqrstvwxz2456789]{5}|[a-z][0-9][a-z][0-9][a-z])$`)
	statefulPod   = regexp.MustCompile(`^(.+)-\d{1,4}$`)
	setHash       = regexp.MustCompile(`^(.+)-(?:[bcdfghjklmnpqrstvwxz2456789]{6,10}|[a-z]*[0-9][a-z0-9]{5,9})$`)
	cronRun       = regexp.MustCompile(`^(.+)-\d{8,10}$`)
	knative       = regexp.MustCompile(`^(.+)-\d{5}-deployment$`)
)

// PodOwner reads the workload from the name of a pod: cart-7d9f8b6c5d-x2x9z, cart-x2x9z and cart-0 are cart's. A pod named otherwise
// is its own workload.
func PodOwner(pod string) string {
	if m := deploymentPod.FindStringSubmatch(pod); m != nil {
		return cronName(knative.ReplaceAllString(m[1], "$1"))
	}
	for _, re := range []*regexp.Regexp{statefulPod, daemonPod} {
		if m := re.FindStringSubmatch(pod); m != nil {
			return cronName(m[1])
		}
	}
	return pod
}

// OwnerOfSet is the workload whose ReplicaSet this is; itself where its name does not tell.
func OwnerOfSet(name string) string { return setName(name) }

// OwnerOfJob is the CronJob whose run this Job is; itself where its name does not tell.
func OwnerOfJob(name string) string { return cronName(name) }

func setName(v string) string {
	if m := setHash.FindStringSubmatch(v); m != nil {
		return m[1]
	}
	return v
}

func controllerName(v string) string { return statefulPod.ReplaceAllString(v, "$1") }

func cronName(v string) string {
	if m := cronRun.FindStringSubmatch(v); m != nil {
		return m[1]
	}
	return v
}
