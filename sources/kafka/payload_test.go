package kafka

import (
	"bytes"
	"encoding/json"
	"testing"
)

// What libraries put in front of JSON is taken off: the frame of a schema registry, a byte order mark, or both. Anything else stays.
func TestPayloadWithoutItsFrame(t *testing.T) {
	const doc = `{"change":{}}`
	frame, bom := "\x00\x00\x00\x00\x2a", "\xef\xbb\xbf"
	for name, tc := range map[string]struct{ in, want string }{
		"plain":            {doc, doc},
		"framed":           {frame + doc, doc},
		"framed list":      {frame + " [1]", " [1]"},
		"marked":           {bom + doc, doc},
		"framed, marked":   {frame + bom + doc, doc},
		"avro in a frame":  {frame + "\x02\x10checkout", frame + "\x02\x10checkout"},
		"frame alone":      {frame, frame},
		"text":             {"hello", "hello"},
		"schema 0x7b is {": {"\x00\x00\x00\x00\x7b" + doc, doc},
	} {
		if got := payload([]byte(tc.in)); string(got) != tc.want {
			t.Errorf("%s: want %q, got %q", name, tc.want, got)
		}
	}
}

// Whatever comes, the payload is a part of the value, and JSON stays the JSON it was.
func FuzzPayload(f *testing.F) {
	for _, s := range []string{`{}`, "\x00\x00\x00\x00\x01{}", "\xef\xbb\xbf[]", "\x00", ""} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, value []byte) {
		got := payload(value)
		if !bytes.HasSuffix(value, got) {
			t.Fatalf("%q is no part of %q", got, value)
		}
		if json.Valid(value) && !bytes.Equal(got, value) {
			t.Fatalf("JSON %q became %q", value, got)
		}
	})
}
