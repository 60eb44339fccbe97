package say

import (
	"strings"
	"unicode"

	"github.com/triaged-dev/triaged/triage"
)

// Bounds on what is taken from outside for one line, in characters.
const (
	MaxName     = 60
	MaxPhrase   = 120
	MaxSentence = 200
	maxVersion  = 32
)

// Clean makes a string from outside fit to stand on a line: no control or direction characters, no line breaks, no words
// that call a whole channel, at most n characters. It does not escape: HTML and Markdown are their writers' matter.
func Clean(s string, n int) string {
	s = strings.ToValidUTF8(s, "")
	s = strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r):
			return ' '
		case unicode.IsControl(r) || unicode.Is(unicode.Cf, r) || unicode.Is(unicode.Co, r):
			return -1
		}
		return r
	}, s)
	s = strings.Join(strings.Fields(s), " ")
	for _, w := range [...]string{"@here", "@channel", "@everyone"} {
		s = replaceFold(s, w, w[1:])
	}
	if runes := []rune(s); len(runes) > n {
		s = strings.TrimRight(string(runes[:n-1]), " ,;:·") + "…"
	}
	return s
}

// replaceFold replaces old, in any case.
func replaceFold(s, old, with string) string {
	for {
		i := strings.Index(strings.ToLower(s), old)
		if i < 0 || len(strings.ToLower(s)) != len(s) {
			return s
		}
		s = s[:i] + with + s[i+len(old):]
	}
}

// URL keeps absolute http and https addresses without spaces or control characters; anything else is dropped.
func URL(s string) string {
	if len(s) > triage.MaxURL || (!strings.HasPrefix(s, "https://") && !strings.HasPrefix(s, "http://")) {
		return ""
	}
	if strings.ContainsFunc(s, func(r rune) bool {
		return unicode.IsSpace(r) || unicode.IsControl(r) || strings.ContainsRune("<>|\"`", r)
	}) {
		return ""
	}
	return s
}

// Enum reads a value of an enum as words: do_not_roll_back is "do not roll back".
func Enum[T ~string](v T) string { return strings.ReplaceAll(string(v), "_", " ") }
