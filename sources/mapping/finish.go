package mapping

import (
	"time"

	"github.com/triaged-dev/triaged/triage"
)

// unreadTime is how far off a Change's time may be that is taken from its arrival: senders queue and try again for minutes.
const unreadTime = 5 * time.Minute

// finishChange makes what a rule gave fit to be validated: what the sender left open is filled in, and what would refuse a sound
// Change for a detail is mended. A time that could not be read, and one that was never given, is that of the arrival, uncertain.
func (in *input) finishChange(name string, c triage.Change) (triage.Event, error) {
	if c.StartedAt.IsZero() && c.FinishedAt.IsZero() && c.ObservedAt.IsZero() {
		in.unread = true
		if c.Status.Terminal() && c.Kind != triage.KindFlag {
			c.FinishedAt = in.received
		} else {
			c.StartedAt = in.received
		}
	}
	// Two clocks may have set them, and of two wrong orders this one loses nothing.
	if !c.StartedAt.IsZero() && !c.FinishedAt.IsZero() && c.FinishedAt.Before(c.StartedAt) {
		c.StartedAt = c.FinishedAt
	}
	if in.unread {
		c.TimeUncertaintyS = max(c.TimeUncertaintyS, unreadTime.Seconds())
		if c.Labels == nil {
			c.Labels = make(map[string]string)
		}
		c.Labels["time_from"] = "arrival"
	}
	c.Size.Paths = c.Size.Paths[:min(len(c.Size.Paths), triage.MaxPaths)]
	c.Refs = c.Refs[:min(len(c.Refs), triage.MaxRefs)]
	c.Steps = c.Steps[:min(len(c.Steps), triage.MaxSteps)]
	e := triage.Event{Change: &c}
	if in.complete != nil {
		e = in.complete(e)
	}
	done := *e.Change
	if err := done.Validate("change"); err != nil {
		return triage.Event{}, err
	}
	if done.ID == "" { // the id says what sent it, not how the hook is called
		named := done
		named.Source = name
		done.ID = named.DeriveID()
	}
	return triage.Event{Change: &done}, nil
}

// finishAnomaly is finishChange for an Anomaly.
func (in *input) finishAnomaly(a triage.Anomaly) (triage.Event, error) {
	if a.Onset.Best.IsZero() {
		a.Onset = triage.Interval{Earliest: in.received.Add(-unreadTime), Best: in.received, Latest: in.received}
	}
	e := triage.Event{Anomaly: &a}
	if in.complete != nil {
		e = in.complete(e)
	}
	return e, e.Anomaly.Validate("anomaly")
}
