package card

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"github.com/triaged-dev/triaged/triage"
	"github.com/triaged-dev/triaged/triage/say"
)

// Card is one report in the words on-call reads: one screen, plain text, every line single and bounded. Notifiers dress it,
// they do not reword it.
type Card struct {
	Mark     string `json:"mark"`     // one sign that colours the whole: 🔴 a suspect, 🟠 undecided or harmful, ⚪ none, 🟡 undo seen, 🟢 recovered
	Headline string `json:"headline"` // what is wrong, where, since when
	Lines    []Line `json:"lines"`
	Links    Links  `json:"links"`
	Stamp    string `json:"stamp"` // "report 1 · 03:07:09 UTC"
}

// Line is one statement of a Card: an upper-case word, what it says, and at most a few lines that belong to it.
type Line struct {
	Word string   `json:"word"`
	Text string   `json:"text,omitempty"`
	Sub  []string `json:"sub,omitempty"`
	URL  string   `json:"url,omitempty"` // where to act or read on; never acts on GET
}

// Links are addresses shown with a report. None of them acts on GET.
type Links struct {
	Page string `json:"page,omitempty"` // the incident's page
	Yes  string `json:"yes,omitempty"`  // confirmation page of "it was this"
	No   string `json:"no,omitempty"`   // confirmation page of "not it"
}

// Input is what a Card is made from. Nothing else is read, the clock included.
type Input struct {
	Incident    triage.Incident
	Report      triage.Report
	Previous    *triage.Report // what the reader was told before; nil: nothing
	Links       Links
	Courtesy    string // the team that is told of its own change and does not have the page; empty: whoever has
	Owner       string // with Courtesy: who has the page
	Percentages bool   // print probabilities: only where enough of the team's own labels stand behind them
}

// New words a report. It names no person and prints no secret; strings from outside are cleaned and bounded.
func New(in Input) Card {
	c := Card{
		Links: Links{Page: say.URL(in.Links.Page)},
		Stamp: fmt.Sprintf("report %d · %s UTC", in.Report.Number, say.Clock(in.Report.CreatedAt)),
	}
	v := in.Report.Standing()
	if v.Word == triage.WordLikely { // "it was this" needs exactly one this
		c.Links.Yes, c.Links.No = say.URL(in.Links.Yes), say.URL(in.Links.No)
	}
	if in.Courtesy != "" && v.Word == triage.WordLikely {
		c.courtesy(in, v)
		return c
	}
	if in.Incident.State == triage.IncidentRecovered {
		c.recovered(in, v)
		return c
	}
	c.Mark, c.Headline = mark(in, v), headline(in)
	c.changed(in, v)
	c.verdict(in, v)
	c.undo(in)
	c.checked(in)
	c.hold(in)
	c.advice(in, v)
	c.checks(in)
	c.rest(in, v)
	c.blind(in.Report)
	return c
}

// Text is the card of a report that stands alone, as plain text.
func Text(inc triage.Incident, r triage.Report) string {
	return New(Input{Incident: inc, Report: r}).Text()
}

func (c *Card) add(word, text string, sub ...string) {
	c.Lines = append(c.Lines, Line{Word: word, Text: text, Sub: sub})
}

// Text renders the card as plain text, for logs, notes and as the fallback of richer forms.
func (c Card) Text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s\n", c.Mark, c.Headline)
	for _, l := range c.Lines {
		b.WriteString(l.Word)
		if l.Text != "" {
			b.WriteString(": " + l.Text)
		}
		if l.URL != "" {
			b.WriteString(" → " + l.URL)
		}
		b.WriteByte('\n')
		for _, s := range l.Sub {
			b.WriteString("  " + s + "\n")
		}
	}
	b.WriteString(strings.TrimSpace(c.Links.Page + "   " + c.Stamp))
	b.WriteByte('\n')
	if c.Links.Yes != "" && c.Links.No != "" {
		fmt.Fprintf(&b, "It was this: %s   Not it: %s\n", c.Links.Yes, c.Links.No)
	}
	return b.String()
}

func mark(in Input, v triage.Standing) string {
	switch {
	case in.Incident.State == triage.IncidentMitigating:
		return "🟡"
	case v.Word == triage.WordNone:
		return "⚪"
	case v.Word == triage.WordSeparate || v.Word == triage.WordPossible || in.Report.Recommendation.Verdict == triage.VerdictHarmful:
		return "🟠"
	}
	return "🔴"
}

