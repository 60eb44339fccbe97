package card

import (
	"slices"
	"strconv"
	"strings"

	"github.com/triaged-dev/triaged/triage"
	"github.com/triaged-dev/triaged/triage/say"
)

// advice writes what to do, or the refusal with its reason.
func (c *Card) advice(in Input, v triage.Standing) {
	rec := in.Report.Recommendation
	reason := strings.TrimSuffix(say.Clean(rec.Reason, say.MaxSentence), ".")
	switch rec.Verdict {
	case triage.VerdictHarmful:
		c.add("A ROLLBACK WOULD DO HARM", reason)
	case triage.VerdictWillNotHelp:
		c.add("A ROLLBACK WILL NOT HELP", reason)
	default: // no refusal; where there was nothing to undo, that is said
		if v.Word == triage.WordNone && in.Report.Candidates == 0 && !in.Report.Deadline {
			text := ""
			if rec.Doubt == "" {
				text = reason
			}
			c.add("I KNOW OF NOTHING TO ROLL BACK", text)
		}
	}
	switch {
	case (rec.Action.Reversal() || rec.Action == triage.ActionInvestigate) && rec.Target != nil && undone(in.Report, rec.Target.ChangeID):
		// It was done: the lines above say so, and what it did.
	case rec.Action != triage.ActionDoNotRollBack:
		l := Line{Word: "DO", Text: doLine(in.Report), Sub: steps(rec)}
		if rec.Action == triage.ActionInvestigate {
			l = look(in.Report, v, reason, l.Sub)
		}
		if t := rec.Target; t != nil {
			l.URL = say.URL(t.URL)
		}
		if l.Text != "" {
			c.Lines = append(c.Lines, l)
		}
	default:
		if s := steps(rec); len(s) > 0 {
			c.Lines = append(c.Lines, Line{Word: "LOOK", Text: s[0], Sub: s[1:]})
		}
	}
	for i, a := range rec.Avoid {
		if i < 2 && a.Reason != rec.Reason && a.Reason != reason && tempting(a, in.Report) {
			c.add("AVOID", avoided(a, in.Report)+": "+say.Clean(a.Reason, say.MaxSentence))
		}
	}
}

// look is the line of who may not act yet: what to do first, and why no undo is advised where the headline does not tell.
func look(r triage.Report, v triage.Standing, reason string, steps []string) Line {
	rec := r.Recommendation
	l := Line{Word: "LOOK", Text: say.Clean(rec.Check, maxChecked), Sub: steps}
	weighed := rec.Doubt != "" && rec.Doubt != triage.DoubtNoChange // an undo was, so there is something to be said against it
	switch {
	case rec.Experiment != nil && rec.Experiment.What == rec.Check:
		l.URL = say.URL(rec.Experiment.URL)
	case len(steps) > 0 && (!weighed || l.Text == ""): // it is known where to look, if not for what
		l.Text, l.Sub = steps[0], steps[1:]
	}
	plain := reason == "" || rec.Doubt.Plain() || rec.Verdict == triage.VerdictHarmful || rec.Verdict == triage.VerdictWillNotHelp ||
		len(v.Named) == 0 && (rec.Doubt == triage.DoubtStill || rec.Doubt == triage.DoubtUnmeasured) ||
		!weighed && v.Word == triage.WordNone && (pointsAt(r) || r.Candidates == 0 && !r.Deadline)
	switch {
	case l.Text == "":
		l.Text = reason
	case !plain:
		l.Sub = append([]string{reason}, l.Sub...)
	}
	return l
}

// tempting reports whether somebody might undo it: it came after the onset, where all eyes are, or it is a suspect that is possible.
func tempting(a triage.Avoid, r triage.Report) bool {
	i := slices.IndexFunc(r.Suspects, func(s triage.Suspect) bool { return s.Change != nil && s.Change.ID == a.Target })
	return a.Class != triage.VerdictHarmful || i < 0 || i == 0 && r.Suspects[0].Probability >= r.None.Probability || r.Suspects[i].Probability >= triage.PossibleFrom
}

// avoided is what not to do.
func avoided(a triage.Avoid, r triage.Report) string {
	for _, s := range r.Suspects {
		if s.Change != nil && s.Change.ID == a.Target {
			return "undoing " + say.Change(*s.Change)
		}
	}
	if a.Change != nil {
		return "undoing " + say.Undone(*a.Change)
	}
	return say.Enum(a.Action)
}

func steps(rec triage.Recommendation) []string {
	var out []string
	for _, i := range rec.Steps {
		switch t := rec.Target; {
		case i.Does == rec.Action && i.Does != "":
			continue // the line above has said it
		case len(rec.Either) > 0 && i.Kind != triage.InstructDo:
			continue // both names fit on a card, both commands do not: they are on the page
		case i.Kind == triage.InstructOpen && t != nil && i.URL == t.URL:
			continue // the line itself carries that link
		}
		s := say.Instruction(i)
		if i.Kind == triage.InstructRun && len([]rune(s)) > say.MaxSentence {
			s = "the command for it is on the page" // half a command is worse than none
		}
		if s = say.Clean(s, say.MaxSentence); s != "" && len(out) < 2 {
			out = append(out, s)
		}
	}
	return out
}

// actionAt is the action as an instruction, with where.
func actionAt(r triage.Report) string {
	rec := r.Recommendation
	s := say.Action(r)
	if rec.Target != nil && rec.Action != triage.ActionFixForward {
		if p := say.Place(rec.Target.Scope); p != "" {
			s += " in " + p
		}
	}
	return s
}

// doLine is actionAt with what it takes along.
func doLine(r triage.Report) string {
	rec, s := r.Recommendation, actionAt(r)
	switch {
	case !rec.Action.Reversal():
		return s
	case len(rec.AlsoUndoes) == 0:
		return s + " · undoes only this change"
	}
	return s + " · also undoes " + alsoUndoes(rec.AlsoUndoes)
}

func alsoUndoes(us []triage.Undone) string {
	names := make([]string, 0, 2)
	for _, u := range us[:min(len(us), 2)] {
		names = append(names, say.Undone(u))
	}
	if more := len(us) - len(names); more > 0 {
		return say.Plural(len(us), "change", "changes") + ": " + strings.Join(names, ", ") + " and " + strconv.Itoa(more) + " more"
	}
	return say.Plural(len(us), "change", "changes") + ": " + strings.Join(names, ", ")
}

func adviceInShort(r triage.Report) string {
	if r.Recommendation.Action.Reversal() {
		return actionAt(r)
	}
	return say.Enum(r.Recommendation.Action)
}

// checks writes how to see that it worked, and who owns it.
func (c *Card) checks(in Input) {
	rec := in.Report.Recommendation
	done := rec.Target != nil && undone(in.Report, rec.Target.ChangeID) && settled(in.Report)
	looked := slices.ContainsFunc(c.Lines, func(l Line) bool {
		return l.Word == "LOOK" && rec.Check != "" && l.Text == say.Clean(rec.Check, maxChecked)
	})
	if s := say.Clean(rec.Check, maxChecked); s != "" && !done && !looked {
		l := Line{Word: "CHECK", Text: s}
		if e := rec.Experiment; e != nil && e.What == rec.Check {
			l.URL = say.URL(e.URL)
		}
		c.Lines = append(c.Lines, l)
	}
	if s := say.Clean(in.Report.Recommendation.Owner, say.MaxPhrase); s != "" {
		c.add("OWNER", s)
	}
}
