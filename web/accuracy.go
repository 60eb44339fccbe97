package web

import (
	"context"
	"fmt"
	"html/template"
	"math"
	"net/http"

	"github.com/triaged-dev/triaged/triage"
	"github.com/triaged-dev/triaged/triage/say"
)

// maxLabelled bounds the incidents looked through, newest first.
const maxLabelled = 1000

// accuracyView is what the labels say of us.
type accuracyView struct {
	Labels, Incidents int
	Enough            bool
	Missing           int
	Rows              []shareRow
	Reliability       []binRow
	ReliabilityChart  template.HTML
	Ends              []endRow // all, then by service, then by what could not be seen
	Ended, Known      int
	Weights           []weightRow
}

// endRow is one line of what first reports said against how incidents ended.
type endRow struct {
	Group, Name      string
	Incidents, Known int
	Shares           []endShare // false blame, wrong undo, missed
}

type endShare struct{ Rate, Low, Hi, N float64 }

type weightRow struct {
	Meaning string
	Weight  float64
	N       int
}

const maxEndParts = 10

var basisMeans = map[triage.Basis]string{
	triage.BasisLabel: "a person said it", triage.BasisVerified: "undoing it was seen to end it", triage.BasisNotHelped: "undoing it did not help",
	triage.BasisFollowed: "it ended after the undo, other causes not excluded", triage.BasisByItself: "it ended while what was suspected stayed in place",
}

func endRows(l *triage.Ledger) []endRow {
	row := func(group, name string, r triage.Record) endRow {
		out := endRow{Group: group, Name: name, Incidents: r.Incidents, Known: r.Known}
		for _, s := range []triage.Share{r.FalseBlame, r.WrongUndo, r.Missed} {
			e := endShare{N: s.N}
			if s.N > 0 {
				e.Rate = s.Rate()
				e.Low, e.Hi = s.Interval()
			}
			out.Shares = append(out.Shares, e)
		}
		return out
	}
	rows := []endRow{row("all", "every incident", l.Record)}
	for _, p := range triage.Parts(l.ByService, maxEndParts) {
		rows = append(rows, row("service", say.Clean(p.Name, say.MaxName), p.Record))
	}
	for _, p := range triage.Parts(l.ByBlindness, maxEndParts) {
		rows = append(rows, row("could not see", say.Clean(p.Name, say.MaxName), p.Record))
	}
	return rows
}

// shareRow is one share with its uncertainty.
type shareRow struct {
	Name, Meaning  string
	Hits, Of       int
	Share, Low, Hi float64
	Bar            template.HTML
	Bad            bool // small is good
}

type binRow struct {
	From, To, Said, Seen float64
	N                    int
}

// getAccuracy holds the first report of each labelled incident against the latest thing people said about it: the first
// report is what on-call acted on.
func (w *Web) getAccuracy(r *http.Request) (page, error) {
	labels, ledger, err := w.labels(r.Context())
	if err != nil {
		return page{}, err
	}
	v := accuracyView{Labels: len(labels), Incidents: ledger.Incidents, Enough: len(labels) >= triage.EnoughLabels, Missing: max(0, triage.EnoughLabels-len(labels))}
	v.Rows = shares(labels)
	v.Reliability = reliability(labels)
	v.ReliabilityChart = reliabilityChart(v.Reliability)
	v.Ends, v.Ended, v.Known = endRows(ledger), ledger.Incidents, ledger.Known
	for _, b := range triage.Bases() {
		v.Weights = append(v.Weights, weightRow{basisMeans[b], b.Weight(), ledger.ByBasis[b]})
	}
	return page{template: "accuracy.html", frame: frame{Title: "Accuracy", Section: "accuracy", Data: v}}, nil
}

// labels are what people said of the latest incidents, with all that how those ended says besides.
func (w *Web) labels(ctx context.Context) (out []triage.Judgement, ledger *triage.Ledger, err error) {
	ledger = triage.NewLedger()
	incidents, _, err := all(ctx, maxLabelled, func(ctx context.Context, after string) ([]triage.Incident, string, error) {
		return w.opts.Store.Incidents(ctx, triage.IncidentQuery{Limit: 500, After: after})
	})
	if err != nil {
		return nil, nil, fmt.Errorf("list incidents: %w", err)
	}
	for _, inc := range incidents {
		if inc.Reports == 0 {
			continue
		}
		said, err := w.opts.Store.Feedback(ctx, inc.ID)
		if err != nil {
			return nil, nil, fmt.Errorf("read feedback of %s: %w", inc.ID, err)
		}
		rep, err := w.opts.Store.Report(ctx, inc.ID, 1)
		if w.opts.NotFound(err) {
			continue
		}
		if err != nil {
			return nil, nil, fmt.Errorf("read the first report of %s: %w", inc.ID, err)
		}
		last := rep
		if inc.Reports > 1 {
			if last, err = w.opts.Store.Report(ctx, inc.ID, inc.Reports); err != nil && !w.opts.NotFound(err) {
				return nil, nil, fmt.Errorf("read the latest report of %s: %w", inc.ID, err)
			}
		}
		ledger.Add(inc, rep, last, said)
		if j, counts := rep.Judge(triage.LabelOf(said)); counts {
			out = append(out, j)
		}
	}
	return out, ledger, nil
}

