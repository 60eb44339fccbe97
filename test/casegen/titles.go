package main

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/triaged-dev/triaged/triage"
)

// What changes are called. Made up, except for the trigger's own title.
var titles = map[triage.Kind][]string{
	triage.KindDeploy: {
		"weekly release", "dependency bump", "date format in exports", "new column in the overview", "retry of failed jobs",
		"smaller base image", "log fields renamed", "search in archived items", "translation update", "pagination of long lists",
		"metrics for the worker pool", "cleaner error page", "client library update", "import of old records", "admin view for support",
	},
	triage.KindConfig: {
		"log level of the worker", "connection pool size", "cache lifetime", "rate limit for partners", "request timeout",
		"allowed origins", "feature list of the beta group", "batch size of the importer", "retention of temporary files",
		"memory limit", "health check path", "sampling of traces", "route of the status page", "list of trusted proxies",
	},
	triage.KindFlag: {
		"compact-menu", "new-onboarding", "async-export", "dark-mode", "fast-filters", "reports-v2", "bulk-edit", "inline-help",
		"prefetch-images", "short-links",
	},
	triage.KindInfra: {
		"node pool image", "kernel update of two hosts", "volume type of the workers", "ingress chart update", "new subnet",
		"terraform apply: monitoring module", "DNS record of a test host", "certificate of an internal host renewed", "cluster add-on update",
	},
	triage.KindScale:     {"replicas 6 to 9", "replicas 12 to 8", "replicas 3 to 4", "worker pool up by two", "replicas 20 to 16"},
	triage.KindMigration: {"add index on created_at", "backfill of the locale column", "drop unused table", "widen the note column"},
	triage.KindCommand:   {"requeue stuck jobs", "clear the thumbnail cache", "restart of one worker", "vacuum of the audit table"},
	triage.KindRollback:  {"back to the version before"},
	triage.KindOther:     {"maintenance page text", "on-call handover", "backup run"},
}

// sourceOf names the source a change of this kind comes from; deploys come from one tool per case.
func (w *world) sourceOf(k triage.Kind) string {
	switch k {
	case triage.KindConfig:
		return pick(w.rand("config source"), []string{"gitops", "consul"})
	case triage.KindFlag:
		return "flags"
	case triage.KindInfra:
		return "terraform"
	case triage.KindScale:
		return "autoscaler"
	case triage.KindMigration:
		return "migrations"
	case triage.KindCommand, triage.KindOther:
		return "runbooks"
	default:
		return pick(w.rand("deploy source"), []string{"argocd", "github", "jenkins", "spinnaker"})
	}
}

// lasts is how long a change of this kind takes from its first effect to its end.
func lasts(rng *rand.Rand, k triage.Kind) time.Duration {
	switch k {
	case triage.KindConfig:
		return seconds(rng, 2, 60)
	case triage.KindFlag, triage.KindCommand, triage.KindOther:
		return seconds(rng, 0, 15)
	case triage.KindScale:
		return seconds(rng, 20, 120)
	case triage.KindInfra:
		return seconds(rng, 90, 1200)
	case triage.KindMigration:
		return seconds(rng, 20, 600)
	default:
		return seconds(rng, 45, 400)
	}
}

// change makes a change as its source reports it. The trigger and the decoys are made the same way.
func (w *world) change(rng *rand.Rand, k triage.Kind, service, title string, at time.Time, took time.Duration) triage.Change {
	source := w.sourceOf(k)
	n := 40 + rng.IntN(900)
	for w.ids[fmt.Sprint(source, service, n)] > 0 {
		n++
	}
	w.ids[fmt.Sprint(source, service, n)]++
	c := triage.Change{
		ID: triage.ChangeID(fmt.Sprintf("%s:%s/%d", source, service, n)), Source: source, Kind: k, Status: triage.StatusSucceeded,
		Scope:     triage.Scope{Service: service, Environment: "production"},
		StartedAt: at, FinishedAt: at.Add(took), ObservedAt: at.Add(seconds(rng, 1, 20)), Title: title,
		Labels: map[string]string{},
	}
	switch k {
	case triage.KindDeploy, triage.KindRollback:
		c.Version, c.PreviousVersion = fmt.Sprintf("v%d", n), fmt.Sprintf("v%d", n-1-rng.IntN(2))
		if k == triage.KindRollback {
			c.Version, c.PreviousVersion = c.PreviousVersion, c.Version
		}
		c.Labels["namespace"] = "apps"
		if rng.Float64() < 0.6 {
			c.Size = triage.Size{Files: 1 + rng.IntN(40), Lines: 2 + int(logWithin(rng, 3, 3000))}
		}
	case triage.KindConfig:
		c.Version, c.PreviousVersion = strconv.Itoa(n), strconv.Itoa(n-1-rng.IntN(9))
		c.Labels["name"] = slug(title)
		c.Labels["previous"] = c.PreviousVersion
	case triage.KindFlag:
		c.Labels["flag"] = slug(title)
		c.Labels["from"], c.Labels["to"], c.Labels["previous"] = "off", "on", "off"
		c.Title = fmt.Sprintf("flag %s off → on", slug(title))
		c.Reversible = triage.Reversible{Value: triage.ReversibleYes, Reason: "a flag goes back to its previous value"}
	case triage.KindMigration:
		c.Labels["database"] = service
	default: // infra, scale, command: the title says it
	}
	return c
}

func slug(title string) string {
	keep := func(r rune) rune {
		if r == ' ' || r == ':' || r == ',' || r == '/' {
			return '-'
		}
		return r
	}
	parts := slices.DeleteFunc(strings.Split(strings.Map(keep, strings.ToLower(title)), "-"), func(s string) bool { return s == "" })
	return strings.Join(parts[:min(4, len(parts))], "-")
}
