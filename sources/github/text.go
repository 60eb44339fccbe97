package github

import (
	"net/url"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/triaged-dev/triaged/triage"
)

// clean makes one bounded line of text from outside: no control characters, no broken UTF-8, at most triage.MaxText bytes.
func clean(s string) string { return cleanTo(s, triage.MaxText) }

func cleanTo(s string, limit int) string {
	s = strings.ToValidUTF8(s, "")
	s = strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\r' || r == '\t':
			return ' '
		case unicode.IsControl(r) || unicode.Is(unicode.Cf, r):
			return -1
		}
		return r
	}, s)
	s = strings.TrimSpace(s)
	if len(s) <= limit {
		return s
	}
	const mark = "…"
	s = s[:limit-len(mark)]
	for len(s) > 0 && !utf8.RuneStart(s[len(s)-1]) {
		s = s[:len(s)-1]
	}
	if r, n := utf8.DecodeLastRuneInString(s); r == utf8.RuneError && n == 1 {
		s = s[:len(s)-1]
	}
	return s + mark
}

// firstLine is the subject of a commit message or title.
func firstLine(s string) string {
	s, _, _ = strings.Cut(strings.TrimSpace(s), "\n")
	return clean(s)
}

// link passes an http(s) URL through and drops anything else: these fields are filled by whoever posts a status.
func link(s string) string {
	s = strings.TrimSpace(s)
	if s == "" || len(s) > triage.MaxURL {
		return ""
	}
	u, err := url.Parse(s)
	if err != nil || (u.Scheme != "https" && u.Scheme != "http") || u.Host == "" || u.User != nil {
		return ""
	}
	return u.String()
}

// shortSHA is the form people read.
func shortSHA(sha string) string {
	if isSHA(sha) {
		return sha[:7]
	}
	return clean(sha)
}

func isSHA(s string) bool {
	if len(s) != 40 && len(s) != 64 {
		return false
	}
	return strings.Trim(s, "0123456789abcdefABCDEF") == ""
}

// zeroSHA stands for "no commit": the before of a new branch, the after of a deleted one.
func zeroSHA(s string) bool { return strings.Trim(s, "0") == "" }

// maxAhead is how far a time may lie in the future before it is not believed.
const maxAhead = 5 * time.Minute

// believe clamps a time that lies too far ahead of now, and says so.
func believe(t, now time.Time) (time.Time, bool) {
	if t.After(now.Add(maxAhead)) {
		return now, true
	}
	return t, false
}
