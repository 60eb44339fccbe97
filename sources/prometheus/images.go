package prometheus

import (
	"context"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/prometheus/common/model"

	"github.com/triaged-dev/triaged/triage"
)

const (
	maxImaged = 20               // workloads of one stretch whose images are asked for, at two queries each
	imageAge  = 10 * time.Minute // how soon after a new spec a pod runs its image
)

// newImages says what the pods of workloads run since they were specified anew, and what they ran before. Where that is another image
// it is certain what changed; where it is none, or the pods are not there yet, the change stays as it is.
func (r *changeReader) newImages(ctx context.Context, k workloadKind, specs []triage.Change) error {
	if !r.exist("kube_pod_container_info", "kube_pod_owner") {
		return nil
	}
	asked := 0
	for i := range specs {
		c := &specs[i]
		if c.Kind != triage.KindDeploy || asked == maxImaged {
			continue
		}
		asked++
		before, err := r.imagesAt(ctx, k, c, c.StartedAt.Add(-changeStep))
		if err != nil {
			return err
		}
		after, err := r.imagesAt(ctx, k, c, earlier(c.StartedAt.Add(imageAge), r.to))
		if err != nil {
			return err
		}
		was, is := before.replaced(after)
		if is.image == "" {
			continue
		}
		c.Version, c.PreviousVersion, c.Digest = tagOf(is.image), tagOf(was.image), is.digest
		c.Labels["image"] = is.image
		c.Title = fmt.Sprintf("%s %s rolls out %s", k.kind, c.Labels[k.label], is.image)
		c.Seen.In, c.Seen.Surely = "kube_pod_container_info", triage.SurelyCertain
		if sha := fullSHA.FindString(c.Version); sha != "" {
			c.Labels["sha"] = sha
		}
		if c.PreviousVersion != "" {
			c.Reversible = triage.Reversible{Value: triage.ReversibleYes, Reason: "the previous version is known"}
		}
	}
	return nil
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// imagesAt are the images of a workload's pods at one time, and shortly before.
func (r *changeReader) imagesAt(ctx context.Context, k workloadKind, c *triage.Change, at time.Time) (replicaSet, error) {
	name := c.Labels[k.label]
	owner := fmt.Sprintf(`owner_kind="%s",owner_name="%s"`, k.kind, promEscape(name))
	if k.kind == "Deployment" { // its ReplicaSets own the pods
		owner = fmt.Sprintf(`owner_kind="ReplicaSet",owner_name=~"%s-[a-z0-9]+"`, promEscape(regexp.QuoteMeta(name)))
	}
	if c.Namespace != "" {
		owner += fmt.Sprintf(`,namespace="%s"`, promEscape(c.Namespace))
	}
	on, span := r.by("pod"), model.Duration(2*changeStep)
	v, err := r.c.vector(ctx, fmt.Sprintf(
		`group by (owner_name, container, image, image_spec, image_id) (last_over_time(kube_pod_container_info[%s]) * on (%s) group_left (owner_name) group by (%s) (last_over_time(kube_pod_owner{%s}[%s])))`,
		span, on, r.by("pod", "owner_name"), owner, span), at)
	set := replicaSet{owner: name}
	for _, s := range v {
		if k.kind == "Deployment" && triage.OwnerOfSet(string(s.Metric["owner_name"])) != name {
			continue
		}
		image := string(s.Metric["image_spec"])
		if image == "" {
			image = string(s.Metric["image"])
		}
		set.images = append(set.images, container{string(s.Metric["container"]), image, digestOf(string(s.Metric["image_id"]), image)})
	}
	return set, err
}

// replaced is the image that was not there before, and the one of the same container that was; the main container's, else any that is
// no sidecar's.
func (s replicaSet) replaced(after replicaSet) (was, is container) {
	for _, c := range after.images {
		known, had := false, container{}
		for _, o := range s.images {
			if o.name == c.name {
				known, had = known || o.image == c.image, o
			}
		}
		if known || had.name == "" || sidecar.MatchString(c.name) {
			continue
		}
		main := strings.EqualFold(c.name, s.owner)
		if is.image == "" || main || c.name+c.image < is.name+is.image && !strings.EqualFold(is.name, s.owner) {
			was, is = had, c
		}
	}
	return was, is
}
