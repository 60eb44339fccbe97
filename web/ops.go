package web

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/triaged-dev/triaged/triage"
	"github.com/triaged-dev/triaged/triage/say"
)

// sourcesView shows who is heard.
type sourcesView struct {
	Sources []sourceRow
	Bad     int
}

type sourceRow struct {
	triage.SourceStatus
	Usual string // "every 4 min", where known
	Lag   string
	Quiet string // how long since the last event
}

func (w *Web) getSources(*http.Request) (page, error) {
	now := w.now().UTC()
	v := sourcesView{}
	for _, s := range w.opts.Collector.Sources() {
		row := sourceRow{SourceStatus: s}
		if s.UsualGapS > 0 {
			row.Usual = "every " + say.Span(seconds(s.UsualGapS))
		}
		if s.LagS > 0 {
			row.Lag = say.Span(seconds(s.LagS))
		}
		if !s.LastEvent.IsZero() {
			row.Quiet = say.Span(now.Sub(s.LastEvent))
		}
		if s.State != triage.SourceOK {
			v.Bad++
		}
		v.Sources = append(v.Sources, row)
	}
	return page{template: "sources.html", frame: frame{Title: "Sources", Section: "sources", Data: v}}, nil
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

// quarantineView lists records that could not be taken.
type quarantineView struct {
	Source string
	Taken  string // what a retry that led here has brought
	Rows   []quarantineRow
	Next   string
}

type quarantineRow struct {
	triage.Quarantined
	Text string // the record, where it is text
}

const maxRecordShown = 4 << 10 // bytes of one quarantined record on the page

func (w *Web) getQuarantine(r *http.Request) (page, error) {
	q := r.URL.Query()
	v := quarantineView{Source: say.Clean(q.Get("source"), triage.MaxText)}
	if n, err := strconv.Atoi(q.Get("taken")); err == nil && n > 0 {
		v.Taken = "It was read, and brought " + say.Plural(n, "event", "events") + "."
	} else if err == nil {
		v.Taken = "It was read, and tells of no change."
	}
	found, next, err := w.opts.Store.Quarantined(r.Context(), v.Source, q.Get("after"), 20)
	if err != nil {
		return page{}, fmt.Errorf("read quarantine: %w", err)
	}
	for _, f := range found {
		row := quarantineRow{Quarantined: f}
		row.Size = max(f.Size, len(f.Body))
		body := f.Body[:min(len(f.Body), maxRecordShown)]
		if text := strings.ToValidUTF8(string(body), "�"); utf8.Valid(body) || strings.Count(text, "�") < 8 {
			row.Text = strings.Map(printable, text)
		}
		v.Rows = append(v.Rows, row)
	}
	if next != "" {
		v.Next = address("/sources/quarantine", "source", v.Source, "after", next)
	}
	return page{template: "quarantine.html", frame: frame{Title: "Quarantine", Section: "sources", Data: v}}, nil
}

// printable keeps line breaks and drops other control and direction characters.
func printable(r rune) rune {
	if r == '\n' || r == '\t' {
		return r
	}
	if say.Clean(string(r), 1) == "" && r != ' ' {
		return -1
	}
	return r
}

// deliveriesView shows the outbox; what needs a person comes first.
type deliveriesView struct {
	Stuck  []triage.Delivery // dead or held
	Rows   []triage.Delivery
	States []option
	Resent bool
	Next   string
}

func (w *Web) getDeliveries(r *http.Request) (page, error) {
	q := r.URL.Query()
	v := deliveriesView{Resent: q.Get("resent") != ""}
	states := []triage.DeliveryState{triage.DeliveryPending, triage.DeliveryDelivered, triage.DeliveryDead, triage.DeliveryShadow, triage.DeliveryHeld}
	query := triage.DeliveryQuery{Limit: pageSize, After: q.Get("after")}
	on := triage.DeliveryState(q.Get("state"))
	if slices.Contains(states, on) {
		query.States = []triage.DeliveryState{on}
	}
	var err error
	var next string
	if v.Rows, next, err = w.opts.Store.Deliveries(r.Context(), query); err != nil {
		return page{}, fmt.Errorf("list deliveries: %w", err)
	}
	if query.After == "" && len(query.States) == 0 {
		stuck := triage.DeliveryQuery{Limit: pageSize, States: []triage.DeliveryState{triage.DeliveryDead, triage.DeliveryHeld}}
		if v.Stuck, _, err = w.opts.Store.Deliveries(r.Context(), stuck); err != nil {
			return page{}, fmt.Errorf("list dead deliveries: %w", err)
		}
	}
	v.States = []option{{Label: "All", On: on == "", URL: "/deliveries"}}
	for _, s := range states {
		v.States = append(v.States, option{Label: string(s), On: s == on, URL: address("/deliveries", "state", string(s))})
	}
	if next != "" {
		v.Next = address("/deliveries", "state", string(on), "after", next)
	}
	return page{template: "deliveries.html", frame: frame{Title: "Deliveries", Section: "deliveries", Data: v}}, nil
}

func (w *Web) getConfig(*http.Request) (page, error) {
	if w.opts.ConfigYAML == nil {
		return page{}, fail(http.StatusNotFound, "The configuration is not shown here.", nil)
	}
	return page{template: "config.html", frame: frame{Title: "Configuration", Section: "config", Data: w.opts.ConfigYAML()}}, nil
}
