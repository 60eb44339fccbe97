package web

import (
	"cmp"
	"strings"
	"time"

	"github.com/triaged-dev/triaged/triage"
)

// Bounds on what is shown of a string from outside, in characters.
const (
	maxName     = 60
	maxSentence = 300
)

// nameOf is what changed: the flag, the configuration, the service.
func nameOf(c triage.Change) string {
	if c.Kind == triage.KindFlag || c.Kind == triage.KindConfig {
		for _, k := range [...]string{"flag", "key", "config"} {
			if v := clean(c.Labels[k], maxName); v != "" {
				return v
			}
		}
	}
	return clean(c.Service, maxName)
}

// moved is from what to what it changed, "" where neither is known.
func moved(c triage.Change) string {
	from, to := c.PreviousVersion, c.Version
	if c.Kind == triage.KindFlag || c.Kind == triage.KindConfig {
		from = cmp.Or(c.Labels["from"], c.Labels["rollout_from"], from)
		to = cmp.Or(c.Labels["to"], c.Labels["rollout_to"], to)
	}
	from, to = clean(from, 24), clean(to, 24)
	switch {
	case from != "" && to != "":
		return from + " → " + to
	case from != "":
		return "from " + from
	}
	return to
}

// shortName is what stands beside a mark on the axis.
func shortName(c triage.Change) string {
	s := strings.TrimSpace(nameOf(c) + " " + moved(c))
	if moved(c) == "" && c.Title != "" {
		s = clean(c.Title, maxName)
	}
	return clean(cmp.Or(s, string(c.ID)), 42)
}

// describe names a change in a few words: "flag new-pricing 0 → 100 %", "deploy pricing v811 → v812".
func describe(c triage.Change) string {
	m := moved(c)
	title := clean(c.Title, 120)
	switch {
	case m != "" && nameOf(c) != "":
		return string(c.Kind) + " " + nameOf(c) + " " + m
	case title == "":
		return strings.TrimSpace(string(c.Kind) + " " + nameOf(c) + " " + m)
	case strings.HasPrefix(strings.ToLower(title), string(c.Kind)):
		return title
	}
	return string(c.Kind) + " " + title
}

// describeSuspect is describe, or the same for an anomaly that is suspected itself.
func describeSuspect(s triage.Suspect) string {
	switch {
	case s.Change != nil:
		return describe(*s.Change)
	case s.Anomaly != nil:
		return strings.TrimSpace(string(s.Anomaly.Signal) + " shift on " + clean(s.Anomaly.Service, maxName))
	}
	return "something unnamed"
}

// beganAt is when a suspect began to act.
func beganAt(s triage.Suspect) time.Time {
	switch {
	case s.Change != nil:
		return s.Change.OccurredAt()
	case s.Anomaly != nil:
		return s.Anomaly.Onset.Best
	}
	return time.Time{}
}

// gapTo places a suspect against the onset: "40 s before the errors".
func gapTo(s triage.Suspect, r triage.Report) string {
	at := beganAt(s)
	if at.IsZero() || r.Onset.Best.IsZero() {
		return ""
	}
	gap := r.Onset.Best.Sub(at)
	what := map[triage.Signal]string{
		triage.SignalErrors: "the errors", triage.SignalLatency: "the slowdown", triage.SignalTraffic: "the traffic shift", triage.SignalSaturation: "the saturation",
	}[r.Symptom.Signal]
	what = cmp.Or(what, "the symptom")
	switch {
	case gap > -time.Second && gap < time.Second:
		return "together with " + what
	case gap < 0:
		return span(gap) + " after " + what + " began"
	}
	return span(gap) + " before " + what
}

// place is where something is: environment, region, cluster, namespace, as far as known.
func place(s triage.Scope) string {
	var parts []string
	for _, p := range []string{s.Environment, s.Region, s.Cluster, s.Namespace} {
		if p = clean(p, maxName); p != "" {
			parts = append(parts, p)
		}
	}
	if s.Global {
		parts = append(parts, "everywhere")
	}
	return strings.Join(parts, " · ")
}

// unscore reads an enum as words: "do_not_roll_back" is "do not roll back".
func unscore[T ~string](s T) string { return strings.ReplaceAll(string(s), "_", " ") }

// action is the recommendation as an instruction.
func action(rec triage.Recommendation, r triage.Report) string {
	t := triage.Target{}
	if rec.Target != nil {
		t = *rec.Target
	}
	to := t.To
	for _, s := range r.Suspects {
		if to == "" && s.Change != nil && s.Change.ID == t.ChangeID {
			to = cmp.Or(s.Change.Labels["from"], s.Change.Labels["rollout_from"], s.Change.PreviousVersion)
		}
	}
	to = clean(to, maxName)
	name := cmp.Or(clean(t.Name, maxName), clean(t.Service, maxName), "it")
	switch rec.Action {
	case triage.ActionFlagOff:
		return "Set flag " + name + " back to " + cmp.Or(to, "its previous value")
	case triage.ActionConfigRevert:
		return strings.TrimSuffix("Revert config "+name+" to "+to, " to ")
	case triage.ActionRollback:
		return "Roll " + name + " back to " + cmp.Or(to, "the previous version")
	case triage.ActionPauseRollout:
		return "Pause the rollout of " + name
	case triage.ActionFixForward:
		return "Fix forward: no safe way to undo it is known"
	case triage.ActionDoNotRollBack:
		return "Do not roll back"
	default:
		return "Look before touching anything"
	}
}
