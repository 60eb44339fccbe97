package alerting

import (
	"strings"
	"testing"

	"github.com/triaged-dev/triaged/triage"
)

func TestProposeSeverity(t *testing.T) {
	share := func(v float64) *float64 { return &v }
	tiers := map[string]triage.Service{"checkout": {Tier: 1, UserFacing: true}, "batch": {Tier: 3}}
	inc := func(service string, alerts ...triage.Alert) triage.Incident {
		return triage.Incident{Scope: triage.Scope{Service: service}, Alerts: append([]triage.Alert{alert(service, t0)}, alerts...)}
	}
	rep := func(v float64) triage.Report {
		return triage.Report{Symptom: triage.SymptomSummary{Signal: triage.SignalErrors, Now: share(v)}}
	}
	down := func(v float64) triage.Report {
		return triage.Report{Symptom: triage.SymptomSummary{Signal: triage.SignalErrors, Now: share(v), Better: triage.BetterHigher}}
	}
	migration := flagReport(.9)
	migration.Suspects[0].Change.Kind = triage.KindMigration
	for name, tc := range map[string]struct {
		in   SeverityInput
		want string
		says string
	}{
		"tier 1, users, 14 %":       {SeverityInput{Incident: inc("checkout"), Report: rep(.14), Services: tiers}, "P0", "14 % of requests fail"},
		"tier 1, users, 1 %":        {SeverityInput{Incident: inc("checkout"), Report: rep(.01), Services: tiers}, "P1", "users meet it directly"},
		"tier 3, 14 %":              {SeverityInput{Incident: inc("batch"), Report: rep(.14), Services: tiers}, "P2", "batch is tier 3"},
		"tier 3, little":            {SeverityInput{Incident: inc("batch"), Report: rep(.01), Services: tiers}, "P3", ""},
		"tier 3, half of it":        {SeverityInput{Incident: inc("batch"), Report: rep(.5), Services: tiers}, "P1", "50 % of requests fail"},
		"tier 3, all of it is down": {SeverityInput{Incident: inc("batch"), Report: down(0), Services: tiers}, "P1", "100 % of it is down"},
		"tier 3, all of it is up":   {SeverityInput{Incident: inc("batch"), Report: down(1), Services: tiers}, "P3", "0 % of it is down"},
		"nothing known":             {SeverityInput{Incident: inc("x"), Report: triage.Report{}, Services: nil}, "P3", "not known"},
		"three services":            {SeverityInput{Incident: inc("batch", alert("a", t0), alert("b", t0)), Report: rep(.14), Services: tiers}, "P1", "3 services have firing alerts"},
		"security":                  {SeverityInput{Incident: inc("batch", alert("batch", t0, "category", "Security")), Report: rep(0), Services: tiers}, "P0", "security"},
		"data":                      {SeverityInput{Incident: inc("batch", alert("batch", t0, "alertname", "LedgerChecksumMismatch")), Report: rep(0), Services: tiers}, "P1", "data may be lost or wrong"},
		"a migration is likely":     {SeverityInput{Incident: inc("batch"), Report: migration, Services: tiers}, "P1", "a migration is the likely trigger"},
	} {
		t.Run(name, func(t *testing.T) {
			got := ProposeSeverity(tc.in)
			if got.Level != tc.want || !strings.Contains(strings.Join(got.Reasons, "; "), tc.says) {
				t.Errorf("want %s because of %q, got %+v", tc.want, tc.says, got)
			}
		})
	}
}
