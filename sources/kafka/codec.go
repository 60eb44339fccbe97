package kafka

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"

	"github.com/klauspost/compress/snappy"
	"github.com/klauspost/compress/zstd"
	"github.com/segmentio/kafka-go/compress"
)

// Bounds on what a batch of compressed records may unpack to. kafka-go unpacks a batch whole, and 400 KB of gzip can be 400 MB.
const (
	mostUnpacked  = 16 << 20  // bytes of one batch
	leastUnpacked = 2 << 20   // of one batch, however many partitions are read
	allUnpacked   = 256 << 20 // of all partitions together: one batch is unpacked at a time in each
	mostWindow    = 32 << 20  // of zstd, which holds that much while it unpacks; level 19 asks for 8 MiB
	unpackers     = 2         // batches being unpacked at once, each of which takes twice its bytes for a moment
)

var errTooLarge = errors.New("is too large")

// codecs stand in kafka-go's table in place of its own, which has no bounds. The table belongs to the process, so this does too.
var codecs struct {
	install    sync.Once
	partitions atomic.Int64 // being read by all sources
	slots      chan struct{}
}

// boundCodecs puts bounds on what kafka-go unpacks.
func boundCodecs() {
	codecs.install.Do(func() {
		codecs.slots = make(chan struct{}, unpackers)
		for i, c := range compress.Codecs {
			if c != nil {
				compress.Codecs[i] = boundedCodec{c}
			}
		}
	})
}

// unpackedLimit shares allUnpacked among the partitions.
func unpackedLimit() int64 {
	return max(leastUnpacked, min(mostUnpacked, allUnpacked/max(1, codecs.partitions.Load())))
}

// boundedCodec unpacks into bounded memory. What is too large, or no compressed data at all, comes out as one record that says so: an
// error would have kafka-go ask for the same batch for ever, and the partition would stand still.
type boundedCodec struct{ compress.Codec }

func (c boundedCodec) NewReader(r io.Reader) io.ReadCloser { return &unpacker{codec: c.Codec, in: r} }

type unpacker struct {
	codec compress.Codec
	in    io.Reader
	out   []byte
	done  bool
}

func (u *unpacker) Read(p []byte) (int, error) {
	if !u.done {
		u.done = true
		if err := u.unpack(); err != nil {
			return 0, err
		}
	}
	if len(u.out) == 0 {
		return 0, io.EOF
	}
	n := copy(p, u.out)
	u.out = u.out[n:]
	return n, nil
}

func (u *unpacker) Close() error {
	u.out = nil
	return nil
}

// unpack reads all of the batch. Its error is the connection's.
func (u *unpacker) unpack() error {
	codecs.slots <- struct{}{}
	defer func() { <-codecs.slots }()
	packed, known := u.in.(*io.LimitedReader)
	in := &inner{r: u.in}
	limit := unpackedLimit()
	out, err := u.read(in, limit)
	if in.err != nil { // the broker went away: nothing is wrong with the batch
		return in.err
	}
	var size int64
	if known {
		size = in.n + packed.N
	}
	// What a decoder leaves unread belongs to the batch all the same.
	if _, drained := io.Copy(io.Discard, in); drained != nil {
		return drained
	}
	switch {
	case err == nil:
		u.out = shorten(out)
	case !known:
		return err
	case errors.Is(err, errTooLarge):
		u.out = notice(size, fmt.Sprintf("a batch of records of %d bytes is more than %d when it is unpacked; it was set aside whole: send smaller batches, or set max.request.size",
			size, limit), out)
	default:
		u.out = notice(size, fmt.Sprintf("a batch of records cannot be unpacked (%s): %v", u.codec.Name(), err), nil)
	}
	return nil
}

// read unpacks at most limit bytes. A decoder that panics has met bad data.
func (u *unpacker) read(in io.Reader, limit int64) (out []byte, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("decoder gave up: %v", r)
		}
	}()
	var dec io.Reader
	switch compress.Compression(u.codec.Code()) {
	case compress.Snappy:
		return unsnap(in, limit)
	case compress.Zstd:
		z, err := zstd.NewReader(in, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
			zstd.WithDecoderMaxWindow(mostWindow), zstd.WithDecoderMaxMemory(mostWindow))
		if err != nil {
			return nil, err
		}
		defer z.Close()
		dec = z
	default: // gzip and lz4, whose readers hold 32 KiB and 8 MiB
		c := u.codec.NewReader(in)
		defer c.Close()
		dec = c
	}
	out, err = io.ReadAll(io.LimitReader(dec, limit+1))
	if int64(len(out)) > limit {
		return out[:beginningKept], errTooLarge
	}
	return out, err
}

// xerial is what Java's producers begin with; behind it come a version of 8 bytes and blocks, each after its length.
var xerial = []byte{130, 'S', 'N', 'A', 'P', 'P', 'Y', 0}

// unsnap unpacks snappy, whose blocks say how long they become: that is looked at before it is believed.
func unsnap(in io.Reader, limit int64) ([]byte, error) {
	packed, err := io.ReadAll(in)
	if err != nil {
		return nil, err
	}
	if !bytes.HasPrefix(packed, xerial) {
		return unsnapBlock(nil, packed, limit)
	}
	var out []byte
	for packed = packed[min(len(packed), len(xerial)+8):]; len(packed) > 0; {
		if len(packed) < 4 || uint64(binary.BigEndian.Uint32(packed)) > uint64(len(packed)-4) {
			return nil, io.ErrUnexpectedEOF
		}
		end := 4 + int(binary.BigEndian.Uint32(packed))
		if out, err = unsnapBlock(out, packed[4:end], limit); err != nil {
			return out, err
		}
		packed = packed[end:]
	}
	return out, nil
}

func unsnapBlock(out, block []byte, limit int64) ([]byte, error) {
	n, err := snappy.DecodedLen(block)
	if err != nil {
		return nil, err
	}
	if int64(len(out)+n) > limit {
		return out[:min(len(out), beginningKept)], errTooLarge
	}
	b, err := snappy.Decode(nil, block)
	if err != nil {
		return nil, err
	}
	return append(out, b...), nil
}

// inner notes what the decoder was given, and whether the connection failed meanwhile.
type inner struct {
	r   io.Reader
	n   int64
	err error
}

func (i *inner) Read(p []byte) (int, error) {
	n, err := i.r.Read(p)
	i.n += int64(n)
	if err != nil && !errors.Is(err, io.EOF) {
		i.err = err
	}
	return n, err
}
