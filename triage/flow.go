package triage

import (
	"context"
	"time"
)

// Emit hands events over. Nil means that every one of them is durable and in the window, so the source may acknowledge;
// on an error it must not, and may send the same events again: taking them is idempotent. It blocks while the store is busy.
// The events are not changed and may not be changed by the caller afterwards.
type Emit func(context.Context, []Event) error

// Entry is an Event as the collector stores it: folded, with the ids that have become aliases of it.
type Entry struct {
	Event   Event
	Aliases []ChangeID // resolve to Event.Change.ID for ever
}

// IndexEntry is what the window keeps of one Change: enough to select it and to fold into it, without its body.
type IndexEntry struct {
	ID           ChangeID
	Kind         Kind
	Scope        Scope
	Start        time.Time // earliest time it may have acted
	LastActivity time.Time
	JoinKeys     []uint64 // hashes of Change.JoinKeys
}

// IncidentQuery selects incidents, newest first.
type IncidentQuery struct {
	States   []IncidentState // empty: all
	Service  string
	From, To time.Time // by opened_at; zero: open-ended
	Limit    int       // 0: store's default
	After    string    // cursor of the previous page
}

// DeliveryQuery selects deliveries, newest first.
type DeliveryQuery struct {
	States     []DeliveryState
	IncidentID string
	Limit      int
	After      string
}

// Request asks for one triage.
type Request struct {
	Incident Incident      // its alerts, service and scope; ID empty for an ad hoc question
	At       time.Time     // report time: nothing later is used
	Cause    string        // see Report.Cause
	Lookback time.Duration // 0: configured
	Number   int           // report number to give; 0 for ad hoc
	Checked  []Checked     // what undoing did so far, oldest first
}

// Answer is a Report with the input it was made from, as a Case: what is journalled and exported.
type Answer struct {
	Report Report
	Input  Case
}

// SourceStatus is how a source is doing right now, as it sees itself.
type SourceStatus struct {
	Name        string      `json:"name"`
	Type        string      `json:"type"` // kafka, github, prometheus, push, hook
	State       SourceState `json:"state"`
	Detail      string      `json:"detail,omitempty"` // one sentence, no secrets
	LagS        float64     `json:"lag_s,omitzero"`
	LastSuccess time.Time   `json:"last_success,omitzero"` // of talking to the other side
	LastEvent   time.Time   `json:"last_event,omitzero"`
	UsualGapS   float64     `json:"usual_gap_s,omitzero"`
	Events      uint64      `json:"events"`
	Quarantined uint64      `json:"quarantined"`
}
