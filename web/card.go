package web

import (
	"html/template"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/triaged-dev/triaged/triage"
	"github.com/triaged-dev/triaged/triage/say"
)

// cardView is the one card beside the axis: what we think and what to do.
type cardView struct {
	Word, Tone  string // Tone colours it: likely, separate, none, harm
	Note        string // under the word, where it needs one
	Named       []suspectView
	Action      string
	Place       string // where to act
	TargetURL   string
	Steps       []stepView
	Reversal    bool
	AlsoUndoes  []triage.Undone
	Check       string
	Owner       string
	Reason      string
	Avoid       []avoidRow
	None        string          // probability that it is nothing we saw
	Done        bool            // the undo was seen
	Hold        []triage.Undone // went live around it since the onset
	Loop        []loopRow       // what came of it: the undo, the recovery
	RecommendIt triage.Recommendation
}

// stepView is one thing to do; a command is set apart so that it can be copied whole.
type stepView struct {
	Text    string
	Command bool   // Text is typed into a shell, whole
	Link    string // where Text leads, if anywhere
}

type avoidRow struct {
	Action, Target, Reason string
	ID                     string // of the change
}

// suspectView is one suspect with all that is said of it.
type suspectView struct {
	Rank        int
	Kind, Name  string // of the change, or of the anomaly's signal
	Move        string
	Title       string
	Where       string
	Gap         string
	At          triage.Suspect
	ID, URL     string
	Probability string
	Value       float64
	For         []triage.Evidence
	Against     []triage.Evidence
	Waterfall   []waterRow
	LogOdds     string
	IsChange    bool
	Service     string
	Actor       string
}

// maxCommand bounds a command that is shown to be copied: half of one would be worse than none.
const maxCommand = 4096

// newStep tells what is typed and what is opened from what is read.
func newStep(i triage.Instruction) stepView {
	switch i.Kind {
	case triage.InstructRun:
		if len(i.Command) <= maxCommand {
			return stepView{Text: say.Clean(i.Command, maxCommand), Command: true}
		}
		return stepView{Text: "the command is too long to be shown whole; the API has it"}
	case triage.InstructOpen, triage.InstructRunbook:
		if link := say.URL(i.URL); link != "" {
			return stepView{Text: string(i.Kind), Link: link}
		}
	case triage.InstructDo, triage.InstructNote, triage.InstructNoCommand:
	}
	return stepView{Text: say.Clean(say.Instruction(i), 2*maxSentence)}
}

func newCard(inc triage.Incident, r triage.Report) cardView {
	rec, st := r.Recommendation, r.Standing()
	c := cardView{
		Word: string(st.Word), Tone: map[triage.Word]string{triage.WordLikely: "likely", triage.WordPossible: "separate", triage.WordSeparate: "separate", triage.WordNone: "none"}[st.Word],
		Action: say.Upper(say.Action(r)), Check: rec.Check, Owner: rec.Owner, Reason: rec.Reason, Reversal: rec.Action.Reversal(),
		AlsoUndoes: rec.AlsoUndoes, Hold: r.Hold, None: say.Percent(r.None.Probability), RecommendIt: rec,
		Done: inc.State == triage.IncidentMitigating || inc.State == triage.IncidentRecovered || inc.State == triage.IncidentClosed,
	}
	switch rec.Verdict {
	case triage.VerdictHarmful:
		c.Tone, c.Note = "harm", "Undoing it would do harm"
	case triage.VerdictWillNotHelp:
		c.Note = "A rollback will not help"
		if r.Candidates == 0 {
			c.Note = "I know of nothing to roll back"
		}
	case triage.VerdictCannotTell, triage.VerdictAct:
	}
	views, _ := suspectViews(r)
	for _, s := range st.Named {
		c.Named = append(c.Named, views[s.Rank-1])
	}
	if st.Word == triage.WordLikely && len(c.Named) > 0 && !c.Named[0].IsChange {
		c.Note = "Not a change: a rollback will not help"
	}
	if t := rec.Target; t != nil {
		c.Place, c.TargetURL = place(t.Scope), say.URL(t.URL)
	}
	for _, s := range rec.Steps {
		if s.Does != rec.Action || s.Does == "" { // else it stands above already
			c.Steps = append(c.Steps, newStep(s))
		}
	}
	for _, a := range rec.Avoid {
		row := avoidRow{Action: say.Enum(a.Action), Reason: a.Reason, ID: string(a.Target)}
		if i := slices.IndexFunc(r.Suspects, func(s triage.Suspect) bool { return s.Change != nil && s.Change.ID == a.Target }); i >= 0 {
			row.Target = say.Suspect(r.Suspects[i])
		} else if a.Change != nil {
			row.Target = say.Undone(*a.Change)
		} else {
			row.Target = say.Clean(string(a.Target), say.MaxName)
		}
		c.Avoid = append(c.Avoid, row)
	}
	return c
}

// loopRow is one thing that was seen after the advice.
type loopRow struct {
	Text string
	At   time.Time
	Good bool
	Bad  bool     // it did not help
	More []string // what keeps it from being sure, what to do now
}

