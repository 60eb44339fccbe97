package card

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	"github.com/triaged-dev/triaged/triage"
	"github.com/triaged-dev/triaged/triage/say"
)

// verdict writes the headline statement with what speaks for and against it.
func (c *Card) verdict(in Input, v triage.Standing) {
	r := in.Report
	switch v.Word {
	case triage.WordLikely:
		s := v.Named[0]
		why := reasons(s, r)
		if other := otherUndone(s, r); other != "" {
			why = append(why, other)
		}
		c.add(string(triage.WordLikely), say.Suspect(s)+where(s, in)+" "+say.When(s, r)+percent(s, in), why...)
	case triage.WordPossible:
		s := v.Named[0]
		text := say.Suspect(s) + where(s, in) + " " + say.When(s, r) + percent(s, in)
		if r.None.Probability >= triage.PossibleFrom {
			text += "; or something I cannot see"
		}
		c.add(string(triage.WordPossible), text, reasons(s, r)...)
	case triage.WordSeparate:
		c.separate(in, v)
	case triage.WordNone:
		c.none(r)
	}
}

// percent is how likely a named suspect is, where enough of the team's own labels stand behind the figure.
func percent(s triage.Suspect, in Input) string {
	if !in.Percentages {
		return ""
	}
	return " · " + odds(s.Probability, true)
}

// where adds the suspect's place, when it is not said in its words already.
func where(s triage.Suspect, in Input) string {
	if s.Change == nil {
		return ""
	}
	if s.Change.Global {
		return " (reaches every service)"
	}
	p := say.Place(s.Change.Scope)
	if p == "" || strings.Contains(say.Change(*s.Change), p) {
		return ""
	}
	return " in " + p
}

// reasons are the lines under a named suspect: for, against.
func reasons(s triage.Suspect, r triage.Report) []string {
	pro := sentences(accusing(s), 2)
	if pro == "" {
		pro = "its time only"
	}
	con := sentences(slices.DeleteFunc(slices.Clone(s.Against), minor), 1)
	if con == "" {
		con = "nothing found"
	}
	if n := misfits(r); n > 0 {
		con += "; " + say.Plural(n, "other change in the window does not fit", "other changes in the window do not fit")
	}
	out := []string{"for: " + pro, "against: " + con}
	if s.Change != nil && s.Change.Seen.Surely != triage.SurelyCertain && !s.Change.Seen.IsZero() { // what is certain is no caveat
		out = append(out, say.Seen(s.Change.Seen))
	}
	return out
}

// minor is what weighs less than half a nat and says only where or what a change is: no line for it at night, all of it on the page.
func minor(e triage.Evidence) bool {
	return e.Contribution > -500 && (e.Neutral() || e.Factor == "topology")
}

// misfits counts the changes that were weighed and found too light to mention.
func misfits(r triage.Report) int {
	n := r.Candidates
	if u := r.Unlisted; u.Probability >= mentionFrom*float64(u.Changes) { // as heavy as those that are mentioned
		n -= u.Changes
	}
	for i, s := range r.Suspects {
		if s.Change != nil && (i == 0 || s.Probability >= mentionFrom) {
			n--
		}
	}
	return max(n, 0)
}

// accusing is what says that the change touched what fails, the measured first. When and what it is stands above.
func accusing(s triage.Suspect) []triage.Evidence {
	return slices.DeleteFunc(directFirst(s.For), func(e triage.Evidence) bool { return e.Neutral() && !e.Direct })
}

func directFirst(es []triage.Evidence) []triage.Evidence {
	es = slices.DeleteFunc(slices.Clone(es), func(e triage.Evidence) bool { return e.Contribution <= 0 && !e.Direct })
	slices.SortStableFunc(es, func(a, b triage.Evidence) int {
		if a.Direct != b.Direct {
			if a.Direct {
				return -1
			}
			return 1
		}
		return cmp.Compare(b.Contribution, a.Contribution)
	})
	return es
}

func sentences(es []triage.Evidence, n int) string {
	var out []string
	for _, e := range es {
		if s := strings.TrimSuffix(say.Clean(e.Sentence, say.MaxSentence), "."); s != "" && len(out) < n {
			out = append(out, s)
		}
	}
	return strings.Join(out, "; ")
}

func (c *Card) separate(in Input, v triage.Standing) {
	switch len(v.Named) {
	case 0:
		c.add(string(triage.WordSeparate), "nothing but timing points at any change I saw")
	default:
		sub := make([]string, 0, len(v.Named))
		for _, s := range v.Named {
			line := say.Suspect(s) + where(s, in) + " " + say.When(s, in.Report) + percent(s, in)
			if why := sentences(accusing(s), 1); why != "" {
				line += " · " + why
			}
			sub = append(sub, line)
		}
		c.add(string(triage.WordSeparate), "these "+strconv.Itoa(len(sub))+" fit about as well", sub...)
	}
}

