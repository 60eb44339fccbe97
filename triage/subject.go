package triage

import (
	"maps"
	"slices"
	"strings"
)

// Subject is what an alert is about, as its labels say it.
type Subject struct {
	Service   string // as the label has it, aliases not resolved; "" where no label names one
	Node      string // the machine, where the alert is about one and about no service
	Namespace string // of the subject, never that of whatever measured it
	From      string // where it was read: "label app=cart", "label pod=cart-7d9f8b6c5d-x2x9z, its owner"
}

// PodOwners knows the workload that owns a pod. It must answer from memory; "" is not known.
type PodOwners func(namespace, pod string) string

// SubjectOf reads what an alert is about from its labels. Everything that names the service of an alert goes through it, so that
// a trial, the daemon and the pages never differ. owners may be nil: names of pods give their owners away.
//
// What an alert says of its subject comes before what it says of who measured it: first labels that only the rule or a mesh can
// have written (sloth_service, destination_workload, exported_service), then names of services and workloads, then the scraped
// target itself with the owner of a pod before its container. Whatever only measures others (exporters, probes, collectors,
// sidecars) is never the subject, unless kube-state-metrics tells of it as of any workload.
//
// Worked example: KubePodCrashLooping has job=kube-state-metrics, namespace=shop, pod=cart-7d9f8b6c5d-x2x9z, container=app. The
// job measures objects, so namespace and pod are the object's: the subject is cart, by the owner of the pod. KubeNodeNotReady has
// namespace=monitoring and kube-state-metrics' own pod beside node=node-02: that pod is the measurer's, so there is no service,
// and the node is the subject.
func SubjectOf(labels map[string]string, owners PodOwners) Subject {
	r := newSubjectReader(labels, owners)
	s := Subject{Namespace: r.namespace()}
	orders := [][]subjectLabel{saidLabels, destinationLabels, nameLabels, workloadLabels}
	if r.reporter != reportsNothing {
		orders = [][]subjectLabel{saidLabels, destinationLabels, workloadLabels, nameLabels}
	}
	var reads []func() (name, label string)
	for i, order := range orders {
		if i == 3 && r.reporter == reportsObjects { // the object's pod before what the target may have been named
			reads = append(reads, r.pod)
		}
		reads = append(reads, func() (string, string) { return r.first(order) })
	}
	reads = append(reads, r.service, r.ingress, r.group, r.pod, r.job, r.container, r.probed, r.objective, r.claim, r.unit)
	for _, read := range reads {
		if name, label := read(); name != "" {
			s.Service, s.From = name, r.from(label, name)
			return s
		}
	}
	if node, label := r.node(); node != "" {
		s.Node, s.From = node, "label "+label+"="+r.labels[label]+", a node"
		if r.reporter != reportsNothing {
			s.Namespace = ""
		}
	}
	return s
}

// Labels that say where a subject lives, best first.
var (
	clusterLabels     = []string{"destination_cluster", "cluster", "k8s_cluster_name", "cluster_name", "kubernetes_cluster"}
	regionLabels      = []string{"region", "cloud_region", "aws_region", "topology_kubernetes_io_region"}
	environmentLabels = []string{"env", "environment", "deployment_environment_name", "deployment_environment"}
)

// ScopeOf is where the subject lives, as the labels of its alert have it: service and environment canonical, how the service was
// found beside it.
func ScopeOf(labels map[string]string, s Subject, d *Directory) (Scope, NameRule) {
	first := func(names []string) string {
		for _, want := range names {
			if v := labels[want]; v != "" {
				return bounded(v)
			}
		}
		for _, want := range names {
			for _, k := range slices.Sorted(maps.Keys(labels)) {
				if labels[k] != "" && foldLabel(k) == want {
					return bounded(labels[k])
				}
			}
		}
		return ""
	}
	service, rule := d.Resolve(bounded(s.Service))
	out := Scope{Service: service, Cluster: first(clusterLabels), Namespace: bounded(s.Namespace), Region: first(regionLabels)}
	if env := first(environmentLabels); env != "" {
		out.Environment = d.Environment(env)
	}
	return out, rule
}

// bounded cuts a text that came from outside.
func bounded(v string) string {
	if len(v) > MaxText {
		v = v[:MaxText]
	}
	return strings.ToValidUTF8(v, "")
}
