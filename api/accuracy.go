package api

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"net/http"
	"slices"
	"strings"

	"github.com/triaged-dev/triaged/triage"
)

// maxScored bounds the incidents looked through, newest first.
const maxScored = 1000

// proportion is a share of n with its 95 % interval (Wilson). Without n there is no share.
type proportion struct {
	Hits int      `json:"hits"`
	N    int      `json:"n"`
	Rate *float64 `json:"rate,omitempty"`
	Low  *float64 `json:"low,omitempty"`
	High *float64 `json:"high,omitempty"`
}

func (p *proportion) count(hit bool) {
	p.N++
	if hit {
		p.Hits++
	}
}

// settle fills in the share: 9 of 10 is 0.90, between 0.60 and 0.98.
func (p *proportion) settle() {
	if p.N == 0 {
		return
	}
	round := func(v float64) *float64 { v = math.Round(1e4*v) / 1e4; return &v }
	low, high := triage.Wilson(p.Hits, p.N)
	p.Rate, p.Low, p.High = round(float64(p.Hits)/float64(p.N)), round(low), round(high)
}

// accuracy is how good the first reports were, by the team's own labels. Verified undos are no labels: they count apart.
type accuracy struct {
	Incidents       int        `json:"incidents"`                  // with a report, at most the latest 1000
	Labels          int        `json:"labels"`                     // of those, with a person's word
	Verified        int        `json:"verified"`                   // of those, where undoing a suspect was seen to end it
	Named           proportion `json:"named"`                      // first reports that called a change likely, of all
	Precision       proportion `json:"precision"`                  // of those with a label, right
	Top1            proportion `json:"top1"`                       // first hypothesis right, of all labels
	Harm            proportion `json:"harm"`                       // reversals advised of a change that people say it was not, of those advised and labelled
	MinutesToCause  *float64   `json:"minutes_to_cause,omitempty"` // median, from the first alert to the first report that named what was confirmed
	MinutesMeasured int        `json:"minutes_measured"`           // incidents behind it
	Ends            ends       `json:"ends"`                       // the same without anybody labelling: first reports against how each incident ended
}

// ends is a triage.Ledger with intervals.
type ends struct {
	endRecord
	ByBasis     map[triage.Basis]int     `json:"by_basis"`
	Weights     map[triage.Basis]float64 `json:"weights"` // what a basis is worth, in labels of a person
	ByService   []endRecord              `json:"by_service"`
	ByBlindness []endRecord              `json:"by_blindness"`
}

type endRecord struct {
	Name       string   `json:"name,omitempty"`
	Incidents  int      `json:"incidents"`
	Known      int      `json:"known"`
	FalseBlame weighted `json:"false_blame"`
	WrongUndo  weighted `json:"wrong_undo"`
	Missed     weighted `json:"missed"`
}

// weighted is a share whose hits and n are in labels of a person.
type weighted struct {
	Hits float64  `json:"hits"`
	N    float64  `json:"n"`
	Rate *float64 `json:"rate,omitempty"`
	Low  *float64 `json:"low,omitempty"`
	High *float64 `json:"high,omitempty"`
}

// maxParts bounds the services and the sources of blindness listed.
const maxParts = 50

func endsOf(l *triage.Ledger) ends {
	out := ends{endRecord: endRecordOf("", l.Record), ByBasis: l.ByBasis, Weights: make(map[triage.Basis]float64), ByService: []endRecord{}, ByBlindness: []endRecord{}}
	for _, b := range triage.Bases() {
		out.Weights[b] = b.Weight()
	}
	for _, p := range triage.Parts(l.ByService, maxParts) {
		out.ByService = append(out.ByService, endRecordOf(p.Name, p.Record))
	}
	for _, p := range triage.Parts(l.ByBlindness, maxParts) {
		out.ByBlindness = append(out.ByBlindness, endRecordOf(p.Name, p.Record))
	}
	return out
}

func endRecordOf(name string, r triage.Record) endRecord {
	return endRecord{Name: name, Incidents: r.Incidents, Known: r.Known, FalseBlame: weightedOf(r.FalseBlame), WrongUndo: weightedOf(r.WrongUndo), Missed: weightedOf(r.Missed)}
}

func weightedOf(s triage.Share) weighted {
	round := func(v float64) *float64 { v = math.Round(1e4*v) / 1e4; return &v }
	out := weighted{Hits: *round(s.Hits), N: *round(s.N)}
	if s.N > 0 {
		low, high := s.Interval()
		out.Rate, out.Low, out.High = round(s.Rate()), round(low), round(high)
	}
	return out
}

// scored is one incident with its reports and what people said.
type scored struct {
	inc     triage.Incident
	reports []triage.Report
	said    []triage.Feedback
}

