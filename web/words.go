package web

import (
	"cmp"
	"strings"

	"github.com/triaged-dev/triaged/triage"
	"github.com/triaged-dev/triaged/triage/say"
)

// maxSentence bounds what is shown of a sentence, in characters: a page has more room than a card.
const maxSentence = 300

// shortName is what stands beside a mark on the axis, where the mark itself shows the kind.
func shortName(c triage.Change) string {
	moved := say.Moved(c.Moved())
	s := strings.TrimSpace(say.Clean(c.Name(), say.MaxName) + " " + moved)
	if moved == "" && c.Title != "" {
		s = say.Clean(c.Title, say.MaxName)
	}
	return say.Clean(cmp.Or(s, string(c.ID)), 42)
}

// place is say.Place, and that a change reaches everything.
func place(s triage.Scope) string {
	if p := say.Place(s); !s.Global {
		return p
	} else if p != "" {
		return p + " · everywhere"
	}
	return "everywhere"
}
