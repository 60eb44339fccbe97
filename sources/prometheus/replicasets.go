package prometheus

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/common/model"

	"github.com/triaged-dev/triaged/triage"
)

// replicaSet is one ReplicaSet of a Deployment (or Rollout).
type replicaSet struct {
	labels  model.Metric // namespace, cluster
	name    string
	owner   string
	created time.Time
	images  []container
}

type container struct{ name, image, digest string }

func (s replicaSet) key() string { return native("", s.labels, s.name) }

// replicaSets are rollouts: every ReplicaSet created within the stretch.
func (r *changeReader) replicaSets(ctx context.Context) ([]triage.Change, error) {
	fresh, err := r.created(ctx, fmt.Sprintf("(last_over_time(kube_replicaset_created[%s]) >= %d <= %d)", r.span(0), r.from.Unix(), r.to.Unix()))
	if err != nil || len(fresh) == 0 {
		return nil, err
	}
	all, err := r.siblings(ctx, fresh)
	if err != nil {
		return nil, err
	}
	finished, err := r.finished(ctx, fresh)
	if err != nil {
		return nil, err
	}
	var out []triage.Change
	for _, set := range all {
		if set.created.Before(r.from) || set.created.After(r.to) {
			continue
		}
		r.sets = append(r.sets, set)
		c := r.rollout(triage.KindDeploy, native("replicaset", set.labels, set.name), set, previous(all, set))
		c.StartedAt, c.Status = set.created, triage.StatusStarted
		r.seen(&c, "kube_replicaset_created", triage.SurelyCertain, -changeStep)
		if at, ok := finished[native("", set.labels, set.owner)]; ok {
			if i := slices.IndexFunc(at, func(t time.Time) bool { return t.After(set.created.Add(2 * changeStep)) }); i >= 0 {
				c.FinishedAt, c.Status = at[i], triage.StatusSucceeded
			}
		}
		if next := following(all, set); next != nil && (c.FinishedAt.IsZero() || next.created.Before(c.FinishedAt)) {
			c.FinishedAt, c.Status = next.created, triage.StatusSuperseded
		}
		out = append(out, c)
	}
	return out, nil
}

// scaledUpAgain are rollbacks: an old ReplicaSet that gets pods again while a newer one of its owner had some.
func (r *changeReader) scaledUpAgain(ctx context.Context) ([]triage.Change, error) {
	by := r.by("replicaset")
	pts, err := r.points(ctx, fmt.Sprintf("(max by (%[1]s) (kube_replicaset_spec_replicas) > 0) and (max by (%[1]s) (kube_replicaset_spec_replicas offset %[2]s) == 0)",
		by, model.Duration(changeStep)), "kube_replicaset_spec_replicas", "kube_replicaset_created", "kube_replicaset_owner")
	if err != nil || len(pts) == 0 {
		return nil, err
	}
	var again []replicaSet
	for _, p := range pts {
		again = append(again, replicaSet{labels: p.labels, name: string(p.labels["replicaset"])})
	}
	again, err = r.owned(ctx, again)
	if err != nil {
		return nil, err
	}
	all, err := r.siblings(ctx, again)
	if err != nil {
		return nil, err
	}
	var out []triage.Change
	for _, p := range pts {
		i := slices.IndexFunc(all, func(s replicaSet) bool { return s.key() == native("", p.labels, string(p.labels["replicaset"])) })
		if i < 0 || !all[i].created.Before(p.at.Add(-5*changeStep)) {
			continue // new: a rollout
		}
		newer, err := r.activeBefore(ctx, all, all[i], p.at)
		if err != nil {
			return out, err
		}
		if newer == nil {
			continue // nothing else ran: scaled up from zero, not back
		}
		again := all[i]
		again.created = p.at
		r.back = append(r.back, again)
		c := r.rollout(triage.KindRollback, fmt.Sprintf("%s@%d", native("replicaset", p.labels, all[i].name), p.at.Unix()), all[i], newer)
		between(&c, p.at.Add(-changeStep), p.at)
		r.seen(&c, "kube_replicaset_spec_replicas", triage.SurelyCertain, 0)
		c.Undoes = []triage.ChangeID{triage.ChangeID(r.s.cfg.Name + ":" + native("replicaset", newer.labels, newer.name))}
		out = append(out, c)
	}
	return out, nil
}

