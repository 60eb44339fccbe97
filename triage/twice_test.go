package triage

import (
	"fmt"
	"strings"
	"testing"
)

// What a record says twice, or with a NUL in it, is refused with the place: of two values the last would count, and a NUL parts the keys
// by which reports are joined.
func TestKeysGivenTwiceAndNUL(t *testing.T) {
	const head = `{"change":{"kind":"deploy","service":"a","started_at":"2026-01-01T00:00:00Z"`
	var many strings.Builder
	for i := range 3 * maxTwice {
		fmt.Fprintf(&many, `,"l%d":"x"`, i)
	}
	for in, want := range map[string]string{
		head + `}}`: "",
		head + `,"labels":{"a":"1","b":{"a":"2"}}}}`:                         "labels", // no text, and no key twice
		head + `,"labels":{"a":"kind","b":"kind"}}}`:                         "",
		head + `,"refs":[{"system":"s","id":"1"},{"system":"s","id":"2"}]}}`: "",
		head + `,"kind":"flag"}}`:                                            `"kind"`,
		head + `,"kind" : "flag"}}`:                                          `"kind"`,
		head + `,"k\u0069nd":"flag"}}`:                                       `"kind"`,
		head + `,"labels":{"a":"1","a":"2"}}}`:                               `"a"`,
		head + `},"change":{}}`:                                              `"change"`,
		head + `,"labels":{"x":"x"` + many.String() + `}}}`:                  "",
		head + `,"labels":{"l5":"x"` + many.String() + `}}}`:                 `"l5"`,
		head + `,"title":"a\u0000b"}}`:                                       "title",
		head + `,"refs":[{"system":"a\u0000b","id":"1"}]}}`:                  "refs[0].system",
		head + `,"title":"a \\u0000 b"}}`:                                    "",
		head + `,"title":"\"kind\":"}}`:                                      "",
	} {
		if want == "" && strings.Contains(in, `"l9"`) && 3*maxTwice > MaxLabels {
			want = "labels"
		}
		_, err := DecodeEvent([]byte(in))
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: want %q, got %v", in, want, err)
		}
	}
}