func shares(labels []triage.Judgement) []shareRow {
	rows := []shareRow{
		{Name: "First suspect right", Meaning: "the first hypothesis of the first report was what people confirmed"},
		{Name: "Named and right", Meaning: "of the reports that called a change likely"},
		{Name: "Advice right", Meaning: "of the reversals advised, those of the change that was confirmed"},
		{Name: "False blame", Meaning: "a change was called likely and was not it, of all labels", Bad: true},
		{Name: "Wrong reversal", Meaning: "of the reversals advised, those of a change that was not it", Bad: true},
	}
	count := func(i int, hit bool) {
		rows[i].Of++
		if hit {
			rows[i].Hits++
		}
	}
	for _, l := range labels {
		if l.Known() {
			count(0, l.Right())
		}
		if l.Named != "" {
			count(1, l.Named == l.Truth)
		}
		count(3, l.Named != "" && l.Named != l.Truth)
		if l.Advised != "" {
			count(2, l.Advised == l.Truth)
			count(4, l.Advised != l.Truth)
		}
	}
	for i := range rows {
		r := &rows[i]
		if r.Of == 0 {
			continue
		}
		r.Share = float64(r.Hits) / float64(r.Of)
		r.Low, r.Hi = triage.Wilson(r.Hits, r.Of)
		s := &scene{W: 240, H: 16}
		x := func(p float64) float64 { return 4 + 232*p }
		s.line("rule", point{x(0), 8}, point{x(1), 8})
		s.box("interval", x(r.Low), 4, x(r.Hi), 12, 2)
		s.add(shape{kind: shapeDot, class: "share", pts: []point{{x(r.Share), 8}}, r: 4})
		r.Bar = s.svg("share-bar", fmt.Sprintf("%s, between %s and %s", say.Percent(r.Share), say.Percent(r.Low), say.Percent(r.Hi)))
	}
	return rows
}

// reliability holds what was said against what came true, in five equal ranges of what was said.
func reliability(labels []triage.Judgement) []binRow {
	const bins = 5
	out := make([]binRow, bins)
	for i := range out {
		out[i].From, out[i].To = float64(i)/bins, float64(i+1)/bins
	}
	for _, l := range labels {
		b := &out[min(int(l.Probability*bins), bins-1)]
		b.N++
		b.Said += l.Probability
		if l.Right() {
			b.Seen++
		}
	}
	for i := range out {
		if out[i].N > 0 {
			out[i].Said /= float64(out[i].N)
			out[i].Seen /= float64(out[i].N)
		}
	}
	return out
}

// reliabilityChart puts a dot for each range: on the diagonal, what is said comes true as often as it is said.
func reliabilityChart(bins []binRow) template.HTML {
	const side = 220.0
	s := &scene{W: side + 56, H: side + 44}
	x := func(p float64) float64 { return 44 + side*p }
	y := func(p float64) float64 { return 8 + side*(1-p) }
	for _, p := range []float64{0, .25, .5, .75, 1} {
		s.line("rule", point{x(0), y(p)}, point{x(1), y(p)})
		s.line("rule", point{x(p), y(0)}, point{x(p), y(1)})
		s.label("tick", fmt.Sprintf("%.0f %%", 100*p), x(0)-6, y(p)+4, "end")
		s.label("tick", fmt.Sprintf("%.0f", 100*p), x(p), y(0)+16, "middle")
	}
	s.line("diagonal", point{x(0), y(0)}, point{x(1), y(1)})
	s.label("tick", "said, %", x(.5), y(0)+32, "middle")
	for _, b := range bins {
		if b.N > 0 {
			s.add(shape{kind: shapeDot, class: "share", pts: []point{{x(b.Said), y(b.Seen)}}, r: 3 + math.Sqrt(float64(b.N)), title: fmt.Sprintf("said %.0f %%, came true %.0f %%, %d labels", 100*b.Said, 100*b.Seen, b.N)})
		}
	}
	return s.svg("reliability", "Reliability: what was said against what came true; the table has the numbers")
}
