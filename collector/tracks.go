package collector

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/triaged-dev/triaged/triage"
)

const (
	trackRuns   = 12   // remembered per track: about 5 KiB
	trackTables = 8192 // tracks in each of two generations, so about 80 MB at the very most
	trackMemory = 14 * 24 * time.Hour
	trackPage   = 1000
)

// trackKey names one thing of which one state is in place at a time: the code of a service, its configuration, its size, one flag.
type trackKey struct{ service, environment, what string }

// run is one state being put in place.
type run struct {
	id       triage.ChangeID
	kind     triage.Kind
	at       time.Time
	version  string
	previous string
	digest   string
	revision string // the number its tool counts it by, as Helm does
	set      string // its ReplicaSet, by namespace and name
	sha      string
	key      string // which entry, resource or workload, where the source says
	value    string // what that was set to: a flag's value, a number of replicas; in plain form
	was      string // and what it was before
	words    words  // what it says of itself
	source   string
	status   triage.Status
	scope    triage.Scope
	last     time.Time     // its end, where one is known; else at
	unsure   time.Duration // ± of at
	seen     bool          // nobody told of it: it showed in a series
}

// track is what was put in place of late, oldest first. It is replaced and not changed once it is shared.
type track struct{ runs []*run }

// trackOf says which track a Change is on, if it can be told. What has a flag or a number of replicas is on that track whatever
// kind of change it came as.
func trackOf(c *triage.Change) (trackKey, bool) {
	k := trackKey{service: c.Service, environment: c.Environment, what: string(c.Kind)}
	switch {
	case c.Kind == triage.KindMigration: // what it did to data stays done: no later state takes it back
		return k, false
	case c.Labels["flag"] != "":
		k.what = "flag:" + c.Labels["flag"] + "\x00" + c.Labels["segment"]
		return k, true
	case c.Kind == triage.KindScale || c.Labels["replicas"] != "" && c.Version == "" && c.Digest == "":
		k.what = string(triage.KindScale)
	case c.Kind == triage.KindRollback && keyOf(c) == "":
		k.what = string(triage.KindDeploy)
	case c.Kind == triage.KindRollback: // of one entry: a configuration
		k.what = string(triage.KindConfig)
	}
	return k, c.Service != "" || k.what == string(triage.KindConfig) && keyOf(c) != ""
}

// filterKey is the track as the filter of ids remembers it. All flags of a service are one there: an index entry has no flag name.
func (k trackKey) filterKey() triage.ChangeID {
	what, _, _ := strings.Cut(k.what, ":")
	return triage.ChangeID("track\x00" + k.service + "\x00" + k.environment + "\x00" + what)
}

// indexKey is the filterKey of the track that an entry of the journal's index may be on.
func indexKey(e triage.IndexEntry) triage.ChangeID {
	k := trackKey{service: e.Scope.Service, environment: e.Scope.Environment, what: string(e.Kind)}
	if e.Kind == triage.KindRollback {
		k.what = string(triage.KindDeploy)
	}
	return k.filterKey()
}

func runOf(c *triage.Change) *run {
	r := &run{
		id: c.ID, kind: c.Kind, at: c.OccurredAt(), version: c.Version, previous: c.PreviousVersion, digest: c.Digest, sha: c.Labels["sha"],
		key: keyOf(c), revision: c.Labels["revision"], words: wordsOf(c), source: c.Source, status: c.Status, scope: c.Scope,
		last: c.LastActivity(), unsure: time.Duration(c.TimeUncertaintyS * float64(time.Second)), seen: !c.Seen.IsZero(),
	}
	if set := c.Labels["replicaset"]; set != "" {
		r.set = c.Namespace + "/" + set
	}
	r.was, r.value = valuesOf(c)
	switch deploys := c.Kind == triage.KindDeploy || c.Kind == triage.KindRollback; {
	case deploys && r.key == "" && c.Labels["flag"] == "": // what it goes from and to are versions
		r.version, r.previous = cmp.Or(r.version, r.value), cmp.Or(r.previous, r.was)
		r.value, r.was = "", ""
		if r.version == "" && r.digest == "" {
			r.version = tagOf(c.Labels["image"])
		}
	case r.value != "" && c.Kind == triage.KindFlag:
		r.version, r.digest, r.previous = "", "", ""
	}
	return r
}

// tagOf is the tag of an image, "" without one: "reg.example:5000/shop/cart:v41" is v41.
func tagOf(image string) string {
	image, _, _ = strings.Cut(image, "@")
	if _, tag, ok := strings.Cut(image[strings.LastIndexByte(image, '/')+1:], ":"); ok {
		return tag
	}
	return ""
}

// same reports whether both certainly put the same thing in place. A moving tag is the same name for different things.
func (r *run) same(o *run) bool {
	if r.value != "" && o.value != "" && r.sameKey(o) {
		return r.value == o.value
	}
	if r.digest != "" && o.digest != "" {
		return r.digest == o.digest
	}
	return r.version != "" && r.version == o.version && !movingTag(r.version)
}

