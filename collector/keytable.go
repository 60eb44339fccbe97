package collector

const slabBits = 12 // 4096 records a block

// slab is a growing array in blocks: growing it copies nothing and wastes at most one block.
type slab[T any] struct {
	blocks [][]T
	n      uint32 // records ever handed out; record 0 is never used, so that 0 can mean none
	free   []uint32
}

func (s *slab[T]) at(i uint32) *T { return &s.blocks[i>>slabBits][i&(1<<slabBits-1)] }

func (s *slab[T]) alloc() uint32 {
	if n := len(s.free); n > 0 {
		i := s.free[n-1]
		s.free = s.free[:n-1]
		return i
	}
	s.n++
	if int(s.n>>slabBits) >= len(s.blocks) {
		s.blocks = append(s.blocks, make([]T, 1<<slabBits))
	}
	return s.n
}

func (s *slab[T]) release(i uint32) {
	var zero T
	*s.at(i) = zero
	s.free = append(s.free, i)
}

// keyNode is one join key (or alias) of one entry. It is in two lists: of its hash bucket, and of its entry.
// The hash is kept in halves so that a node takes 20 bytes and not 24.
type keyNode struct {
	hi, lo       uint32
	entry        uint32
	nextInBucket uint32
	nextInEntry  uint32
}

func (n *keyNode) hash() uint64 { return uint64(n.hi)<<32 | uint64(n.lo) }

// keyTable finds the entries that have a join key: a chained hash table, 22 to 24 bytes per key.
type keyTable struct {
	heads []uint32 // a power of two of them
	nodes slab[keyNode]
	count int
}

// each calls f with every entry that has the key, until f returns false.
func (t *keyTable) each(hash uint64, f func(entry uint32) bool) {
	if len(t.heads) == 0 {
		return
	}
	for i := t.heads[hash&uint64(len(t.heads)-1)]; i != 0; {
		n := t.nodes.at(i)
		if n.hash() == hash && !f(n.entry) {
			return
		}
		i = n.nextInBucket
	}
}

// add gives the entry one more key; first is the head of the entry's list and the result its new head.
func (t *keyTable) add(hash uint64, entry, first uint32) uint32 {
	for i := first; i != 0; {
		n := t.nodes.at(i)
		if n.hash() == hash {
			return first
		}
		i = n.nextInEntry
	}
	if t.count >= 2*len(t.heads) {
		t.grow()
	}
	i := t.nodes.alloc()
	b := hash & uint64(len(t.heads)-1)
	*t.nodes.at(i) = keyNode{hi: uint32(hash >> 32), lo: uint32(hash), entry: entry, nextInBucket: t.heads[b], nextInEntry: first}
	t.heads[b] = i
	t.count++
	return i
}

// keys returns the hashes in an entry's list.
func (t *keyTable) keys(first uint32) []uint64 {
	var out []uint64
	for i := first; i != 0; {
		n := t.nodes.at(i)
		out = append(out, n.hash())
		i = n.nextInEntry
	}
	return out
}

// drop removes all keys of an entry.
func (t *keyTable) drop(first uint32) {
	for i := first; i != 0; {
		n := t.nodes.at(i)
		next := n.nextInEntry
		b := n.hash() & uint64(len(t.heads)-1)
		if t.heads[b] == i {
			t.heads[b] = n.nextInBucket
		} else {
			for p := t.heads[b]; ; {
				pn := t.nodes.at(p)
				if pn.nextInBucket == i {
					pn.nextInBucket = n.nextInBucket
					break
				}
				p = pn.nextInBucket
			}
		}
		t.nodes.release(i)
		t.count--
		i = next
	}
}

func (t *keyTable) grow() {
	old := t.heads
	t.heads = make([]uint32, max(1024, 2*len(old)))
	for _, i := range old {
		for i != 0 {
			n := t.nodes.at(i)
			next := n.nextInBucket
			b := n.hash() & uint64(len(t.heads)-1)
			n.nextInBucket, t.heads[b] = t.heads[b], i
			i = next
		}
	}
}
