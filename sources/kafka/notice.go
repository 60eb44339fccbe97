package kafka

import (
	"encoding/binary"
	"fmt"

	"github.com/segmentio/kafka-go"
)

// noticeHeader marks a record that says why something was not read. One who sends it has his own record set aside.
const (
	noticeHeader  = "triaged-not-read"
	beginningKept = 64 << 10 // bytes of what was not read
)

func isNotice(m kafka.Message) bool {
	return len(m.Headers) == 1 && m.Headers[0].Key == noticeHeader
}

// notice is one record in the format of Kafka's batches, with offset and time of the batch's first: reason as a header, and the
// beginning of what was unpacked as its value. Its length is given as that of the whole batch as it was packed: by this kafka-go knows
// that nothing is missing, and goes on behind the batch's last offset.
func notice(packed int64, reason string, beginning []byte) []byte {
	b := make([]byte, 5, 64+len(reason)+len(beginning))
	length := uint64(packed-5) << 1 // zigzag of a number ≥ 0, in five bytes whatever its size
	for i := range 5 {
		b[i] = byte(length>>(7*i)) | 0x80
	}
	b[4] &= 0x7f
	b = append(b, 0)               // attributes
	b = binary.AppendVarint(b, 0)  // time, from the batch's first
	b = binary.AppendVarint(b, 0)  // offset, likewise
	b = binary.AppendVarint(b, -1) // no key
	b = appendBytes(b, beginning)  // value
	b = binary.AppendVarint(b, 1)  // headers
	b = appendBytes(b, noticeHeader)
	return appendBytes(b, reason)
}

func appendBytes[T string | []byte](b []byte, s T) []byte {
	return append(binary.AppendVarint(b, int64(len(s))), s...)
}

// shorten leaves the beginning of records that are larger than any that is decoded, with a notice, so that what waits between kafka-go
// and us is bounded. Records of another shape than that of Kafka 0.11 and later stay as they are, and their length bounds them.
func shorten(records []byte) []byte {
	if len(records) <= maxValue || records[0] == 0 {
		return records
	}
	var out []byte
	for rest := records; len(rest) > 0; {
		length, n := binary.Varint(rest)
		if n <= 0 || length < 0 || length > int64(len(rest)-n) {
			return records // kafka-go says what is wrong with it
		}
		whole := rest[:n+int(length)]
		rest = rest[len(whole):]
		if length <= maxValue {
			out = append(out, whole...)
			continue
		}
		at := n + 1 // behind length and attributes
		for range 2 {
			_, k := binary.Varint(whole[at:])
			if k <= 0 {
				return records
			}
			at += k
		}
		_, behind := valueOf(whole[at:]) // the key
		beginning, _ := valueOf(behind)
		out = append(out, whole[:at]...) // the length stays what it was: kafka-go counts by it, and reads by the fields
		out = binary.AppendVarint(out, -1)
		out = appendBytes(out, beginning[:min(len(beginning), beginningKept)])
		out = binary.AppendVarint(out, 1)
		out = appendBytes(out, noticeHeader)
		out = appendBytes(out, fmt.Sprintf("the record has %d bytes; at most %d are read", length, maxValue))
	}
	return out
}

// valueOf is a field of bytes at the beginning of b, as much of it as is there, and what follows.
func valueOf(b []byte) (value, rest []byte) {
	length, n := binary.Varint(b)
	if n <= 0 {
		return nil, nil
	}
	b = b[n:]
	end := max(0, min(length, int64(len(b))))
	return b[:end], b[end:]
}
