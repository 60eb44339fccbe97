package try

import (
	"fmt"
	"slices"
	"strings"

	"github.com/triaged-dev/triaged/triage"
	"github.com/triaged-dev/triaged/triage/say"
)

// unseen says what this Prometheus cannot show, and which one further source would help most on these very pages.
func (t *trial) unseen() (out []string, next string) {
	var open []Page // not named
	nameless := 0
	for _, p := range t.answered {
		if p.Word != triage.WordLikely {
			open = append(open, p)
		}
		if p.Service == "" {
			nameless++
		}
	}
	rollouts := t.survey.Has("kube_replicaset_created") && t.survey.Has("kube_replicaset_owner")
	versions := t.survey.Versions || t.survey.Has("target_info")
	configs := t.survey.Has("kube_configmap_metadata_resource_version")
	calls := len(t.topology.Edges()) > 0
	given := t.o.ChangesFile != "" || len(t.o.GitHub) > 0

	add := func(missing bool, text string) {
		if missing {
			out = append(out, text)
		}
	}
	add(!rollouts && !versions, "deploys: there is no kube-state-metrics and no version metric (*_build_info, target_info)")
	add(!rollouts && versions, "rollouts: there is no kube-state-metrics; deploys show only where a version metric changes")
	add(!configs, "configuration: kube_configmap_metadata_resource_version is not there; a ConfigMap changed in place is invisible")
	add(!calls, "who calls whom: no service graph and no mesh metrics; a change of a service below the one that pages is taken as unrelated")
	add(nameless > 0, fmt.Sprintf("whose alert it is: %s no label that names a service", say.Plural(nameless, "page has", "pages have")))
	if quiet := t.unmeasured(); len(quiet) > 0 {
		out = append(out, "request metrics of "+list(quiet, 5)+": rates, errors and latency of these were not found under any convention known")
	}
	if given {
		out = append(out, "whatever the further sources given do not report: no metric shows flags, migrations, Terraform, commands typed by hand, or a provider's trouble")
	} else {
		out = append(out, "feature flags, database migrations, Terraform and DNS, commands typed by hand, a provider's trouble: no metric shows these")
	}
	switch {
	case len(t.answered) == 0:
	case nameless*2 > len(t.answered):
		next = "a label that names the service, on your paging rules: " + say.Plural(nameless, "page", "pages") + " could not be placed without it"
	case !rollouts && !versions:
		next = "kube-state-metrics, or a build_info metric with the version: without either no deploy is seen at all"
	case len(open) == 0:
		next = "none is missing for these pages; flags and CI would make the answers more exact"
	case !calls:
		next = fmt.Sprintf("a service graph (Tempo, an OpenTelemetry connector, a mesh) or topology.calls in the configuration: %s not named, and what lies below their services is not known",
			say.Plural(len(open), "page was", "pages were"))
	case !given:
		next = t.suggestFlags(open)
	default:
		next = "the triaged daemon itself: it also hears what is pushed to it, by flag tools, CI and people"
	}
	return out, next
}

// suggestFlags looks at the pages without a named change, besides those that traffic explains and those that are noise: those
// that began at once, with nothing seen near, look like a flag or a provider.
func (t *trial) suggestFlags(open []Page) string {
	sudden, empty := 0, 0
	open = slices.DeleteFunc(slices.Clone(open), func(p Page) bool {
		return p.Report.Recommendation.Verdict == triage.VerdictWillNotHelp || p.History.Noisy()
	})
	if len(open) == 0 {
		return "none is missing for these pages; flags and CI would make the answers more exact"
	}
	for _, p := range open {
		if p.Report.Onset.Shape == triage.ShapeStep {
			sudden++
		}
		if p.Report.Candidates == 0 {
			empty++
		}
	}
	text := fmt.Sprintf("changes pushed by your flag tool or CI (one line of curl, POST /api/v1/changes): %s neither a change that fits nor a surge of traffic",
		say.Plural(len(open), "page has", "pages have"))
	if sudden > 0 {
		text += fmt.Sprintf("; %d of them began at once, as a flag or a provider's trouble does", sudden)
	}
	if empty > 0 {
		text += fmt.Sprintf("; on %d no change at all was seen beforehand", empty)
	}
	return text
}

// unmeasured are the services that page without request metrics.
func (t *trial) unmeasured() []string {
	measured := make(map[string]bool)
	for _, c := range t.survey.Conventions {
		if c.Name == "container" || c.Name == "process" || c.Name == "restarts" {
			continue
		}
		for _, s := range c.Services {
			measured[s] = true
		}
	}
	var out []string
	for _, p := range t.grouped {
		if p.Service != "" && !measured[p.Service] && !slices.Contains(out, p.Service) {
			out = append(out, p.Service)
		}
	}
	slices.Sort(out)
	return out
}

func list(names []string, n int) string {
	if len(names) > n {
		return strings.Join(names[:n], ", ") + fmt.Sprintf(" and %d more", len(names)-n)
	}
	return strings.Join(names, ", ")
}
