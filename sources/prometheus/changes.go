package prometheus

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/common/model"

	"github.com/triaged-dev/triaged/triage"
)

// changeMetrics are the metrics, besides the watched ones, in which changes can be seen; what of them exists is discovered.
var changeMetrics = []string{
	"kube_replicaset_created", "kube_replicaset_owner", "kube_replicaset_spec_replicas", "kube_pod_container_info", "kube_pod_owner",
	"kube_deployment_status_observed_generation", "kube_statefulset_status_observed_generation", "kube_daemonset_status_observed_generation",
	"kube_deployment_spec_replicas", "kube_deployment_status_replicas", "kube_deployment_status_replicas_updated",
	"kube_deployment_status_replicas_available", "kube_statefulset_replicas", "kube_deployment_status_condition",
	"kube_horizontalpodautoscaler_info", "kube_horizontalpodautoscaler_status_desired_replicas", "kube_node_info", "node_uname_info",
	"container_start_time_seconds", "coredns_reload_version_info", "target_info", "argocd_app_sync_total",
}

// changeNames are all names that a server is asked for.
func (s *Source) changeNames() []string {
	out := slices.Clone(changeMetrics)
	for _, w := range slices.Concat(shipped, s.cfg.Changes.watch()) { // conditions are read of what is shipped, whatever is watched
		out = append(out, w.metric)
	}
	return out
}

const (
	changeStep  = time.Minute // between two looks at the same series: how coarse the times of changes are
	ksmInterval = 30 * time.Second
	changeChunk = day       // longest stretch of one query
	minInfo     = time.Hour // info metrics of pods that are gone are looked for this far back, at least
)

// Changes are the changes that metrics alone show over [from, to], by time: new ReplicaSets and old ones scaled up again,
// versions, generations, ConfigMaps and Secrets, Argo CD syncs, configuration reloads; and what autoscaling did, kept apart as
// kind scale with label controller. Times are a minute coarse unless the metric holds the time itself, and say so.
// What could be read is returned also with an error.
func (s *Source) Changes(ctx context.Context, from, to time.Time) ([]triage.Change, error) {
	out, err := s.changes(ctx, s.client, from, to)
	s.asked(err)
	return out, err
}

func (s *Source) changes(ctx context.Context, c *client, from, to time.Time) ([]triage.Change, error) {
	if now := s.now(); to.After(now) {
		to = now
	}
	found, err := s.discover(ctx, c)
	if err != nil {
		return nil, err
	}
	var out []triage.Change
	var errs []error
	for start := from; start.Before(to); start = start.Add(changeChunk) {
		end := start.Add(changeChunk)
		if end.After(to) {
			end = to
		}
		r, err := s.newChangeReader(ctx, c, found, start, end)
		if err != nil {
			return out, err
		}
		cs, err := r.read(ctx)
		out = append(out, cs...)
		errs = append(errs, err)
		if ctx.Err() != nil || !c.healthy() {
			break // what is left would not be answered either
		}
	}
	out = s.tidy(out, from, to)
	return out, errors.Join(errs...)
}

// tidy drops repeats at the seams and what lies outside, fills the scope and sorts.
func (s *Source) tidy(cs []triage.Change, from, to time.Time) []triage.Change {
	seen := make(map[triage.ChangeID]bool, len(cs))
	cs = slices.DeleteFunc(cs, func(c triage.Change) bool {
		at := c.OccurredAt()
		drop := seen[c.ID] || at.Before(from.Add(-changeStep)) || at.After(to)
		seen[c.ID] = true
		return drop
	})
	now := s.now().UTC()
	for i := range cs {
		cs[i].Source, cs[i].ObservedAt = s.cfg.Name, now
	}
	sortChanges(cs)
	return cs
}

func sortChanges(cs []triage.Change) {
	slices.SortFunc(cs, func(a, b triage.Change) int {
		return cmp.Or(a.OccurredAt().Compare(b.OccurredAt()), cmp.Compare(a.ID, b.ID))
	})
}

// changeReader reads one stretch of at most changeChunk.
type changeReader struct {
	s        *Source
	c        *client
	found    *inUse
	from, to time.Time
	kube     []string // labels that tell Kubernetes objects of one name apart: namespace, and cluster where there are several
	scope    triage.Scope
	sets     []replicaSet // found by replicaSets; syncs and generations are matched with them
	back     []replicaSet // found by scaledUpAgain, created being when they were; generations are matched with them
	holes    map[string][]hole
	scalers  scalers
}

