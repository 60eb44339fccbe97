package triage

import "math"

// Label is what people said an incident was, all of it taken together.
type Label struct {
	Truth    ChangeID          // the change that was confirmed last; "" none was
	None     bool              // they say that it was no change
	Rejected map[ChangeID]bool // changes they say it was not
}

// LabelOf takes feedback together, earliest first: the latest word on what it was wins. Verified undos are nobody's word.
func LabelOf(said []Feedback) Label {
	l := Label{Rejected: make(map[ChangeID]bool)}
	for _, f := range said {
		switch f.Verdict {
		case FeedbackConfirm:
			l.Truth, l.None = f.ChangeID, false
			delete(l.Rejected, f.ChangeID)
		case FeedbackNone:
			l.Truth, l.None = "", true
		case FeedbackReject:
			l.Rejected[f.ChangeID] = true
			if l.Truth == f.ChangeID {
				l.Truth = ""
			}
		}
	}
	return l
}

// Known reports whether the label says what it was. A rejection alone does not.
func (l Label) Known() bool { return l.Truth != "" || l.None }

// Judgement is a report held against its label. The report to judge is an incident's first: it is what on-call acted on.
type Judgement struct {
	Label
	Leader      ChangeID // the first hypothesis; "" is none
	Probability float64  // of the first hypothesis
	Named       ChangeID // the change that was called likely; "" none was
	Advised     ChangeID // the change whose reversal was advised; "" none was
}

// Judge holds the report against a label. Counts is false where the label says nothing about it: without a known truth it
// does only if it rejects what the report named.
func (r Report) Judge(l Label) (j Judgement, counts bool) {
	j = Judgement{Label: l, Probability: r.None.Probability}
	if lead := r.Leader(); lead != nil && lead.Probability > r.None.Probability {
		j.Probability = lead.Probability
		if lead.Change != nil { // a trigger that is no change stands with none
			j.Leader = lead.Change.ID
		}
	}
	if s := r.Standing(); s.Word == WordLikely && len(s.Named) > 0 {
		j.Named = ChangeID(s.Named[0].ID())
	}
	if t := r.Recommendation.Target; t != nil && r.Recommendation.Action.Reversal() {
		j.Advised = t.ChangeID
	}
	return j, l.Known() || j.Named != "" && l.Rejected[j.Named]
}

// Right reports whether the first hypothesis is what people said it was.
func (j Judgement) Right() bool { return j.Known() && j.Leader == j.Truth }

// Wilson is the 95 % interval of a share of hits in n (Wilson 1927, without continuity correction): honest for small n, never
// outside [0, 1]. 9 of 10 is 0.60 to 0.98; nothing of nothing is 0 to 1.
func Wilson(hits, n int) (low, high float64) { return wilson(float64(hits), float64(n)) }

func wilson(hits, m float64) (low, high float64) {
	if m == 0 {
		return 0, 1
	}
	const z = 1.959964
	p := hits / m
	mid := (p + z*z/(2*m)) / (1 + z*z/m)
	half := z / (1 + z*z/m) * math.Sqrt(p*(1-p)/m+z*z/(4*m*m))
	return max(0, mid-half), min(1, mid+half)
}
