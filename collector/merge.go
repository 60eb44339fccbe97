package collector

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/triaged-dev/triaged/triage"
)

// The labels the collector writes. They are worked out anew whenever the Change is, so merging leaves them out.
const (
	labelServiceRaw   = "service_raw"           // the service as the source wrote it, where the directory changed it
	labelServiceRule  = "service_rule"          // how the name was joined to the service, unless it is the name
	labelClockSkew    = "clock_skew"            // seconds by which the sender's clock was ahead of ours
	labelNoop         = "noop"                  // "true": it put in place what was running already
	labelPreviousFrom = "previous_version_from" // "history": previous_version is ours and not the source's
	labelStatusFrom   = "status_from"           // "finished_at": the source said only when it ended, not how
	labelSupersededAt = "superseded_at"         // when a newer one took its place; that is no end of its own
	labelSources      = "sources"               // who told of it, with commas, where there were several
	labelContradicts  = "contradicts"           // the Change of another source that says something else of the same execution
	labelStartedSeen  = "started_at_seen"       // the start as reported, where another source had seen the end before it
)

// normal brings a Change into the form in which merge works: sets sorted, no end without a terminal status, times in UTC,
// nothing in it that the collector derives from other changes. It is idempotent and does not touch what c points at.
func normal(c triage.Change) triage.Change {
	c.StartedAt, c.FinishedAt, c.ObservedAt = utc(c.StartedAt), utc(c.FinishedAt), utc(c.ObservedAt)
	c = underive(c)
	switch {
	case c.FinishedAt.IsZero():
	case c.Status == triage.StatusSuperseded:
		c.Labels = with(c.Labels, labelSupersededAt, c.FinishedAt.Format(time.RFC3339))
		c.FinishedAt = time.Time{}
	case !c.Status.Terminal():
		c.Status = triage.StatusSucceeded
		c.Labels = with(c.Labels, labelStatusFrom, "finished_at")
	}
	if slices.ContainsFunc(c.Steps, func(s triage.Step) bool { return s.At != utc(s.At) }) {
		c.Steps = slices.Clone(c.Steps)
		for i := range c.Steps {
			c.Steps[i].At = utc(c.Steps[i].At)
		}
	}
	c.Steps = union(c.Steps, nil, compareSteps, nil, -triage.MaxSteps)
	c.Refs = union(c.Refs, nil, compareRefs, mergeRefs, triage.MaxRefs)
	c.Undoes = union(c.Undoes, nil, cmp.Compare, nil, triage.MaxRefs)
	c.RevertedBy = union(c.RevertedBy, nil, cmp.Compare, nil, triage.MaxRefs)
	c.Size.Paths = union(c.Size.Paths, nil, cmp.Compare, nil, triage.MaxPaths)
	if len(c.Labels) == 0 {
		c.Labels = nil
	}
	return c
}

// underive takes back what derive added.
func underive(c triage.Change) triage.Change {
	var found []string
	for _, k := range [...]string{labelPreviousFrom, labelNoop, labelStartedSeen} {
		if v := c.Labels[k]; v != "" {
			found = append(found, k)
			switch at, err := time.Parse(time.RFC3339Nano, v); {
			case k == labelPreviousFrom:
				c.PreviousVersion = ""
			case k == labelStartedSeen && err == nil:
				c.StartedAt = utc(at)
			}
		}
	}
	if found != nil {
		c.Labels = without(c.Labels, found...)
	}
	return c
}