func (s *Source) newChangeReader(ctx context.Context, c *client, found *inUse, from, to time.Time) (*changeReader, error) {
	r := &changeReader{s: s, c: c, found: found, from: from, to: to, kube: []string{"namespace"}}
	r.scope = triage.Scope{Environment: s.cfg.Scope.Environment, Region: s.cfg.Scope.Region, Cluster: s.cfg.Scope.Cluster}
	if conf, err := s.serverConfig(ctx, c); err == nil {
		external := func(word string) string {
			for _, l := range s.signals.Labels[word] {
				if v := conf.Global.ExternalLabels[l]; v != "" {
					return v
				}
			}
			return ""
		}
		r.scope.Environment = cmp.Or(r.scope.Environment, external("environment"))
		r.scope.Region = cmp.Or(r.scope.Region, external("region"))
		r.scope.Cluster = cmp.Or(r.scope.Cluster, external("cluster"))
	}
	r.scope.Environment = s.dir.Load().Environment(r.scope.Environment)
	if found.names["kube_replicaset_created"] {
		have, err := c.labelNames(ctx, []string{"kube_replicaset_created"}, s.now(), found.fresh/2)
		if err != nil {
			return nil, err
		}
		if slices.Contains(have, "cluster") {
			r.kube = []string{"cluster", "namespace"}
		}
	}
	return r, nil
}

// read runs every observer whose metrics exist. ReplicaSets come first: the others leave to them what is the same rollout.
func (r *changeReader) read(ctx context.Context) ([]triage.Change, error) {
	var out []triage.Change
	errs := []error{r.findHoles(ctx, r.s.compared()), r.readScalers(ctx)}
	if err := errors.Join(errs...); err != nil && (ctx.Err() != nil || !r.c.healthy()) {
		return nil, err
	}
	for _, o := range []struct {
		name string
		run  func(context.Context) ([]triage.Change, error)
	}{
		{"replica sets", r.replicaSets},
		{"replica sets scaled up again", r.scaledUpAgain},
		{"workloads", r.workloads},
		{"watched series", r.watches},
		{"versions", r.versions},
		{"reloads", r.reloads},
		{"nodes", r.nodes},
	} {
		cs, err := o.run(ctx)
		if err != nil {
			errs = append(errs, fmt.Errorf("look for changes in %s: %w", o.name, err))
		}
		out = append(out, cs...)
		if ctx.Err() != nil || !r.c.healthy() {
			return out, errors.Join(errs...)
		}
	}
	out, err := r.argoSyncs(ctx, once(out))
	return out, errors.Join(append(errs, err)...)
}

// point is one sample of a query that is empty except where something happened.
type point struct {
	at     time.Time
	labels model.Metric
	value  float64
}

// points runs a range query and returns its samples by time. An observer whose metrics do not exist asks nothing.
func (r *changeReader) points(ctx context.Context, expr string, metrics ...string) ([]point, error) {
	if !r.exist(metrics...) {
		return nil, nil
	}
	m, err := r.c.matrix(ctx, expr, newGrid(r.from, r.to, changeStep))
	if err != nil {
		return nil, err
	}
	var out []point
	for _, st := range sortedMatrix(m) {
		for _, p := range st.Values {
			out = append(out, point{p.Timestamp.Time().UTC(), st.Metric, float64(p.Value)})
		}
	}
	slices.SortStableFunc(out, func(a, b point) int { return a.at.Compare(b.at) })
	return out, nil
}

// atEnd runs an instant query at the end of the stretch.
func (r *changeReader) atEnd(ctx context.Context, expr string, metrics ...string) (model.Vector, error) {
	if !r.exist(metrics...) {
		return nil, nil
	}
	v, err := r.c.vector(ctx, expr, r.to)
	v = slices.Clone(v) // the answer is shared with the cache
	slices.SortFunc(v, func(a, b *model.Sample) int { return cmp.Compare(a.Metric.String(), b.Metric.String()) })
	return v, err
}

func (r *changeReader) exist(metrics ...string) bool {
	return !slices.ContainsFunc(metrics, func(m string) bool { return !r.found.names[m] })
}

// by writes the grouping of Kubernetes objects, with further labels.
func (r *changeReader) by(more ...string) string {
	return strings.Join(append(slices.Clone(r.kube), more...), ", ")
}

// span is the stretch as a PromQL range, at least least.
func (r *changeReader) span(least time.Duration) string {
	return model.Duration(max(r.to.Sub(r.from), least).Round(time.Second)).String()
}

// change starts a Change about a Kubernetes object or a job, with its scope.
func (r *changeReader) change(kind triage.Kind, native string, m model.Metric, name string) triage.Change {
	c := triage.Change{ID: triage.ChangeID(r.s.cfg.Name + ":" + native), Kind: kind, Scope: r.scope, Labels: map[string]string{}}
	c.Service, _ = r.s.dir.Load().Resolve(name)
	if v := string(m["namespace"]); v != "" {
		c.Namespace = v
		c.Labels["namespace"] = v
	}
	if v := string(m["cluster"]); v != "" {
		c.Cluster = v
	}
	return c
}

// native is the id of an object: its cluster, namespace and name.
func native(kind string, m model.Metric, name string) string {
	return kind + "/" + string(m["cluster"]) + "/" + string(m["namespace"]) + "/" + name
}
