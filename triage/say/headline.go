package say

import (
	"fmt"
	"strings"

	"github.com/triaged-dev/triaged/triage"
)

// Statement is a headline in one phrase: its word, and whom it names.
func Statement(s triage.Standing) string {
	names := make([]string, 0, len(s.Named))
	for _, n := range s.Named {
		names = append(names, Suspect(n))
	}
	if len(names) == 0 {
		return string(s.Word)
	}
	return string(s.Word) + ": " + strings.Join(names, " / ")
}

// maxListed is how many names are said before the rest is counted.
const maxListed = 4

// List says the first of several names, and counts the rest.
func List(names []string) string {
	if n := len(names) - maxListed; n > 0 {
		return strings.Join(names[:maxListed], ", ") + fmt.Sprintf(" and %d more", n)
	}
	return strings.Join(names, ", ")
}