func (c *Card) none(r triage.Report) {
	look := "before it began"
	if r.LookbackS > 0 {
		look = "in the " + say.Span(say.Seconds(r.LookbackS)) + " before it began"
	}
	if r.Widened {
		look += ", some of them further back than usual"
	}
	text := say.Plural(r.Candidates, "change was", "changes were") + " weighed " + look
	if r.Candidates == 0 {
		text = "I saw no change that could reach it " + look
		if s := say.Clean(r.Symptom.Service, say.MaxName); s != "" {
			text = "I saw no change to " + s + " or what it calls " + look
		}
	}
	if r.Deadline && r.Candidates == 0 {
		text = "nothing was weighed: the time for it ran out"
	}
	var sub []string
	if s := sentences(speaking(r), 2); s != "" {
		sub = append(sub, "because: "+s)
	}
	c.add(string(triage.WordNone), text, sub...)
	if pointsAt(r) {
		lead := r.Leader()
		c.add("POINTS AT", say.Suspect(*lead)+" "+say.When(*lead, r), sentences(directFirst(lead.For), 1))
	}
}

// pointsAt reports whether a shift with no change behind it leads.
func pointsAt(r triage.Report) bool {
	lead := r.Leader()
	return lead != nil && lead.Anomaly != nil && lead.Probability >= triage.PossibleFrom
}

// speaking is what speaks for none, but for what is true of every incident and what other lines say.
func speaking(r triage.Report) []triage.Evidence {
	return slices.DeleteFunc(slices.Clone(r.None.Evidence), func(e triage.Evidence) bool {
		return e.Contribution <= 0 || e.Factor == "rate" || e.Factor == "blind" || e.Factor == "origin" && pointsAt(r) || strings.HasPrefix(r.Recommendation.Reason, strings.TrimSuffix(e.Sentence, "."))
	})
}

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

// mentionFrom is the probability below which a suspect is only counted among those that do not fit.
const mentionFrom = 0.03

// rest writes the further hypotheses that are possible, so that no more than three suspects are named in all, and what a reader must
// know. Who is told every night what is unlikely learns not to read on.
func (c *Card) rest(in Input, v triage.Standing) {
	r := in.Report
	var next []string
	for _, s := range r.Suspects {
		named := slices.ContainsFunc(v.Named, func(o triage.Suspect) bool { return o.ID() == s.ID() })
		pointed := v.Word == triage.WordNone && s.Rank == 1 && s.Anomaly != nil && s.Probability >= triage.PossibleFrom
		if named || pointed || s.Probability < triage.PossibleFrom || len(v.Named)+len(next) >= 3 {
			continue
		}
		t := say.Suspect(s) + " " + say.Moment(say.Began(s), r.CreatedAt)
		switch {
		case in.Percentages:
			t += ", " + odds(s.Probability, true)
		case v.Word != triage.WordNone && len(v.Named) > 0:
			t += ", " + odds(s.Probability, false)
		}
		if s.OnlyTiming() && len(v.Named) > 0 {
			t += " (its time only)"
		}
		next = append(next, t)
	}
	if v.Word != triage.WordNone && v.Word != triage.WordPossible && r.None.Probability >= triage.PossibleFrom {
		unseen := "something I cannot see"
		if in.Percentages || len(v.Named) > 0 {
			unseen += ", " + odds(r.None.Probability, in.Percentages)
		}
		next = append(next, unseen)
	}
	if len(next) > 0 {
		c.add(nextWord(r, v), strings.Join(next, " · "))
	}
	n := 0
	for _, note := range r.Notes {
		if s := say.Clean(note, say.MaxSentence); s != "" && n < 2 {
			c.add("NOTE", s)
			n++
		}
	}
}

// nextWord is how the further hypotheses stand to the headline: after a suspect they come next; where no change fits they are only the
// nearest; where nothing but time points at any they have just that.
func nextWord(r triage.Report, v triage.Standing) string {
	switch {
	case v.Word == triage.WordNone && onlyTiming(r):
		return "NEAREST, BY ITS TIME ALONE"
	case v.Word == triage.WordNone:
		return "NEAREST"
	case len(v.Named) == 0:
		return "BY TIME ALONE"
	}
	return "NEXT"
}

// onlyTiming reports whether nothing but its time speaks for any change that is possible.
func onlyTiming(r triage.Report) bool {
	return !slices.ContainsFunc(r.Suspects, func(s triage.Suspect) bool { return s.Probability >= triage.PossibleFrom && !s.OnlyTiming() })
}

// blind writes what the report could not see. That everything was heard is no news.
func (c *Card) blind(r triage.Report) {
	if len(r.Coverage) == 0 {
		c.add("BLIND", "no source of changes is known to me")
		return
	}
	var bad []string
	for _, cov := range r.Coverage {
		if cov.State == triage.SourceOK || cov.State == "" {
			continue
		}
		s := say.Clean(cov.Source, say.MaxName) + " " + say.Enum(cov.State)
		if !cov.LastEvent.IsZero() && cov.State == triage.SourceSilent {
			s += " since " + say.Moment(cov.LastEvent, r.CreatedAt)
		}
		bad = append(bad, s)
	}
	switch live := len(r.Coverage) - len(bad); {
	case len(bad) == 0:
	case live == 0:
		c.add("BLIND", say.List(bad)+". No source is live")
	default:
		c.add("BLIND", say.List(bad)+". Other sources live")
	}
}
