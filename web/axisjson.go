package web

import (
	"encoding/json"
	"math"
	"net/http"
	"time"

	"github.com/triaged-dev/triaged/triage"
)

// axisData is the picture's content for the script that zooms into it. Times are Unix seconds.
type axisData struct {
	From   float64     `json:"from"`
	To     float64     `json:"to"`
	Onset  [2]float64  `json:"onset"`
	Panels []panelData `json:"panels"`
	Marks  []markData  `json:"marks"`
}

type panelData struct {
	Title string      `json:"title"`
	Unit  triage.Unit `json:"unit"`
	Rank  int         `json:"rank"` // 0: the symptom
	Lines []lineData  `json:"lines"`
}

type lineData struct {
	Label  string     `json:"label"`
	Times  []float64  `json:"times"`
	Values []*float64 `json:"values"` // null is a gap
}

type markData struct {
	At    float64 `json:"at"`
	Label string  `json:"label"`
	Rank  int     `json:"rank"`
}

// serveAxis answers with the content of a report's axis, as JSON: what the page's own script needs to zoom.
func (w *Web) serveAxis(rw http.ResponseWriter, r *http.Request) {
	data, err := w.axisData(r)
	if err != nil {
		p, status := w.errorPage(r, err)
		secure(rw.Header())
		text, _ := p.frame.Data.(map[string]any)["Text"].(string)
		http.Error(rw, text, status)
		return
	}
	body, err := json.Marshal(data)
	if err != nil {
		w.log.Error("encode axis", "err", err)
		http.Error(rw, "The axis could not be encoded.", http.StatusInternalServerError)
		return
	}
	secure(rw.Header())
	rw.Header().Set("Content-Type", "application/json")
	_, _ = rw.Write(body) // the visitor may have gone
}

func (w *Web) axisData(r *http.Request) (axisData, error) {
	ctx, id := r.Context(), r.PathValue("id")
	reports, err := w.opts.Store.Reports(ctx, id)
	if err != nil {
		return axisData{}, err
	}
	if len(reports) == 0 {
		return axisData{}, fail(http.StatusNotFound, "This incident has no report yet.", nil)
	}
	shown, err := pick(reports, r.URL.Query().Get("report"))
	if err != nil {
		return axisData{}, err
	}
	input, err := w.opts.Store.ReportInput(ctx, id, reports[shown].Number)
	if err != nil {
		return axisData{}, err
	}
	a := newAxis(axisInput{Report: reports[shown], Case: input})
	out := axisData{From: unix(a.From), To: unix(a.To), Panels: []panelData{}, Marks: []markData{}}
	if !a.Onset.Best.IsZero() {
		out.Onset = [2]float64{unix(a.Onset.Earliest), unix(a.Onset.Latest)}
	}
	for _, p := range a.Panels {
		d := panelData{Title: p.Title, Unit: p.Unit}
		if len(p.Ranks) > 0 {
			d.Rank = p.Ranks[0]
		}
		for _, l := range p.Lines {
			d.Lines = append(d.Lines, newLineData(l))
		}
		out.Panels = append(out.Panels, d)
	}
	for _, m := range a.Marks {
		out.Marks = append(out.Marks, markData{At: unix(m.From), Label: m.Label, Rank: m.Rank})
	}
	return out, nil
}

const maxJSONSamples = 2000 // of one series, the latest

func newLineData(l plot) lineData {
	d := lineData{Label: l.Label, Times: []float64{}, Values: []*float64{}}
	for i := max(0, len(l.Values)-maxJSONSamples); i < len(l.Values); i++ {
		var v *float64
		if f := l.Values[i]; !math.IsNaN(f) && !math.IsInf(f, 0) {
			v = &f
		}
		d.Times = append(d.Times, unix(l.Start.Add(time.Duration(i)*l.Step())))
		d.Values = append(d.Values, v)
	}
	return d
}

func unix(t time.Time) float64 { return float64(t.UnixMilli()) / 1000 }
