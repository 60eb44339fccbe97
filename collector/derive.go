package collector

import (
	"context"
	"slices"
	"time"

	"github.com/triaged-dev/triaged/triage"
)

// derive works out what a Change is in the light of those before it: the version it replaced, whether it changed anything, and
// what it undid. Where nothing is known any more, what was found earlier stays.
func (f *fold) derive(ctx context.Context) error {
	for n := 0; n < len(f.drafts); n++ { // it may add drafts: those that were undone
		d := f.drafts[n]
		if d.gone || d.linkOnly {
			continue
		}
		if err := f.deriveOne(ctx, d); err != nil {
			return err
		}
	}
	return nil
}

func (f *fold) deriveOne(ctx context.Context, d *draft) error {
	c := &d.change
	if !c.FinishedAt.IsZero() && c.StartedAt.After(c.FinishedAt) {
		// Two clocks disagree. What has ended had begun; merging goes on with the start as reported.
		c.Labels = with(c.Labels, labelStartedSeen, c.StartedAt.Format(time.RFC3339Nano))
		c.StartedAt = c.FinishedAt
	}
	for _, id := range c.Undoes { // as its source says
		if err := f.link(ctx, d, id); err != nil {
			return err
		}
	}
	self := runOf(c)
	undone, returns := f.derivePrevious(d, self)
	if c.Status == triage.StatusFailed || !self.counts() || c.Labels["controller"] != "" { // it did not come to be, or is nobody's undo
		return nil
	}
	if returns && len(undone) == 0 {
		c.Labels = with(c.Labels, labelNoop, "true")
	}
	if len(undone) == 0 && saysUndo(c) {
		undone = f.stated(c, self)
	}
	for _, u := range undone {
		if self.at.Sub(u.at) > max(f.c.retention, undoWithin) {
			return nil
		}
	}
	for _, u := range undone {
		if err := f.link(ctx, d, u.id); err != nil {
			return err
		}
	}
	return nil
}

// undoWithin is how far back what a change takes back may lie: as far as the longer search for suspects goes.
const undoWithin = 24 * time.Hour

// derivePrevious works out what was in place before, and what is undone by going back to it.
func (f *fold) derivePrevious(d *draft, self *run) (undone []*run, returns bool) {
	c := &d.change
	key, ok := trackOf(c)
	if !ok {
		return nil, false
	}
	before := f.before(key, self)
	if r, ok := running(before, self); ok && c.PreviousVersion == "" && (self.version != "" || self.digest != "") {
		c.PreviousVersion = r.version
		c.Labels = with(c.Labels, labelPreviousFrom, "history")
	}
	if s := d.stored; s != nil && len(before) == 0 {
		if from := s.Labels[labelPreviousFrom]; from != "" && c.PreviousVersion == "" {
			c.PreviousVersion = s.PreviousVersion
			c.Labels = with(c.Labels, labelPreviousFrom, from)
		}
		if v := s.Labels[labelNoop]; v != "" {
			c.Labels = with(c.Labels, labelNoop, v)
		}
	}
	return returnsTo(self, before)
}

// before returns the runs of a track that came before this one, where the scope allows them to be about the same place.
func (f *fold) before(key trackKey, self *run) []*run {
	runs := f.track(key).runs
	out := make([]*run, 0, len(runs))
	for _, r := range runs {
		if !r.at.Before(self.at) || r.id == self.id {
			continue
		}
		if _, contradicts := r.scope.Contradicts(self.scope); !contradicts {
			out = append(out, r)
		}
	}
	for len(out) > 0 && echo(self, out[len(out)-1]) {
		out = out[:len(out)-1]
	}
	return out
}

// echoWithin is within what time one sender that names a version twice has told of one rollout twice.
const echoWithin = 5 * time.Minute

// echo reports whether an earlier run is this very rollout, told again under another id. What is told twice is not a restart of
// what was running, and what was running before is what ran before the first of them.
func echo(self, earlier *run) bool {
	within := nameWithin
	if self.source == earlier.source {
		within = echoWithin
	}
	return self.version != "" && self.version == earlier.version && self.set == earlier.set && self.at.Sub(earlier.at) <= within
}

// running returns what was in place: the last that landed; where another source reported about the same rollout, in the words
// of the same source as self.
func running(before []*run, self *run) (*run, bool) {
	var last, own *run
	for _, r := range before {
		if r.landed() && r.version != "" && !self.otherKey(r) {
			last = r
			if r.source == self.source {
				own = r
			}
		}
	}
	if own != nil && last.at.Sub(own.at) <= foldWithin {
		last = own
	}
	return last, last != nil
}

// returnsTo reports whether a run puts back what was in place before, and which runs it undoes by that: none if it is in place.
// v1, v2, v3, v1: the last returns to v1 and undoes v3 and v2. An attempt at v2 that failed is undone by v1 as well.
func returnsTo(self *run, before []*run) (undone []*run, returns bool) {
	if sets := backToSet(self, before); len(sets) > 0 {
		return sets, true
	}
	for _, r := range slices.Backward(before) {
		if !r.counts() || self.otherKey(r) {
			continue
		}
		if r.inverse(self) {
			return append(undone, r), true
		}
		if r.same(self) {
			if !r.landed() { // under way or failed: it says nothing of what is in place
				continue
			}
			return undone, true
		}
		if !r.differs(self) {
			continue
		}
		undone = append(undone, r)
		if r.previous != "" && r.previous == self.version && !movingTag(self.version) {
			return undone, true
		}
		if r.cameFrom(self.value) {
			return undone, true
		}
	}
	return nil, false
}

// backToSet returns the runs that a return to an earlier ReplicaSet undoes: the pods' template says more than the image's name,
// which may be the same in both.
func backToSet(self *run, before []*run) []*run {
	if self.set == "" {
		return nil
	}
	var undone []*run
	for _, r := range slices.Backward(before) {
		switch {
		case !r.counts() || r.set == "":
		case r.set == self.set:
			return undone
		default:
			undone = append(undone, r)
		}
	}
	return nil
}

// link notes that d undoes the Change with this id, on both.
func (f *fold) link(ctx context.Context, d *draft, id triage.ChangeID) error {
	x, err := f.withID(ctx, id)
	if err != nil {
		return err
	}
	if x == nil {
		body, err := f.c.body(ctx, id)
		if err != nil {
			return err
		}
		if body == nil { // older than the journal keeps
			return nil
		}
		x = &draft{change: *body, stored: body, order: len(f.drafts), linkOnly: true}
		x.start, x.last = activity(body)
	} else if f.byEntry[x.entry] == nil && x.entry != 0 { // just opened for this
		if x.stored == nil {
			return nil
		}
		x.change, x.linkOnly = *x.stored, true
	}
	if x == d {
		return nil
	}
	if x.linkOnly && !slices.Contains(f.drafts, x) {
		f.drafts = append(f.drafts, x)
		f.index(x)
	}
	d.change.Undoes = addID(d.change.Undoes, x.change.ID)
	x.change.RevertedBy = addID(x.change.RevertedBy, d.change.ID)
	return nil
}

// addID returns a sorted copy of a list with one more id, bounded.
func addID(ids []triage.ChangeID, id triage.ChangeID) []triage.ChangeID {
	i, found := slices.BinarySearch(ids, id)
	if found || len(ids) >= triage.MaxRefs {
		return ids
	}
	return slices.Insert(slices.Clip(ids), i, id)
}