// merge unites two reports of one Change, both normal and neither contradicting the other. It is commutative, associative
// and idempotent in everything but the id, which is a's: so the order in which reports come, and how often, does not matter.
//
// Where both know something, the choice is by a total order: the surest start (with its own uncertainty), the last of the results
// (with its first end, see ends.go), the larger size, the harder to reverse, the longer text.
func merge(a, b triage.Change) triage.Change {
	m := a
	m.Kind = maxBy(a.Kind, b.Kind, compareKinds)
	m.Scope = triage.Scope{
		Service: pick(a.Service, b.Service), Environment: pick(a.Environment, b.Environment), Region: pick(a.Region, b.Region),
		Cluster: pick(a.Cluster, b.Cluster), Namespace: pick(a.Namespace, b.Namespace), Global: a.Global || b.Global,
	}
	m.StartedAt, m.TimeUncertaintyS = mergeStart(a, b)
	if compareSeen(b, a) < 0 {
		m.ObservedAt, m.Source = b.ObservedAt, b.Source
	}
	m.Steps = union(a.Steps, b.Steps, compareSteps, nil, -triage.MaxSteps)
	m.Version, m.PreviousVersion, m.Digest = pick(a.Version, b.Version), pick(a.PreviousVersion, b.PreviousVersion), pick(a.Digest, b.Digest)
	m.Title, m.URL, m.Actor = pick(a.Title, b.Title), pick(a.URL, b.URL), pick(a.Actor, b.Actor)
	m.Size = triage.Size{
		Files: max(a.Size.Files, b.Size.Files), Lines: max(a.Size.Lines, b.Size.Lines),
		Paths: union(a.Size.Paths, b.Size.Paths, cmp.Compare, nil, triage.MaxPaths),
	}
	m.Reversible = maxBy(a.Reversible, b.Reversible, compareReversible)
	if b.RolloutPercent != nil && (a.RolloutPercent == nil || *b.RolloutPercent > *a.RolloutPercent) {
		m.RolloutPercent = b.RolloutPercent
	}
	m.Refs = union(a.Refs, b.Refs, compareRefs, mergeRefs, triage.MaxRefs)
	m.Labels = mergeLabels(a.Labels, b.Labels)
	mergeEnds(&m, a, b)
	m.Seen = maxBy(a.Seen, b.Seen, func(a, b triage.Seen) int { return b.Compare(a) })
	if told := union(senders(a), senders(b), cmp.Compare, nil, triage.MaxRefs); len(told) > 1 {
		m.Labels = with(m.Labels, labelSources, firstNames(told))
	}
	m.RevertedBy = union(a.RevertedBy, b.RevertedBy, cmp.Compare, nil, triage.MaxRefs)
	m.Undoes = union(a.Undoes, b.Undoes, cmp.Compare, nil, triage.MaxRefs)
	return m
}

// firstNames joins names with commas, as many as fit a label. What is left out is greater than all that is in, so the order in
// which lists are united does not matter.
func firstNames(names []string) string {
	joined := names[0]
	for _, n := range names[1:] {
		if len(joined)+1+len(n) > triage.MaxText {
			break
		}
		joined += "," + n
	}
	return joined
}

// senders are the sources that told of a Change, sorted.
func senders(c triage.Change) []string {
	if all := c.Labels[labelSources]; all != "" {
		return strings.Split(all, ",")
	}
	return []string{c.Source}
}

// mergeStart takes the surest start, the earliest of those as sure: who saw a version at two scrapes a minute apart knows less
// of when it came than who rolled it out. Where neither knows a start, the uncertainty is that of the end that stands.
func mergeStart(a, b triage.Change) (time.Time, float64) {
	if b.StartedAt.IsZero() || !a.StartedAt.IsZero() && compareStarts(a, b) <= 0 {
		return a.StartedAt, a.TimeUncertaintyS
	}
	return b.StartedAt, b.TimeUncertaintyS
}

// alike is the uncertainty, in seconds, below which starts are as sure as any clock.
const alike = 5

// compareStarts orders known starts: the surer, the earlier, the one whose clock is trusted more.
func compareStarts(a, b triage.Change) int {
	unsure := func(c triage.Change) float64 {
		if c.TimeUncertaintyS <= alike {
			return 0
		}
		return c.TimeUncertaintyS
	}
	return cmp.Or(cmp.Compare(unsure(a), unsure(b)), a.StartedAt.Compare(b.StartedAt), cmp.Compare(a.TimeUncertaintyS, b.TimeUncertaintyS))
}

func statusClass(s triage.Status) int {
	switch s {
	case triage.StatusSucceeded, triage.StatusFailed, triage.StatusCancelled:
		return 2
	case triage.StatusSuperseded:
		return 1
	default:
		return 0
	}
}

func statusRank(s triage.Status) int {
	return slices.Index([]triage.Status{"", triage.StatusStarted, triage.StatusSuperseded, triage.StatusSucceeded, triage.StatusCancelled, triage.StatusFailed}, s)
}

// compareSeen orders reports by who saw it first; a report without a time or a source comes last.
func compareSeen(a, b triage.Change) int {
	if a.ObservedAt.IsZero() != b.ObservedAt.IsZero() {
		if a.ObservedAt.IsZero() {
			return 1
		}
		return -1
	}
	if d := a.ObservedAt.Compare(b.ObservedAt); d != 0 {
		return d
	}
	if (a.Source == "") != (b.Source == "") {
		return strings.Compare(b.Source, a.Source)
	}
	return strings.Compare(a.Source, b.Source)
}

