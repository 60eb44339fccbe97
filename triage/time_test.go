package triage

import (
	"encoding/json"
	"testing"
	"time"
)

func TestParseTime(t *testing.T) {
	at := func(s string) time.Time {
		v, err := time.Parse(time.RFC3339Nano, s)
		if err != nil {
			t.Fatal(err)
		}
		return v.UTC()
	}
	for in, want := range map[string]time.Time{
		"":                             {},
		"0001-01-01T00:00:00Z":         {},
		"0":                            {},
		"2026-03-02T14:21:07Z":         at("2026-03-02T14:21:07Z"),
		"2026-03-02T15:21:07.1+01:00":  at("2026-03-02T14:21:07.1Z"),
		"2023-03-20T14:27:05.315384Z":  at("2023-03-20T14:27:05.315384Z"),
		"2015-07-17T08:42:58.315+0000": at("2015-07-17T08:42:58.315Z"),
		"2021-04-28 21:50:00 +0200":    at("2021-04-28T19:50:00Z"),
		"2015-05-17 18:08:09 UTC":      at("2015-05-17T18:08:09Z"),
		"1772461267118":                at("2026-03-02T14:21:07.118Z"),
		"1772461267":                   at("2026-03-02T14:21:07Z"),
		"1772461267.5":                 at("2026-03-02T14:21:07.5Z"),
	} {
		got, err := ParseTime(in)
		if err != nil || !got.Equal(want) {
			t.Errorf("ParseTime(%q): want %v, got %v, %v", in, want, got, err)
		}
	}
	for _, in := range []string{"2026-03-02T14:21:07", "2026-03-02 14:21:07", "yesterday", "-5", "1e300", "NaN"} {
		if got, err := ParseTime(in); err == nil {
			t.Errorf("ParseTime(%q): want an error, got %v", in, got)
		}
	}
	if got, err := ParseTimeJSON(json.RawMessage(`1772461267118`)); err != nil || !got.Equal(at("2026-03-02T14:21:07.118Z")) {
		t.Errorf("number: got %v, %v", got, err)
	}
	if _, err := ParseTimeJSON(json.RawMessage(`{"a":1}`)); err == nil {
		t.Error("an object is no time")
	}
}
