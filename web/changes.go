package web

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"html/template"
	"net/http"
	"net/url"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/triaged-dev/triaged/triage"
	"github.com/triaged-dev/triaged/triage/say"
)

const (
	changesRows = 150 // shown at once; what is more is counted
	defaultSpan = 3 * time.Hour
	densitySpan = 24 * time.Hour
)

// changesView is the page of what changed.
type changesView struct {
	From, To     time.Time
	AskedFrom    string // as it stands in the address; what was not asked for is not frozen by the form
	AskedTo      string
	AskedSpan    string
	Spans        []option
	Earlier      string
	Later        string
	Environment  string
	Service      string
	Kind         string
	Text         string
	Environments []string
	Services     []string
	Kinds        []option
	Total        int
	Rows         []changeRow
	Next         string
	First        string // where Next has led from
	Wide, Narrow template.HTML
	Density      template.HTML
	Added        string
	Form         changeForm
	Problems     []string
	Whole        string // address without filters
}

type changeRow struct {
	triage.Change
	Began      time.Time
	Name, Move string
	Text       string
	Took       string
	Where      string
	Link       string
	Out        string // URL at the source
	Uncertain  bool
	Open       bool
	Ref        time.Time
}

func newChangeRow(c triage.Change, ref time.Time) changeRow {
	row := changeRow{
		Change: c, Began: c.OccurredAt(), Name: say.Clean(c.Name(), say.MaxName), Move: say.Moved(c.Moved()), Text: say.Clean(c.Title, 160), Where: place(c.Scope), Link: changeLink(c.ID),
		Out: say.URL(c.URL), Uncertain: c.StartedAt.IsZero() || c.TimeUncertaintyS > 0, Open: c.Status == triage.StatusStarted && c.FinishedAt.IsZero(), Ref: ref,
	}
	if !c.StartedAt.IsZero() && c.FinishedAt.After(c.StartedAt) {
		row.Took = say.Span(c.FinishedAt.Sub(c.StartedAt))
	}
	return row
}

func changeLink(id triage.ChangeID) string { return "/changes/" + url.PathEscape(string(id)) }

// changesQuery reads the filters of the page. A time that cannot be read is the visitor's to mend.
func (w *Web) changesQuery(r *http.Request) (q triage.ChangeQuery, err error) {
	p, now := r.URL.Query(), w.now().UTC()
	q.To, q.From = now, now.Add(-defaultSpan)
	if s := p.Get("to"); s != "" {
		if q.To, err = parseField(s); err != nil {
			return q, fmt.Errorf("to: %w", err)
		}
		if q.To.Nanosecond() == 0 {
			q.To = q.To.Add(time.Second - 1) // a time given in seconds means all of its last one
		}
		q.From = q.To.Add(-defaultSpan)
	}
	if s := p.Get("span"); s != "" {
		d, err := time.ParseDuration(s)
		if err != nil || d <= 0 || d > 90*24*time.Hour {
			return q, &triage.FieldError{Field: "span", Value: s, Remedy: "use a duration like 30m or 24h, at most 2160h"}
		}
		q.From = q.To.Add(-d)
	}
	if s := p.Get("from"); s != "" {
		if q.From, err = parseField(s); err != nil {
			return q, fmt.Errorf("from: %w", err)
		}
	}
	if !q.From.Before(q.To) {
		return q, &triage.FieldError{Field: "from", Value: p.Get("from"), Remedy: "must be before to"}
	}
	if s := p.Get("kind"); s != "" {
		if q.Kind, err = triage.ParseKind(s); err != nil {
			return q, err
		}
	}
	if s := p.Get("service"); s != "" {
		name := say.Clean(s, triage.MaxText)
		if w.opts.Directory != nil {
			name, _ = w.opts.Directory().Resolve(name)
		}
		q.Services = []string{name}
	}
	q.Environment, q.Text = say.Clean(p.Get("environment"), triage.MaxText), say.Clean(p.Get("q"), triage.MaxText)
	return q, nil
}

// parseField reads a time as links write it, or as people do beside a label that says UTC.
func parseField(s string) (time.Time, error) {
	for _, layout := range []string{"2006-01-02 15:04:05", "2006-01-02 15:04", "2006-01-02T15:04", "2006-01-02T15:04:05"} {
		if t, err := time.Parse(layout, s); err == nil {
			return t, nil
		}
	}
	return triage.ParseTime(s)
}

func (w *Web) getChanges(r *http.Request) (page, error) {
	v, err := w.changesView(r)
	if err != nil {
		return page{}, err
	}
	v.Added = say.Clean(r.URL.Query().Get("added"), triage.MaxText)
	return page{template: "changes.html", frame: frame{Title: "What changed", Section: "changes", Live: "changes", Data: v}}, nil
}

func (w *Web) changesView(r *http.Request) (*changesView, error) {
	q, err := w.changesQuery(r)
	if err != nil {
		return nil, err
	}
	v := &changesView{From: q.From, To: q.To, Environment: q.Environment, Kind: string(q.Kind), Text: q.Text, Whole: "/changes"}
	asked := func(name string, t time.Time) string {
		if r.URL.Query().Get(name) == "" {
			return ""
		}
		return t.UTC().Format("2006-01-02 15:04:05")
	}
	v.AskedFrom, v.AskedTo, v.AskedSpan = asked("from", q.From), asked("to", q.To), r.URL.Query().Get("span")
	if len(q.Services) > 0 {
		v.Service = q.Services[0]
	}
	around, ctx := errgroup.WithContext(r.Context()) // two long counts at once
	around.Go(func() (err error) {
		v.Density, err = w.density(ctx, v.From, v.To, q)
		return err
	})
	err = w.line(ctx, v, q, r.URL.Query().Get("after"))
	if err := errors.Join(err, around.Wait()); err != nil {
		return nil, err
	}
	w.options(v)
	return v, nil
}

