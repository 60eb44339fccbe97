package collector

import (
	"cmp"
	"hash/maphash"
	"slices"
	"time"

	"github.com/triaged-dev/triaged/triage"
)

const (
	// bucketSeconds is the width of one bucket of the ring: eviction is that coarse.
	bucketSeconds = 10
	// globalList is the list of changes that reach every service; no service has this name.
	globalList = "\x00global"
)

// entry is what the window knows of one Change without its body: 44 bytes, no pointer. Times are seconds since 1970, start
// rounded down and last rounded up, so that a query never misses what it meets only barely.
type entry struct {
	idAt      uint32 // in the arena
	idNext    uint32 // next entry in the same bucket of the id table
	start     uint32 // earliest time it may have acted
	last      uint32 // last activity, with its uncertainty
	scope     uint32 // in window.scopes
	firstKey  uint32 // in the key table
	inService uint32 // position in the list of its service
	inBucket  uint32 // position in its bucket of the ring
	seq       uint32 // order of journalling; the smaller one keeps its id when two are merged
	idLen     uint16
	rev       uint16 // of the body: grows with every update, so that a slow reader does not cache an old one
	kind      uint8
}

// scopeRecord is one distinct Scope and how many entries have it. Scopes are few where changes are many.
type scopeRecord struct {
	scope triage.Scope
	refs  int
}

// list names the list its entries are in: a service, "" or globalList.
func (r *scopeRecord) list() string {
	if r.scope.Global {
		return globalList
	}
	return r.scope.Service
}

// window is the index over the changes in memory. It is plain memory and loses nothing but by eviction. It has no lock:
// the committer is its only writer, and readers hold the collector's read lock.
type window struct {
	entries  slab[entry]
	ids      arena
	idHeads  []uint32
	keys     keyTable
	seed     maphash.Seed
	scopes   []scopeRecord
	scopeOf  map[triage.Scope]uint32
	noScope  []uint32 // free records
	services map[string][]uint32
	ring     map[uint32][]uint32 // by last activity / bucketSeconds
	oldest   uint32              // no bucket before this one
	count    int
	seq      uint32
}

func newWindow() *window {
	return &window{
		seed:     maphash.MakeSeed(),
		scopeOf:  make(map[triage.Scope]uint32),
		services: make(map[string][]uint32),
		ring:     make(map[uint32][]uint32),
	}
}

// item is an entry in the form it is put in and taken out.
type item struct {
	id    triage.ChangeID
	kind  triage.Kind
	scope triage.Scope
	start time.Time
	last  time.Time
	keys  []uint64
}

// put adds a Change, or updates the entry that has its id: the interval and the keys only ever grow, so that what could
// once be folded into it still can. It returns the entry.
func (w *window) put(it item) uint32 {
	start, last := floorSeconds(it.start), ceilSeconds(it.last)
	i := w.find(it.id)
	if i == 0 {
		i = w.entries.alloc()
		w.seq++
		w.count++
		*w.entries.at(i) = entry{idAt: w.ids.put(string(it.id)), idLen: uint16(len(it.id)), start: start, last: last, seq: w.seq, kind: kindIndex(it.kind)}
		w.linkID(i)
	} else {
		e := w.entries.at(i)
		w.unlinkLists(i)
		e.start, e.last, e.kind = min(e.start, start), max(e.last, last), kindIndex(it.kind)
		e.rev++
	}
	w.linkLists(i, it.scope)
	e := w.entries.at(i)
	for _, k := range it.keys {
		e.firstKey = w.keys.add(k, i, e.firstKey)
	}
	return i
}

// remove forgets an entry with all its keys.
func (w *window) remove(i uint32) {
	e := w.entries.at(i)
	w.unlinkLists(i)
	w.unlinkID(i)
	w.keys.drop(e.firstKey)
	w.ids.drop(e.idAt)
	w.entries.release(i)
	w.count--
}

// evictBefore removes what was last active before the cut.
func (w *window) evictBefore(cut time.Time) int {
	n := 0
	for limit := floorSeconds(cut) / bucketSeconds; w.count > 0 && w.oldest < limit; w.oldest++ {
		if len(w.ring) == 0 {
			break
		}
		for b := w.ring[w.oldest]; len(b) > 0; b = w.ring[w.oldest] {
			w.remove(b[len(b)-1])
			n++
		}
	}
	return n
}

// evictOldest removes up to n entries, those longest without activity first (to the width of a bucket).
func (w *window) evictOldest(n int) int {
	done := 0
	for done < n && w.count > 0 {
		if b := w.ring[w.oldest]; len(b) > 0 {
			w.remove(b[0])
			done++
			continue
		}
		w.oldest++
	}
	return done
}

// find returns the entry with this id, or 0. Aliases are join keys and are not found here.
func (w *window) find(id triage.ChangeID) uint32 {
	if len(w.idHeads) == 0 {
		return 0
	}
	h := maphash.String(w.seed, string(id))
	for i := w.idHeads[h&uint64(len(w.idHeads)-1)]; i != 0; {
		e := w.entries.at(i)
		if string(w.ids.get(e.idAt, e.idLen)) == string(id) {
			return i
		}
		i = e.idNext
	}
	return 0
}