// rollout describes a change from one ReplicaSet to another; before may be nil.
func (r *changeReader) rollout(kind triage.Kind, id string, set replicaSet, before *replicaSet) triage.Change {
	c := r.change(kind, id, set.labels, set.owner)
	main := mainContainer(set)
	c.Version, c.Digest = tagOf(main.image), main.digest
	c.Labels["replicaset"] = set.name
	c.Labels["deployment"] = set.owner
	if main.image != "" {
		c.Labels["image"] = main.image
	}
	if sha := fullSHA.FindString(c.Version); sha != "" {
		c.Labels["sha"] = sha
	}
	if kind == triage.KindDeploy {
		c.Refs = []triage.Ref{{System: "kubernetes-replicaset", ID: strings.TrimPrefix(native("", set.labels, set.name), "/")}}
	}
	c.Title = fmt.Sprintf("rollout of %s: new ReplicaSet %s", set.owner, set.name)
	if before != nil {
		c.PreviousVersion = tagOf(mainContainer(*before).image)
		c.Reversible = triage.Reversible{Value: triage.ReversibleYes, Reason: "the previous ReplicaSet " + before.name + " is known"}
		switch {
		case kind == triage.KindRollback:
			c.Title = fmt.Sprintf("%s back to ReplicaSet %s", set.owner, set.name)
		case c.Version != "" && c.Version == c.PreviousVersion:
			c.Title = fmt.Sprintf("restart of %s with the same image: new ReplicaSet %s", set.owner, set.name)
		}
	}
	return c
}

// created runs a query for creation times and finds the owners.
func (r *changeReader) created(ctx context.Context, inner string) ([]replicaSet, error) {
	v, err := r.atEnd(ctx, fmt.Sprintf("max by (%s) (%s)", r.by("replicaset"), inner), "kube_replicaset_created", "kube_replicaset_owner")
	if err != nil {
		return nil, err
	}
	var out []replicaSet
	for _, smp := range v {
		out = append(out, replicaSet{
			labels: smp.Metric, name: string(smp.Metric["replicaset"]), created: time.Unix(int64(smp.Value), 0).UTC(),
		})
	}
	return r.owned(ctx, out)
}

// owned fills in the owners; sets that nobody owns are dropped.
func (r *changeReader) owned(ctx context.Context, sets []replicaSet) ([]replicaSet, error) {
	owners := make(map[string]string)
	for _, names := range chunks(namesOf(sets, func(s replicaSet) string { return s.name }), maxAlternation) {
		v, err := r.atEnd(ctx, fmt.Sprintf(`group by (%s) (last_over_time(kube_replicaset_owner{owner_kind=~"Deployment|Rollout",replicaset=~"%s"}[%s]))`,
			r.by("replicaset", "owner_name"), promEscape(alternatives(names)), r.span(minInfo)))
		if err != nil {
			return nil, err
		}
		for _, smp := range v {
			owners[native("", smp.Metric, string(smp.Metric["replicaset"]))] = string(smp.Metric["owner_name"])
		}
	}
	var out []replicaSet
	for _, s := range sets {
		if s.owner = owners[s.key()]; s.owner != "" {
			out = append(out, s)
		}
	}
	return out, nil
}

// siblings are all ReplicaSets of the same owners, with their images, by time of creation.
func (r *changeReader) siblings(ctx context.Context, sets []replicaSet) ([]replicaSet, error) {
	var out []replicaSet
	for _, owners := range chunks(namesOf(sets, func(s replicaSet) string { return s.owner }), maxAlternation) {
		span, on := r.span(minInfo), r.by("replicaset")
		v, err := r.atEnd(ctx, fmt.Sprintf(
			`max by (%s) (max by (%s) (last_over_time(kube_replicaset_created[%s])) * on (%s) group_left (owner_name) group by (%s) (last_over_time(kube_replicaset_owner{owner_name=~"%s"}[%s])))`,
			r.by("replicaset", "owner_name"), on, span, on, r.by("replicaset", "owner_name"), promEscape(alternatives(owners)), span))
		if err != nil {
			return nil, err
		}
		for _, smp := range v {
			out = append(out, replicaSet{
				labels: smp.Metric, name: string(smp.Metric["replicaset"]), owner: string(smp.Metric["owner_name"]),
				created: time.Unix(int64(smp.Value), 0).UTC(),
			})
		}
	}
	slices.SortStableFunc(out, func(a, b replicaSet) int { return a.created.Compare(b.created) })
	return out, r.images(ctx, out)
}

// images fills in what the sets' pods run, as far as pods were seen.
func (r *changeReader) images(ctx context.Context, sets []replicaSet) error {
	if !r.exist("kube_pod_container_info", "kube_pod_owner") {
		return nil
	}
	at := make(map[string]int, len(sets))
	for i, s := range sets {
		at[s.key()] = i
	}
	for _, names := range chunks(namesOf(sets, func(s replicaSet) string { return s.name }), maxAlternation) {
		span, on := r.span(minInfo), r.by("pod")
		v, err := r.atEnd(ctx, fmt.Sprintf(
			`group by (%s) (last_over_time(kube_pod_container_info[%s]) * on (%s) group_left (owner_name) group by (%s) (last_over_time(kube_pod_owner{owner_kind="ReplicaSet",owner_name=~"%s"}[%s])))`,
			r.by("owner_name", "container", "image", "image_spec", "image_id"), span, on, r.by("pod", "owner_name"), promEscape(alternatives(names)), span))
		if err != nil {
			return err
		}
		for _, smp := range v {
			i, ok := at[native("", smp.Metric, string(smp.Metric["owner_name"]))]
			if !ok {
				continue
			}
			image := string(smp.Metric["image_spec"])
			if image == "" {
				image = string(smp.Metric["image"])
			}
			sets[i].images = append(sets[i].images, container{string(smp.Metric["container"]), image, digestOf(string(smp.Metric["image_id"]), image)})
		}
	}
	return nil
}

