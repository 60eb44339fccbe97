package collector

const chunkSize = 64 << 10 // bytes; larger than any id

// arena holds the bytes of change ids without a string header, an allocation and a pointer for each: 40 bytes less per change,
// and nothing for the garbage collector to walk. A chunk is reused once all its ids are gone; ids come and go roughly in order
// of time, so few chunks are held by a straggler.
type arena struct {
	chunks [][]byte
	live   []uint32 // ids still in each chunk
	free   []uint32 // empty chunks
	cur    uint32   // the chunk being filled
}

// put stores an id and returns where it is: chunk number in the upper half, offset in the lower. The id must fit a chunk.
func (a *arena) put(id string) uint32 {
	if len(a.chunks) == 0 || len(a.chunks[a.cur])+len(id) > chunkSize {
		a.next()
	}
	off := len(a.chunks[a.cur])
	a.chunks[a.cur] = append(a.chunks[a.cur], id...)
	a.live[a.cur]++
	return a.cur<<16 | uint32(off)
}

func (a *arena) next() {
	if n := len(a.free); n > 0 {
		a.cur, a.free = a.free[n-1], a.free[:n-1]
		return
	}
	a.chunks = append(a.chunks, make([]byte, 0, chunkSize))
	a.live = append(a.live, 0)
	a.cur = uint32(len(a.chunks) - 1)
}

// get returns the bytes of an id; they are only valid until it is dropped.
func (a *arena) get(at uint32, n uint16) []byte {
	off := at & 0xffff
	return a.chunks[at>>16][off : off+uint32(n)]
}

func (a *arena) drop(at uint32) {
	c := at >> 16
	a.live[c]--
	if a.live[c] == 0 {
		a.chunks[c] = a.chunks[c][:0]
		if c != a.cur {
			a.free = append(a.free, c)
		}
	}
}
