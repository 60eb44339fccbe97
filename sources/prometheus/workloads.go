package prometheus

import (
	"context"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/common/model"

	"github.com/triaged-dev/triaged/triage"
)

// workloadKind says how one kind of workload shows its spec.
type workloadKind struct {
	kind, label, generation, replicas string
}

var workloadKinds = []workloadKind{
	{"Deployment", "deployment", "kube_deployment_status_observed_generation", "kube_deployment_spec_replicas"},
	{"StatefulSet", "statefulset", "kube_statefulset_status_observed_generation", "kube_statefulset_replicas"},
	{"DaemonSet", "daemonset", "kube_daemonset_status_observed_generation", ""},
}

// workloads are changes of a workload's spec that no new ReplicaSet explains: the replica count (scale, by a person or by an
// autoscaler) or something else (a rollout of a StatefulSet or DaemonSet, a strategy).
func (r *changeReader) workloads(ctx context.Context) ([]triage.Change, error) {
	var out []triage.Change
	scalers, err := r.scalers(ctx)
	if err != nil {
		return nil, err
	}
	for _, k := range workloadKinds {
		by := r.by(k.label)
		gens, err := r.points(ctx, moved(by, k.generation, ">"), k.generation)
		if err != nil {
			return out, err
		}
		var sizes []point
		if k.replicas != "" {
			if sizes, err = r.points(ctx, moved(by, k.replicas, "!="), k.replicas); err != nil {
				return out, err
			}
		}
		var were []point
		if len(sizes) > 0 {
			if were, err = r.points(ctx, movedFrom(by, k.replicas), k.replicas); err != nil {
				return out, err
			}
		}
		for _, p := range sizes {
			c := r.scaled(k, p, scalers)
			if i := slices.IndexFunc(were, func(w point) bool { return w.at.Equal(p.at) && w.labels.Equal(p.labels) }); i >= 0 {
				c.PreviousVersion = fmt.Sprintf("%.0f replicas", were[i].value)
			}
			out = append(out, c)
		}
		for _, p := range gens {
			name := string(p.labels[model.LabelName(k.label)])
			if r.rolledOut(k, p) || slices.ContainsFunc(sizes, func(s point) bool {
				return s.labels.Equal(p.labels) && s.at.Sub(p.at).Abs() <= changeStep
			}) {
				continue
			}
			c := r.change(triage.KindDeploy, fmt.Sprintf("%s@%.0f", native(strings.ToLower(k.kind), p.labels, name), p.value), p.labels, name)
			if k.kind == "Deployment" && r.exist("kube_replicaset_created") {
				c.Kind = triage.KindConfig // its pods stay as they are, or a ReplicaSet would be new
			}
			c.Status = triage.StatusStarted
			c.Title = fmt.Sprintf("%s %s changed: generation %.0f", k.kind, name, p.value)
			c.Labels[k.label] = name
			betweenLooks(&c, p.at)
			out = append(out, c)
		}
	}
	return out, nil
}

// moved is empty except where a value differs from that of one step before.
func moved(by, metric, op string) string {
	return fmt.Sprintf("max by (%[1]s) (%[2]s) %[3]s max by (%[1]s) (%[2]s offset %[4]s)", by, metric, op, model.Duration(changeStep))
}

// movedFrom is the value before, wherever moved with != is not empty.
func movedFrom(by, metric string) string {
	return fmt.Sprintf("max by (%[1]s) (%[2]s offset %[3]s) != max by (%[1]s) (%[2]s)", by, metric, model.Duration(changeStep))
}

// scaled is a change of the replica count. Where an autoscaler owns the workload, it is the autoscaler's reaction.
func (r *changeReader) scaled(k workloadKind, p point, scalers map[string]string) triage.Change {
	name := string(p.labels[model.LabelName(k.label)])
	id := native(strings.ToLower(k.kind), p.labels, name)
	c := r.change(triage.KindScale, fmt.Sprintf("%s@%d", id, p.at.Unix()), p.labels, name)
	c.Title = fmt.Sprintf("%s %s scaled to %.0f", k.kind, name, p.value)
	c.Labels[k.label] = name
	c.Status = triage.StatusSucceeded
	c.Version = fmt.Sprintf("%.0f replicas", p.value)
	if hpa := scalers[k.kind+"\x00"+native("", p.labels, name)]; hpa != "" {
		c.Labels["controller"] = "horizontalpodautoscaler"
		c.Title += " by its autoscaler"
	}
	betweenLooks(&c, p.at)
	c.FinishedAt = p.at
	return c
}

// rolledOut reports whether a new ReplicaSet, or an old one that came back, explains the new generation.
func (r *changeReader) rolledOut(k workloadKind, p point) bool {
	name := string(p.labels[model.LabelName(k.label)])
	return k.kind == "Deployment" && slices.ContainsFunc(slices.Concat(r.sets, r.back), func(s replicaSet) bool {
		return s.owner == name && native("", s.labels, "") == native("", p.labels, "") && s.created.Sub(p.at).Abs() <= 3*changeStep
	})
}

