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

const (
	ownersEvery = 5 * time.Minute
	ownersSpan  = 15 * time.Minute // a pod that crashed away still fires
	maxOwners   = 50_000           // pods, about 10 MiB; those beyond are read by their names
)

// owners are the workloads of pods by namespace/pod. It does not change.
type owners map[string]string

func (o owners) of(namespace, pod string) string {
	if namespace != "" {
		return o[namespace+"/"+pod]
	}
	return o["/"+pod] // only where one namespace has such a pod
}

// PodOwner is the workload that owns a pod, as kube-state-metrics had it when Run last read it; "" where it is not known.
func (s *Source) PodOwner(namespace, pod string) string {
	if o := s.owned.Load(); o != nil {
		return o.of(namespace, pod)
	}
	return ""
}

// PodOwner is that of the first server that knows it.
func (t *Set) PodOwner(namespace, pod string) string {
	for _, s := range t.sources {
		if owner := s.PodOwner(namespace, pod); owner != "" {
			return owner
		}
	}
	return ""
}

// ownersInterval is how long until the owners are read again: soon while they never were.
func (s *Source) ownersInterval() time.Duration {
	if s.owned.Load() == nil {
		return untilThere
	}
	return ownersEvery
}

// refreshOwners reads the owners of all pods anew. Where there is no kube-state-metrics it asks nothing.
func (s *Source) refreshOwners(ctx context.Context) error {
	o, err := s.readOwners(ctx, s.bg, nil, s.now(), ownersSpan)
	if err != nil {
		return err
	}
	if len(o) > 0 { // kube-state-metrics may come up later than the server: until it is seen, it is looked for again soon
		s.owned.Store(&o)
	}
	return nil
}

// OwnersOf reads the owners of pods as they were over [from, to].
func (s *Source) OwnersOf(ctx context.Context, pods []string, from, to time.Time) (triage.PodOwners, error) {
	all := make(owners)
	pods = slices.Compact(slices.Sorted(slices.Values(pods)))
	for _, chunk := range chunks(pods, maxAlternation) {
		o, err := s.readOwners(ctx, s.client, chunk, to, max(to.Sub(from), ownersSpan))
		s.asked(err)
		if err != nil {
			return all.of, err
		}
		maps.Copy(all, o)
	}
	return all.of, nil
}

// readOwners asks for the controllers of pods, of their ReplicaSets and of their Jobs; for all pods where pods is nil.
func (s *Source) readOwners(ctx context.Context, c *client, pods []string, at time.Time, span time.Duration) (owners, error) {
	found, err := s.discover(ctx, c)
	if err != nil {
		return nil, err
	}
	out := make(owners)
	if !found.names["kube_pod_owner"] {
		return out, nil
	}
	match := ""
	if pods != nil {
		match = fmt.Sprintf(`,pod=~"%s"`, promEscape(alternatives(pods)))
	}
	direct, err := c.vector(ctx, fmt.Sprintf(`group by (namespace, pod, owner_kind, owner_name) (last_over_time(kube_pod_owner{owner_is_controller!="false",owner_kind!~"|<none>|Node"%s}[%s]))`,
		match, model.Duration(span)), at)
	if err != nil {
		return nil, fmt.Errorf("read the owners of pods: %w", err)
	}
	direct = slices.Clone(direct) // the answer is shared with the cache
	slices.SortFunc(direct, func(a, b *model.Sample) int { return cmp.Compare(a.Metric.String(), b.Metric.String()) })
	above := make(map[string]string) // of ReplicaSets and Jobs
	for _, q := range []struct{ kind, metric, label string }{
		{"ReplicaSet", "kube_replicaset_owner", "replicaset"}, {"Job", "kube_job_owner", "job_name"},
	} {
		if !slices.ContainsFunc(direct, func(p *model.Sample) bool { return string(p.Metric["owner_kind"]) == q.kind }) {
			continue
		}
		v, err := c.vector(ctx, fmt.Sprintf(`group by (namespace, %[2]s, owner_name) (last_over_time(%[1]s{owner_kind!~"|<none>"}[%[3]s]))`, q.metric, q.label, model.Duration(span)), at)
		if err != nil {
			return nil, fmt.Errorf("read the owners of %ss: %w", q.kind, err)
		}
		for _, p := range v {
			above[q.kind+"/"+string(p.Metric["namespace"])+"/"+string(p.Metric[model.LabelName(q.label)])] = string(p.Metric["owner_name"])
		}
	}
	for i, p := range direct {
		if i == maxOwners {
			s.client.m.dropped.Add(float64(len(direct) - maxOwners))
			break
		}
		kind, namespace, name := string(p.Metric["owner_kind"]), string(p.Metric["namespace"]), string(p.Metric["owner_name"])
		owner := above[kind+"/"+namespace+"/"+name]
		if owner == "" {
			owner = name
			switch kind {
			case "ReplicaSet":
				owner = triage.OwnerOfSet(name)
			case "Job":
				owner = triage.OwnerOfJob(name)
			}
		}
		pod := string(p.Metric["pod"])
		out[namespace+"/"+pod] = owner
		if was, ok := out["/"+pod]; ok && was != owner {
			owner = "" // two namespaces disagree
		}
		out["/"+pod] = owner
	}
	return out, nil
}

// stripNamespace cuts "shop/cart", as OTLP and some operators name jobs, to "cart".
func stripNamespace(job string) string { return job[strings.LastIndexByte(job, '/')+1:] }
