package triage

import "time"

// Shape tells a sudden symptom from one that crept up.
type Shape string

// The shapes of an Onset.
const (
	ShapeStep    Shape = "step"
	ShapeRamp    Shape = "ramp"
	ShapeUnknown Shape = "unknown"
)

// Onset is the interval in which the symptom began. Latest is never after the alert's StartsAt.
type Onset struct {
	Interval
	Shape           Shape  `json:"shape,omitempty"`
	AlreadyDegraded bool   `json:"already_degraded,omitempty"` // bad for as long as the series reach back
	Basis           string `json:"basis,omitempty"`            // one sentence: how the interval was found
}

// Span is a stretch of time, both ends known.
type Span struct {
	From time.Time `json:"from"`
	To   time.Time `json:"to"`
}

// Symptom is what Prometheus knows about the rule behind an Alert, with the alert's own series.
type Symptom struct {
	RuleFound       bool         `json:"rule_found"`
	Expr            string       `json:"expr,omitempty"`          // as the rule has it
	SeriesExpr      string       `json:"series_expr,omitempty"`   // comparison stripped, recording rules expanded, this alert's labels matched
	Threshold       *float64     `json:"threshold,omitempty"`     // right-hand side of the stripped comparison
	BadDirection    string       `json:"bad_direction,omitempty"` // "higher" or "lower": the side on which the alert fires
	Legs            []SymptomLeg `json:"legs,omitempty"`          // every side of the rule's "or": Series are of the one that fires, else of the first
	ForS            float64      `json:"for_s,omitzero"`
	EvalIntervalS   float64      `json:"eval_interval_s,omitzero"`
	ScrapeIntervalS float64      `json:"scrape_interval_s,omitzero"`
	LongestRangeS   float64      `json:"longest_range_s,omitzero"` // longest range selector, recording rules expanded
	ActiveAt        time.Time    `json:"active_at,omitzero"`
	Series          []Series     `json:"series,omitempty"` // values of SeriesExpr, each with Role "symptom"
	Notes           []string     `json:"notes,omitempty"`  // what was assumed or could not be read, one sentence each
}

// SymptomLeg is one side of a rule: what it measures, beyond which value and on which side of it it fires.
type SymptomLeg struct {
	Expr         string   `json:"expr"`
	Threshold    *float64 `json:"threshold,omitempty"`
	BadDirection string   `json:"bad_direction,omitempty"`
}
