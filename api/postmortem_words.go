package api

import (
	"regexp"
	"strings"
	"time"

	"github.com/triaged-dev/triaged/triage"
	"github.com/triaged-dev/triaged/triage/say"
)

func clockOf(t time.Time) string {
	if t.IsZero() {
		return "an unknown time"
	}
	return say.Clock(t)
}

// naming is a suspect with its time.
func naming(s triage.Suspect) string { return say.Suspect(s) + ", at " + clockOf(say.Began(s)) }

// person recognises addresses and handles, which titles of changes often hold.
var person = regexp.MustCompile(`[\w.+-]+@[\w.-]+\.\w+|(^|[\s(])@[\w-]+`)

// plainText is a string from outside on one line, without addresses and handles, and without Markdown of its own.
func plainText(s string) string {
	s = person.ReplaceAllString(s, "${1}(somebody)")
	s = strings.Join(strings.Fields(s), " ")
	return strings.NewReplacer("<", "&lt;", "`", "'", "*", "\\*", "[", "\\[", "]", "\\]", "#", "\\#").Replace(s)
}

// cell is plainText for a cell of a table.
func cell(s string) string { return strings.ReplaceAll(plainText(s), "|", "\\|") }

// sentence is plainText with a capital and without its full stop.
func sentence(s string) string { return say.Upper(strings.TrimSuffix(plainText(s), ".")) }