// scalers maps workloads to their autoscalers.
func (r *changeReader) scalers(ctx context.Context) (map[string]string, error) {
	v, err := r.atEnd(ctx, fmt.Sprintf("group by (%s) (last_over_time(kube_horizontalpodautoscaler_info[%s]))",
		r.by("horizontalpodautoscaler", "scaletargetref_kind", "scaletargetref_name"), r.span(minInfo)), "kube_horizontalpodautoscaler_info")
	if err != nil {
		return nil, err
	}
	out := make(map[string]string, len(v))
	for _, s := range v {
		out[string(s.Metric["scaletargetref_kind"])+"\x00"+native("", s.Metric, string(s.Metric["scaletargetref_name"]))] = string(s.Metric["horizontalpodautoscaler"])
	}
	return out, nil
}

var configSuffix = regexp.MustCompile(`[-_.](config|configmap|cm|env|settings|secrets?|credentials|properties|[0-9a-f]{8,10})$`)

// configMaps are new contents of ConfigMaps and Secrets, without those that controllers write all the time.
func (r *changeReader) configMaps(ctx context.Context) ([]triage.Change, error) {
	ignore, err := ignoreRegexp(r.s.cfg.Changes.IgnoreConfigMaps)
	if err != nil {
		return nil, err
	}
	var out []triage.Change
	for _, k := range []struct{ kind, label, metric string }{
		{"ConfigMap", "configmap", "kube_configmap_metadata_resource_version"},
		{"Secret", "secret", "kube_secret_metadata_resource_version"},
	} {
		pts, err := r.points(ctx, moved(r.by(k.label), k.metric, "!="), k.metric)
		if err != nil {
			return out, err
		}
		for _, p := range pts {
			name := string(p.labels[model.LabelName(k.label)])
			if ignore != nil && ignore.MatchString(name) {
				continue
			}
			c := r.change(triage.KindConfig, fmt.Sprintf("%s@%.0f", native(strings.ToLower(k.kind), p.labels, name), p.value), p.labels, "")
			c.Service = r.configOf(name)
			c.Title = fmt.Sprintf("%s %s changed", k.kind, name)
			c.Labels[k.label] = name
			c.Status = triage.StatusSucceeded
			betweenLooks(&c, p.at)
			c.FinishedAt = p.at
			out = append(out, c)
		}
	}
	return out, nil
}

// configOf is the service whose configuration has this name: only one that is known, never a guess.
func (r *changeReader) configOf(name string) string {
	for {
		if service, rule := r.s.dir.Load().Resolve(name); rule != triage.NameUnknown {
			return service
		}
		cut := configSuffix.ReplaceAllString(name, "")
		if cut == name {
			return ""
		}
		name = cut
	}
}

// argoSyncs adds Argo CD syncs to the changes. A sync that ended soon after a rollout of the same service began is that rollout's
// end, not a change of its own.
func (r *changeReader) argoSyncs(ctx context.Context, changes []triage.Change) ([]triage.Change, error) {
	by := "namespace, name, dest_namespace, phase"
	pts, err := r.points(ctx, fmt.Sprintf(
		"(sum by (%[1]s) (argocd_app_sync_total) - sum by (%[1]s) (argocd_app_sync_total offset %[2]s)) > 0 or (sum by (%[1]s) (argocd_app_sync_total) unless sum by (%[1]s) (last_over_time(argocd_app_sync_total[1h] offset %[2]s))"+
			" and on () group(last_over_time(argocd_app_sync_total[1h] offset %[2]s)))", // not all of them when the metric itself is new
		by, model.Duration(changeStep)), "argocd_app_sync_total")
	if err != nil {
		return changes, err
	}
	for _, p := range pts {
		status := map[string]triage.Status{"Succeeded": triage.StatusSucceeded, "Failed": triage.StatusFailed, "Error": triage.StatusFailed}[string(p.labels["phase"])]
		if status == "" {
			continue // still running
		}
		app := string(p.labels["name"])
		c := r.change(triage.KindDeploy, fmt.Sprintf("argocd/%s@%d", app, p.at.Unix()), model.Metric{"namespace": p.labels["dest_namespace"]}, app)
		i := slices.IndexFunc(changes, func(o triage.Change) bool {
			ago := p.at.Sub(o.StartedAt)
			return o.Kind == triage.KindDeploy && o.Labels["replicaset"] != "" && o.Service == c.Service && ago > -changeStep && ago < 15*time.Minute
		})
		if i >= 0 {
			changes[i].Labels = maps.Clone(changes[i].Labels)
			changes[i].Labels["argocd_app"] = app
			if status == triage.StatusFailed {
				changes[i].Status = status
			}
			continue
		}
		c.FinishedAt, c.Status, c.TimeUncertaintyS = p.at, status, (changeStep + ksmInterval).Seconds()
		c.Title = fmt.Sprintf("Argo CD synced %s: %s", app, strings.ToLower(string(p.labels["phase"])))
		c.Labels["argocd_app"] = app
		changes = append(changes, c)
	}
	return changes, nil
}
