package alerting

import "github.com/triaged-dev/triaged/triage"

// word is what the headline of a card says.
type word string

const (
	wordLikely   word = "LIKELY"
	wordSeparate word = "CANNOT SEPARATE"
	wordNone     word = "NO CHANGE I SAW FITS"
)

// Where the words begin. They name a state of knowledge, so they follow the report's own probabilities and verdict;
// whether to act is decided elsewhere, by the recommendation.
const (
	likelyFrom   = 0.5  // a leader below this is never "likely"
	closeBy      = 0.25 // suspects this near the leader cannot be told from it
	possibleFrom = 0.2  // below this a further hypothesis is called unlikely
	mentionFrom  = 0.03 // below this a suspect is only counted among those that do not fit
)

// judgement is the headline of a report.
type judgement struct {
	word  word
	named []triage.Suspect // whom the headline names, in order; at most three
}

// judge finds the headline. A suspect with nothing but timing against it is never named there.
func judge(r triage.Report) judgement {
	lead := r.Leader()
	if lead == nil {
		return judgement{word: wordNone}
	}
	acting := r.Recommendation.Verdict == triage.VerdictAct && r.Recommendation.Target != nil
	// A shift with no change behind it may lead: then no change fits, and the card says where it points.
	if lead.Change == nil {
		return judgement{word: wordNone}
	}
	// What the advice calls too close to act on must not be called likely above it.
	undecided := r.Recommendation.Verdict == triage.VerdictCannotTell && len(r.Suspects) > 1 && r.Suspects[1].Probability >= possibleFrom
	switch {
	case acting && lead.ID() == string(r.Recommendation.Target.ChangeID):
		return judgement{wordLikely, r.Suspects[:1]}
	case r.None.Probability >= lead.Probability && r.Recommendation.Verdict != triage.VerdictHarmful:
		return judgement{word: wordNone}
	case lead.Probability >= likelyFrom && !undecided && (!onlyTiming(*lead) || r.Recommendation.Verdict == triage.VerdictHarmful):
		return judgement{wordLikely, r.Suspects[:1]}
	}
	v := judgement{word: wordSeparate}
	for _, s := range r.Suspects {
		if len(v.named) < 3 && s.Probability >= possibleFrom && (undecided || lead.Probability-s.Probability <= closeBy) && !onlyTiming(s) {
			v.named = append(v.named, s)
		}
	}
	return v
}

// neutralFactors say when, what and how often, but not that a change touched what fails. A factor not listed counts as evidence.
var neutralFactors = map[string]bool{
	"timing": true, "kind": true, "busy": true, "scope": true, "exposure": true, "size": true, "risk": true, "words": true,
	"history": true, "reverted": true,
}

// onlyTiming reports whether nothing but its time and nature speaks for s.
func onlyTiming(s triage.Suspect) bool {
	for _, e := range s.For {
		if e.Direct || (e.Contribution > 0 && !neutralFactors[e.Factor]) {
			return false
		}
	}
	return true
}
