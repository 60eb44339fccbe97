package card

import (
	"fmt"

	"github.com/triaged-dev/triaged/triage"
)

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
