package kafka

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/compress"

	"github.com/triaged-dev/triaged/triage"
)

// A producer packs 400 MB into 400 KB. The batch is never unpacked whole; it is set aside with its beginning, the records around it
// are read, its offset is committed, and a restart does not meet it again. Many partitions make the bound of one batch a small one
// here; test/proof sends 400 MB at the real process.
func TestBatchesThatUnpackToTooMuch(t *testing.T) {
	codecs.partitions.Add(200)
	defer codecs.partitions.Add(-200)
	const mb = 3 // of zeros: above that bound
	onPeers(t, func(t *testing.T, p *peer) {
		for _, codec := range []compress.Compression{compress.Gzip, compress.Snappy, compress.Lz4, compress.Zstd} {
			t.Run(codec.String(), func(t *testing.T) {
				topic := unique(t, "t")
				p.createTopicOf(t, topic, 1, kafka.ConfigEntry{ConfigName: "max.message.bytes", ConfigValue: "67108864"})
				w := p.writer(t)
				w.w.Compression, w.w.BatchBytes = kafka.Compression(codec), 1<<30
				cfg := p.config(t, FormatTriaged, topic)
				write := func(n int) {
					t.Helper()
					if err := w.WriteEvents(t.Context(), topic, change("a", n)); err != nil {
						t.Fatal(err)
					}
				}
				write(1)
				if err := w.Write(t.Context(), Record{Topic: topic, Value: bytes.Repeat([]byte("0"), mb<<20)}, Record{Topic: topic, Value: []byte("{}")}); err != nil {
					t.Fatal(err)
				}
				write(2)
				r := start(t, Options{Config: cfg}, nil)
				if ids := r.take(t, 2); ids[0] != "test:a/1" || ids[1] != "test:a/2" {
					t.Errorf("want both records around it in order, got %v", ids)
				}
				q := <-r.bad
				if !q.Cut && len(q.Body) == 0 {
					t.Error("want its beginning kept")
				}
				if !strings.Contains(q.Reason, "when it is unpacked") || !strings.HasSuffix(q.Origin, "offset=1") {
					t.Errorf("want the batch at offset 1 with its reason, got %s: %s", q.Origin, q.Reason)
				}
				r.none(t)
				if at := p.committed(t, cfg.GroupID, topic); at != 4 {
					t.Errorf("want 4 records committed, got %d", at)
				}
				write(3)
				again := start(t, Options{Config: cfg}, nil)
				if id := again.take(t, 1)[0]; id != "test:a/3" || len(again.bad) > 0 {
					t.Errorf("want only what is new after a restart, got %s and %d set aside", id, len(again.bad))
				}
				again.none(t)
			})
		}
	})
}

// A record that is larger than any that is read does not take its neighbours with it, whatever packs them together.
func TestLargeRecordAmongOthers(t *testing.T) {
	onPeers(t, func(t *testing.T, p *peer) {
		topic := unique(t, "t")
		p.createTopicOf(t, topic, 1, kafka.ConfigEntry{ConfigName: "max.message.bytes", ConfigValue: "67108864"})
		w := p.writer(t)
		w.w.Compression, w.w.BatchBytes = kafka.Gzip, 1<<30
		records := make([]Record, 3)
		for n := range records {
			value, err := json.Marshal(change("a", n))
			if err != nil {
				t.Fatal(err)
			}
			records[n] = Record{Topic: topic, Value: value}
		}
		records[1].Value, records[1].Key = bytes.Repeat([]byte("0"), maxValue+1), []byte("key")
		if err := w.Write(t.Context(), records...); err != nil {
			t.Fatal(err)
		}
		r := start(t, Options{Config: p.config(t, FormatTriaged, topic)}, nil)
		if ids := r.take(t, 2); ids[0] != "test:a/0" || ids[1] != "test:a/2" {
			t.Errorf("want its neighbours in order, got %v", ids)
		}
		if q := <-r.bad; !strings.HasSuffix(q.Origin, "offset=1") || !strings.Contains(q.Reason, "at most") || !bytes.HasPrefix(q.Body, []byte("0000")) {
			t.Errorf("want it with reason and beginning, got %s: %s (%d bytes)", q.Origin, q.Reason, len(q.Body))
		}
		r.none(t)
	})
}

// Whatever a batch holds, what comes out is bounded and is either what was packed or one record that says why not.
func FuzzUnpack(f *testing.F) {
	boundCodecs()
	for i := 1; i <= 4; i++ {
		var b bytes.Buffer
		w := compress.Codecs[i].NewWriter(&b)
		fmt.Fprint(w, strings.Repeat("record ", 100))
		w.Close()
		f.Add(int8(i), b.Bytes())
		f.Add(int8(i), b.Bytes()[:b.Len()/2])
	}
	f.Add(int8(compress.Snappy), []byte("\xff\xff\xff\xff\x0f"))
	f.Add(int8(compress.Snappy), append(bytes.Clone(xerial), "\x00\x00\x00\x01\x00\x00\x00\x01\xff\xff\xff\xff"...))
	f.Fuzz(func(t *testing.T, code int8, packed []byte) {
		if code < 1 || code > 4 || len(packed) < 5 {
			t.Skip("no codec of kafka-go's has this number, or too little for any")
		}
		r := compress.Codecs[code].NewReader(&io.LimitedReader{R: bytes.NewReader(packed), N: int64(len(packed))})
		out, err := io.ReadAll(r)
		if err != nil {
			t.Fatalf("a batch must not stop the reader: %v", err)
		}
		if int64(len(out)) > unpackedLimit() {
			t.Fatalf("%d bytes came out", len(out))
		}
	})
}

// The record that stands for a batch has the length that kafka-go counts by.
func TestNotice(t *testing.T) {
	for _, packed := range []int64{5, 69, 70, 8_197, 1 << 20, 1 << 30} {
		b := notice(packed, "why", []byte("beginning"))
		if length, n := binary.Varint(b); length+int64(n) != packed {
			t.Errorf("%d bytes: want them all counted, got %d and %d", packed, length, n)
		}
	}
}

// A value of more than is decoded is set aside, and names, keys and headers count in what waits.
func TestHugeRecords(t *testing.T) {
	p, _ := fakePeer(t)
	cfg := p.config(t, FormatTriaged, "t")
	src, err := New(Options{Config: cfg})
	if err != nil {
		t.Fatal(err)
	}
	if _, outcome, err := src.read(kafka.Message{Topic: "t", Value: make([]byte, maxValue+1)}); outcome != outcomeQuarantined || err == nil {
		t.Errorf("want it set aside, got %s, %v", outcome, err)
	}
	q := newQueue(1000)
	heavy := kafka.Message{Key: make([]byte, maxQueueBytes/4), Headers: []kafka.Header{{Key: "h", Value: make([]byte, maxQueueBytes/4)}}}
	for n := 1; q.tryPut(heavy); n++ {
		if n > 3 {
			t.Fatal("keys and headers are not counted")
		}
	}
	if q.drain(); !q.tryPut(kafka.Message{Value: make([]byte, triage.MaxQuarantineBody)}) {
		t.Error("there is room again")
	}
}
