package card

import (
	"slices"
	"strings"
	"time"

	"github.com/triaged-dev/triaged/triage"
)

// Significance says how much a report differs from the one before it.
type Significance int

// The degrees.
const (
	Same     Significance = iota // nothing a reader would see
	Numbers                      // the same statement with other numbers
	Material                     // another leader, verdict, action or state
)

// Compare compares a report with the one told before; a nil prev makes it material.
func Compare(prev *triage.Report, prevState triage.IncidentState, r triage.Report, inc triage.Incident) Significance {
	if prev == nil || prevState != inc.State || standing(*prev) != standing(r) || progress(*prev) != progress(r) {
		return Material
	}
	text := func(r triage.Report) string {
		c := New(Input{Incident: inc, Report: r})
		c.Stamp = ""
		return c.Text()
	}
	if text(*prev) != text(r) {
		return Numbers
	}
	return Same
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

// TakenBack reports whether r alone takes back what was posted moments ago: the same state, nothing found that happened since, but a
// weaker statement. Probabilities near a threshold swing with each scrape; a statement is taken back when the next look, some
// seconds on, says so too. What is stronger or names another is posted at once.
func TakenBack(posted *triage.Report, postedAs triage.IncidentState, prev *triage.Report, r triage.Report, inc triage.Incident) bool {
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
	case triage.WordPossible, triage.WordSeparate:
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
