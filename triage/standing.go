package triage

// Word is what a Report says in its headline, on cards and on pages alike.
type Word string

// The words. Each names a state of knowledge; whether to act is the Recommendation's to say.
const (
	WordLikely   Word = "LIKELY"
	WordPossible Word = "POSSIBLE" // one change stands alone, and not well enough
	WordSeparate Word = "CANNOT SEPARATE"
	WordNone     Word = "NO CHANGE I SAW FITS"
)

// Where the words begin.
const (
	LikelyFrom   = 0.5  // a leader below this is never likely
	CloseBy      = 0.25 // suspects this near the leader cannot be told from it
	PossibleFrom = 0.2  // below this a further hypothesis is called unlikely
	AloneFrom    = 0.65 // a leader that nothing accuses directly is likely from here on
)

// Standing is the headline of a Report: its word, and the suspects it names, in order, at most three.
type Standing struct {
	Word  Word
	Named []Suspect
}

// Standing finds the headline. A suspect with nothing but its timing and nature against it is named only where the
// Recommendation acts on it or warns of it.
func (r Report) Standing() Standing {
	lead := r.Leader()
	if lead == nil {
		return Standing{Word: WordNone}
	}
	// A shift with no change behind it may lead: then no change fits, and it is said where it points.
	if lead.Change == nil {
		return Standing{Word: WordNone}
	}
	rec := r.Recommendation
	// What the advice calls too close to act on must not be called likely above it.
	undecided := rec.Verdict == VerdictCannotTell && len(r.Suspects) > 1 && r.Suspects[1].Probability >= PossibleFrom
	switch {
	case rec.Verdict == VerdictAct && rec.Target != nil && lead.ID() == string(rec.Target.ChangeID):
		return Standing{WordLikely, r.Suspects[:1]}
	case r.None.Probability >= lead.Probability && rec.Verdict != VerdictHarmful:
		return Standing{Word: WordNone}
	case lead.Probability >= lead.likelyFrom() && !undecided && (!lead.OnlyTiming() || rec.Verdict == VerdictHarmful):
		return Standing{WordLikely, r.Suspects[:1]}
	}
	s := Standing{Word: WordSeparate}
	for _, o := range r.Suspects {
		if len(s.Named) < 3 && o.Probability >= PossibleFrom && (undecided || lead.Probability-o.Probability <= CloseBy) && !o.OnlyTiming() {
			s.Named = append(s.Named, o)
		}
	}
	if len(s.Named) == 1 { // there is nothing to separate it from but what was not seen
		s.Word = WordPossible
	}
	return s
}

// likelyFrom is where a leader is called likely: later where it changed the alerting service itself and nothing accuses it
// directly, for that service shifts whatever the cause.
func (s Suspect) likelyFrom() float64 {
	if s.Hops != nil && *s.Hops == 0 {
		for _, e := range s.For {
			if e.Direct {
				return LikelyFrom
			}
		}
		return AloneFrom
	}
	return LikelyFrom
}

// neutralFactors say when, what and how often, but not that a change touched what fails. A factor not listed counts as evidence.
var neutralFactors = map[string]bool{
	"timing": true, "kind": true, "busy": true, "scope": true, "exposure": true, "size": true, "risk": true, "words": true,
	"history": true, "reverted": true,
}

// Neutral reports whether the evidence says when, what and how often, but not that the change touched what fails.
func (e Evidence) Neutral() bool { return neutralFactors[e.Factor] }

// OnlyTiming reports whether nothing but its time and nature speaks for s.
func (s Suspect) OnlyTiming() bool {
	for _, e := range s.For {
		if e.Direct || (e.Contribution > 0 && !e.Neutral()) {
			return false
		}
	}
	return true
}
