package alerting

import (
	"slices"
	"strings"

	"github.com/triaged-dev/triaged/triage"
)

// significanceLevel says how much a report differs from the one before it.
type significanceLevel int

const (
	sigNone     significanceLevel = iota // nothing a reader would see
	sigNumbers                           // the same statement with other numbers
	sigMaterial                          // another leader, verdict, action or state
)

// stoppedNote marks a first report that was made when the incident had recovered already.
const stoppedNote = "it had stopped before this report was made"

// significance compares a report with the one told before; a nil prev makes it material.
func significance(prev *triage.Report, prevState triage.IncidentState, r triage.Report, inc triage.Incident) significanceLevel {
	if prev == nil || prevState != inc.State || standing(*prev) != standing(r) {
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
	v := judge(r)
	parts := []string{string(v.word), string(r.Recommendation.Verdict), string(r.Recommendation.Action)}
	if t := r.Recommendation.Target; t != nil {
		parts = append(parts, string(t.ChangeID))
	}
	ids := make([]string, 0, len(v.named))
	for _, s := range v.named {
		ids = append(ids, s.ID())
	}
	slices.Sort(ids)
	return strings.Join(append(parts, ids...), "\x00")
}

// stateTold is the state of the incident that a report speaks of.
func stateTold(r triage.Report) triage.IncidentState {
	switch {
	case r.Cause == CauseRecovered || slices.Contains(r.Notes, stoppedNote):
		return triage.IncidentRecovered
	case slices.ContainsFunc(r.Notes, func(n string) bool { return strings.HasPrefix(n, undoMark) }):
		return triage.IncidentMitigating
	}
	return triage.IncidentOpen
}

// told is the incident in the state its report speaks of: a post that was delayed must not mix two moments.
func told(inc triage.Incident, r triage.Report) triage.Incident {
	inc.State = stateTold(r)
	return inc
}