// after closes the loop: whether an undo was seen, and what came of it. An undo is not what a reversal would take along, and
// nothing to advise against.
func (c *cardView) after(marks []mark, inc triage.Incident, r triage.Report) {
	undos := make(map[string]bool)
	var first time.Time
	for _, m := range marks {
		for i := range c.Avoid {
			if c.Avoid[i].ID == string(m.Change.ID) {
				c.Avoid[i].Target = say.Change(m.Change)
			}
		}
		if m.Role != roleUndo {
			continue
		}
		undos[string(m.Change.ID)] = true
		c.Loop = append(c.Loop, loopRow{Text: "Undo seen: " + say.Change(m.Change), At: m.From})
		if first.IsZero() || m.From.Before(first) {
			first = m.From
		}
	}
	slices.SortFunc(c.Loop, func(a, b loopRow) int { return a.At.Compare(b.At) })
	c.AlsoUndoes = slices.DeleteFunc(slices.Clone(c.AlsoUndoes), func(u triage.Undone) bool { return undos[string(u.ChangeID)] })
	c.Avoid = slices.DeleteFunc(c.Avoid, func(a avoidRow) bool { return undos[a.ID] })
	for _, seen := range r.Checked { // the daemon watched the signal: its words, not ours
		c.Loop = append(c.Loop, loopRow{
			Text: say.Clean(seen.Sentence, maxSentence), At: firstTime(seen.Turned, seen.Asked), Good: seen.Outcome.Recovered(),
			Bad: seen.Outcome == triage.CheckStuck || seen.Outcome == triage.CheckNotHelped, More: slices.Concat(seen.Missing, seen.Steps),
		})
	}
	switch {
	case len(r.Checked) > 0:
	case !inc.RecoveredAt.IsZero():
		text := "Recovered"
		if !first.IsZero() && inc.RecoveredAt.After(first) {
			text += " " + say.Span(inc.RecoveredAt.Sub(first)) + " after the undo"
		}
		c.Loop = append(c.Loop, loopRow{Text: text, At: inc.RecoveredAt, Good: true})
	case len(c.Loop) > 0:
		c.Loop = append(c.Loop, loopRow{Text: "The same signal is being watched"})
	}
}

// suspectViews words every suspect, and the hypothesis that it is none of them.
func suspectViews(r triage.Report) ([]suspectView, suspectView) {
	out := make([]suspectView, 0, len(r.Suspects))
	for _, s := range r.Suspects {
		v := suspectView{
			Rank: s.Rank, At: s, ID: s.ID(), Probability: say.Percent(s.Probability), Value: s.Probability, Gap: say.Gap(s, r),
			Waterfall: waterfall(slices.Concat(s.For, s.Against)), LogOdds: nats(s.LogOdds), Where: place(suspectScope(s)),
			For:     slices.DeleteFunc(slices.Clone(s.For), func(e triage.Evidence) bool { return e.Sentence == "" }),
			Against: slices.DeleteFunc(slices.Clone(s.Against), func(e triage.Evidence) bool { return e.Sentence == "" }),
			Service: suspectScope(s).Service,
		}
		v.Kind, v.Name, v.Move = say.Parts(s)
		switch {
		case s.Change != nil:
			c := *s.Change
			v.IsChange, v.URL, v.Actor = true, say.URL(c.URL), say.Clean(c.Actor, say.MaxName)
			if t := say.Clean(c.Title, 140); v.Move != "" && !strings.EqualFold(t, say.Suspect(s)) {
				v.Title = t
			}
		case s.Anomaly != nil:
			v.Move = say.Shift(s.Anomaly.From, s.Anomaly.To, s.Anomaly.Measured())
		}
		out = append(out, v)
	}
	return out, suspectView{
		Name: "None of the changes I saw", Probability: say.Percent(r.None.Probability), Value: r.None.Probability,
		Waterfall: waterfall(r.None.Evidence), LogOdds: nats(r.None.LogOdds),
		For:     slices.DeleteFunc(slices.Clone(r.None.Evidence), func(e triage.Evidence) bool { return e.Contribution < 0 || e.Sentence == "" }),
		Against: slices.DeleteFunc(slices.Clone(r.None.Evidence), func(e triage.Evidence) bool { return e.Contribution >= 0 || e.Sentence == "" }),
	}
}

// Pick is where a suspect's time begins, for templates.
func (v suspectView) Began() any { return say.Began(v.At) }

// waterRow is one contribution, with its bar.
type waterRow struct {
	Factor, Sentence, Value string
	Direct, Veto            bool
	Bar                     template.HTML
}

const (
	waterWide = 220
	waterHigh = 14
)

// waterfall lays contributions end to end: each bar begins where the one before ended, so the last ends at the sum.
func waterfall(es []triage.Evidence) []waterRow {
	lo, hi, sum := triage.MilliNats(0), triage.MilliNats(0), triage.MilliNats(0)
	for _, e := range es {
		sum += e.Contribution
		lo, hi = min(lo, sum), max(hi, sum)
	}
	x := func(m triage.MilliNats) float64 { return 2 + (waterWide-4)*float64(m-lo)/float64(max(hi-lo, 1)) }
	var out []waterRow
	sum = 0
	for _, e := range es {
		s := &scene{W: waterWide, H: waterHigh}
		s.line("water-zero", point{x(0), 0}, point{x(0), waterHigh})
		a, b, class := x(sum), x(sum+e.Contribution), "water-for"
		if b < a {
			a, b, class = b, a, "water-against"
		}
		s.box(class, a, 2, max(b, a+1), waterHigh-2, 1)
		sum += e.Contribution
		out = append(out, waterRow{
			Factor: e.Factor, Sentence: e.Sentence, Value: nats(e.Contribution), Direct: e.Direct, Veto: e.Veto,
			Bar: s.svg("water", e.Factor+" "+nats(e.Contribution)),
		})
	}
	return out
}

// nats says log-odds with their sign and one decimal.
func nats(m triage.MilliNats) string {
	s := strconv.FormatFloat(float64(m)/1000, 'f', 1, 64)
	switch {
	case s == "0.0" || s == "-0.0":
		return "0"
	case m > 0:
		return "+" + s
	}
	return "−" + strings.TrimPrefix(s, "-")
}
