package web

import (
	"cmp"
	"context"
	"fmt"
	"html/template"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/triaged-dev/triaged/triage"
	"github.com/triaged-dev/triaged/triage/say"
)

// incidentView is everything on an incident's page.
type incidentView struct {
	Incident  triage.Incident
	Report    triage.Report // the one shown
	Latest    bool          // it is the latest
	Head      headView
	Wide      template.HTML
	Narrow    template.HTML
	Events    []eventRow // the picture's content as a table
	Card      cardView
	Suspects  []suspectView // at most maxSuspects
	Misfits   int           // suspects and candidates too light to be shown there
	All       []suspectView
	None      suspectView
	NoneLeads bool // then its reasons stand beside the suspects', not only among the points
	Blind     []triage.Coverage
	Deaf      bool        // something could not be heard or weighed
	Running   []changeRow // being changed right now
	Advice    []adviceRow
	Graph     template.HTML
	Splits    []splitView
	Feedback  []feedbackRow
	Thanks    bool
	HasCase   bool
	Update    say.Update // a draft for people outside the room
	Posted    []string   // where this report went, or would have gone, in words
}

// headView is the top line: what, since when, where, and whether it is getting better.
type headView struct {
	Service, Signal, Before, Now string // Before and Now are "" where nothing was measured
	Sentence                     string
	Trend                        triage.Course
	Course                       string
	Where                        string
	Began, Paged, Recovered      time.Time
	BeganFrom, BeganTo           time.Time
	PageDelay                    string
	Firing                       int
}

type adviceRow struct {
	Report  triage.Report
	Said    string
	Advice  string
	Changed bool // says something else than the report before
	Shown   bool
}

type feedbackRow struct {
	triage.Feedback
	Text string
}

type eventRow struct {
	At   time.Time
	What string
	Note string
}

func (w *Web) getIncident(r *http.Request) (page, error) {
	ctx := r.Context()
	inc, err := w.opts.Store.Incident(ctx, r.PathValue("id"))
	if err != nil {
		return page{}, fmt.Errorf("read incident: %w", err)
	}
	reports, err := w.opts.Store.Reports(ctx, inc.ID)
	if err != nil {
		return page{}, fmt.Errorf("read reports: %w", err)
	}
	feedback, err := w.opts.Store.Feedback(ctx, inc.ID)
	if err != nil {
		return page{}, fmt.Errorf("read feedback: %w", err)
	}
	v := incidentView{Incident: inc, Thanks: r.URL.Query().Get("thanks") != ""}
	names := make(map[triage.ChangeID]string)
	p := page{template: "incident.html", frame: frame{Title: inc.Title, Section: "incidents", Live: inc.ID}}
	if len(reports) > 0 {
		shown, err := pick(reports, r.URL.Query().Get("report"))
		if err != nil {
			return page{}, err
		}
		v.Report, v.Latest = reports[shown], shown == len(reports)-1
		if err := w.fillReport(ctx, &v, reports, shown); err != nil {
			return page{}, err
		}
		for _, s := range v.Report.Suspects {
			if s.Change != nil {
				names[s.Change.ID] = say.Change(*s.Change)
			}
		}
	}
	v.Head = newHead(inc, v.Report)
	if v.Latest {
		v.Update = say.StatusUpdate(inc, v.Report, w.now())
	}
	for _, f := range feedback {
		v.Feedback = append(v.Feedback, feedbackRow{f, feedbackText(f, names)})
	}
	p.frame.Data = v
	return p, nil
}

// pick finds the report that was asked for by number, the latest where none was.
func pick(reports []triage.Report, asked string) (int, error) {
	if asked == "" {
		return len(reports) - 1, nil
	}
	n, err := strconv.Atoi(asked)
	i := slices.IndexFunc(reports, func(r triage.Report) bool { return err == nil && r.Number == n })
	if i < 0 {
		return 0, fail(http.StatusNotFound, fmt.Sprintf("This incident has no report %q; it has %d.", say.Clean(asked, 20), len(reports)), nil)
	}
	return i, nil
}

