package card

import (
	"fmt"
	"slices"
	"strings"

	"github.com/triaged-dev/triaged/triage"
	"github.com/triaged-dev/triaged/triage/say"
)

const maxChecked = 320 // characters of what an undo did, with what speaks against it

// settled reports whether every undo has been measured to an end.
func settled(r triage.Report) bool {
	return len(r.Checked) > 0 && !slices.ContainsFunc(r.Checked, func(c triage.Checked) bool { return c.Outcome == triage.CheckWatching })
}

// checked says what each undo did, once there is something to say.
func (c *Card) checked(in Input) {
	for _, k := range in.Report.Checked {
		if k.Outcome == triage.CheckWatching {
			continue
		}
		var sub []string
		for _, s := range k.Steps {
			if s = say.Clean(s, say.MaxSentence); s != "" && len(sub) < 2 && in.Incident.State != triage.IncidentRecovered {
				sub = append(sub, s)
			}
		}
		c.add("CHECKED", strings.TrimSuffix(say.Clean(k.Sentence, maxChecked), "."), sub...)
	}
}

// hold names what went live since it began: more of it would blur what did what.
func (c *Card) hold(in Input) {
	if len(in.Report.Hold) == 0 {
		return
	}
	var names []string
	for _, h := range in.Report.Hold {
		names = append(names, say.Undone(h)+" "+say.Moment(h.At, in.Report.CreatedAt))
	}
	c.add("HOLD", "went live since it began: "+say.List(names)+"; hold others until this is settled")
}

// undone reports whether a change has been taken back, so that it needs no advice to do so.
func undone(r triage.Report, id triage.ChangeID) bool {
	return slices.ContainsFunc(r.Checked, func(c triage.Checked) bool { return c.Undid == id && c.Outcome != triage.CheckRedone })
}

// sinceUndone tells a reader what became of a statement that was acted on: it was no retraction, it was done.
func (c *Card) sinceUndone(in Input, v triage.Standing) bool {
	t := in.Previous.Recommendation.Target
	if t == nil || !in.Previous.Recommendation.Action.Reversal() || !undone(in.Report, t.ChangeID) {
		return false
	}
	if was := in.Previous.Standing(); was.Word != v.Word || !sameNamed(was, v) {
		c.add("DONE", fmt.Sprintf("what report %d advised: %s; what it did decides now, not the ranking, which says %s", in.Previous.Number, adviceInShort(*in.Previous), say.Statement(v)))
	}
	return true
}

// suspectWas names the suspect of an incident that is over, so that it and what was checked speak of the same change, or says why not.
func suspectWas(in Input, v triage.Standing) string {
	named := triage.ChangeID("")
	text := "none I could name"
	if len(v.Named) > 0 && v.Word == triage.WordLikely {
		named = triage.ChangeID(v.Named[0].ID())
		text = say.Suspect(v.Named[0]) + ", " + say.When(v.Named[0], in.Report)
	}
	for _, k := range in.Report.Checked {
		if k.Undid == named && k.Outcome.Active() {
			if k.Outcome == triage.CheckElsewhere {
				return text + "; it had turned before that was undone, and what ended it is not known"
			}
			return text
		}
	}
	for _, k := range in.Report.Checked {
		if !k.Outcome.Recovered() || k.Outcome == triage.CheckElsewhere {
			continue
		}
		other := rankedAs(in.Report, k.Undid)
		switch {
		case other == "":
		case named == "":
			return text + "; it recovered after " + other + " was undone"
		case k.Outcome == triage.CheckVerified:
			return other + ": undoing it ended it. Named first was " + say.Suspect(v.Named[0]) + ", which " + leftAs(in.Report, named)
		default:
			return text + ", which " + leftAs(in.Report, named) + "; it recovered after " + other + " was undone"
		}
	}
	return text
}

// rankedAs is a change of the report with its rank: "flag new-pricing off → on (ranked 2)".
func rankedAs(r triage.Report, id triage.ChangeID) string {
	for _, s := range r.Suspects {
		if s.Change != nil && s.Change.ID == id {
			return fmt.Sprintf("%s (ranked %d)", say.Change(*s.Change), s.Rank)
		}
	}
	return ""
}

// leftAs says what became of a suspect that was not what ended it.
func leftAs(r triage.Report, id triage.ChangeID) string {
	for _, k := range r.Checked {
		if k.Undid == id {
			return map[bool]string{true: "was undone without effect", false: "was put back in place"}[k.Outcome == triage.CheckNotHelped]
		}
	}
	return "was left in place"
}

// otherUndone says under a suspect that another change was undone and the symptom went: the ranking is older than that.
func otherUndone(s triage.Suspect, r triage.Report) string {
	for _, k := range r.Checked {
		if (k.Outcome == triage.CheckVerified || k.Outcome == triage.CheckConsistent) && string(k.Undid) != s.ID() {
			if other := rankedAs(r, k.Undid); other != "" {
				return "but: it recovered after " + other + " was undone; the ranking was made before that"
			}
		}
	}
	return ""
}
