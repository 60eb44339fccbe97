package playbooks

import (
	"cmp"
	"fmt"
	"time"

	"github.com/triaged-dev/triaged/triage"
)

// Sample is one rule as on-call would see it, for an invented change.
type Sample struct {
	Rule  string // "playbooks.rules[0] (kubectl), deploy of checkout"
	Steps []triage.Instruction
}

// Samples renders every rule with an invented change that it fits.
func (b *Book) Samples(services map[string]triage.Service) []Sample {
	var out []Sample
	for i, r := range b.cfg.Rules {
		p := b.ready[r.Use]
		kind := triage.KindDeploy
		if len(r.Kinds) > 0 {
			kind = r.Kinds[0]
		} else if len(p.Kinds) > 0 {
			kind = p.Kinds[0]
		}
		ch := sampleChange(kind, first(r.Services, "checkout"), first(r.Environments, "production"))
		svc := services[ch.Service]
		title := fmt.Sprintf("playbooks.rules[%d] (%s), %s of %s", i, cmp.Or(r.Use, "own commands"), kind, ch.Service)
		lone := *b
		lone.cfg.Rules = b.cfg.Rules[i : i+1] // an earlier rule may fit as well; each is shown by itself
		out = append(out, Sample{title, lone.Steps(sampleAdvice(ch), ch, svc)})
	}
	return out
}

func first(list []string, otherwise string) string {
	if len(list) > 0 {
		return list[0]
	}
	return otherwise
}

func sampleChange(kind triage.Kind, service, environment string) triage.Change {
	ch := triage.Change{
		ID: "sample:1", Kind: kind, Status: triage.StatusSucceeded, Version: "v812", PreviousVersion: "v811",
		Scope:     triage.Scope{Service: service, Environment: environment, Region: "eu1", Cluster: "prod-eu1", Namespace: "shop"},
		StartedAt: time.Date(2026, 3, 1, 3, 1, 30, 0, time.UTC),
		Labels: map[string]string{
			"repo": "acme/" + service, "ref": "main", "sha": "4f2a9c1d7e3b", "previous_sha": "9b1c2d3e4f5a", "object": "Kustomization/" + service,
		},
	}
	if kind == triage.KindFlag {
		ch.Version, ch.PreviousVersion = "", ""
		ch.Labels = map[string]string{"flag": "new-pricing", "from": "off", "to": "on", "project": "shop"}
	}
	return ch
}

// sampleAdvice is the reversal of a sample change.
func sampleAdvice(ch triage.Change) triage.Recommendation {
	rec := triage.Recommendation{
		Verdict: triage.VerdictAct, Action: triage.ActionRollback,
		Target: &triage.Target{ChangeID: ch.ID, Kind: ch.Kind, Scope: ch.Scope, Name: ch.Service, From: ch.Version, To: ch.PreviousVersion},
	}
	switch ch.Kind {
	case triage.KindFlag:
		rec.Action, rec.Target.Name, rec.Target.To = triage.ActionFlagOff, ch.Labels["flag"], ch.Labels["from"]
	case triage.KindConfig, triage.KindInfra, triage.KindScale:
		rec.Action = triage.ActionConfigRevert
	default: // a rollback, as above
	}
	return rec
}
