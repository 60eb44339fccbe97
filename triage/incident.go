package triage

import "time"

// IncidentState says where an Incident stands.
type IncidentState string

// The states of an Incident. A recovered or closed one may be reopened.
const (
	IncidentOpen       IncidentState = "open"
	IncidentMitigating IncidentState = "mitigating"
	IncidentRecovered  IncidentState = "recovered"
	IncidentClosed     IncidentState = "closed"
)

// Incident is a set of alerts that belong together, from open to closed.
type Incident struct {
	ID          string        `json:"id"`
	State       IncidentState `json:"state"`
	Title       string        `json:"title"`
	Scope                     // of the first alert; Service is canonical
	ServiceRule NameRule      `json:"service_rule,omitempty"` // how the alert's label was joined to the service
	ServiceFrom string        `json:"service_from,omitempty"` // "label app=checkout-svc": where the name came from
	Node        string        `json:"node,omitempty"`         // the machine, where the first alert is about one and about no service
	GroupKey    string        `json:"group_key,omitempty"`
	Pages       bool          `json:"pages"` // whether it is posted; other incidents are only recorded
	OpenedAt    time.Time     `json:"opened_at"`
	UpdatedAt   time.Time     `json:"updated_at"`
	RecoveredAt time.Time     `json:"recovered_at,omitzero"`
	ClosedAt    time.Time     `json:"closed_at,omitzero"`
	Reopened    int           `json:"reopened,omitempty"`
	EpisodeAt   time.Time     `json:"episode_at,omitzero"` // when the latest alert fired that reopened it; zero: never reopened
	Episodes    []Span        `json:"episodes,omitempty"`  // earlier ones, first alert to recovery, oldest first; bounded
	Alerts      []Alert       `json:"alerts"`              // by Key, first seen first; bounded
	Reports     int           `json:"reports"`             // number of the latest Report
}

// MaxEpisodes bounds Incident.Episodes: the latest are kept.
const MaxEpisodes = 50

// Current are the alerts of the episode that is on: those that fire, and those that began with it. What ended before a reopening
// says nothing of when this one began.
func (i Incident) Current() []Alert {
	if i.EpisodeAt.IsZero() {
		return i.Alerts
	}
	var out []Alert
	for _, a := range i.Alerts {
		if a.Status != AlertResolved || !a.StartsAt.Before(i.EpisodeAt) {
			out = append(out, a)
		}
	}
	if len(out) == 0 {
		return i.Alerts
	}
	return out
}

// Firing counts the alerts that still fire.
func (i Incident) Firing() int {
	n := 0
	for _, a := range i.Alerts {
		if a.Status != AlertResolved {
			n++
		}
	}
	return n
}

// DeliveryState says how far a Delivery has got.
type DeliveryState string

// The states of a Delivery. Shadow was recorded and never meant to be sent; Dead needs a person.
const (
	DeliveryPending   DeliveryState = "pending"
	DeliveryDelivered DeliveryState = "delivered"
	DeliveryDead      DeliveryState = "dead"
	DeliveryShadow    DeliveryState = "shadow"
	DeliveryHeld      DeliveryState = "held" // outcome unknown and on_uncertain is hold
)

// Delivery is one Report on its way to one receiver: a row of the outbox.
type Delivery struct {
	ID           string        `json:"id"` // stable across retries: receivers de-duplicate by it
	IncidentID   string        `json:"incident_id"`
	ReportNumber int           `json:"report_number"`
	Receiver     string        `json:"receiver"`
	State        DeliveryState `json:"state"`
	Attempts     int           `json:"attempts"`
	CreatedAt    time.Time     `json:"created_at"`
	NextAttempt  time.Time     `json:"next_attempt,omitzero"`
	DeliveredAt  time.Time     `json:"delivered_at,omitzero"`
	LastError    string        `json:"last_error,omitempty"` // no URL, no token; once delivered, what the other side said
	Begun        bool          `json:"begun,omitempty"`      // an attempt is under way; after a start: it was when the process ended
	Uncertain    bool          `json:"uncertain,omitempty"`  // an attempt may have arrived all the same
	RemoteID     string        `json:"remote_id,omitempty"`  // what the other side calls it: Slack channel/ts
	Courtesy     string        `json:"courtesy,omitempty"`   // the team told of its own change, once, that does not have the page itself
	Muted        string        `json:"muted,omitempty"`      // recorded and not posted though the route is live: mute_times or inhibit
	ResentBy     Actor         `json:"resent_by,omitzero"`   // who put it back into the outbox last
	ResentAt     time.Time     `json:"resent_at,omitzero"`
}

// Feedback is what a person said about an Incident.
type Feedback struct {
	IncidentID string    `json:"incident_id"`
	Verdict    string    `json:"verdict"`             // confirm, reject, none
	ChangeID   ChangeID  `json:"change_id,omitempty"` // for confirm and reject
	Comment    string    `json:"comment,omitempty"`
	At         time.Time `json:"at"`
	By         Actor     `json:"by,omitzero"` // who said it
}

// The verdicts of Feedback.
const (
	FeedbackConfirm = "confirm" // it was this change
	FeedbackReject  = "reject"  // it was not this change
	FeedbackNone    = "none"    // it was no change

	FeedbackVerified = "verified" // no person: undoing this change was seen to end it
)

// EnoughLabels is from how many incidents that people labelled on the probabilities have something of the team's own behind
// them: before that cards print words only, and pages say so.
const EnoughLabels = 30

// Outcome counts how changes of one service and kind turned out before.
type Outcome struct {
	Service string  `json:"service"`
	Kind    Kind    `json:"kind"`
	Outcome string  `json:"outcome"` // confirmed, verified, rejected, harmless
	N       float64 `json:"n"`
}
