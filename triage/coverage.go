package triage

import "time"

// SourceState says how well a source could be heard over the lookback.
type SourceState string

// The states of a source. Silent means quiet against its own usual rate.
const (
	SourceOK          SourceState = "ok"
	SourceSilent      SourceState = "silent"
	SourceLate        SourceState = "late"
	SourceRateLimited SourceState = "rate_limited"
	SourceDown        SourceState = "down"

	SourceNotConfigured SourceState = "not_configured" // there is none: what it would have shown is not known
)

// Remedy is what to do about a source in this state, one clause; "" where nothing is wrong.
func (s SourceState) Remedy() string {
	switch s {
	case SourceOK:
	case SourceSilent:
		return "look whether the sender still sends: its webhook, topic or token"
	case SourceLate:
		return "look what holds it up: the log of triaged says more"
	case SourceRateLimited:
		return "poll less often, or use a token with a quota of its own"
	case SourceNotConfigured:
		return "configure one under sources"
	case SourceDown:
		return "check its address, credentials and network"
	}
	return ""
}

// Coverage is what one source could see over the lookback: the blind spots of a Report.
type Coverage struct {
	Source    string      `json:"source"`
	State     SourceState `json:"state"`
	From      time.Time   `json:"from,omitzero"`
	To        time.Time   `json:"to,omitzero"`
	LagS      float64     `json:"lag_s,omitzero"`
	LastEvent time.Time   `json:"last_event,omitzero"`
	UsualGapS float64     `json:"usual_gap_s,omitzero"` // median seconds between events, where enough were seen
	Detail    string      `json:"detail,omitempty"`     // one sentence, no secrets
}