// compareKinds prefers the kind that says more: a rollback is also a deploy, and other says nothing.
func compareKinds(a, b triage.Kind) int {
	order := [...]triage.Kind{
		"", triage.KindOther, triage.KindDeploy, triage.KindRollback, triage.KindScale, triage.KindCommand,
		triage.KindInfra, triage.KindConfig, triage.KindFlag, triage.KindMigration,
	}
	return cmp.Compare(slices.Index(order[:], a), slices.Index(order[:], b))
}

// compareReversible prefers the warning: one source that knows it cannot be undone outweighs those that think it can.
func compareReversible(a, b triage.Reversible) int {
	order := [...]triage.ReversibleValue{"", triage.ReversibleUnknown, triage.ReversibleYes, triage.ReversibleNo}
	return cmp.Or(cmp.Compare(slices.Index(order[:], a.Value), slices.Index(order[:], b.Value)), compareText(a.Reason, b.Reason))
}

// compareText prefers the longer text, which tends to say more (a full commit hash over a short one), then the first in the alphabet.
func compareText(a, b string) int {
	return cmp.Or(cmp.Compare(len(a), len(b)), strings.Compare(b, a))
}

func pick(a, b string) string { return maxBy(a, b, compareText) }

func maxBy[T any](a, b T, compare func(a, b T) int) T {
	if compare(b, a) > 0 {
		return b
	}
	return a
}

func compareSteps(a, b triage.Step) int {
	return cmp.Or(a.At.Compare(b.At), strings.Compare(a.Region, b.Region), cmp.Compare(a.Percent, b.Percent))
}

func compareRefs(a, b triage.Ref) int {
	return cmp.Or(strings.Compare(a.System, b.System), strings.Compare(a.ID, b.ID))
}

func mergeRefs(a, b triage.Ref) triage.Ref {
	a.URL = pick(a.URL, b.URL)
	return a
}

// mergeLabels unites labels; of two values for one key the longer is kept, of too many keys the first in the alphabet.
func mergeLabels(a, b map[string]string) map[string]string {
	if len(b) == 0 || maps.Equal(a, b) {
		return a
	}
	if len(a) == 0 {
		return b
	}
	m := maps.Clone(a)
	for k, v := range b {
		m[k] = pick(m[k], v)
	}
	if len(m) > triage.MaxLabels {
		for _, k := range slices.Sorted(maps.Keys(m))[triage.MaxLabels:] {
			delete(m, k)
		}
	}
	return m
}

// union is the sorted set of both lists. Equal elements are joined by combine (nil: the first one is kept). Of more than
// limit elements the first are kept, or the last where limit is negative: either keeps union associative.
func union[T any](a, b []T, compare func(a, b T) int, combine func(a, b T) T, limit int) []T {
	if len(b) == 0 && len(a) <= max(limit, -limit) && strictlySorted(a, compare) {
		if len(a) == 0 {
			return nil
		}
		return a
	}
	all := make([]T, 0, len(a)+len(b))
	all = append(append(all, a...), b...)
	slices.SortStableFunc(all, compare)
	out := all[:0]
	for _, v := range all {
		n := len(out)
		switch {
		case n == 0 || compare(out[n-1], v) != 0:
			out = append(out, v)
		case combine != nil:
			out[n-1] = combine(out[n-1], v)
		}
	}
	switch {
	case limit > 0 && len(out) > limit:
		out = out[:limit]
	case limit < 0 && len(out) > -limit:
		out = out[len(out)+limit:]
	}
	return slices.Clip(out)
}

func strictlySorted[T any](list []T, compare func(a, b T) int) bool {
	for i := 1; i < len(list); i++ {
		if compare(list[i-1], list[i]) >= 0 {
			return false
		}
	}
	return true
}

func utc(t time.Time) time.Time {
	if t.IsZero() {
		return time.Time{}
	}
	return t.UTC().Round(0)
}

// with returns a copy of the labels with one more; the map itself belongs to whoever made it.
func with(labels map[string]string, key, value string) map[string]string {
	if v, ok := labels[key]; ok && v == value {
		return labels
	}
	m := make(map[string]string, len(labels)+1)
	maps.Copy(m, labels)
	m[key] = value
	return m
}

func without(labels map[string]string, keys ...string) map[string]string {
	m := maps.Clone(labels)
	for _, k := range keys {
		delete(m, k)
	}
	if len(m) == 0 {
		return nil
	}
	return m
}
