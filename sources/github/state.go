package github

import (
	"cmp"
	"encoding/json"
	"hash/fnv"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/triaged-dev/triaged/triage"
)

// repoState is a repository's cursor: what was handed over already and what is still moving. About 100 B per entry, so at most
// some 100 KiB of JSON. A value is not changed once it is a repo's state: a poll works on a copy.
type repoState struct {
	Deployments map[int64]deploymentState `json:"deployments,omitempty"`
	Sent        map[triage.ChangeID]sent  `json:"sent,omitempty"`
	Runs        map[int64]time.Time       `json:"runs,omitempty"`  // workflow runs handed over while they ran, by when they began
	Heads       map[string]head           `json:"heads,omitempty"` // by branch, where the activity list is not to be had
}

// Bounds of a repoState.
const (
	maxDeployments = 400 // newest kept
	maxSent        = 1000
)

// deploymentState is what is remembered of one deployment.
type deploymentState struct {
	SHA     string    `json:"sha"`
	Scope   string    `json:"scope"` // service, environment and the rest in one key: deployments of one scope follow each other
	Created time.Time `json:"created"`
	Updated time.Time `json:"updated,omitzero"`
	Version string    `json:"version,omitempty"`
	Success int       `json:"success,omitempty"` // 1 yes, -1 no, 0 not known
	Closed  bool      `json:"closed,omitempty"`  // has come to an end: its statuses are not asked for again
	Run     string    `json:"run,omitempty"`     // workflow run that made it
	Back    bool      `json:"back,omitempty"`    // found to go back to an earlier commit
	Tries   int       `json:"tries,omitempty"`   // of enriching it
	Done    bool      `json:"done,omitempty"`    // enriched, or given up
}

// sent is the fingerprint of what was last handed over for a Change, so that an unchanged answer is not handed over again.
type sent struct {
	Sum string    `json:"sum"`
	At  time.Time `json:"at"`
}

type head struct {
	SHA string    `json:"sha"`
	At  time.Time `json:"at"`
}

func newRepoState() *repoState {
	st := &repoState{}
	st.repair()
	return st
}

// repair makes the maps, which an old or empty cursor lacks.
func (st *repoState) repair() {
	if st.Deployments == nil {
		st.Deployments = make(map[int64]deploymentState)
	}
	if st.Sent == nil {
		st.Sent = make(map[triage.ChangeID]sent)
	}
	if st.Runs == nil {
		st.Runs = make(map[int64]time.Time)
	}
	if st.Heads == nil {
		st.Heads = make(map[string]head)
	}
}

func (st *repoState) clone() *repoState {
	return &repoState{
		Deployments: maps.Clone(st.Deployments), Sent: maps.Clone(st.Sent), Runs: maps.Clone(st.Runs), Heads: maps.Clone(st.Heads),
	}
}

func (st *repoState) equal(o *repoState) bool {
	return maps.EqualFunc(st.Deployments, o.Deployments, func(a, b deploymentState) bool {
		if !a.Created.Equal(b.Created) || !a.Updated.Equal(b.Updated) {
			return false
		}
		a.Created, a.Updated, b.Created, b.Updated = time.Time{}, time.Time{}, time.Time{}, time.Time{}
		return a == b
	}) && maps.EqualFunc(st.Runs, o.Runs, time.Time.Equal) && maps.EqualFunc(st.Sent, o.Sent, func(a, b sent) bool { return a.Sum == b.Sum }) &&
		maps.EqualFunc(st.Heads, o.Heads, func(a, b head) bool { return a.SHA == b.SHA && a.At.Equal(b.At) })
}

// prune forgets what can no longer come up again: fingerprints older than before, and the oldest deployments beyond the bound.
func (st *repoState) prune(before time.Time) {
	maps.DeleteFunc(st.Runs, func(_ int64, at time.Time) bool { return at.Before(before) })
	maps.DeleteFunc(st.Sent, func(_ triage.ChangeID, s sent) bool { return s.At.Before(before) })
	if n := len(st.Sent) - maxSent; n > 0 {
		ids := slices.SortedFunc(maps.Keys(st.Sent), func(a, b triage.ChangeID) int {
			return cmp.Or(st.Sent[a].At.Compare(st.Sent[b].At), cmp.Compare(a, b))
		})
		for _, id := range ids[:n] {
			delete(st.Sent, id)
		}
	}
	if n := len(st.Deployments) - maxDeployments; n > 0 {
		for _, id := range slices.Sorted(maps.Keys(st.Deployments))[:n] {
			delete(st.Deployments, id)
		}
	}
}

// earlier are the deployments of one scope before id, newest first.
func (st *repoState) earlier(scope string, id int64) []int64 {
	var ids []int64
	for d, s := range st.Deployments {
		if d < id && s.Scope == scope {
			ids = append(ids, d)
		}
	}
	slices.SortFunc(ids, func(a, b int64) int { return cmp.Compare(b, a) })
	return ids
}

// fingerprint is equal for Changes that say the same, whenever we said it.
func fingerprint(c triage.Change) string {
	c.ObservedAt = time.Time{}
	data, err := json.Marshal(c)
	if err != nil {
		return "" // unequal to every stored one only if none is empty: then it is simply sent again
	}
	h := fnv.New64a()
	_, _ = h.Write(data)
	return strconv.FormatUint(h.Sum64(), 36)
}

// batch collects what one poll found that was not handed over before.
type batch struct {
	st      *repoState
	now     time.Time
	changes []triage.Change
}

// offer adds a Change unless the same was handed over already. at is when it happened, and decides how long that is remembered.
func (b *batch) offer(c triage.Change, at time.Time) {
	sum := fingerprint(c)
	if old, ok := b.st.Sent[c.ID]; ok && old.Sum == sum && sum != "" {
		return
	}
	b.st.Sent[c.ID] = sent{Sum: sum, At: at}
	b.changes = append(b.changes, c)
}

// settled reports whether an id was handled before, and note marks it as handled without a Change.
func (b *batch) settled(id triage.ChangeID) bool { _, ok := b.st.Sent[id]; return ok }

func (b *batch) note(id triage.ChangeID, at time.Time) {
	b.st.Sent[id] = sent{Sum: "-", At: at}
}
