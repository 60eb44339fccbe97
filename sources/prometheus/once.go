package prometheus

import (
	"slices"
	"strings"
	"time"

	"github.com/triaged-dev/triaged/triage"
)

// once leaves one of several views of the same change: the one that knows most of it. What was left out is added where it knows more.
func once(cs []triage.Change) []triage.Change {
	gone := make([]bool, len(cs))
	for i := range cs {
		for j := range cs {
			if i == j || gone[i] || gone[j] || !sameSeen(cs[i], cs[j]) {
				continue
			}
			gone[j] = true
			if cs[i].Version == "" && cs[j].Version != "" { // a version says what a new generation was
				cs[i].Version, cs[i].PreviousVersion, cs[i].Reversible = cs[j].Version, cs[j].PreviousVersion, cs[j].Reversible
				cs[i].Seen.Surely = cs[j].Seen.Surely
			}
		}
	}
	out := cs[:0]
	for i, c := range cs {
		if !gone[i] {
			out = append(out, c)
		}
	}
	return out
}

// sameSeen reports whether b is a second view of a.
func sameSeen(a, b triage.Change) bool {
	after := b.StartedAt.Sub(a.StartedAt)
	near := after.Abs() <= 5*changeStep && a.Namespace == b.Namespace
	switch {
	case a.Seen.In == "" || b.Seen.In == "" || a.Seen.In == b.Seen.In:
		return false
	case a.Labels["not_after"] != "" && b.Labels["secret"] != "": // the certificate, and the Secret it is kept in
		name := strings.TrimSuffix(b.Labels["secret"], "-tls")
		return near && (a.Labels["name"] == b.Labels["secret"] || a.Labels["name"] == name || a.Labels["secret_name"] == b.Labels["secret"])
	case a.Labels["not_after"] != "": // the same certificate, as its issuer and as its visitors see it
		return a.Labels["not_after"] == b.Labels["not_after"] && a.Service == b.Service && a.Seen.In < b.Seen.In
	case b.Kind == triage.KindConfig && b.Seen.Surely == triage.SurelyPossible: // what was written, and that it was read
		return a.Kind == triage.KindConfig && (a.Labels["configmap"] != "" || a.Labels["secret"] != "") && a.Service != "" && a.Service == b.Service &&
			after >= -changeStep && after <= 5*changeStep
	case workload(a) != "" && b.Kind == triage.KindDeploy && workload(b) == "": // a rollout, and what its pods say they are
		return a.Kind == triage.KindDeploy && a.Service == b.Service && a.Service != "" && after > -2*changeStep && after < 15*time.Minute &&
			(a.Version == "" || b.Version == "" || a.Version == b.Version || strings.Contains(a.Version, b.Version) || strings.Contains(b.Version, a.Version))
	}
	return false
}

// workload is the StatefulSet, DaemonSet or Deployment whose new generation a change is.
func workload(c triage.Change) string {
	i := slices.IndexFunc(workloadKinds, func(k workloadKind) bool { return c.Labels[k.label] != "" })
	if i < 0 || c.Labels["replicaset"] != "" {
		return ""
	}
	return c.Labels[workloadKinds[i].label]
}
