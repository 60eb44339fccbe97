package prometheus

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/common/model"

	"github.com/triaged-dev/triaged/triage"
)

// How far back a version must not have been seen to be new: targets come and go, and a flap is no deploy.
const versionMemory = "1h"

// nameGroup are the labels by which series of one job are told apart as services, besides job and namespace: all that an alert of such a
// service would be named by, or its deploys would be filed under another name.
const nameGroup = "cluster, namespace, exported_namespace, k8s_namespace_name, job, exported_job, service_name, app_kubernetes_io_name, app, application, " +
	"deployment, statefulset, daemonset, workload, k8s_deployment_name, service, exported_service"

// tagged is a family of series whose label says what is in place.
type tagged struct {
	sel, id string // id: the grouping that stays while the label changes
	metric  string // that must exist; "" where sel says names by a pattern
	label   model.LabelName
	kind    triage.Kind
	image   bool // the label is an image, whose tag is the version
	name    func(model.Metric) string
	what    string // in the title of what is no version
}

// versionLabels are where versions show: *_build_info, and service_version of OpenTelemetry's target_info, whose job is the service;
// the image of a container that is not Kubernetes'; and the contents of what CoreDNS serves.
var versionLabels = []tagged{
	{sel: `{__name__=~".+_build_info",version!~"|unknown|unset|\\(devel\\)"}`, label: "version", id: "__name__, " + nameGroup, kind: triage.KindDeploy},
	{sel: `target_info{service_version!=""}`, metric: "target_info", label: "service_version", id: "cluster, namespace, job, service_name", kind: triage.KindDeploy},
	{
		sel: `container_start_time_seconds{pod="",name!="",name!~"k8s_.*",image!=""}`, metric: "container_start_time_seconds", label: "image", image: true, kind: triage.KindDeploy,
		id: "cluster, instance, name, container_label_com_docker_compose_service", name: func(m model.Metric) string {
			return cmp.Or(string(m["container_label_com_docker_compose_service"]), string(m["name"]))
		},
	},
	{
		sel: `coredns_reload_version_info{hash!=""}`, metric: "coredns_reload_version_info", label: "value", id: "cluster, namespace, job, service, hash", kind: triage.KindConfig,
		what: "configuration",
	},
}

// podImages are what shows in clusters whose kube-state-metrics tells of pods only.
var podImages = tagged{
	sel: `kube_pod_container_info{image!=""}`, metric: "kube_pod_container_info", label: "image", image: true, kind: triage.KindDeploy,
	id: "cluster, namespace, container", name: func(m model.Metric) string { return string(m["container"]) },
}

func (w watchedSeries) asTagged() tagged {
	l := tagged{sel: w.selector(), metric: w.metric, label: w.label, kind: w.kind, what: w.what}
	group := append([]model.LabelName(nil), w.name...)
	group = append(group, w.service...)
	ids := []string{"cluster", "namespace"}
	if len(w.service) == 0 {
		ids = strings.Split(nameGroup, ", ")
	} else {
		l.name = func(m model.Metric) string {
			for _, s := range w.service {
				if v := string(m[s]); v != "" {
					return v
				}
			}
			return ""
		}
	}
	for _, g := range group {
		ids = append(ids, string(g))
	}
	slices.Sort(ids)
	l.id = "__name__, " + strings.Join(slices.Compact(ids), ", ")
	return l
}

// versions are version labels that appear on a service that had another version before. A service's first version is not a change of it.
func (r *changeReader) versions(ctx context.Context) ([]triage.Change, error) {
	rows := versionLabels
	if !slices.ContainsFunc(workloadKinds, func(k workloadKind) bool { return r.found.names[k.generation] }) && !r.exist("kube_replicaset_created") {
		rows = append(slices.Clone(rows), podImages)
	}
	var out []triage.Change
	for _, l := range rows {
		cs, err := r.tagged(ctx, l)
		if err != nil {
			return out, err
		}
		out = append(out, cs...)
	}
	return out, nil
}

func (r *changeReader) anyBuildInfo() bool {
	for n := range r.found.names {
		if strings.HasSuffix(n, "_build_info") {
			return true
		}
	}
	return false
}

