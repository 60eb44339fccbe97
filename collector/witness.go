package collector

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/triaged-dev/triaged/triage"
)

// What was told and what was seen in metrics share no key where it has no version: a configuration, a size, a rollout of the same
// image. They are one if they are about one thing of one service at one time (decision 0070).
const (
	clocks   = 2 * time.Minute  // two clocks and two scrapes may disagree by as much
	actsSoon = 3 * time.Minute  // after its sender speaks of it, a change acts within it …
	rollsOut = 10 * time.Minute // … and a rollout, which is built, pulled and waited for
)

// witnessed finds the one told change that a seen one is a view of, or the other way round: the nearest in time.
func (f *fold) witnessed(ctx context.Context, d *draft) (*draft, error) {
	key, ok := trackOf(&d.change)
	if !ok || key.service == "" {
		return nil, nil
	}
	self, own := runOf(&d.change), senders(d.change)
	var best *run
	for _, r := range f.track(key).runs {
		told, seen := self, r
		if self.seen {
			told, seen = r, self
		}
		if r.id == self.id || told.seen || !seen.seen || slices.Contains(own, r.source) || !told.counts() || !views(seen, told) {
			continue
		}
		if best == nil || r.at.Sub(self.at).Abs() < best.at.Sub(self.at).Abs() {
			best = r
		}
	}
	if best == nil {
		return nil, nil
	}
	x, err := f.withID(ctx, best.id)
	if x == nil || err != nil || x == d || contradict(d.change.Scope, x.change.Scope) || !sameSort(d.change.Kind, x.change.Kind) ||
		overrules(&d.change, &x.change) || overrules(&x.change, &d.change) || f.twoExecutions(&d.change, &x.change) {
		return nil, err
	}
	return x, nil
}

// views reports whether what was seen may be what was told: within the time in which it acts, and nothing that both say differs.
func views(seen, told *run) bool {
	acts := actsSoon
	if told.kind == triage.KindDeploy || told.kind == triage.KindRollback {
		acts = rollsOut
	}
	end := told.at.Add(acts)
	if told.last.After(end) {
		end = told.last
	}
	if seen.at.Add(seen.unsure).Before(told.at.Add(-clocks-told.unsure)) || seen.at.Add(-seen.unsure).After(end.Add(clocks+told.unsure)) {
		return false
	}
	if _, contradicts := seen.scope.Contradicts(told.scope); contradicts {
		return false
	}
	return agree(seen.version, told.version) && (seen.digest == "" || told.digest == "" || seen.digest == told.digest) &&
		(seen.value == "" || told.value == "" || seen.value == told.value)
}

// agree reports whether two names of a version may be of one: one of them is not known, or begins the other, as v812 does
// v812-4f2c1d7.
func agree(a, b string) bool {
	a, b = strings.ToLower(strings.TrimPrefix(a, "v")), strings.ToLower(strings.TrimPrefix(b, "v"))
	if len(b) < len(a) {
		a, b = b, a
	}
	rest, begins := strings.CutPrefix(b, a)
	return a == "" || begins && (rest == "" || strings.ContainsRune("-+_. ", rune(rest[0])))
}

// worded leaves the title to who told of a change: what a metric can say of it is longer and says less.
func worded(a, b triage.Change) (triage.Change, triage.Change) {
	switch {
	case a.Seen.IsZero() && !b.Seen.IsZero() && a.Title != "":
		b.Title = ""
	case b.Seen.IsZero() && !a.Seen.IsZero() && b.Title != "":
		a.Title = ""
	}
	return a, b
}