// headline says what is wrong: the symptom, when it was paged, where, and how it goes on.
func headline(in Input) string {
	r := in.Report
	s := subject(in)
	if !strings.Contains(s, "since ") && !r.Onset.Best.IsZero() {
		s += " since " + say.Moment(r.Onset.Best, r.CreatedAt) + " UTC"
	}
	if at := pagedAt(in.Incident); !at.IsZero() && !strings.Contains(s, "(paged ") {
		s += " (paged " + say.Minute(at) + ")"
	}
	if p := say.Place(in.Incident.Scope); p != "" {
		s += " · " + p
	}
	if c := say.Course(r.Symptom); c != "" {
		s += " · " + c
	}
	if n := in.Incident.Firing(); n > 1 {
		s += fmt.Sprintf(" · %d alerts", n)
	}
	return s
}

// subject is the symptom in a phrase: measured if it was, else as the alert puts it.
func subject(in Input) string {
	if s := say.Clean(in.Report.Symptom.Sentence, say.MaxSentence); s != "" {
		if n := say.Clean(in.Incident.Node, say.MaxName); n != "" && in.Report.Symptom.Service == "" && !strings.Contains(s, n) {
			return n + " " + s // what is wrong with a machine says nothing without the machine
		}
		return s
	}
	for _, a := range in.Incident.Alerts {
		if s := say.Clean(a.Annotations["summary"], say.MaxPhrase); s != "" {
			return s
		}
	}
	if s := say.Clean(in.Incident.Title, say.MaxPhrase); s != "" {
		return s
	}
	return "an alert without a name"
}

// pagedAt is when the first alert fired.
func pagedAt(inc triage.Incident) time.Time {
	var t time.Time
	for _, a := range inc.Alerts {
		if t.IsZero() || a.StartsAt.Before(t) {
			t = a.StartsAt
		}
	}
	return t
}

// changed tells a reader of an earlier report that its statement no longer stands.
func (c *Card) changed(in Input, v triage.Standing) {
	if in.Previous == nil || standing(*in.Previous) == standing(in.Report) {
		return
	}
	if c.sinceUndone(in, v) {
		return
	}
	was := in.Previous.Standing()
	if was.Word == v.Word && sameNamed(was, v) {
		c.add("CHANGED", "the suspect is the same, the advice is not: now "+adviceInShort(in.Report)+", before "+adviceInShort(*in.Previous))
		return
	}
	c.add("CHANGED", fmt.Sprintf("report %d said %s", in.Previous.Number, say.Statement(was)))
}

func sameNamed(a, b triage.Standing) bool {
	if len(a.Named) != len(b.Named) {
		return false
	}
	for i := range a.Named {
		if a.Named[i].ID() != b.Named[i].ID() {
			return false
		}
	}
	return true
}

// recovered is the short card that ends an incident.
func (c *Card) recovered(in Input, v triage.Standing) {
	c.Mark = "🟢"
	name := say.Clean(cmp.Or(in.Incident.Service, in.Incident.Title), say.MaxPhrase)
	c.Headline = "recovered: " + name
	if end := in.Incident.RecoveredAt; !end.IsZero() {
		c.Headline += " at " + say.Moment(end, in.Report.CreatedAt) + " UTC"
		if at := pagedAt(in.Incident); end.After(at) && !at.IsZero() {
			c.Headline += ", " + say.Span(end.Sub(at)) + " after the page"
		}
	}
	if p := say.Place(in.Incident.Scope); p != "" {
		c.Headline += " · " + p
	}
	c.add("SUSPECT WAS", suspectWas(in, v))
	c.undo(in)
	c.checked(in)
}

// undo repeats what was seen of an undo.
func (c *Card) undo(in Input) {
	for _, k := range in.Report.Checked {
		s := say.Undone(k.Undo) + " at " + say.Clock(k.Undo.At)
		if p := in.Previous; p != nil && p.Recommendation.Action.Reversal() && p.Recommendation.Target != nil && p.Recommendation.Target.ChangeID == k.Undid {
			s += ", as advised"
		}
		if k.Outcome == triage.CheckRedone {
			continue // the line on what was checked says it
		}
		if in.Incident.State != triage.IncidentMitigating || settled(in.Report) {
			c.add("UNDO SEEN", s)
		} else {
			c.add("UNDO SEEN", s+"; the same signal is being watched")
		}
	}
}
