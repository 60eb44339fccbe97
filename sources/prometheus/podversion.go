package prometheus

import (
	"context"
	"fmt"
	"slices"

	"github.com/prometheus/common/model"

	"github.com/triaged-dev/triaged/triage"
)

// Where series have pods but no version, kube-state-metrics knows the ReplicaSet of each pod, and what image it runs.
const (
	ownerLabel = "owner_name"
	podOwners  = `group by (namespace, pod, owner_name) (kube_pod_owner{owner_kind="ReplicaSet"})`
)

// versionsOfPods replaces the ReplicaSets in an answer by the tag of their image. Where two of them would then look alike (a
// restart with the same image), or an image is not known, the ReplicaSet's name stays: a split must keep its halves apart.
func (r *signalReader) versionsOfPods(ctx context.Context, m model.Matrix) (model.Matrix, error) {
	var sets []string
	for _, st := range m {
		if v := string(st.Metric[ownerLabel]); v != "" {
			sets = append(sets, v)
		}
	}
	slices.Sort(sets)
	sets = slices.Compact(sets)
	if len(sets) == 0 {
		return m, nil
	}
	span := model.Duration(max(minInfo, r.grid.to.Sub(r.grid.from)))
	images := make(map[string]replicaSet)
	for _, chunk := range chunks(sets, maxAlternation) {
		v, err := r.c.vector(ctx, fmt.Sprintf(
			`group by (owner_name, container, image) (last_over_time(kube_pod_container_info[%s]) * on (namespace, pod) group_left (owner_name) group by (namespace, pod, owner_name) (last_over_time(kube_pod_owner{owner_kind="ReplicaSet",owner_name=~"%s"}[%s])))`,
			span, promEscape(alternatives(chunk)), span), r.grid.to)
		if err != nil {
			return nil, fmt.Errorf("find the images of pods: %w", err)
		}
		for _, s := range v {
			name := string(s.Metric[ownerLabel])
			set := images[name]
			set.owner = triage.OwnerOfSet(name)
			set.images = append(set.images, container{name: string(s.Metric["container"]), image: string(s.Metric["image"])})
			images[name] = set
		}
	}
	tag := make(map[string]string)
	taken := make(map[string]int)
	for _, name := range sets {
		tag[name] = tagOf(mainContainer(images[name]).image)
		taken[images[name].owner+"\x00"+tag[name]]++
	}
	out := make(model.Matrix, len(m))
	for i, st := range m {
		c := *st // the answer is shared with the cache
		c.Metric = st.Metric.Clone()
		name := string(c.Metric[ownerLabel])
		if t := tag[name]; t != "" && taken[images[name].owner+"\x00"+t] == 1 {
			c.Metric[ownerLabel] = model.LabelValue(t)
		}
		out[i] = &c
	}
	return out, nil
}