// line fills in the timeline and its list, the latest first.
func (w *Web) line(ctx context.Context, v *changesView, q triage.ChangeQuery, after string) error {
	q.Newest, q.Limit, q.After = true, changesRows, after
	found, next, err := w.opts.Store.FindChanges(ctx, q)
	if err != nil {
		return fmt.Errorf("find changes: %w", err)
	}
	for _, c := range found {
		v.Rows = append(v.Rows, newChangeRow(c, q.To))
	}
	if next != "" {
		v.Next = v.link(q.From, q.To, "after", next)
	}
	if q.After != "" {
		v.First = v.link(q.From, q.To)
	}
	line := stretch{From: q.From, To: q.To, Changes: found}
	v.Total = len(found)
	if next != "" || q.After != "" { // not all are here: they are counted, not named
		counted := q
		counted.To = q.To.Add(1)
		if line.Counts, err = w.opts.Store.CountChanges(ctx, counted, timelineBins, triage.CountByKind); err != nil {
			return fmt.Errorf("count changes: %w", err)
		}
		v.Total = 0
		for _, n := range line.Counts {
			v.Total += sum(n)
		}
	}
	label := fmt.Sprintf("Timeline of %s; the table below lists them", say.Plural(v.Total, "change", "changes"))
	v.Wide, v.Narrow = line.draw(fullWidth).svg("axis wide", label), line.draw(narrowWidth).svg("axis narrow", label)
	return nil
}

// options fills in what the filters offer.
func (w *Web) options(v *changesView) {
	width := v.To.Sub(v.From)
	for _, s := range []struct {
		label string
		d     time.Duration
	}{{"30 min", 30 * time.Minute}, {"3 h", 3 * time.Hour}, {"24 h", 24 * time.Hour}, {"7 d", 7 * 24 * time.Hour}} {
		o := option{Label: s.label, On: width.Round(time.Minute) == s.d, URL: v.link(time.Time{}, time.Time{}, "span", s.d.String())}
		v.Spans = append(v.Spans, o)
	}
	v.Earlier = v.link(v.From.Add(-width/2), v.To.Add(-width/2))
	if now := w.now().UTC(); v.To.Add(time.Minute).Before(now) {
		v.Later = v.link(v.From.Add(width/2), minTime(v.To.Add(width/2), now))
	}
	v.Kinds = kindOptions(v.Kind)
	if w.opts.Directory != nil {
		for _, s := range w.opts.Directory().Services() {
			v.Services = append(v.Services, s.Name)
		}
	}
	v.Environments = []string{"production", "staging", "development"}
	if v.Environment != "" && !slices.Contains(v.Environments, v.Environment) {
		v.Environments = append(v.Environments, v.Environment)
	}
}

func minTime(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// link is the page's address with its filters, over another stretch of time.
func (v *changesView) link(from, to time.Time, more ...string) string {
	pairs := []string{"q", v.Text, "service", v.Service, "kind", v.Kind, "environment", v.Environment}
	if !from.IsZero() {
		pairs = append(pairs, "from", from.UTC().Format(time.RFC3339), "to", to.UTC().Format(time.RFC3339))
	}
	return address("/changes", append(pairs, more...)...)
}

// changeView is the page of one change.
type changeView struct {
	changeRow
	HowKnown string // where nobody reported it
	Alias    string // the id that was asked for, where it is not the change's own
	Around   string // what else changed then
	Labels   []pair
	Undoes   []pair
	Reverts  []pair
}

type pair struct{ Key, Value, URL string }

func (w *Web) getChange(r *http.Request) (page, error) {
	asked := triage.ChangeID(r.PathValue("id"))
	id, err := w.opts.Store.ResolveChange(r.Context(), asked)
	if err != nil {
		return page{}, fmt.Errorf("resolve change: %w", err)
	}
	found, err := w.opts.Store.Changes(r.Context(), []triage.ChangeID{id})
	if err != nil {
		return page{}, fmt.Errorf("read change: %w", err)
	}
	if len(found) == 0 {
		return page{}, fail(http.StatusNotFound, "The body of this change is no longer kept.", nil)
	}
	c := found[0]
	v := changeView{changeRow: newChangeRow(c, w.now()), HowKnown: say.Seen(c.Seen)}
	if id != asked {
		v.Alias = say.Clean(string(asked), triage.MaxText)
	}
	at := c.OccurredAt()
	v.Around = address("/changes", "from", at.Add(-30*time.Minute).UTC().Format(time.RFC3339), "to", at.Add(30*time.Minute).UTC().Format(time.RFC3339))
	keys := make([]string, 0, len(c.Labels))
	for k := range c.Labels {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	for _, k := range keys {
		v.Labels = append(v.Labels, pair{Key: k, Value: c.Labels[k]})
	}
	for _, o := range c.Undoes {
		v.Undoes = append(v.Undoes, pair{Value: string(o), URL: changeLink(o)})
	}
	for _, o := range c.RevertedBy {
		v.Reverts = append(v.Reverts, pair{Value: string(o), URL: changeLink(o)})
	}
	return page{template: "change.html", frame: frame{Title: cmp.Or(say.Change(c), "Change"), Section: "changes", Data: v}}, nil
}

// kindOptions are the kinds of changes for a list to choose from.
func kindOptions(chosen string) []option {
	var out []option
	for _, k := range triage.Kinds() {
		out = append(out, option{Value: string(k), Label: string(k), On: string(k) == chosen})
	}
	return out
}
