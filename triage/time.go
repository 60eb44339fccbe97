package triage

import (
	"encoding/json"
	"math"
	"strconv"
	"strings"
	"time"
)

// Layouts met in the wild besides RFC 3339, each with a zone: a time without one is refused, never guessed.
// Fractions of a second are read in every one of them.
var timeLayouts = []string{
	time.RFC3339Nano,
	"2006-01-02T15:04:05Z0700",  // PagerDuty: 2015-07-17T08:42:58.315+0000
	"2006-01-02 15:04:05 Z0700", // GitLab: 2021-04-28 21:50:00 +0200
	"2006-01-02 15:04:05 UTC",   // GitLab: 2015-05-17 18:08:09 UTC
	"2006-01-02 15:04:05Z07:00",
	"2006-01-02 15:04:05 Z0700 UTC",   // Go's own way of writing a time
	"20060102T150405Z0700",            // TeamCity: 20260302T152107+0100
	"Mon, 02 Jan 2006 15:04:05 Z0700", // as in e-mail
	"Mon, 02 Jan 2006 15:04:05 GMT",   // as in HTTP
}

// Unix times from 1e11 on are read as milliseconds: as seconds they would lie past the year 5138.
const unixMillisFrom = 1e11

const timeRemedy = "use RFC 3339 with a zone, like 2026-03-01T03:02:10Z"

// ParseTime reads the time formats that senders use: RFC 3339, the layouts of PagerDuty and GitLab, and Unix seconds or
// milliseconds as a number in a string. "" and year 1, which Alertmanager writes for "not set", are the zero time.
// The result is UTC; an error is a FieldError without a field name.
func ParseTime(s string) (time.Time, error) {
	s = strings.TrimSpace(s)
	if s == "" {
		return time.Time{}, nil
	}
	if f, err := strconv.ParseFloat(s, 64); err == nil {
		return UnixTime(f)
	}
	for _, layout := range timeLayouts {
		t, err := time.Parse(layout, s)
		if err != nil {
			continue
		}
		if t.Year() <= 1 {
			return time.Time{}, nil
		}
		return t.UTC(), nil
	}
	return time.Time{}, &FieldError{Field: "time", Value: s, Remedy: timeRemedy}
}

// UnixTime reads Unix seconds or, from 1e11 on, milliseconds. 0 is the zero time.
func UnixTime(f float64) (time.Time, error) {
	switch {
	case f == 0:
		return time.Time{}, nil
	case f >= unixMillisFrom && f < 1e14:
		return time.UnixMilli(int64(math.Round(f))).UTC(), nil
	case f > 0 && f < unixMillisFrom:
		sec, frac := math.Modf(f)
		return time.Unix(int64(sec), int64(math.Round(frac*1e6))*1000).UTC(), nil
	}
	return time.Time{}, &FieldError{Field: "time", Value: strconv.FormatFloat(f, 'g', -1, 64), Remedy: "use Unix seconds or milliseconds, or RFC 3339 with a zone"}
}

// ParseTimeJSON is ParseTime for a JSON value: a string, a number or null.
func ParseTimeJSON(raw json.RawMessage) (time.Time, error) {
	var s string
	switch {
	case len(raw) == 0 || string(raw) == "null":
		return time.Time{}, nil
	case json.Unmarshal(raw, &s) == nil:
		return ParseTime(s)
	}
	var f float64
	if json.Unmarshal(raw, &f) != nil {
		return time.Time{}, &FieldError{Field: "time", Value: clip(raw), Remedy: timeRemedy}
	}
	return UnixTime(f)
}
