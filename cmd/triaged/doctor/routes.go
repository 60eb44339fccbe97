package doctor

import (
	"fmt"
	"slices"
	"strings"

	"github.com/triaged-dev/triaged/alerting"
	"github.com/triaged-dev/triaged/configs"
	"github.com/triaged-dev/triaged/triage"
)

// modes counts the leaves of the route tree: live, in shadow, and without a receiver.
func modes(r alerting.RouteConfig, live, receiver bool) (lives, shadows, nowhere int) {
	if r.Mode != "" {
		live = r.Mode == alerting.ModeLive
	}
	receiver = receiver || r.Receiver != ""
	if len(r.Routes) == 0 {
		switch {
		case !receiver:
			return 0, 0, 1
		case live:
			return 1, 0, 0
		}
		return 0, 1, 0
	}
	for _, child := range r.Routes {
		l, s, n := modes(child, live, receiver)
		lives, shadows, nowhere = lives+l, shadows+s, nowhere+n
	}
	return lives, shadows, nowhere
}

// kinds are the kinds of change that somebody reports, and who.
type kinds struct{ by map[triage.Kind][]string }

func (k *kinds) add(kind triage.Kind, who string) {
	if k.by == nil {
		k.by = make(map[triage.Kind][]string)
	}
	if !slices.Contains(k.by[kind], who) {
		k.by[kind] = append(k.by[kind], who)
	}
}

func (k *kinds) merge(o kinds) {
	for kind, whos := range o.by {
		for _, w := range whos {
			k.add(kind, w)
		}
	}
}

// reported says which kinds of change nobody reports, as far as the configuration and the metrics tell; what is pushed is seen
// only in a running daemon.
func (e *examination) reported(cfg *configs.Config, seen kinds) {
	for _, g := range cfg.Sources.GitHub {
		for _, r := range g.Repositories {
			seen.add(triage.KindDeploy, g.Name)
			if r.AppliedOnPush && len(r.ConfigPaths) > 0 {
				seen.add(triage.KindConfig, g.Name)
			}
			if len(r.MigrationPaths) > 0 {
				seen.add(triage.KindMigration, g.Name)
			}
		}
	}
	if len(cfg.Sources.Kafka) > 0 || e.o.URL != "" {
		return // what a topic carries, and what is pushed, only the daemon has seen
	}
	e.missingKinds(seen, "by any source configured")
}

// howToReport says where a kind comes from.
var howToReport = []struct {
	kind triage.Kind
	fix  string
}{
	{triage.KindDeploy, "run kube-state-metrics, add the repositories under sources.github, or push from CI: triaged change run -- deploy.sh"},
	{triage.KindConfig, "let kube-state-metrics show ConfigMaps, or push configuration changes; see docs/wiring.md"},
	{triage.KindFlag, "let your flag tool call POST /hooks/…, or push one line of JSON to /api/v1/changes; see docs/wiring.md"},
	{triage.KindMigration, "wrap the migration: triaged change run --kind=migration -- migrate up"},
	{triage.KindInfra, "wrap it: triaged change run --kind=infra -- terraform apply"},
}

// missingKinds is wrong only where not even deploys are heard of: the others are worth having.
func (e *examination) missingKinds(seen kinds, where string) {
	var have []string
	for _, h := range howToReport {
		who := seen.by[h.kind]
		switch {
		case len(who) > 0:
			have = append(have, string(h.kind))
		case h.kind == triage.KindDeploy:
			e.wrong("change kinds", string(h.kind), "deploys are not reported "+where, h.fix)
		default:
			e.hint("change kinds", string(h.kind), fmt.Sprintf("changes of kind %s are not reported %s", h.kind, where), h.fix)
		}
	}
	if len(have) > 0 {
		e.ok("change kinds", "", "reported: %s", strings.Join(have, ", "))
	}
}
