package alerting

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/triaged-dev/triaged/triage"
	"github.com/triaged-dev/triaged/triage/say"
)

// SeverityInput is what a severity is proposed from.
type SeverityInput struct {
	Incident triage.Incident
	Report   triage.Report
	Services map[string]triage.Service // what is known of them, by canonical name
	Owners   triage.PodOwners          // nil: the names of pods tell
	Peak     *triage.Severity          // the worst that was proposed since the incident opened, or was opened again; nil: none yet
}

// Where severity begins to rise.
const (
	wideShare  = 0.05 // of requests failing
	hugeShare  = 0.25
	wideSpread = 3 // services with firing alerts
)

// ProposeSeverity proposes P0 to P3 and says why. It starts at P3 and rises by what users feel and how far it reaches; lost
// or wrong data and a breach outrank both. What is not known does not raise it, and the reasons say what was not known.
//
//	tier 1, user-facing, 14 % failing:      P3 +1 (tier 1) +1 (users) +1 (over 5 %) = P0
//	tier 3, internal, 14 % failing:         P3 +1 (over 5 %)                        = P2
//	unknown service, error share unknown:   P3, or P2 where it pages
func ProposeSeverity(in SeverityInput) triage.Severity {
	level := 3
	var reasons []string
	add := func(steps int, reason string) {
		level -= steps
		reasons = append(reasons, reason)
	}
	floor := 3
	if why := securityConcern(in.Incident); why != "" {
		floor = 0
		reasons = append(reasons, "security: "+why)
	}
	if why := dataConcern(in); why != "" {
		floor = min(floor, 1)
		reasons = append(reasons, "data may be lost or wrong: "+why)
	}
	s, known := in.Services[in.Incident.Service]
	switch {
	case known && s.Tier == 1:
		add(1, in.Incident.Service+" is tier 1")
	case known && s.Tier > 1:
		reasons = append(reasons, fmt.Sprintf("%s is tier %d", in.Incident.Service, s.Tier))
	case in.Incident.Pages:
		add(1, "it pages; the tier of what fails is not known")
	default:
		reasons = append(reasons, "the tier of what fails is not known")
	}
	if s.UserFacing {
		add(1, "users meet it directly")
	}
	switch failing, what, known := failingShare(in.Report.Symptom); {
	case known:
		reason := fmt.Sprintf("%s of %s", say.Quantity(failing, triage.UnitRatio), what)
		switch {
		case failing >= hugeShare:
			add(2, reason)
		case failing >= wideShare:
			add(1, reason)
		default:
			reasons = append(reasons, reason)
		}
	default:
		reasons = append(reasons, "the share of requests that fail is not known")
	}
	if n := breadth(in.Incident, in.Owners); n >= wideSpread {
		add(1, fmt.Sprintf("%d services have firing alerts", n))
	}
	if in.Incident.State == triage.IncidentRecovered {
		reasons = append(reasons, "it has recovered")
	}
	out := triage.Severity{Level: fmt.Sprintf("P%d", min(max(level, 0), floor)), Reasons: reasons}
	if p := in.Peak; p != nil && p.Level < out.Level { // as bad as it has been, not as it is: recovering makes no outage smaller
		return triage.Severity{Level: p.Level, Reasons: append(slices.Clip(withoutRecovery(p.Reasons)), "at its worst; now "+out.Level)}
	}
	return out
}

// failingShare is the share of what fails, and what that is: requests, or processes and probes where the series counts what works.
func failingShare(s triage.SymptomSummary) (v float64, what string, known bool) {
	if s.Signal != triage.SignalErrors || s.Now == nil || *s.Now < 0 || *s.Now > 1 {
		return 0, "", false
	}
	if s.Better == triage.BetterHigher {
		return 1 - *s.Now, "it is down", true
	}
	return *s.Now, "requests fail", true
}

// withoutRecovery are the reasons without what is said of now.
func withoutRecovery(reasons []string) []string {
	return slices.DeleteFunc(slices.Clone(reasons), func(r string) bool {
		return r == "it has recovered" || strings.HasPrefix(r, "at its worst; now ")
	})
}

// breadth counts the services with firing alerts.
func breadth(inc triage.Incident, owners triage.PodOwners) int {
	seen := make(map[string]bool)
	for _, a := range inc.Alerts {
		if a.Status != triage.AlertResolved {
			seen[triage.SubjectOf(a.Labels, owners).Service] = true
		}
	}
	return len(seen)
}

// dataWords and securityWords are looked for in names and labels people give to alerts, never in free text.
var (
	dataWords     = []string{"corrupt", "dataloss", "data_loss", "data-loss", "integrity", "checksum", "inconsisten"}
	securityWords = []string{"security", "intrusion", "breach", "exfiltrat", "unauthorized", "unauthorised", "credentialleak"}
)

func dataConcern(in SeverityInput) string {
	if w := alertNamed(in.Incident, dataWords); w != "" {
		return "alert " + w
	}
	lead := in.Report.Leader()
	if lead == nil || lead.Change == nil || in.Report.Standing().Word != triage.WordLikely {
		return ""
	}
	if lead.Change.Kind == triage.KindMigration {
		return "a migration is the likely trigger"
	}
	return ""
}

func securityConcern(inc triage.Incident) string {
	if w := alertNamed(inc, securityWords); w != "" {
		return "alert " + w
	}
	return ""
}

// alertNamed is the first alert whose name, or label category, type or team, holds one of the words.
func alertNamed(inc triage.Incident, words []string) string {
	for _, a := range inc.Alerts {
		for _, l := range slices.Sorted(maps.Keys(a.Labels)) {
			if l != "alertname" && l != "category" && l != "type" && l != "class" {
				continue
			}
			for _, w := range words {
				if strings.Contains(strings.ToLower(a.Labels[l]), w) {
					return say.Clean(a.Name(), say.MaxName)
				}
			}
		}
	}
	return ""
}
