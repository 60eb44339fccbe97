package prometheus

import (
	"cmp"
	"context"
	"fmt"
	"maps"
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
	for _, k := range workloadKinds {
		cs, err := r.workloadsOf(ctx, k)
		out = append(out, cs...)
		if err != nil {
			return out, err
		}
	}
	cs, err := r.autoscaled(ctx)
	return append(out, cs...), err
}

func (r *changeReader) workloadsOf(ctx context.Context, k workloadKind) ([]triage.Change, error) {
	var out []triage.Change
	by := r.by(k.label)
	gens, err := r.moves(ctx, by, k.generation)
	if err != nil {
		return nil, err
	}
	gens = slices.DeleteFunc(gens, func(m move) bool { return m.value < m.from })
	var sizes []move
	if k.replicas != "" {
		if sizes, err = r.moves(ctx, by, k.replicas); err != nil {
			return nil, err
		}
	}
	for _, m := range sizes {
		out = append(out, r.scaled(k, m))
	}
	always, err := r.habits(ctx, by, k.generation, model.LabelName(k.label), gens)
	if err != nil {
		return out, err
	}
	var specs []triage.Change
	for _, m := range gens {
		if always[m.labels.Fingerprint()] || r.rolledOut(k, m.point) || slices.ContainsFunc(sizes, func(s move) bool {
			return s.labels.Equal(m.labels) && s.at.Sub(m.at).Abs() <= changeStep
		}) {
			continue
		}
		specs = append(specs, r.respecified(k, m))
	}
	err = r.newImages(ctx, k, specs)
	return append(out, specs...), err
}

// respecified is a workload whose spec was written anew. What of it is not known, unless its pods run another image.
func (r *changeReader) respecified(k workloadKind, m move) triage.Change {
	name := string(m.labels[model.LabelName(k.label)])
	c := r.change(triage.KindDeploy, fmt.Sprintf("%s@%.0f", native(strings.ToLower(k.kind), m.labels, name), m.value), m.labels, name)
	if k.kind == "Deployment" && r.exist("kube_replicaset_created") {
		c.Kind = triage.KindConfig // its pods stay as they are, or a ReplicaSet would be new
	}
	c.Status = triage.StatusStarted
	c.Title = fmt.Sprintf("%s %s changed: generation %.0f", k.kind, name, m.value)
	c.Labels[k.label] = name
	between(&c, m.since, m.at)
	r.seen(&c, k.generation, triage.SurelyLikely, m.at.Sub(m.since)-changeStep)
	return c
}

// scaled is a change of the replica count. Where an autoscaler owns the workload, it is the autoscaler's reaction.
func (r *changeReader) scaled(k workloadKind, m move) triage.Change {
	name := string(m.labels[model.LabelName(k.label)])
	c := r.resized(k.kind, k.label, name, m)
	if r.scalers.of[k.kind+"\x00"+native("", m.labels, name)] != "" {
		c.Labels["controller"] = "horizontalpodautoscaler"
		c.Title += " by its autoscaler"
	}
	r.seen(&c, k.replicas, triage.SurelyCertain, m.at.Sub(m.since)-changeStep)
	return c
}

func (r *changeReader) resized(kind, label, name string, m move) triage.Change {
	c := r.change(triage.KindScale, fmt.Sprintf("%s@%d", native(strings.ToLower(kind), m.labels, name), m.at.Unix()), m.labels, name)
	c.Title = fmt.Sprintf("%s %s scaled to %.0f", kind, name, m.value)
	c.Labels[label] = name
	c.Status = triage.StatusSucceeded
	c.Version, c.PreviousVersion = fmt.Sprintf("%.0f replicas", m.value), fmt.Sprintf("%.0f replicas", m.from)
	between(&c, m.since, m.at)
	c.FinishedAt = m.at
	return c
}

// autoscaled are the sizes that autoscalers want of what shows no size itself: custom resources, or metrics that are not collected.
func (r *changeReader) autoscaled(ctx context.Context) ([]triage.Change, error) {
	const metric = "kube_horizontalpodautoscaler_status_desired_replicas"
	ms, err := r.moves(ctx, r.by("horizontalpodautoscaler"), metric)
	if err != nil {
		return nil, err
	}
	var out []triage.Change
	for _, m := range ms {
		hpa := string(m.labels["horizontalpodautoscaler"])
		id := native("", m.labels, hpa)
		if slices.ContainsFunc(workloadKinds, func(k workloadKind) bool {
			return k.replicas != "" && r.exist(k.replicas) && (k.kind == r.scalers.kind[id] || r.scalers.kind[id] == "")
		}) {
			continue
		}
		c := r.resized(cmp.Or(r.scalers.kind[id], "target of autoscaler"), "horizontalpodautoscaler", cmp.Or(r.scalers.target[id], hpa), m)
		c.Labels["controller"] = "horizontalpodautoscaler"
		c.Title += " by its autoscaler"
		r.seen(&c, metric, triage.SurelyCertain, m.at.Sub(m.since)-changeStep)
		out = append(out, c)
	}
	return out, nil
}

// rolledOut reports whether a new ReplicaSet, or an old one that came back, explains the new generation.
func (r *changeReader) rolledOut(k workloadKind, p point) bool {
	name := string(p.labels[model.LabelName(k.label)])
	return k.kind == "Deployment" && slices.ContainsFunc(slices.Concat(r.sets, r.back), func(s replicaSet) bool {
		return s.owner == name && native("", s.labels, "") == native("", p.labels, "") && s.created.Sub(p.at).Abs() <= 3*changeStep
	})
}

// scalers are the autoscalers, and what they scale.
type scalers struct {
	of           map[string]string // kind and workload → autoscaler
	kind, target map[string]string // autoscaler → kind and name of its workload
}

func (r *changeReader) readScalers(ctx context.Context) error {
	v, err := r.atEnd(ctx, fmt.Sprintf("group by (%s) (last_over_time(kube_horizontalpodautoscaler_info[%s]))",
		r.by("horizontalpodautoscaler", "scaletargetref_kind", "scaletargetref_name"), r.span(minInfo)), "kube_horizontalpodautoscaler_info")
	r.scalers = scalers{make(map[string]string, len(v)), make(map[string]string, len(v)), make(map[string]string, len(v))}
	for _, s := range v {
		hpa, kind, name := string(s.Metric["horizontalpodautoscaler"]), string(s.Metric["scaletargetref_kind"]), string(s.Metric["scaletargetref_name"])
		r.scalers.of[kind+"\x00"+native("", s.Metric, name)] = hpa
		r.scalers.kind[native("", s.Metric, hpa)], r.scalers.target[native("", s.Metric, hpa)] = kind, name
	}
	return err
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
		r.seen(&c, "argocd_app_sync_total", triage.SurelyPossible, 0)
		c.Title = fmt.Sprintf("Argo CD synced %s: %s", app, strings.ToLower(string(p.labels["phase"])))
		c.Labels["argocd_app"] = app
		changes = append(changes, c)
	}
	return changes, nil
}
