package triage

import "time"

// UndoRequest asks what taking a suspect back did.
type UndoRequest struct {
	Incident Incident
	Undid    Change // the suspect that was taken back
	Undo     Change // the change that took it back
	Onset    Interval
	Signal   Signal   // of the symptom
	Undos    []Change // further undos of the same incident
	Moving   []Change // in its blast radius, and acting since the onset
	Near     []string // services whose changes could matter to the incident
	At       time.Time
	Limits   UndoLimits
}

// UndoLimits are the times by which an undo is judged, and the traffic without which nothing is proved.
type UndoLimits struct {
	RetryCycle time.Duration // longest time after which clients try again: recovery must last longer
	GiveUp     time.Duration // a symptom that outlasts the undo this long: the system may hold itself down
	MoveOn     time.Duration // this long: undoing it did not help
	MinTraffic float64       // share of the usual traffic below which a recovery proves nothing
}

// EffectAt is when a change that is through had taken effect: its end where that is known, else as OccurredAt.
func (c Change) EffectAt() time.Time {
	if c.FinishedAt.After(c.StartedAt) && c.Status == StatusSucceeded {
		return c.FinishedAt
	}
	return c.OccurredAt()
}
