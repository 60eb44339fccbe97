package triage

import "time"

// CaseSchema is the version of the case file format.
const CaseSchema = 1

// Case is one recorded scenario: what replay, demo, tests and incident exports read and write.
// What the right answer is stands beside it in the file, under "expect", which this type cannot see.
type Case struct {
	Schema    int                `json:"schema"`
	ID        string             `json:"id"`
	Source    *CaseSource        `json:"source,omitempty"`
	Synthetic []string           `json:"synthetic,omitempty"` // what is made up
	Window    CaseWindow         `json:"window"`
	ReportAt  time.Time          `json:"report_at,omitzero"` // default: first alert's starts_at
	Topology  Topology           `json:"topology"`
	Services  map[string]Service `json:"services,omitempty"`
	Changes   []Change           `json:"changes"`
	Anomalies []Anomaly          `json:"anomalies,omitempty"`
	Alerts    []Alert            `json:"alerts"`
	Symptom   *Symptom           `json:"symptom,omitempty"` // what Prometheus said about the rule, where it was recorded
	Series    []Series           `json:"series"`
	Coverage  []Coverage         `json:"coverage,omitempty"`
	History   []Outcome          `json:"history,omitempty"`
	Earlier   []Alert            `json:"earlier,omitempty"`  // earlier firings of the first alert, over two weeks
	Episodes  []Span             `json:"episodes,omitempty"` // stretches known to have been bad before this one: no baseline lies in them
	Placebo   []Placebo          `json:"placebo,omitempty"`  // what the services' signals did here when nothing was wrong
	Events    []CaseEvent        `json:"events,omitempty"`   // what happens after report_at
	Ask       *CaseAsk           `json:"ask,omitempty"`      // what was asked, where the Case is the input of a report
}

// CaseAsk is what a report was asked for, besides the evidence: with it the Case replays to the same report.
type CaseAsk struct {
	IncidentID string             `json:"incident_id,omitempty"`
	Number     int                `json:"number,omitempty"`
	Cause      string             `json:"cause,omitempty"`
	Scope      Scope              `json:"scope,omitzero"` // of the incident, names canonical
	LookbackS  float64            `json:"lookback_s,omitzero"`
	Widened    bool               `json:"widened,omitempty"`
	Deadline   bool               `json:"deadline,omitempty"`
	Notes      []string           `json:"notes,omitempty"`
	ChangeRate map[string]float64 `json:"change_rate,omitempty"` // usual changes per hour, by service
	Checked    []Checked          `json:"checked,omitempty"`     // what undoing did so far
	Unknown    bool               `json:"unknown,omitempty"`     // nothing here names the service asked about
	Told       *Told              `json:"told,omitempty"`        // how much of what changes is told here; nil: not known
}

// Told is an installation's measure of its own hearing: of the rollouts that its metrics showed (new versions and ReplicaSets) over
// the last two weeks, how many another source told of too, and how long after they were seen to begin.
type Told struct {
	Seen       int     `json:"seen"`
	Told       int     `json:"told"`
	MedianLagS float64 `json:"median_lag_s"` // of those told; 0: told before the metrics showed them
	P90LagS    float64 `json:"p90_lag_s"`
}

// CaseSource says where the facts of a Case come from.
type CaseSource struct {
	URL     string `json:"url"`
	Licence string `json:"licence"`
}

// CaseWindow is the time a Case covers.
type CaseWindow struct {
	From time.Time `json:"from"`
	To   time.Time `json:"to"`
}

// CaseEvent is something that happens after the report: a Change (an undo, a hotfix), a resolved Alert, further samples.
type CaseEvent struct {
	At     time.Time `json:"at"`
	Change *Change   `json:"change,omitempty"`
	Alert  *Alert    `json:"alert,omitempty"`
	Series *Series   `json:"series,omitempty"`
}

// Expect is the right answer of a Case. Only scoring reads it.
type Expect struct {
	Truth       []ChangeID   `json:"truth"`
	Latent      []ChangeID   `json:"latent,omitempty"`
	NoneReason  string       `json:"none_reason,omitempty"`
	Onset       *ExpectOnset `json:"onset,omitempty"`
	Action      []Action     `json:"action,omitempty"` // any of these is right
	Unsafe      []Unsafe     `json:"unsafe,omitempty"`
	UndoOf      ChangeID     `json:"undo_of,omitempty"`
	RecoveredAt time.Time    `json:"recovered_at,omitzero"`
}

// ExpectOnset is the true onset.
type ExpectOnset struct {
	Earliest time.Time `json:"earliest"`
	Latest   time.Time `json:"latest"`
}

// Unsafe is a Change that must not be reversed.
type Unsafe struct {
	ID     ChangeID `json:"id"`
	Reason string   `json:"reason"`
}

// ReportTime is report_at, or when the first alert fired.
func (c Case) ReportTime() time.Time {
	if !c.ReportAt.IsZero() {
		return c.ReportAt
	}
	var t time.Time
	for _, a := range c.Alerts {
		if t.IsZero() || a.StartsAt.Before(t) {
			t = a.StartsAt
		}
	}
	return t
}
