package collector

import (
	"hash/maphash"
	"sync/atomic"

	"github.com/triaged-dev/triaged/triage"
)

const (
	filterBits   = 1 << 24 // 2 MiB; a million ids make one lookup in 500 superfluous, four million one in seven
	filterProbes = 4
)

// idFilter remembers which ids (and tracks) the journal may know, so that a new one need not be looked up there. It may say yes
// wrongly and, once it is complete, never no. It is safe for concurrent use.
type idFilter struct {
	seed     maphash.Seed
	words    []atomic.Uint64
	complete atomic.Bool // all ids of the journal have been added
}

func newIDFilter() *idFilter {
	return &idFilter{seed: maphash.MakeSeed(), words: make([]atomic.Uint64, filterBits/64)}
}

func (f *idFilter) add(id triage.ChangeID) {
	h := maphash.String(f.seed, string(id))
	for range filterProbes {
		w, bit := &f.words[h%filterBits/64], uint64(1)<<(h%64)
		if w.Load()&bit == 0 {
			w.Or(bit)
		}
		h = h>>16 | h<<48
	}
}

// mayHave reports whether the journal may know the id.
func (f *idFilter) mayHave(id triage.ChangeID) bool {
	if !f.complete.Load() {
		return true
	}
	h := maphash.String(f.seed, string(id))
	for range filterProbes {
		if f.words[h%filterBits/64].Load()&(1<<(h%64)) == 0 {
			return false
		}
		h = h>>16 | h<<48
	}
	return true
}