// differs reports whether the two certainly put different things in place. Only like is compared with like: one source may say
// v812 where another says v812-4f2c1d7, so versions tell only where they come from the same source.
func (r *run) differs(o *run) bool {
	if r.same(o) || r.otherKey(o) {
		return false
	}
	return (r.value != "" && o.value != "" && r.value != o.value && r.sameKey(o)) ||
		(r.digest != "" && o.digest != "" && r.digest != o.digest) ||
		(r.sha != "" && o.sha != "" && !strings.HasPrefix(r.sha, o.sha) && !strings.HasPrefix(o.sha, r.sha)) ||
		(r.source == o.source && r.version != "" && o.version != "" && r.version != o.version && !movingTag(r.version) && !movingTag(o.version))
}

func movingTag(v string) bool {
	switch strings.ToLower(v) {
	case "latest", "main", "master", "head", "stable", "edge", "nightly", "develop", "dev", "staging", "prod", "production", "release", "canary":
		return true
	}
	return false
}

// landed reports whether it is in place, as far as we were told.
func (r *run) landed() bool { return r.status == triage.StatusSucceeded || r.status == "" }

// counts reports whether it may have acted at all.
func (r *run) counts() bool {
	return r.status != triage.StatusCancelled && r.status != triage.StatusSuperseded
}

// with returns a copy of the track with the run added or replaced.
func (t *track) with(r *run) *track {
	runs := make([]*run, 0, len(t.runs)+1)
	for _, o := range t.runs {
		if o.id != r.id {
			runs = append(runs, o)
		}
	}
	i, _ := slices.BinarySearchFunc(runs, r, func(a, b *run) int { return cmp.Or(a.at.Compare(b.at), cmp.Compare(a.id, b.id)) })
	runs = slices.Insert(runs, i, r)
	if len(runs) > trackRuns {
		runs = runs[len(runs)-trackRuns:]
	}
	return &track{runs: runs}
}

func (t *track) without(id triage.ChangeID) *track {
	return &track{runs: slices.DeleteFunc(slices.Clone(t.runs), func(o *run) bool { return o.id == id })}
}

// trackTable holds the tracks, the least used half of which is forgotten from time to time and read again from the journal.
// It is safe for concurrent use; the lock is not held while the journal is read.
type trackTable struct {
	mu       sync.Mutex
	now, old map[trackKey]*track
}

func newTrackTable() *trackTable { return &trackTable{now: make(map[trackKey]*track)} }

func (t *trackTable) get(k trackKey) *track {
	t.mu.Lock()
	defer t.mu.Unlock()
	if v := t.now[k]; v != nil {
		return v
	}
	v := t.old[k]
	if v != nil {
		t.put(k, v)
	}
	return v
}

// put needs the lock.
func (t *trackTable) put(k trackKey, v *track) {
	if len(t.now) >= trackTables {
		t.old, t.now = t.now, make(map[trackKey]*track)
	}
	t.now[k] = v
}

// store publishes what a fold has changed.
func (t *trackTable) store(changed map[trackKey]*track, known *idFilter) {
	for k := range changed {
		known.add(k.filterKey())
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for k, v := range changed {
		t.put(k, v)
	}
}

// ensure reads the tracks that a Change may be judged by from the journal where they are not known, so that the committer need not.
func (t *trackTable) ensure(ctx context.Context, j Journal, known *idFilter, c *triage.Change) error {
	k, ok := trackOf(c)
	if ok {
		if err := t.read(ctx, j, known, k, c); err != nil {
			return err
		}
	}
	if !saysUndo(c) {
		return nil
	}
	for _, k := range relatedTracks(c) {
		if err := t.read(ctx, j, known, k, c); err != nil {
			return err
		}
	}
	return nil
}

func (t *trackTable) read(ctx context.Context, j Journal, known *idFilter, k trackKey, c *triage.Change) error {
	if t.get(k) != nil || !known.mayHave(k.filterKey()) {
		return nil
	}
	read := &track{}
	if c.Service != "" {
		for _, back := range [...]time.Duration{6 * time.Hour, trackMemory} {
			q := triage.ChangeQuery{
				From: c.ObservedAt.Add(-back), To: c.ObservedAt, Services: []string{c.Service}, Environment: c.Environment, Limit: trackPage,
			}
			found, _, err := j.FindChanges(ctx, q)
			if err != nil {
				return fmt.Errorf("read the earlier changes of %s from the journal: %w", c.Service, err)
			}
			for i := range found {
				if fk, ok := trackOf(&found[i]); ok && fk == k {
					read = read.with(runOf(&found[i]))
				}
			}
			if len(read.runs) > 2 {
				break
			}
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if known := t.now[k]; known != nil { // the committer was faster: what it knows is newer
		for _, r := range known.runs {
			read = read.with(r)
		}
	}
	t.put(k, read)
	return nil
}

// track returns the track as this fold sees it.
func (f *fold) track(k trackKey) *track {
	if t := f.tracks[k]; t != nil {
		return t
	}
	if t := f.c.tracks.get(k); t != nil {
		return t
	}
	return &track{}
}

// remember puts a draft on its track.
func (f *fold) remember(d *draft) {
	if k, ok := trackOf(&d.change); ok {
		f.tracks[k] = f.track(k).with(runOf(&d.change))
	}
}

// forget takes an id that became an alias off the track of its Change.
func (f *fold) forget(id triage.ChangeID, c *triage.Change) {
	if k, ok := trackOf(c); ok {
		f.tracks[k] = f.track(k).without(id)
	}
}