// finished are the times at which the sets' Deployments stood complete: everything updated, available, nothing old left.
func (r *changeReader) finished(ctx context.Context, sets []replicaSet) (map[string][]time.Time, error) {
	out := make(map[string][]time.Time)
	for _, owners := range chunks(namesOf(sets, func(s replicaSet) string { return s.owner }), maxAlternation) {
		term := func(metric string) string {
			return fmt.Sprintf(`max by (%s) (%s{deployment=~"%s"})`, r.by("deployment"), metric, promEscape(alternatives(owners)))
		}
		spec := term("kube_deployment_spec_replicas")
		pts, err := r.points(ctx, fmt.Sprintf("(%s == %s) and (%s == %s) and (%s >= %s)",
			term("kube_deployment_status_replicas_updated"), spec, term("kube_deployment_status_replicas"), spec, term("kube_deployment_status_replicas_available"), spec),
			"kube_deployment_spec_replicas", "kube_deployment_status_replicas", "kube_deployment_status_replicas_updated", "kube_deployment_status_replicas_available")
		if err != nil {
			return nil, err
		}
		for _, p := range pts {
			key := native("", p.labels, string(p.labels["deployment"]))
			out[key] = append(out[key], p.at)
		}
	}
	return out, nil
}

// activeBefore is the newest sibling, newer than set, that had pods just before at; nil where there is none.
func (r *changeReader) activeBefore(ctx context.Context, all []replicaSet, set replicaSet, at time.Time) (*replicaSet, error) {
	var newer []replicaSet
	for _, s := range all {
		if s.owner == set.owner && native("", s.labels, "") == native("", set.labels, "") && s.created.After(set.created) && s.created.Before(at) {
			newer = append(newer, s)
		}
	}
	for _, names := range chunks(namesOf(newer, func(s replicaSet) string { return s.name }), maxAlternation) {
		v, err := r.c.vector(ctx, fmt.Sprintf(`max by (%s) (kube_replicaset_spec_replicas{replicaset=~"%s"}) > 0`,
			r.by("replicaset"), promEscape(alternatives(names))), at.Add(-changeStep))
		if err != nil {
			return nil, err
		}
		for i := len(newer) - 1; i >= 0; i-- {
			if slices.ContainsFunc(v, func(s *model.Sample) bool {
				return native("", s.Metric, string(s.Metric["replicaset"])) == newer[i].key()
			}) {
				return &newer[i], nil
			}
		}
	}
	return nil, nil
}

func namesOf(sets []replicaSet, name func(replicaSet) string) []string {
	out := make([]string, 0, len(sets))
	for _, s := range sets {
		out = append(out, name(s))
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// previous and following are the neighbours of set among its owner's; sets are sorted by creation.
func previous(sets []replicaSet, set replicaSet) *replicaSet {
	var out *replicaSet
	for i := range sets {
		if sameOwner(sets[i], set) && sets[i].created.Before(set.created) {
			out = &sets[i]
		}
	}
	return out
}

func following(sets []replicaSet, set replicaSet) *replicaSet {
	for i := range sets {
		if sameOwner(sets[i], set) && sets[i].created.After(set.created) {
			return &sets[i]
		}
	}
	return nil
}

func sameOwner(a, b replicaSet) bool {
	return a.owner == b.owner && native("", a.labels, "") == native("", b.labels, "")
}

var (
	sidecar = regexp.MustCompile(`^(istio-proxy|linkerd-proxy|envoy|vault-agent|fluent.*|otel.*|cloud-sql-proxy|.*-exporter|.*-sidecar)$`)
	fullSHA = regexp.MustCompile(`\b[0-9a-f]{40}\b`)
)

// mainContainer is the one named like its workload, else the first that is no sidecar.
func mainContainer(s replicaSet) container {
	var main container
	for _, c := range s.images {
		if c.name == s.owner {
			return c
		}
		if main.name == "" && !sidecar.MatchString(c.name) {
			main = c
		}
	}
	if main.name == "" && len(s.images) > 0 {
		return s.images[0]
	}
	return main
}

// tagOf is the version in an image name: its tag, else the beginning of its digest.
func tagOf(image string) string {
	name, digest, _ := strings.Cut(image, "@")
	if i := strings.LastIndexByte(name, ':'); i > strings.LastIndexByte(name, '/') {
		return name[i+1:]
	}
	if hex := strings.TrimPrefix(digest, "sha256:"); len(hex) >= 12 {
		return hex[:12]
	}
	return ""
}

// digestOf is the registry's digest. An image_id without a repository is a local id, which no pipeline knows.
func digestOf(ids ...string) string {
	for _, id := range ids {
		if _, d, ok := strings.Cut(id, "@"); ok && strings.HasPrefix(d, "sha256:") {
			return d
		}
	}
	return ""
}
