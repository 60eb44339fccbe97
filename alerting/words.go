package alerting

import (
	"fmt"
	"time"

	"github.com/triaged-dev/triaged/triage"
	"github.com/triaged-dev/triaged/triage/say"
)

// Bounds on what is taken from outside for one card, in characters.
const (
	maxName    = say.MaxName
	maxChecked = 320 // what an undo did, with what speaks against it
)

func clean(s string, n int) string { return say.Clean(s, n) }

func describeChange(c *triage.Change) string { return say.Change(*c) }

func clock(t time.Time) string { return say.Clock(t) }

// odds is a probability in words, or in per cent where enough of the team's own labels stand behind it.
func odds(p float64, percentages bool) string {
	switch {
	case percentages:
		return fmt.Sprintf("%.0f %%", 100*p)
	case p >= triage.PossibleFrom:
		return "possible"
	}
	return "unlikely"
}
