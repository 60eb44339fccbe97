package triage

import (
	"maps"
	"net"
	"net/url"
	"slices"
	"strings"
)

// subjectReader is one alert's labels with what they are known to mean.
type subjectReader struct {
	labels   map[string]string // names folded to underscores
	own      map[string]string // without what speaks of the measurer
	reporter reports           // what measured it
	exported bool              // labels were renamed on scraping: the plain ones are the measurer's
	owners   PodOwners
}

// targetLabels are what a scrape adds of the target it scraped.
var targetLabels = []string{"job", "service", "instance", "namespace", "pod", "container", "endpoint", "kubernetes_namespace", "kubernetes_pod_name"}

func newSubjectReader(labels map[string]string, owners PodOwners) *subjectReader {
	r := &subjectReader{labels: make(map[string]string, len(labels)), own: make(map[string]string, len(labels)), owners: owners}
	for _, k := range slices.Sorted(maps.Keys(labels)) {
		v, folded := labels[k], foldLabel(k)
		if _, plain := labels[folded]; folded != k && plain {
			continue
		}
		if !isNobody(v) {
			r.labels[folded] = v
		}
	}
	maps.Copy(r.own, r.labels)
	for _, l := range append(targetLabels, "app", "node", "deployment", "app_kubernetes_io_name") {
		r.exported = r.exported || r.labels["exported_"+l] != ""
	}
	r.reporter = r.measuredBy()
	r.dropMeasurer()
	return r
}

// measuredBy is the kind of thing that measured, by the names a target has.
func (r *subjectReader) measuredBy() reports {
	job := r.labels["job"]
	target := []string{"exported_job", "job", "service"}
	if job == "" || isGeneric(lastPart(job)) {
		target = append(target, "container", "app", "app_kubernetes_io_name")
	}
	for _, l := range target {
		if k := reporterKind(lastPart(r.labels[l])); k != reportsNothing {
			return k
		}
	}
	if r.exported {
		return reportsOthers
	}
	return reportsNothing
}

// dropMeasurer takes out of own what speaks of the measurer.
func (r *subjectReader) dropMeasurer() {
	drop := func(names ...string) {
		for _, n := range names {
			delete(r.own, n)
		}
	}
	if r.reporter != reportsNothing {
		drop("app_kubernetes_io_instance")
	}
	switch {
	case r.exported:
		drop(targetLabels...)
		for k, v := range r.labels {
			if name, ok := strings.CutPrefix(k, "exported_"); ok && !r.measures(lastPart(v)) {
				r.own[name] = v
			}
		}
	case r.reporter == reportsObjects:
		drop("job", "service", "instance", "endpoint")
		if reporterKind(PodOwner(r.labels["pod"])) == reportsObjects { // its own pod: then so is the namespace
			drop("pod", "container", "namespace")
		}
	case r.reporter == reportsHosts || r.reporter == reportsProbes:
		drop("job", "pod", "container", "namespace", "endpoint")
		if r.labels["endpoint"] != "" || r.measures(r.labels["service"]) {
			drop("service")
		}
	case r.reporter == reportsOthers:
		drop("job", "container", "endpoint")
		if r.labels["endpoint"] != "" || r.measures(r.labels["service"]) {
			drop("service")
		}
		if pod := r.labels["pod"]; pod == "" || r.measures(PodOwner(pod)) { // beside what it measures, the pod is that one's
			drop("pod", "namespace")
		}
	}
}

// measures reports whether a value names what only measures. Those that tell of objects may well tell of another measurer; only
// themselves they are never asked about by accident.
func (r *subjectReader) measures(v string) bool {
	kind := reporterKind(lastPart(v))
	if r.reporter == reportsObjects {
		return kind == reportsObjects
	}
	return kind != reportsNothing
}

// first is the name the first of the labels gives that gives one.
func (r *subjectReader) first(order []subjectLabel) (name, label string) {
	for _, l := range order {
		if name := r.read(l); name != "" {
			return name, l.name
		}
	}
	return "", ""
}

// read is the name one label gives, "" where it gives none.
func (r *subjectReader) read(l subjectLabel) string {
	if l.beside != "" && r.labels[l.beside] == "" {
		return ""
	}
	v := r.own[l.name]
	if v == "" {
		return ""
	}
	name := plainName(v)
	if l.form != nil {
		name = l.form(v)
	}
	if isNobody(name) || r.measures(name) {
		return ""
	}
	return name
}

// service is the scraped Service. One that only carries the metrics of a workload, as cart-metrics does for the pods of cart, gives
// way to that.
func (r *subjectReader) service() (name, label string) {
	name = r.read(subjectLabel{name: "service"})
	if name == "" {
		return "", ""
	}
	if owner, label := r.pod(); owner != "" && onlyAffix(name, owner) {
		return owner, label
	}
	if ingress, label := r.ingress(); ingress != "" && isProxy(name) {
		return ingress, label
	}
	return name, "service"
}

// ingress is the object a proxy was told of the service by, where it does not say the service itself.
func (r *subjectReader) ingress() (name, label string) {
	for _, l := range []string{"ingress", "route"} {
		if v := r.own[l]; v != "" && !strings.HasPrefix(v, "/") {
			return strings.TrimSuffix(plainName(v), "-ingress"), l
		}
	}
	return "", ""
}

