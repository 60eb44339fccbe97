package collector

import (
	"hash/maphash"
	"slices"

	"github.com/triaged-dev/triaged/triage"
)

// Every entry is in three lists: of its service, of its bucket of the ring, and of its id's hash. It knows its places in the
// first two, so that leaving them takes no search.

func (w *window) linkLists(i uint32, s triage.Scope) {
	e := w.entries.at(i)
	e.scope = w.internScope(s)
	name := w.scopes[e.scope].list()
	e.inService = uint32(len(w.services[name]))
	w.services[name] = append(w.services[name], i)
	b := e.last / bucketSeconds
	if w.count == 1 || b < w.oldest {
		w.oldest = b
	}
	e.inBucket = uint32(len(w.ring[b]))
	w.ring[b] = append(w.ring[b], i)
}

// unlinkLists takes an entry out of its two lists; the last of each list moves into its place.
func (w *window) unlinkLists(i uint32) {
	e := w.entries.at(i)
	name := w.scopes[e.scope].list()
	if list := cut(w.services[name], e.inService); len(list) == 0 {
		delete(w.services, name)
	} else {
		w.services[name] = list
		if int(e.inService) < len(list) {
			w.entries.at(list[e.inService]).inService = e.inService
		}
	}
	b := e.last / bucketSeconds
	if list := cut(w.ring[b], e.inBucket); len(list) == 0 {
		delete(w.ring, b)
	} else {
		w.ring[b] = list
		if int(e.inBucket) < len(list) {
			w.entries.at(list[e.inBucket]).inBucket = e.inBucket
		}
	}
	if r := &w.scopes[e.scope]; r.refs > 1 {
		r.refs--
	} else {
		delete(w.scopeOf, r.scope)
		*r = scopeRecord{}
		w.noScope = append(w.noScope, e.scope)
	}
}

// cut removes position p by moving the last one there, and gives back memory that has become mostly empty.
func cut(list []uint32, p uint32) []uint32 {
	n := len(list) - 1
	list[p] = list[n]
	list = list[:n]
	if cap(list) > 64 && n < cap(list)/4 {
		list = slices.Clip(append([]uint32(nil), list...))
	}
	return list
}

func (w *window) internScope(s triage.Scope) uint32 {
	if i, ok := w.scopeOf[s]; ok {
		w.scopes[i].refs++
		return i
	}
	r := scopeRecord{scope: s, refs: 1}
	var i uint32
	if n := len(w.noScope); n > 0 {
		i, w.noScope = w.noScope[n-1], w.noScope[:n-1]
		w.scopes[i] = r
	} else {
		i = uint32(len(w.scopes))
		w.scopes = append(w.scopes, r)
	}
	w.scopeOf[s] = i
	return i
}

func (w *window) linkID(i uint32) {
	if w.count > 2*len(w.idHeads) {
		old := w.idHeads
		w.idHeads = make([]uint32, max(1024, 2*len(old)))
		for _, j := range old {
			for j != 0 {
				next := w.entries.at(j).idNext
				w.pushID(j)
				j = next
			}
		}
	}
	w.pushID(i)
}

func (w *window) idHead(e *entry) *uint32 {
	return &w.idHeads[maphash.Bytes(w.seed, w.ids.get(e.idAt, e.idLen))&uint64(len(w.idHeads)-1)]
}

func (w *window) pushID(i uint32) {
	e := w.entries.at(i)
	head := w.idHead(e)
	e.idNext, *head = *head, i
}

func (w *window) unlinkID(i uint32) {
	e := w.entries.at(i)
	p := w.idHead(e)
	for *p != i {
		p = &w.entries.at(*p).idNext
	}
	*p = e.idNext
}
