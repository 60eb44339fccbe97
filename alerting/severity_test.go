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
	migration := flagReport(.9)
	migration.Suspects[0].Change.Kind = triage.KindMigration
	for name, tc := range map[string]struct {
		in   SeverityInput
		want string
		says string
	}{
		"tier 1, users, 14 %":   {SeverityInput{inc("checkout"), rep(.14), tiers}, "P0", "14 % of requests fail"},
		"tier 1, users, 1 %":    {SeverityInput{inc("checkout"), rep(.01), tiers}, "P1", "users meet it directly"},
		"tier 3, 14 %":          {SeverityInput{inc("batch"), rep(.14), tiers}, "P2", "batch is tier 3"},
		"tier 3, little":        {SeverityInput{inc("batch"), rep(.01), tiers}, "P3", ""},
		"tier 3, half of it":    {SeverityInput{inc("batch"), rep(.5), tiers}, "P1", "50 % of requests fail"},
		"nothing known":         {SeverityInput{inc("x"), triage.Report{}, nil}, "P3", "not known"},
		"three services":        {SeverityInput{inc("batch", alert("a", t0), alert("b", t0)), rep(.14), tiers}, "P1", "3 services have firing alerts"},
		"security":              {SeverityInput{inc("batch", alert("batch", t0, "category", "Security")), rep(0), tiers}, "P0", "security"},
		"data":                  {SeverityInput{inc("batch", alert("batch", t0, "alertname", "LedgerChecksumMismatch")), rep(0), tiers}, "P1", "data may be lost or wrong"},
		"a migration is likely": {SeverityInput{inc("batch"), migration, tiers}, "P1", "a migration is the likely trigger"},
	} {
		t.Run(name, func(t *testing.T) {
			got := ProposeSeverity(tc.in)
			if got.Level != tc.want || !strings.Contains(strings.Join(got.Reasons, "; "), tc.says) {
				t.Errorf("want %s because of %q, got %+v", tc.want, tc.says, got)
			}
		})
	}
}