// id copies out the id of an entry.
func (w *window) id(i uint32) triage.ChangeID {
	e := w.entries.at(i)
	return triage.ChangeID(w.ids.get(e.idAt, e.idLen))
}

func (w *window) scope(i uint32) triage.Scope { return w.scopes[w.entries.at(i).scope].scope }

// match is one entry that a query selected. The revision tells whether a body read for it is still the current one.
type match struct {
	id    triage.ChangeID
	entry uint32
	rev   uint16
}

// query returns the entries that the query selects, in no order, and how many they are: of more than Limit near a time, the
// others are left out (a query by text is cut later, when the bodies are known). What it allocates depends on what matches only.
func (w *window) query(q triage.ChangeQuery) (out []match, selected int) {
	found := w.meeting(q)
	selected = len(found)
	if q.Near != nil && q.Limit > 0 && selected > q.Limit && q.Text == "" {
		found = w.nearest(found, *q.Near, q.Limit)
	}
	out = make([]match, len(found))
	for n, i := range found {
		out[n] = match{id: w.id(i), entry: i, rev: w.entries.at(i).rev}
	}
	return out, selected
}

// nearest keeps n of the entries: those of the service and global ones first, then those active nearest to the time. Entries
// equally near are taken by their ids, so that the order of their coming does not matter.
func (w *window) nearest(found []uint32, near triage.Near, n int) []uint32 {
	at := floorSeconds(near.At)
	away := func(i uint32) uint64 { // the service in the upper half, seconds in the lower
		e := w.entries.at(i)
		var out uint64
		if s := &w.scopes[e.scope].scope; !s.Global && s.Service != near.Service {
			out = 1 << 32
		}
		switch {
		case e.last < at:
			return out + uint64(at-e.last)
		case e.start > at:
			return out + uint64(e.start-at)
		}
		return out
	}
	all := make([]uint64, len(found))
	for k, i := range found {
		all[k] = away(i)
	}
	slices.Sort(all)
	edge := all[n-1]
	var in, level []uint32
	for _, i := range found {
		switch d := away(i); {
		case d < edge:
			in = append(in, i)
		case d == edge:
			level = append(level, i)
		}
	}
	slices.SortFunc(level, func(a, b uint32) int { return cmp.Compare(w.id(a), w.id(b)) })
	return append(in, level[:n-len(in)]...)
}

// meeting returns the entries whose activity meets the interval and whose scope fits, in no order.
func (w *window) meeting(q triage.ChangeQuery) []uint32 {
	var out []uint32
	from, to := uint32(0), ^uint32(0)
	if !q.From.IsZero() {
		from = floorSeconds(q.From)
	}
	if !q.To.IsZero() {
		to = ceilSeconds(q.To)
	}
	take := func(i uint32) {
		e := w.entries.at(i)
		if e.last < from || e.start > to || (q.Kind != "" && kindIndex(q.Kind) != e.kind) {
			return
		}
		if q.Environment != "" {
			if env := w.scopes[e.scope].scope.Environment; env != "" && env != q.Environment {
				return
			}
		}
		out = append(out, i)
	}
	if len(q.Services) > 0 {
		seen := make(map[string]bool, len(q.Services)+2)
		for _, name := range append([]string{globalList, ""}, q.Services...) {
			if !seen[name] {
				seen[name] = true
				for _, i := range w.services[name] {
					take(i)
				}
			}
		}
		return out
	}
	for b, list := range w.ring {
		if b < from/bucketSeconds {
			continue
		}
		for _, i := range list {
			take(i)
		}
	}
	return out
}

// alias makes an id that resolves to another one find that one's entry.
func (w *window) alias(alias, id triage.ChangeID) {
	if i := w.find(id); i != 0 {
		e := w.entries.at(i)
		e.firstKey = w.keys.add(idKey(alias), i, e.firstKey)
	}
}

// kindIndex packs a Kind; 0 is none of the known ones.
func kindIndex(k triage.Kind) uint8 { return uint8(slices.Index(kinds[:], k) + 1) }

func kindOf(i uint8) triage.Kind {
	if i == 0 {
		return ""
	}
	return kinds[i-1]
}

var kinds = [...]triage.Kind{
	triage.KindDeploy, triage.KindRollback, triage.KindConfig, triage.KindFlag, triage.KindMigration,
	triage.KindInfra, triage.KindScale, triage.KindCommand, triage.KindOther,
}

func floorSeconds(t time.Time) uint32 { return clampSeconds(t.Unix()) }

func ceilSeconds(t time.Time) uint32 {
	s := t.Unix()
	if t.Nanosecond() > 0 {
		s++
	}
	return clampSeconds(s)
}

// clampSeconds fits a time into 32 bits; intake has already refused the times beyond them, which end in 2106.
func clampSeconds(s int64) uint32 { return uint32(min(max(s, 0), 1<<32-1)) }

// activity is the interval in which a Change may have acted, both ends widened by what its source does not know.
func activity(c *triage.Change) (start, last time.Time) {
	start, latest, _ := c.StartInterval(triage.AssumedRollout)
	last = c.LastActivity()
	if latest.After(last) {
		last = latest
	}
	return start, last
}

// byTime is the order of every list of changes: when they occurred, then id.
func byTime(a, b triage.Change) int {
	return cmp.Or(a.OccurredAt().Compare(b.OccurredAt()), cmp.Compare(a.ID, b.ID))
}
