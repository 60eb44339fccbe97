package say

import (
	"testing"

	"github.com/triaged-dev/triaged/triage"
)

// A change is named by what somebody would look for: the flag's own name, and no word twice.
func TestChange(t *testing.T) {
	for want, c := range map[string]triage.Change{
		"flag new-pricing 0 % → 100 %":     {Kind: triage.KindFlag, Title: "turned on", Labels: map[string]string{"flag": "new-pricing", "from": "0 %", "to": "100 %"}},
		"flag new-pricing: turned on":      {Kind: triage.KindFlag, Title: "turned on", Labels: map[string]string{"flag": "new-pricing"}},
		"schema migration: add column":     {Kind: triage.KindMigration, Title: "schema migration: add column"},
		"playbook command: take hosts out": {Kind: triage.KindCommand, Title: "playbook command: take hosts out"},
		"command restart of one worker":    {Kind: triage.KindCommand, Title: "restart of one worker"},
		"deploy cart v1 → v2":              {Kind: triage.KindDeploy, Scope: triage.Scope{Service: "cart"}, PreviousVersion: "v1", Version: "v2", Title: "Deploy cart"},
	} {
		if got := Change(c); got != want {
			t.Errorf("want %q, got %q", want, got)
		}
	}
}
