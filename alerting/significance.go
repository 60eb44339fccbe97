package alerting

import (
	"slices"
	"strings"
	"time"

	"github.com/triaged-dev/triaged/triage"
)

// significanceLevel says how much a report differs from the one before it.
type significanceLevel int

const (
	sigNone     significanceLevel = iota // nothing a reader would see
	sigNumbers                           // the same statement with other numbers
	sigMaterial                          // another leader, verdict, action or state
)

// significance compares a report with the one told before; a nil prev makes it material.
func significance(prev *triage.Report, prevState triage.IncidentState, r triage.Report, inc triage.Incident) significanceLevel {
	if prev == nil || prevState != inc.State || standing(*prev) != standing(r) || progress(*prev) != progress(r) {
		return sigMaterial
	}
	text := func(r triage.Report) string {
		c := NewCard(CardInput{Incident: inc, Report: r})
		c.Stamp = ""
		return c.Text()
	}
	if text(*prev) != text(r) {
		return sigNumbers
	}
	return sigNone
}

// standing is what a report claims, without its numbers: the word on its card, whom it names, what it advises.
// Suspects below the headline may swap places without a new post.
func standing(r triage.Report) string {
	v := r.Standing()
	parts := []string{string(v.Word), string(r.Recommendation.Verdict), string(r.Recommendation.Action)}
	if t := r.Recommendation.Target; t != nil {
		parts = append(parts, string(t.ChangeID))
	}
	ids := make([]string, 0, len(v.Named))
	for _, s := range v.Named {
		ids = append(ids, s.ID())
	}
	slices.Sort(ids)
	return strings.Join(append(parts, ids...), "\x00")
}

// steadyAfter is how old a post must be for one look alone to take its statement back.
const steadyAfter = 2 * time.Minute

// takenBack reports whether r alone takes back what was posted moments ago: the same state, nothing found that happened since, but a
// weaker statement. Probabilities near a threshold swing with each scrape; a statement is taken back when the next look, some
// seconds on, says so too. What is stronger or names another is posted at once.
func takenBack(posted *triage.Report, postedAs triage.IncidentState, prev *triage.Report, r triage.Report, inc triage.Incident) bool {
	if posted == nil || prev == nil || postedAs != inc.State || progress(*posted) != progress(r) || r.Kind == triage.ReportRecovered {
		return false
	}
	return r.CreatedAt.Sub(posted.CreatedAt) < steadyAfter && strength(r) < strength(*posted) && standing(*prev) != standing(r)
}

// strength orders the words a report may say.
func strength(r triage.Report) int {
	switch r.Standing().Word {
	case triage.WordLikely:
		return 2
	case triage.WordSeparate:
		return 1
	case triage.WordNone:
	}
	return 0
}

// progress is what was found since the report before, as far as it is worth a post: what an undo did, and that others
// should hold theirs. Being watched is no news.
func progress(r triage.Report) string {
	var parts []string
	for _, c := range r.Checked {
		if c.Outcome != triage.CheckWatching && c.Outcome != triage.CheckUnmeasured {
			parts = append(parts, string(c.By)+"="+string(c.Outcome))
		}
	}
	if len(r.Hold) > 0 {
		parts = append(parts, "hold")
	}
	return strings.Join(parts, "\x00")
}

// stateTold is the state of the incident that a report speaks of; one that does not say it yet speaks of what was undone.
func stateTold(r triage.Report) triage.IncidentState {
	switch {
	case r.State != "":
		return r.State
	case r.Kind == triage.ReportRecovered:
		return triage.IncidentRecovered
	case slices.ContainsFunc(r.Checked, func(c triage.Checked) bool { return c.Outcome.Active() }):
		return triage.IncidentMitigating
	}
	return triage.IncidentOpen
}

// told is the incident in the state its report speaks of: a post that was delayed must not mix two moments.
func told(inc triage.Incident, r triage.Report) triage.Incident {
	inc.State = stateTold(r)
	return inc
}
