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