func (a *API) getAccuracy(r *request) (any, error) {
	if p := query(r); p.err != nil {
		return nil, p.err
	}
	var out accuracy
	var minutes []float64
	ledger := triage.NewLedger()
	err := a.eachScored(r, func(s scored) error {
		out.add(s, &minutes)
		ledger.Add(s.inc, s.reports[0], s.reports[len(s.reports)-1], s.said)
		return nil
	})
	if err != nil {
		return nil, err
	}
	out.Ends = endsOf(ledger)
	for _, p := range []*proportion{&out.Named, &out.Precision, &out.Top1, &out.Harm} {
		p.settle()
	}
	if out.MinutesMeasured = len(minutes); out.MinutesMeasured > 0 {
		slices.Sort(minutes)
		n := len(minutes)
		m := math.Round(100*(minutes[(n-1)/2]+minutes[n/2])/2) / 100
		out.MinutesToCause = &m
	}
	return out, nil
}

// add counts one incident. The first report is what on-call acted on, so it is what is held against the label.
func (out *accuracy) add(s scored, minutes *[]float64) {
	first := s.reports[0]
	j, counts := first.Judge(triage.LabelOf(s.said))
	out.Incidents++
	out.Named.count(j.Named != "")
	for _, f := range s.said {
		if f.Verdict == triage.FeedbackVerified {
			out.Verified++
			break
		}
	}
	if !counts {
		return
	}
	out.Labels++
	if j.Known() {
		out.Top1.count(j.Right())
	}
	if j.Named != "" {
		out.Precision.count(j.Named == j.Truth)
	}
	if j.Advised != "" {
		out.Harm.count(j.Advised != j.Truth)
	}
	if j.Truth != "" {
		paged := s.inc.OpenedAt
		for _, al := range s.inc.Alerts {
			if al.StartsAt.Before(paged) {
				paged = al.StartsAt
			}
		}
		if at := namedAt(s.reports, j.Truth); !at.IsZero() {
			*minutes = append(*minutes, at.Sub(paged).Minutes())
		}
	}
}

// eachScored reads the latest incidents that have a report.
func (a *API) eachScored(r *request, yield func(scored) error) error {
	q := triage.IncidentQuery{Limit: 200}
	for seen := 0; seen < maxScored; {
		incidents, next, err := a.opts.Store.Incidents(r.Context(), q)
		if err != nil {
			return fmt.Errorf("list incidents: %w", err)
		}
		for _, inc := range incidents {
			if seen++; seen > maxScored || inc.Reports == 0 {
				continue
			}
			reports, err := a.opts.Store.Reports(r.Context(), inc.ID)
			if err != nil {
				return fmt.Errorf("list reports of %s: %w", inc.ID, err)
			}
			said, err := a.opts.Store.Feedback(r.Context(), inc.ID)
			if err != nil {
				return fmt.Errorf("list feedback of %s: %w", inc.ID, err)
			}
			if len(reports) == 0 {
				continue
			}
			if err := yield(scored{inc, reports, said}); err != nil {
				return err
			}
		}
		if q.After = next; next == "" || len(incidents) == 0 {
			return nil
		}
	}
	return nil
}

// maxExport bounds the labelled cases handed out at once; each may be some MiB of series.
const maxExport = 100

// getLabelledCases exports what the first reports of labelled incidents were made from, with the label as the expected
// answer, one JSON object a line: the team's own cases for `triaged replay --fit`.
func (a *API) getLabelledCases(r *request) (any, error) {
	p := query(r, "limit")
	limit := min(p.limit(), maxExport)
	if p.err != nil {
		return nil, p.err
	}
	var out bytes.Buffer
	n := 0
	err := a.eachScored(r, func(s scored) error {
		label := triage.LabelOf(s.said)
		if n >= limit || !label.Known() {
			return nil
		}
		c, err := a.opts.Store.ReportInput(r.Context(), s.inc.ID, s.reports[0].Number)
		if err != nil {
			return fmt.Errorf("read input of the first report of %s: %w", s.inc.ID, err)
		}
		c.ID = s.inc.ID
		c.History = nil // what was learned from this very label must not help to guess it
		e := triage.Expect{Truth: []triage.ChangeID{}}
		if label.Truth != "" {
			e.Truth = append(e.Truth, label.Truth)
		} else {
			e.NoneReason = "people say that no change did it"
		}
		for _, id := range slices.Sorted(maps.Keys(label.Rejected)) {
			e.Unsafe = append(e.Unsafe, triage.Unsafe{ID: id, Reason: "people say that it was not this"})
		}
		n++
		return json.NewEncoder(&out).Encode(struct {
			triage.Case
			Expect triage.Expect `json:"expect"`
		}{tidyCase(c), e})
	})
	if err != nil {
		return nil, err
	}
	return reply{raw: append([]byte{}, out.Bytes()...), header: http.Header{"Content-Type": {"application/x-ndjson"}}}, nil
}

// getOutcomes says how changes of one service turned out before, by kind.
func (a *API) getOutcomes(r *request) (any, error) {
	if p := query(r); p.err != nil {
		return nil, p.err
	}
	name, _ := a.directory().Resolve(r.PathValue("name"))
	if strings.TrimSpace(name) == "" || len(name) > triage.MaxText {
		return nil, badParameter("name", name, "use the name of a service")
	}
	all, err := a.opts.Store.Outcomes(r.Context())
	if err != nil {
		return nil, fmt.Errorf("read outcomes: %w", err)
	}
	return listing(slices.DeleteFunc(all, func(o triage.Outcome) bool { return o.Service != name }), ""), nil
}
