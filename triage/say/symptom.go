package say

import (
	"cmp"
	"strings"
	"time"

	"github.com/triaged-dev/triaged/triage"
)

// maxMetric is the length up to which a metric's name is said whole.
const maxMetric = 80

// Measure names what a series measures, as people say it: its signal, or the metric where the signal says little. A share of
// errors that is good when high is the share of successes, and called that.
func Measure(signal triage.Signal, better triage.Better, metric string) string {
	switch {
	case signal == triage.SignalErrors && better == triage.BetterHigher && triage.IsLiveness(metric):
		return "availability" // whether it is there: no share of requests
	case signal == triage.SignalErrors && better == triage.BetterHigher:
		return "success"
	case signal == triage.SignalErrors, signal == triage.SignalLatency, signal == triage.SignalTraffic:
		return string(signal)
	case metric != "" && len(metric) <= maxMetric && !strings.ContainsAny(metric, "({[/*"):
		return metric
	case signal != "" && signal != triage.SignalCustom:
		return string(signal)
	}
	return "the alert's expression"
}

// Noun is what the symptom is called in a sentence.
func Noun(s triage.Signal) string {
	switch s {
	case triage.SignalErrors:
		return "the errors"
	case triage.SignalLatency:
		return "the slowdown"
	case triage.SignalTraffic:
		return "the traffic shift"
	case triage.SignalSaturation:
		return "the saturation"
	case triage.SignalCustom:
	}
	return "the symptom"
}

// Course says how the symptom goes on, by the way its values go; "" where that is not known.
func Course(s triage.SymptomSummary) string {
	good := s.Better == triage.BetterHigher
	switch s.Course() {
	case triage.CourseWorse:
		return map[bool]string{true: "still falling", false: "still rising"}[good]
	case triage.CourseBetter:
		return map[bool]string{true: "coming back", false: "falling"}[good]
	case triage.CourseSteady:
		return "steady"
	}
	return ""
}

// Began is when a suspect began to act.
func Began(s triage.Suspect) time.Time {
	switch {
	case s.Change != nil:
		return s.Change.OccurredAt()
	case s.Anomaly != nil:
		return s.Anomaly.Onset.Best
	}
	return time.Time{}
}

// Gap places a suspect against the onset: "40 s before the errors"; "" where either time is not known.
func Gap(s triage.Suspect, r triage.Report) string {
	at := Began(s)
	if at.IsZero() || r.Onset.Best.IsZero() {
		return ""
	}
	switch gap := r.Onset.Best.Sub(at); {
	case gap > -time.Second && gap < time.Second:
		return "together with " + Noun(r.Symptom.Signal)
	case gap < 0:
		return Span(gap) + " after " + Noun(r.Symptom.Signal) + " began"
	default:
		return Span(gap) + " before " + Noun(r.Symptom.Signal)
	}
}

// When is a suspect's time with its Gap: "at 03:01:30, 40 s before the errors".
func When(s triage.Suspect, r triage.Report) string {
	at := Began(s)
	if at.IsZero() {
		return "at an unknown time"
	}
	begin := "at " + Moment(at, r.CreatedAt)
	if s.Change != nil && s.Change.StartedAt.IsZero() {
		begin = "finished " + Moment(at, r.CreatedAt) + ", start not known"
	}
	if gap := Gap(s, r); gap != "" {
		begin += ", " + gap
	}
	return begin
}

// Action is the advice as an instruction, in the imperative and without a capital.
func Action(r triage.Report) string {
	rec := r.Recommendation
	t := triage.Target{}
	if rec.Target != nil {
		t = *rec.Target
	}
	to := t.To
	for _, s := range r.Suspects {
		if to == "" && s.Change != nil && s.Change.ID == t.ChangeID {
			to, _ = s.Change.Moved()
		}
	}
	to = version(to)
	name := cmp.Or(Clean(t.Name, MaxName), Clean(t.Service, MaxName))
	flag := "flag " + name
	if name == "" {
		name, flag = "it", "the flag"
	}
	switch rec.Action {
	case triage.ActionFlagOff:
		return "set " + flag + " back to " + cmp.Or(to, "its previous value")
	case triage.ActionConfigRevert:
		switch t.Kind {
		case triage.KindScale:
			return "scale " + name + " back to " + cmp.Or(to, "what it was")
		case triage.KindFlag, triage.KindConfig, "":
			return strings.TrimSuffix("revert config "+name+" to "+to, " to ")
		default:
			return "revert the " + string(t.Kind) + " change of " + name
		}
	case triage.ActionRollback:
		return "roll " + name + " back to " + cmp.Or(to, "the previous version")
	case triage.ActionPauseRollout:
		switch t.Kind {
		case triage.KindDeploy, triage.KindRollback, triage.KindFlag, triage.KindConfig, "":
			return "pause the rollout of " + name
		default: // a part that is replaced or a command that runs is no rollout
			return "stop further steps of the " + string(t.Kind) + " change of " + name
		}
	case triage.ActionFixForward:
		if rec.Verdict == triage.VerdictHarmful {
			return "keep " + cmp.Or(Clean(t.Name, MaxName), "the new version") + " and have its owner repair it in place"
		}
		return "have the owner of " + cmp.Or(Clean(t.Service, MaxName), name) + " repair it in place: no safe way to undo it is known"
	case triage.ActionDoNotRollBack:
		return "do not roll back"
	case triage.ActionInvestigate:
	}
	return "look before touching anything"
}

// Upper begins a sentence.
func Upper(s string) string {
	if s == "" {
		return ""
	}
	r := []rune(s)
	return strings.ToUpper(string(r[0])) + string(r[1:])
}
