package say

import "github.com/triaged-dev/triaged/triage"

// Seen says how a change became known that nobody reported, and how sure that is; "" where somebody told of it.
func Seen(s triage.Seen) string {
	if s.IsZero() {
		return ""
	}
	text := "nobody reported it: "
	in := firstOf(Clean(s.In, MaxName), "a metric")
	switch s.Surely {
	case triage.SurelyCertain:
		text += in + " shows what changed"
	case triage.SurelyLikely:
		text += in + " shows that it was written, perhaps with the same contents"
	default:
		text += in + " shows that it was read or applied again, perhaps as it was"
	}
	if s.LateS > 0 {
		text += ", " + Span(Seconds(s.LateS)) + " later at most"
	}
	return text
}