func (r *changeReader) tagged(ctx context.Context, l tagged) ([]triage.Change, error) {
	if l.metric != "" && !r.exist(l.metric) || l.metric == "" && !r.anyBuildInfo() {
		return nil, nil
	}
	before := fmt.Sprintf("last_over_time(%s[%s] offset %s)", l.sel, versionMemory, model.Duration(changeStep))
	pts, err := r.points(ctx, fmt.Sprintf(
		"(group by (%[1]s, %[2]s) (%[3]s) unless on (%[1]s, %[2]s) group by (%[1]s, %[2]s) (%[4]s)) and on (%[1]s) group by (%[1]s) (%[4]s)",
		l.id, l.label, l.sel, before))
	if err != nil || len(pts) == 0 {
		return nil, err
	}
	v, err := r.c.vector(ctx, fmt.Sprintf("group by (%s, %s) (last_over_time(%s[%s]))", l.id, l.label, l.sel, versionMemory), r.from)
	if err != nil {
		return nil, err
	}
	last := make(map[string]string) // series without its version → version, as it was at the beginning and after each point
	seriesOf := func(m model.Metric) string {
		m = m.Clone()
		delete(m, l.label)
		return m.String()
	}
	v = slices.Clone(v) // the answer is shared with the cache
	slices.SortFunc(v, func(a, b *model.Sample) int { return strings.Compare(a.Metric.String(), b.Metric.String()) })
	for _, s := range v {
		last[seriesOf(s.Metric)] = string(s.Metric[l.label])
	}
	var out []triage.Change
	for _, p := range pts {
		was := last[seriesOf(p.labels)]
		last[seriesOf(p.labels)] = string(p.labels[l.label])
		c := r.taggedChange(l, p, was)
		if l.kind == triage.KindDeploy && r.sameRollout(c) {
			continue
		}
		out = append(out, c)
	}
	return out, nil
}

// taggedChange is a label that took the place of another one, which may not be known.
func (r *changeReader) taggedChange(l tagged, p point, was string) triage.Change {
	subject, is := r.subjectOf(p.labels), string(p.labels[l.label])
	name := cmp.Or(subject.Service, stripNamespace(string(p.labels["job"])))
	if l.name != nil {
		name = cmp.Or(l.name(p.labels), name)
	}
	job := string(cmp.Or(p.labels["exported_job"], p.labels["job"]))
	metric := cmp.Or(l.metric, string(p.labels[model.MetricNameLabel]))
	series := fmt.Sprintf("%s/%s/%s", metric, subject.Namespace, job)
	if name != stripNamespace(job) {
		series += "/" + name
	}
	version, previous := is, was
	if l.image {
		version, previous = cmp.Or(tagOf(is), is), cmp.Or(tagOf(was), was)
	}
	c := r.change(l.kind, fmt.Sprintf("version/%s/%s@%s", series, version, p.at.Format(time.RFC3339)), p.labels, name)
	if subject.Namespace != "" {
		c.Namespace, c.Labels["namespace"] = subject.Namespace, subject.Namespace
	}
	if previous == version && (!l.image || was == is) {
		previous = ""
	}
	c.Version, c.PreviousVersion = version, previous
	c.Status = triage.StatusStarted
	c.Title = fmt.Sprintf("%s now reports version %s", name, version)
	if job != "" {
		c.Labels["job"] = job
	}
	if l.image {
		c.Title = fmt.Sprintf("%s now runs %s", name, is)
		c.Labels["image"], c.Digest = is, digestOf(is)
	}
	if l.kind != triage.KindDeploy {
		c.Title = strings.TrimSpace(fmt.Sprintf("%s %s changed", name, l.what))
		c.Labels["from"], c.Labels["to"] = was, is
		c.Status, c.FinishedAt = triage.StatusSucceeded, p.at
	}
	if sha := fullSHA.FindString(version); sha != "" {
		c.Labels["sha"] = sha
	}
	if c.PreviousVersion != "" {
		c.Reversible = triage.Reversible{Value: triage.ReversibleYes, Reason: "the previous version is known"}
	}
	between(&c, p.at.Add(-changeStep), p.at)
	r.seen(&c, metric, triage.SurelyCertain, 0)
	return c
}

// subjectOf reads whose series these are, exactly as an alert with their labels would be read.
func (r *changeReader) subjectOf(m model.Metric) triage.Subject {
	labels := make(map[string]string, len(m))
	for k, v := range m {
		if k != model.MetricNameLabel && k != "version" && k != "service_version" {
			labels[string(k)] = string(v)
		}
	}
	return triage.SubjectOf(labels, nil)
}

// sameRollout reports whether a ReplicaSet found already is this deploy, seen through its pods.
func (r *changeReader) sameRollout(c triage.Change) bool {
	return slices.ContainsFunc(r.sets, func(s replicaSet) bool {
		service, _ := r.s.dir.Load().Resolve(s.owner)
		ago := c.StartedAt.Sub(s.created)
		return service == c.Service && ago > -2*changeStep && ago < 15*time.Minute
	})
}
