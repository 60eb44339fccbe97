package alerting

import (
	"regexp"
	"slices"
	"strings"

	"github.com/triaged-dev/triaged/triage"
)

// Labels that may name the service an alert is about, best first; and those naming a workload, which an exporter cannot have put there for itself.
var (
	serviceLabels  = []string{"service_name", "app_kubernetes_io_name", "app", "deployment", "statefulset", "daemonset", "workload", "service", "container", "job"}
	workloadLabels = []string{"deployment", "statefulset", "daemonset", "workload", "job_name", "cronjob", "horizontalpodautoscaler", "created_by_name", "label_app_kubernetes_io_name"}
	environments   = []string{"env", "environment", "deployment_environment_name", "deployment_environment"}
	clusters       = []string{"cluster", "k8s_cluster_name", "cluster_name"}
	namespaces     = []string{"exported_namespace", "namespace", "k8s_namespace_name"}
	regions        = []string{"region", "cloud_region"}
)

// exporter recognises names of things that measure others: never the victim.
var exporter = regexp.MustCompile(`(^|[-_/])(kube-state-metrics|node-exporter|node|cadvisor|kubelet|blackbox|[a-z0-9]+[-_]exporter|exporter|pushgateway|prometheus|alertmanager)([-_/]|$)`)

// replicaSetPod is a pod of a Deployment: name, ReplicaSet hash, pod hash. setPod is one of a StatefulSet or DaemonSet.
var (
	replicaSetPod = regexp.MustCompile(`^(.+)-[bcdf-hj-np-tv-z0-9]{6,10}-[bcdf-hj-np-tv-z0-9]{5}$`)
	setPod        = regexp.MustCompile(`^(.+?)-(\d{1,3}|[bcdf-hj-np-tv-z0-9]{5})$`)
)

// VictimFromLabels finds the service an alert is about and says how. Alerts made from exporters carry the exporter's own
// service and job: there only labels naming a workload, then the pod's owner, count. It returns "" rather than guess.
func VictimFromLabels(ls map[string]string) (service, from string) {
	labels := serviceLabels
	if exporter.MatchString(ls["job"]) || exporter.MatchString(ls["service"]) || exporter.MatchString(ls["container"]) {
		labels = workloadLabels
	}
	for _, l := range labels {
		v := ls[l]
		if v == "" || exporter.MatchString(v) {
			continue
		}
		if l == "job" { // OTLP writes namespace/name
			v = v[strings.LastIndexByte(v, '/')+1:]
		}
		return v, "label " + l + "=" + ls[l]
	}
	for _, l := range []string{"pod", "exported_pod"} {
		for _, form := range []*regexp.Regexp{replicaSetPod, setPod} {
			if m := form.FindStringSubmatch(ls[l]); m != nil && !exporter.MatchString(m[1]) {
				return m[1], "label " + l + "=" + ls[l] + ", without its suffix"
			}
		}
	}
	return "", ""
}

// joined adds to where a name was read the rule that made a service of it, unless it is the service's own name.
func joined(from, named, service string, rule triage.NameRule) string {
	switch rule {
	case triage.NameAlias:
		return from + ": " + named + " is an alias of " + service
	case triage.NameNormalised:
		return from + ": " + named + " without its affixes is " + service
	default: // nothing to do for the others
	}
	return from
}

// scopeOf reads where an alert happened from its labels.
func scopeOf(ls map[string]string, service string, d *triage.Directory) triage.Scope {
	first := func(names []string) string {
		i := slices.IndexFunc(names, func(n string) bool { return ls[n] != "" })
		if i < 0 {
			return ""
		}
		return bounded(ls[names[i]])
	}
	s := triage.Scope{Service: service, Cluster: first(clusters), Namespace: first(namespaces), Region: first(regions)}
	if env := first(environments); env != "" {
		s.Environment = d.Environment(env)
	}
	return s
}