// fillReport adds what a report says and the picture of it. What happened after the report is in the picture of the latest
// report only: an old one is shown as it was then.
func (w *Web) fillReport(ctx context.Context, v *incidentView, reports []triage.Report, shown int) error {
	r := v.Report
	input, err := w.input(ctx, v, reports[:shown+1])
	if err != nil {
		return err
	}
	in := axisInput{Report: r, Case: input}
	if v.Latest {
		if in.More, err = w.around(ctx, r, input, v.Incident); err != nil {
			return err
		}
		in.Recovered = v.Incident.RecoveredAt
		if at := v.Incident.RecoveredAt; !at.IsZero() {
			in.Until = at.Add(2 * time.Minute)
		}
	}
	a := newAxis(in)
	label := "Time axis: " + symptomLine(r) + "; the changes on it are listed below as text"
	v.Wide, v.Narrow = a.draw(wideWidth).svg("axis wide", label), a.draw(narrowWidth).svg("axis narrow", label)
	v.Events = events(a, r)
	v.Card = newCard(v.Incident, r)
	v.Card.after(a.Marks, v.Incident, r)
	v.All, v.None = suspectViews(r)
	v.NoneLeads = r.Standing().Word == triage.WordNone
	v.Suspects = v.All[:min(len(v.All), len(named(r)))]
	v.Misfits = max(len(r.Suspects), r.Candidates) - len(v.Suspects)
	v.Blind = r.Coverage
	v.Deaf = len(r.Coverage) == 0 || r.Deadline || slices.ContainsFunc(r.Coverage, func(c triage.Coverage) bool { return c.State != triage.SourceOK })
	v.Graph = pathGraph(r)
	v.Splits = splits(r, input, a.From, a.To)
	v.Running = w.running(in.More, r, v.Incident)
	if v.Posted, err = w.posted(ctx, r); err != nil {
		return err
	}
	for i, o := range reports {
		row := adviceRow{Report: o, Said: said(o), Advice: say.Upper(say.Action(o)), Shown: i == shown}
		row.Changed = i > 0 && (said(reports[i-1]) != row.Said || say.Upper(say.Action(reports[i-1])) != row.Advice)
		v.Advice = append(v.Advice, row)
	}
	slices.Reverse(v.Advice)
	return nil
}

// input is what the last of the reports saw. A report that only notes a recovery asked nobody: its series are those of the
// report before it. Inputs are kept for less long than reports; without one there are no series.
func (w *Web) input(ctx context.Context, v *incidentView, reports []triage.Report) (triage.Case, error) {
	var own triage.Case
	for i, r := range slices.Backward(reports) {
		c, err := w.opts.Store.ReportInput(ctx, v.Incident.ID, r.Number)
		switch {
		case w.opts.NotFound(err):
			c = triage.Case{Alerts: v.Incident.Alerts}
		case err != nil:
			return own, fmt.Errorf("read the input of report %d: %w", r.Number, err)
		}
		if i == len(reports)-1 {
			own, v.HasCase = c, err == nil
		}
		if len(c.Series) > 0 || c.Symptom != nil && len(c.Symptom.Series) > 0 {
			own.Series, own.Symptom = c.Series, c.Symptom
			return own, nil
		}
		if len(reports)-i > 3 {
			break
		}
	}
	return own, nil
}

const maxAround = 300 // changes read around an incident

// around reads the changes near the incident in time and topology, as the journal knows them now.
func (w *Web) around(ctx context.Context, r triage.Report, input triage.Case, inc triage.Incident) ([]triage.Change, error) {
	begin := firstTime(r.Onset.Earliest, r.CreatedAt)
	q := triage.ChangeQuery{From: begin.Add(-axisBefore), To: begin.Add(axisAfter), Limit: maxAround}
	service := cmp.Or(inc.Service, r.Symptom.Service)
	if service != "" {
		near := map[string]bool{service: true}
		for _, s := range r.Suspects {
			if o := suspectScope(s).Service; o != "" {
				near[o] = true
			}
		}
		maps.Copy(near, input.Topology.Reach(w.hops(), service))
		for o := range near {
			q.Services = append(q.Services, o)
		}
		slices.Sort(q.Services)
	}
	found, _, err := w.opts.Store.FindChanges(ctx, q)
	if err != nil {
		return nil, fmt.Errorf("read changes around the incident: %w", err)
	}
	return slices.DeleteFunc(found, func(c triage.Change) bool {
		here, there := c.Scope, inc.Scope
		here.Service, here.Namespace = "", ""
		_, contradicts := here.Contradicts(there)
		return contradicts && !slices.ContainsFunc(r.Suspects, func(s triage.Suspect) bool { return s.Change != nil && s.Change.ID == c.ID })
	}), nil
}

