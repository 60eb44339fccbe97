package backfill

import (
	"math"
	"slices"
)

// kubernetes are the series of kube-state-metrics about one Deployment.
func (e *emitter) kubernetes(s *service) {
	job := []string{"job", "kube-state-metrics", "namespace", "shop"}
	named := func(name string, more ...string) []string {
		return slices.Concat([]string{"__name__", name}, job, more)
	}

	deployment := []string{"deployment", s.name}
	running := func(i int) int { // index of the phase
		now := 0
		for n, p := range s.phases {
			if p.at <= i {
				now = n
			}
		}
		return now
	}
	updated := func(i int) float64 {
		if p := s.phases[running(i)]; i < p.at+3 && running(i) > 0 {
			return math.Floor(s.replicas(i) / 2)
		}
		return s.replicas(i)
	}
	e.gauge(0, steps, s.replicas, named("kube_deployment_spec_replicas", deployment...)...)
	e.gauge(0, steps, s.replicas, named("kube_deployment_status_replicas", deployment...)...)
	e.gauge(0, steps, s.replicas, named("kube_deployment_status_replicas_available", deployment...)...)
	e.gauge(0, steps, updated, named("kube_deployment_status_replicas_updated", deployment...)...)
	e.gauge(0, steps, func(i int) float64 {
		gen := s.phases[running(i)].gen
		for _, r := range s.sizes {
			if r.at <= i {
				gen++
			}
		}
		return float64(gen)
	}, named("kube_deployment_status_observed_generation", deployment...)...)

	for n, set := range s.sets {
		gone := thirdAfter(s, set.created) // the Deployment keeps three
		if gone <= 0 {
			continue
		}
		rs := []string{"replicaset", set.name}
		e.gauge(set.created, gone, func(int) float64 { return float64(e.w.at(set.created).Unix()) }, named("kube_replicaset_created", rs...)...)
		e.gauge(set.created, gone, func(int) float64 { return 1 }, named("kube_replicaset_owner", slices.Concat(rs, []string{"owner_kind", "Deployment", "owner_name", s.name})...)...)
		e.gauge(set.created, gone, func(i int) float64 {
			if s.phases[running(i)].set == n {
				return s.replicas(i)
			}
			return 0
		}, named("kube_replicaset_spec_replicas", rs...)...)
	}
	e.podInfo(s, named)

	configured := func(i int) float64 {
		v := 7000.0
		for _, at := range s.configs {
			if at <= i {
				v += 311
			}
		}
		return v
	}
	e.gauge(0, steps, configured, named("kube_configmap_metadata_resource_version", "configmap", s.name+"-config")...)
	e.gauge(0, steps, func(int) float64 { return 0 }, named("kube_pod_container_status_restarts_total", "container", s.name, "pod", s.name+"-static")...)
}

// thirdAfter is when the third ReplicaSet after this one was created; the end where there are fewer.
func thirdAfter(s *service, created int) int {
	later := []int{steps, steps, steps}
	for _, o := range s.sets {
		if o.created > created {
			later = append(later, o.created)
		}
	}
	slices.Sort(later)
	return later[2]
}

func (e *emitter) podInfo(s *service, named func(string, ...string) []string) {
	for n, p := range s.phases {
		end := steps
		if n+1 < len(s.phases) {
			end = s.phases[n+1].at + 2
		}
		if end <= 0 {
			continue
		}
		set := s.sets[p.set]
		for k := range 2 {
			pod := s.podName(n, k)
			e.gauge(p.at+1, end, func(int) float64 { return 1 }, named("kube_pod_owner", "owner_kind", "ReplicaSet", "owner_name", set.name, "pod", pod)...)
			e.gauge(p.at+1, end, func(int) float64 { return 1 }, named("kube_pod_container_info", "container", s.name, "image", "registry.example/"+s.name+":"+set.version, "pod", pod)...)
		}
	}
}
