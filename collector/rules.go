package collector

import (
	"slices"
	"time"

	"github.com/triaged-dev/triaged/triage"
)

// foldWithin is how far apart in time two reports of one Change may lie when only a join key unites them.
const foldWithin = 60 * time.Minute

// fits reports whether what is known of x without its body allows it to be the same Change as d.
func fits(d *draft, scope triage.Scope, kind triage.Kind, start, last time.Time) bool {
	if contradict(d.change.Scope, scope) || !sameSort(d.change.Kind, kind) {
		return false
	}
	return start.Sub(d.last) <= foldWithin && d.start.Sub(last) <= foldWithin
}

// nameWithin is how far apart two senders may speak of the same version and mean the same deploy.
const nameWithin = 20 * time.Minute

// twoSenders reports whether a version that two reports share may make one Change of them.
func twoSenders(a, b *draft) bool {
	own := senders(b.change)
	if slices.ContainsFunc(senders(a.change), func(s string) bool { return slices.Contains(own, s) }) {
		return false
	}
	return a.start.Sub(b.last) <= nameWithin && b.start.Sub(a.last) <= nameWithin
}

// contradict reports whether two scopes cannot be of one Change; what reaches every service is not of one.
func contradict(a, b triage.Scope) bool {
	_, contradicts := a.Contradicts(b)
	return contradicts || (a.Global && b.Service != "") || (b.Global && a.Service != "")
}

// disagreement is how far apart two sources may see the start or the end of one execution.
const disagreement = 5 * time.Minute

// overrules reports whether a pushed report would take the place of what another source said: another outcome, another start, another end.
// Whoever may push changes may add to what others report and may not rewrite it; such a report stands beside it, as a Change of its own.
func overrules(pushed, other *triage.Change) bool {
	if by := pushed.Labels[triage.LabelPushedBy]; by == "" || by == other.Labels[triage.LabelPushedBy] || pushed.Source == other.Source {
		return false
	}
	apart := func(a, b time.Time) bool {
		return !a.IsZero() && !b.IsZero() && a.Sub(b).Abs() > disagreement
	}
	return pushed.Status.Terminal() && other.Status.Terminal() && pushed.Status != other.Status ||
		apart(pushed.StartedAt, other.StartedAt) || apart(pushed.FinishedAt, other.FinishedAt)
}

// sameSort reports whether two sources may mean the same by these kinds. A run that migrates and deploys is two changes.
func sameSort(a, b triage.Kind) bool {
	if a == b || a == triage.KindOther || b == triage.KindOther || a == "" || b == "" {
		return true
	}
	deploys := func(k triage.Kind) bool { return k == triage.KindDeploy || k == triage.KindRollback }
	return deploys(a) && deploys(b)
}

// twoExecutions reports whether the same commit or image was put in place twice: the reports name different executions in one
// system, or something else was put in place between them. Without it, deploy v1, deploy v2, back to v1 within the hour would
// make one Change of the first and the third, and hide the undo.
func (f *fold) twoExecutions(a, b *triage.Change) bool {
	shared, sameSystem := false, false
	for _, r := range a.Refs {
		for _, o := range b.Refs {
			shared = shared || compareRefs(r, o) == 0
			sameSystem = sameSystem || r.System == o.System
		}
	}
	if sameSystem && !shared {
		return true
	}
	key, ok := trackOf(a)
	if !ok {
		return false
	}
	from, to := a.OccurredAt(), b.OccurredAt()
	if to.Before(from) {
		from, to = to, from
	}
	ra, rb := runOf(a), runOf(b)
	for _, r := range f.track(key).runs {
		if r.at.After(from) && r.at.Before(to) && r.id != a.ID && r.id != b.ID && r.differs(ra) && r.differs(rb) {
			return true
		}
	}
	return false
}
