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

// versions are version labels that appear on a service that had another version before: of *_build_info, and service_version of
// OpenTelemetry's target_info, whose job is the service. A service's first version is not a change of it.
func (r *changeReader) versions(ctx context.Context) ([]triage.Change, error) {
	var out []triage.Change
	for _, v := range []struct{ sel, label, job string }{
		{`{__name__=~".+_build_info",version!~"|unknown|unset|\\(devel\\)"}`, "version", "__name__, " + nameGroup},
		{`target_info{service_version!=""}`, "service_version", "cluster, namespace, job, service_name"},
	} {
		if v.label == "version" && !r.anyBuildInfo() || v.label != "version" && !r.exist("target_info") {
			continue
		}
		cs, err := r.versionsOf(ctx, v.sel, v.label, v.job)
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

func (r *changeReader) versionsOf(ctx context.Context, sel, label, id string) ([]triage.Change, error) {
	before := fmt.Sprintf("last_over_time(%s[%s] offset %s)", sel, versionMemory, model.Duration(changeStep))
	pts, err := r.points(ctx, fmt.Sprintf(
		"(group by (%[1]s, %[2]s) (%[3]s) unless on (%[1]s, %[2]s) group by (%[1]s, %[2]s) (%[4]s)) and on (%[1]s) group by (%[1]s) (%[4]s)",
		id, label, sel, before))
	if err != nil || len(pts) == 0 {
		return nil, err
	}
	v, err := r.c.vector(ctx, fmt.Sprintf("group by (%s, %s) (last_over_time(%s[%s]))", id, label, sel, versionMemory), r.from)
	if err != nil {
		return nil, err
	}
	last := make(map[string]string) // series without its version → version, as it was at the beginning and after each point
	seriesOf := func(m model.Metric) string {
		m = m.Clone()
		delete(m, model.LabelName(label))
		return m.String()
	}
	v = slices.Clone(v) // the answer is shared with the cache
	slices.SortFunc(v, func(a, b *model.Sample) int { return strings.Compare(a.Metric.String(), b.Metric.String()) })
	for _, s := range v {
		last[seriesOf(s.Metric)] = string(s.Metric[model.LabelName(label)])
	}
	var out []triage.Change
	for _, p := range pts {
		subject, version := r.subjectOf(p.labels), string(p.labels[model.LabelName(label)])
		name := cmp.Or(subject.Service, stripNamespace(string(p.labels["job"])))
		job := string(cmp.Or(p.labels["exported_job"], p.labels["job"]))
		series := fmt.Sprintf("%s/%s/%s", p.labels["__name__"], subject.Namespace, job)
		if name != stripNamespace(job) {
			series += "/" + name
		}
		c := r.change(triage.KindDeploy, fmt.Sprintf("version/%s/%s@%s", series, version, p.at.Format(time.RFC3339)), p.labels, name)
		if subject.Namespace != "" {
			c.Namespace, c.Labels["namespace"] = subject.Namespace, subject.Namespace
		}
		c.Version, c.PreviousVersion = version, last[seriesOf(p.labels)]
		if c.PreviousVersion == c.Version {
			c.PreviousVersion = ""
		}
		last[seriesOf(p.labels)] = version
		c.Status = triage.StatusStarted
		c.Title = fmt.Sprintf("%s now reports version %s", name, version)
		c.Labels["job"] = job
		if sha := fullSHA.FindString(version); sha != "" {
			c.Labels["sha"] = sha
		}
		if c.PreviousVersion != "" {
			c.Reversible = triage.Reversible{Value: triage.ReversibleYes, Reason: "the previous version is known"}
		}
		betweenLooks(&c, p.at)
		if r.sameRollout(c) {
			continue
		}
		out = append(out, c)
	}
	return out, nil
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

// reloads are new configurations of Prometheus and Alertmanager themselves: rules may have changed.
func (r *changeReader) reloads(ctx context.Context) ([]triage.Change, error) {
	var out []triage.Change
	for _, metric := range []string{
		"prometheus_config_last_reload_success_timestamp_seconds", "alertmanager_config_last_reload_success_timestamp_seconds",
	} {
		pts, err := r.points(ctx, moved("job, namespace", metric, ">"), metric)
		if err != nil {
			return out, err
		}
		for _, p := range pts {
			job := stripNamespace(string(p.labels["job"]))
			c := r.change(triage.KindConfig, fmt.Sprintf("reload/%s/%s@%.0f", p.labels["namespace"], job, p.value), p.labels, job)
			c.StartedAt = time.Unix(int64(p.value), 0).UTC()
			c.FinishedAt, c.Status = c.StartedAt, triage.StatusSucceeded
			c.Title = job + " reloaded its configuration"
			c.Labels["job"] = string(p.labels["job"])
			out = append(out, c)
		}
	}
	return out, nil
}
