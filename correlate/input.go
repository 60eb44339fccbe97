package correlate

import (
	"time"

	"github.com/triaged-dev/triaged/triage"
)

// Input is everything Rank looks at. Rank does not change it; order of the slices does not matter.
type Input struct {
	IncidentID string
	Number     int
	Cause      string
	Scope      triage.Scope  // of the incident, names canonical; an empty service is read from the first alert's labels
	At         time.Time     // report time: no later sample is used and no change first seen later is weighed
	Lookback   time.Duration // 0: Config.Lookback
	Widened    bool          // Changes come from the longer store because nothing in the usual lookback fitted
	Alerts     []triage.Alert
	Symptom    *triage.Symptom // nil: nothing is known of the rule
	Changes    []triage.Change
	Anomalies  []triage.Anomaly
	Series     []triage.Series
	Topology   triage.Topology
	Services   map[string]triage.Service
	Coverage   []triage.Coverage
	History    []triage.Outcome
	Earlier    []triage.Alert     // earlier firings of the first alert, over two weeks
	Episodes   []triage.Span      // stretches known to have been bad before this one, merged, oldest first: no baseline lies in them
	Placebo    []triage.Placebo   // what the signals of services did here when nothing was wrong
	Unknown    bool               // nothing here names the service asked about: no call, no change, no metric
	Checked    []triage.Checked   // what undoing did so far
	Told       *triage.Told       // how much of what changes is told here; nil: not known
	ChangeRate map[string]float64 // usual changes per hour, by service; absent: counted from Changes
	Notes      []string           // carried into the report
	Deadline   bool               // the evidence was cut short
	Config     Config             // zero: DefaultConfig
	Weights    *Weights           // nil: DefaultWeights
}

// InputOf reads a Case as Rank's Input, with the default configuration and weights: changes observed and samples
// complete by the report time only. It is the inverse of Case up to what the report time hides.
func InputOf(c triage.Case) Input {
	at := c.ReportTime()
	in := Input{
		At: at, Alerts: c.Alerts, Symptom: c.Symptom, Anomalies: c.Anomalies, Series: c.Series,
		Topology: c.Topology, Services: c.Services, Coverage: c.Coverage, History: c.History, Earlier: c.Earlier, Episodes: c.Episodes, Placebo: c.Placebo,
	}
	if a := c.Ask; a != nil {
		in.IncidentID, in.Number, in.Cause, in.Scope = a.IncidentID, a.Number, a.Cause, a.Scope
		in.Lookback = time.Duration(a.LookbackS * float64(time.Second))
		in.Widened, in.Deadline, in.Notes, in.ChangeRate = a.Widened, a.Deadline, a.Notes, a.ChangeRate
		in.Checked, in.Told, in.Unknown = a.Checked, a.Told, a.Unknown
	}
	for _, ch := range c.Changes {
		if seenBy(ch, at) {
			in.Changes = append(in.Changes, ch)
		}
	}
	return in
}

// Case writes an Input as a Case that InputOf reads back to the same report.
func (in Input) Case(id string) triage.Case {
	from := in.At.Add(-in.lookback())
	return triage.Case{
		Schema: triage.CaseSchema, ID: id, Window: triage.CaseWindow{From: from, To: in.At}, ReportAt: in.At,
		Topology: in.Topology, Services: in.Services, Changes: in.Changes, Anomalies: in.Anomalies, Alerts: in.Alerts,
		Symptom: in.Symptom, Series: in.Series, Coverage: in.Coverage, History: in.History, Earlier: in.Earlier, Episodes: in.Episodes, Placebo: in.Placebo,
		Ask: &triage.CaseAsk{
			IncidentID: in.IncidentID, Number: in.Number, Cause: in.Cause, Scope: in.Scope,
			LookbackS: in.lookback().Seconds(), Widened: in.Widened, Deadline: in.Deadline,
			Notes: in.Notes, ChangeRate: in.ChangeRate, Checked: in.Checked, Told: in.Told, Unknown: in.Unknown,
		},
	}
}

// seenBy reports whether the Change had been observed by the time given, and had begun where that is known.
func seenBy(c triage.Change, at time.Time) bool {
	if !c.ObservedAt.IsZero() {
		return !c.ObservedAt.After(at)
	}
	return !c.OccurredAt().After(at)
}

func (in Input) lookback() time.Duration {
	switch {
	case in.Lookback > 0:
		return in.Lookback
	case in.Config.Lookback > 0:
		return time.Duration(in.Config.Lookback)
	}
	return time.Duration(DefaultConfig().Lookback)
}
