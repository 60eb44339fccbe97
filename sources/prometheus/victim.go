package prometheus

import (
	"net"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// VictimRules say how the service that an alert is about is read from its labels.
type VictimRules struct {
	Labels    []string `yaml:"labels"`    // labels that may name it, best first
	Exporters []string `yaml:"exporters"` // names that only report on others; * at either end matches anything
}

// DefaultVictimRules know the usual labels and the usual exporters.
func DefaultVictimRules() VictimRules {
	return VictimRules{
		Labels: []string{
			"service_name", "app_kubernetes_io_name", "app", "deployment", "statefulset", "daemonset", "workload",
			"service", "container", "job",
		},
		Exporters: []string{
			"kube-state-metrics*", "*-kube-state-metrics", "*node-exporter*", "node_exporter", "node", "*-exporter", "*_exporter", "exporter-*",
			"*blackbox*", "blackbox", "probe", "probes", "cadvisor", "kubelet", "*kubelet", "kubernetes-pods", "kubernetes-nodes",
			"kubernetes-cadvisor", "kubernetes-service-endpoints", "statsd", "statsd-exporter", "cloudwatch*", "pushgateway", "*pushgateway", "otel-collector*", "opentelemetry-collector*",
			"ksm", "kube-rbac-proxy*", "snmp", "telegraf",
		},
	}
}

// Labels that name a workload itself; in them nothing is an exporter unless the alert is about the exporter.
var workloadLabels = []string{
	"deployment", "statefulset", "daemonset", "workload", "replicaset", "cronjob", "job_name", "horizontalpodautoscaler",
	"persistentvolumeclaim", "created_by_name", "owner_name",
}

// Victim is the service an alert is about and the label it was read from ("label deployment"). Alerts made from an exporter's
// metrics carry the exporter's job, service, container and pod: those are passed over for the workload labels, the pod's owner,
// the probed target, the namespace. An alert that has no such label has no victim. It is pure.
//
// Worked example: KubePodCrashLooping has job=kube-state-metrics, namespace=shop, pod=cart-7d9f8b6c5d-x2x9z, container=app:
// the victim is cart, from pod. Names are as the labels have them; resolving aliases is left to the caller.
func Victim(labels map[string]string, rules VictimRules) (service, from string) {
	reporter := ""
	for _, l := range []string{"job", "service"} {
		if v := labels[l]; v != "" && isExporter(stripNamespace(v), rules) {
			reporter = stripNamespace(v)
			break
		}
	}
	if reporter == "" {
		for _, l := range rules.Labels {
			if v := nameIn(l, labels); v != "" && !isExporter(v, rules) {
				return v, "label " + l
			}
		}
		if v := podOwner(labels["pod"]); v != "" {
			return v, "label pod"
		}
		return fallback(labels, rules)
	}
	// The workload first. What tells of objects may well tell of an exporter's; only itself it is never asked about by accident.
	itself := func(v string) bool {
		if reportsObjects(reporter) {
			return reportsObjects(v)
		}
		return isExporter(v, rules)
	}
	for _, l := range append(slices.Clone(rules.Labels), workloadLabels...) {
		if v := labels[l]; v != "" && slices.Contains(workloadLabels, l) && !itself(v) {
			return workloadName(l, v), "label " + l
		}
	}
	if owner := podOwner(labels["pod"]); owner != "" && !itself(owner) {
		return owner, "label pod"
	}
	for _, l := range []string{"service_name", "app_kubernetes_io_name", "label_app_kubernetes_io_name", "label_app", "exported_job", "exported_service", "exported_container", "app", "container"} {
		if v := nameIn(l, labels); v != "" && !isExporter(v, rules) {
			return v, "label " + l
		}
	}
	if !reportsObjects(reporter) {
		for _, l := range []string{"target", "instance"} {
			if h := host(labels[l]); h != "" && !isExporter(h, rules) {
				return h, "label " + l
			}
		}
		return "", ""
	}
	for _, l := range []string{"exported_namespace", "namespace"} {
		if v := labels[l]; v != "" {
			return v, "label " + l
		}
	}
	return "", ""
}

// reportsObjects is true of exporters whose namespace label is that of the object spoken of, and whose instance is their own;
// with the others it is the other way round.
func reportsObjects(reporter string) bool {
	reporter = strings.ToLower(reporter)
	for _, part := range []string{"kube-state-metrics", "ksm", "kubelet", "cadvisor", "kubernetes-nodes"} {
		if strings.Contains(reporter, part) {
			return true
		}
	}
	return false
}

// fallback is for alerts without any naming label that is not an exporter's.
func fallback(labels map[string]string, rules VictimRules) (service, from string) {
	for _, l := range workloadLabels {
		if v := labels[l]; v != "" {
			return workloadName(l, v), "label " + l
		}
	}
	for _, l := range rules.Labels {
		if v := nameIn(l, labels); v != "" {
			return v, "label " + l
		}
	}
	return "", ""
}

func nameIn(label string, labels map[string]string) string {
	if label == "job" || label == "exported_job" {
		return stripNamespace(labels[label])
	}
	return labels[label]
}

// stripNamespace cuts "shop/cart", as OTLP and some operators name jobs, to "cart".
func stripNamespace(job string) string { return job[strings.LastIndexByte(job, '/')+1:] }

func isExporter(name string, rules VictimRules) bool {
	name = strings.ToLower(name)
	return slices.ContainsFunc(rules.Exporters, func(p string) bool {
		core := strings.Trim(p, "*")
		pre, post := strings.HasPrefix(p, "*"), strings.HasSuffix(p, "*")
		switch {
		case core == "":
			return false
		case pre && post:
			return strings.Contains(name, core)
		case pre:
			return strings.HasSuffix(name, core)
		case post:
			return strings.HasPrefix(name, core)
		default:
			return name == core
		}
	})
}

// Kubernetes makes hashes and suffixes of these letters only: no vowels, no 0, 1, 3.
var (
	deploymentPod  = regexp.MustCompile(`^(.+)-[bcdfghjklmnpqrstvwxz2456789]{6,10}-[bcdfghjklmnpqrstvwxz2456789]{5}$`)
	daemonPod      = regexp.MustCompile(`^(.+)-[bcdfghjklmnpqrstvwxz2456789]{5}$`)
	statefulPod    = regexp.MustCompile(`^(.+)-\d{1,4}$`)
	replicaSetName = regexp.MustCompile(`^(.+)-[bcdfghjklmnpqrstvwxz2456789]{6,10}$`)
	cronJobRun     = regexp.MustCompile(`^(.+)-\d{8,10}$`)
)

// podOwner reads the workload from the name of a pod: cart-7d9f8b6c5d-x2x9z, cart-x2x9z and cart-0 are cart's.
// A pod named otherwise is its own workload.
func podOwner(pod string) string {
	for _, re := range []*regexp.Regexp{deploymentPod, statefulPod, daemonPod} {
		if m := re.FindStringSubmatch(pod); m != nil {
			return workloadName("job_name", m[1])
		}
	}
	return pod
}

func workloadName(label, v string) string {
	switch label {
	case "replicaset", "owner_name", "created_by_name":
		if m := replicaSetName.FindStringSubmatch(v); m != nil {
			return m[1]
		}
	case "job_name":
		if m := cronJobRun.FindStringSubmatch(v); m != nil {
			return m[1]
		}
	}
	return v
}

// host is the name in a URL or host:port; addresses name no service.
func host(target string) string {
	if target == "" {
		return ""
	}
	h := target
	if strings.Contains(target, "://") {
		u, err := url.Parse(target)
		if err != nil {
			return ""
		}
		h = u.Host
	}
	h, _, _ = strings.Cut(h, "/")
	if name, _, err := net.SplitHostPort(h); err == nil {
		h = name
	}
	if net.ParseIP(strings.Trim(h, "[]")) != nil || h == "localhost" {
		return ""
	}
	return h
}
