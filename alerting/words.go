package alerting

import (
	"fmt"
	"time"

	"github.com/triaged-dev/triaged/triage"
	"github.com/triaged-dev/triaged/triage/say"
)

// Bounds on what is taken from outside for one card, in characters.
const (
	maxName     = 60
	maxPhrase   = 120
	maxSentence = 200
	maxChecked  = 320 // what an undo did, with what speaks against it
)

func clean(s string, n int) string { return say.Clean(s, n) }

func cleanURL(s string) string { return say.URL(s) }

func describeChange(c *triage.Change) string { return say.Change(*c) }

func describeSuspect(s triage.Suspect) string { return say.Suspect(s) }

// suspectAt is when a suspect began to act.
func suspectAt(s triage.Suspect) time.Time {
	switch {
	case s.Change != nil:
		return s.Change.OccurredAt()
	case s.Anomaly != nil:
		return s.Anomaly.Onset.Best
	}
	return time.Time{}
}

// whenOf places a suspect against the onset: "at 03:01:30, 40 s before the errors".
func whenOf(s triage.Suspect, r triage.Report) string {
	at := suspectAt(s)
	if at.IsZero() {
		return "at an unknown time"
	}
	begin := "at " + clockDay(at, r.CreatedAt)
	if s.Change != nil && s.Change.StartedAt.IsZero() {
		begin = "finished " + clockDay(at, r.CreatedAt) + ", start not known"
	}
	if r.Onset.Best.IsZero() {
		return begin
	}
	gap := r.Onset.Best.Sub(at)
	switch {
	case gap > -time.Second && gap < time.Second:
		return begin + ", together with " + symptomNoun(r)
	case gap < 0:
		return begin + ", " + span(-gap) + " after " + symptomNoun(r) + " began"
	}
	return begin + ", " + span(gap) + " before " + symptomNoun(r)
}

func symptomNoun(r triage.Report) string {
	switch r.Symptom.Signal {
	case triage.SignalErrors:
		return "the errors"
	case triage.SignalLatency:
		return "the slowdown"
	case triage.SignalTraffic:
		return "the traffic shift"
	case triage.SignalSaturation:
		return "the saturation"
	default: // nothing to do for the others
	}
	return "the symptom"
}

func place(s triage.Scope) string { return say.Place(s) }

func firstNonEmpty(ss ...string) string {
	for _, s := range ss {
		if s != "" {
			return s
		}
	}
	return ""
}

// clock prints a time of day in UTC.
func clock(t time.Time) string { return t.UTC().Format("15:04:05") }

// clockDay adds the date when t is not on the day of the report.
func clockDay(t, report time.Time) string {
	if t.UTC().Format(time.DateOnly) != report.UTC().Format(time.DateOnly) {
		return t.UTC().Format("Jan 2 15:04:05")
	}
	return clock(t)
}

// span prints a duration as a person says it: 40 s, 12 min, 3 h 20 min.
func span(d time.Duration) string {
	switch {
	case d < 2*time.Minute:
		return fmt.Sprintf("%d s", int(d.Round(time.Second)/time.Second))
	case d < 2*time.Hour:
		return fmt.Sprintf("%d min", int(d.Round(time.Minute)/time.Minute))
	case d < 48*time.Hour:
		d = d.Round(time.Minute)
		if m := d % time.Hour / time.Minute; m != 0 {
			return fmt.Sprintf("%d h %d min", d/time.Hour, m)
		}
		return fmt.Sprintf("%d h", d/time.Hour)
	}
	return fmt.Sprintf("%d days", d/(24*time.Hour))
}

// odds is a probability in words, or in per cent where enough of the team's own labels stand behind it.
func odds(p float64, percentages bool) string {
	switch {
	case percentages:
		return fmt.Sprintf("%.0f %%", 100*p)
	case p >= triage.PossibleFrom:
		return "possible"
	}
	return "unlikely"
}

func plural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

func secs(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }
