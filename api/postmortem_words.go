package api

import (
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/triaged-dev/triaged/triage"
)

func clockOf(t time.Time) string {
	if t.IsZero() {
		return "an unknown time"
	}
	return t.UTC().Format("15:04:05")
}

func minutes(d time.Duration) string {
	switch d = d.Round(time.Second); {
	case d < 0:
		return "0 s"
	case d < 2*time.Minute:
		return fmt.Sprintf("%d s", int(d.Seconds()))
	case d < 2*time.Hour:
		return fmt.Sprintf("%d min", int(d.Round(time.Minute).Minutes()))
	}
	return fmt.Sprintf("%.1f h", d.Hours())
}

func times(n int) string {
	if n == 1 {
		return "once"
	}
	return fmt.Sprintf("%d times", n)
}

// naming is a suspect in words.
func naming(s triage.Suspect) string {
	if s.Change != nil {
		return describe(*s.Change) + ", at " + clockOf(s.Change.OccurredAt())
	}
	if s.Anomaly != nil {
		return fmt.Sprintf("a shift in %s of %s, at %s", s.Anomaly.Signal, s.Anomaly.Service, clockOf(s.Anomaly.Onset.Best))
	}
	return "something unnamed"
}

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
func sentence(s string) string {
	s = strings.TrimSuffix(plainText(s), ".")
	if s == "" {
		return ""
	}
	r := []rune(s)
	return strings.ToUpper(string(r[0])) + string(r[1:])
}