// group is the consumer group: who falls behind is who consumes, not the broker.
func (r *subjectReader) group() (name, label string) {
	for _, l := range []string{"consumergroup", "consumer_group", "kafka_consumergroup", "consumer_group_id", "group_id", "group"} {
		if v := r.own[l]; v != "" && (l != "group" && l != "group_id" || r.labels["topic"] != "") {
			return groupAffix.ReplaceAllString(plainName(v), ""), l
		}
	}
	return "", ""
}

// pod is the workload that owns the pod, as the metrics or else its name have it.
func (r *subjectReader) pod() (name, label string) {
	for _, l := range []string{"pod", "pod_name", "kubernetes_pod_name", "k8s_pod_name"} {
		pod := r.own[l]
		if pod == "" {
			continue
		}
		name := ""
		if r.owners != nil {
			name = r.owners(r.namespace(), pod)
		}
		if name == "" {
			name = PodOwner(pod)
		}
		if !r.measures(name) {
			return name, l
		}
	}
	return "", ""
}

func (r *subjectReader) job() (name, label string) {
	if name = r.read(subjectLabel{name: "job", form: lastPart}); isGeneric(name) {
		return "", ""
	}
	return name, "job"
}

func (r *subjectReader) container() (name, label string) {
	for _, l := range []string{"container", "container_name", "k8s_container_name", "component"} {
		if name := r.read(subjectLabel{name: l}); name != "" && !isGeneric(name) && !isSidecar(name) {
			return name, l
		}
	}
	if v := r.own["name"]; v != "" && r.reporter == reportsObjects && r.labels["image"] != "" { // cAdvisor beside Docker
		return composeName.ReplaceAllString(v, "$1"), "name"
	}
	return "", ""
}

// probed is the host of what was probed or, by an exporter of many targets, measured.
func (r *subjectReader) probed() (name, label string) {
	if r.reporter != reportsProbes && r.reporter != reportsOthers {
		return "", ""
	}
	for _, l := range []string{"target", "url", "probe_target", "instance"} {
		if h := HostOf(r.own[l]); h != "" && !r.measures(h) {
			return h, l
		}
	}
	return "", ""
}

// objective is the service in the name of an objective, as sloth and pyrra have them: cart-availability is cart's.
func (r *subjectReader) objective() (name, label string) {
	if id, ok := strings.CutSuffix(r.own["sloth_id"], "-"+r.own["sloth_slo"]); ok && id != "" {
		return id, "sloth_id"
	}
	for _, l := range []string{"slo", "slo_name", "pyrra_slo"} {
		if v := r.own[l]; v != "" {
			return objectiveAffix.ReplaceAllString(v, ""), l
		}
	}
	return "", ""
}

// claim is the workload that a claim belongs to by the way StatefulSets name them: data-orders-db-0 is orders-db's.
func (r *subjectReader) claim() (name, label string) {
	const l = "persistentvolumeclaim"
	v := r.own[l]
	if v == "" {
		return "", ""
	}
	return claimAffix.ReplaceAllString(statefulPod.ReplaceAllString(v, "$1"), ""), l
}

// unit is the systemd unit or process that a host's exporter tells of.
func (r *subjectReader) unit() (name, label string) {
	if r.reporter == reportsHosts {
		if unit, ok := strings.CutSuffix(r.own["name"], ".service"); ok {
			return unit, "name"
		}
	}
	if v := r.own["groupname"]; v != "" {
		return v, "groupname"
	}
	return "", ""
}

// node is the machine that an alert is about where it is about no service.
func (r *subjectReader) node() (name, label string) {
	for _, l := range []string{"node", "nodename", "kubernetes_node", "k8s_node_name", "node_name", "host_name", "hostname", "host"} {
		if v := r.own[l]; v != "" {
			return v, l
		}
	}
	instance := r.labels["instance"]
	h, port, err := net.SplitHostPort(instance)
	if err != nil {
		h = instance
	}
	if r.reporter == reportsHosts || port == "9100" || port == "9182" {
		return h, "instance"
	}
	return "", ""
}

// namespace is that of the subject.
func (r *subjectReader) namespace() string {
	for _, l := range []string{
		"destination_workload_namespace", "destination_service_namespace", "dst_namespace", "exported_namespace", "namespace",
		"k8s_namespace_name", "kubernetes_namespace", "dest_namespace",
	} {
		if v := r.own[l]; v != "" {
			return v
		}
	}
	return ""
}

// from says where a name was read. What the label has is shown as it is.
func (r *subjectReader) from(label, name string) string {
	shown, v := label, r.labels[label]
	if e := r.labels["exported_"+label]; r.exported && e != "" {
		shown, v = "exported_"+label, e
	}
	out := "label " + shown + "=" + v
	switch label {
	case "pod", "pod_name", "kubernetes_pod_name", "k8s_pod_name", "persistentvolumeclaim":
		if v != name {
			out += ", its owner"
		}
	}
	return out
}

// lastPart cuts "shop/cart", as OTLP and operators name jobs, to "cart".
func lastPart(v string) string { return v[strings.LastIndexByte(v, '/')+1:] }

// HostOf is the name in a URL or host:port; of one inside a cluster, the Service. Addresses name nobody.
func HostOf(target string) string {
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
	if i := strings.Index(h+".", ".svc."); i > 0 {
		h, _, _ = strings.Cut(h, ".")
	}
	return h
}