// running are the changes of the neighbourhood that have begun and not ended.
func (w *Web) running(more []triage.Change, r triage.Report, inc triage.Incident) []changeRow {
	if inc.State == triage.IncidentClosed {
		return nil
	}
	var out []changeRow
	for _, c := range more {
		if c.Status == triage.StatusStarted && c.FinishedAt.IsZero() {
			out = append(out, newChangeRow(c, r.CreatedAt))
		}
	}
	return out
}

func newHead(inc triage.Incident, r triage.Report) headView {
	h := headView{
		Service: say.Clean(cmp.Or(r.Symptom.Service, inc.Service), say.MaxName), Signal: say.Measure(r.Symptom.Signal, r.Symptom.Better, r.Symptom.Metric),
		Sentence: r.Symptom.Sentence, Course: say.Course(r.Symptom), Where: place(inc.Scope), Paged: pagedAt(inc.Alerts), Began: r.Onset.Best,
		BeganFrom: r.Onset.Earliest, BeganTo: r.Onset.Latest, Recovered: inc.RecoveredAt, Firing: inc.Firing(),
	}
	h.Trend = r.Symptom.Course()                                                                          // the colour is that of the course, whichever way the values go
	if r.Symptom.Before != nil && r.Symptom.Now != nil && r.Symptom.Metric+string(r.Symptom.Unit) != "" { // else the sentence has them
		h.Before, h.Now = say.Quantity(*r.Symptom.Before, r.Symptom.Unit), say.Quantity(*r.Symptom.Now, r.Symptom.Unit)
	}
	if !h.Began.IsZero() && h.Paged.After(h.Began) {
		h.PageDelay = say.Span(h.Paged.Sub(h.Began))
	}
	if inc.State == triage.IncidentRecovered || inc.State == triage.IncidentClosed {
		h.Trend = ""
	}
	return h
}

// symptomLine is the symptom in one plain line.
func symptomLine(r triage.Report) string {
	h := newHead(triage.Incident{}, r)
	if h.Before == "" {
		return cmp.Or(say.Clean(r.Symptom.Sentence, maxSentence), strings.TrimSpace(h.Service+" "+h.Signal), "the symptom")
	}
	s := fmt.Sprintf("%s %s %s → %s", h.Service, h.Signal, h.Before, h.Now)
	if !h.Began.IsZero() {
		s += " since " + say.Clock(h.Began) + " UTC"
	}
	return s
}

// said is a report's headline in one line.
func said(r triage.Report) string { return say.Statement(r.Standing()) }

// events tells the picture in words, in order.
func events(a axis, r triage.Report) []eventRow {
	var out []eventRow
	for _, f := range a.Flags {
		if f.Class != "undo" {
			out = append(out, eventRow{At: f.At, What: map[string]string{"onset": "the trouble began", "page": "first alert fired", "recovered": "recovered"}[f.Class]})
		}
	}
	for _, m := range a.Marks {
		row := eventRow{At: m.From, What: say.Change(m.Change)}
		switch {
		case m.Rank > 0:
			row.Note = "suspect " + strconv.Itoa(m.Rank)
		case m.Role == roleUndo:
			row.Note = "undoes a suspect"
		case m.Role == roleDuring:
			row.Note = "during the incident"
		}
		if m.Change.StartedAt.IsZero() {
			row.Note = strings.TrimPrefix(row.Note+", start not reported", ", ")
		}
		out = append(out, row)
	}
	out = append(out, eventRow{At: r.CreatedAt, What: fmt.Sprintf("report %d: %s", r.Number, said(r))})
	slices.SortStableFunc(out, func(x, y eventRow) int { return x.At.Compare(y.At) })
	return out
}

func feedbackText(f triage.Feedback, names map[triage.ChangeID]string) string {
	name := cmp.Or(names[f.ChangeID], say.Clean(string(f.ChangeID), say.MaxName))
	switch f.Verdict {
	case triage.FeedbackConfirm:
		return "It was " + name
	case triage.FeedbackReject:
		return "It was not " + name
	case triage.FeedbackNone:
		return "It was no change"
	}
	return say.Clean(f.Verdict, say.MaxName)
}
