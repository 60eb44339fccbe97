package prometheus

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/prometheus/common/model"

	"github.com/triaged-dev/triaged/triage"
)

// maxWatch is how many series of its own a server is watched for: each takes a query a minute of the budget.
const maxWatch = 20

// WatchConfig is a series of one's own that shows changes: a flag that the application exports, a limit, a schema version.
type WatchConfig struct {
	Metric  string   `yaml:"metric"`
	Match   string   `yaml:"match,omitempty"`   // further matchers
	Kind    string   `yaml:"kind"`              // of the change: flag, config, deploy, …
	Means   string   `yaml:"means"`             // setting, written, time, expiry, label
	Label   string   `yaml:"label,omitempty"`   // with means label: the one that says what is in place
	Name    []string `yaml:"name,omitempty"`    // labels that name what is set, best first; none: the metric does
	Service []string `yaml:"service,omitempty"` // labels that hold the service, best first; none: as an alert of the series would be read
	What    string   `yaml:"what,omitempty"`    // a word for it, in titles
}

func (c ChangesConfig) validateWatch() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf("changes."+format, args...)) }
	for i, m := range c.Without {
		if !slices.ContainsFunc(shipped, func(w watchedSeries) bool { return w.metric == m }) {
			bad("without[%d]: %q: is not watched; the metrics that are: %s", i, m, strings.Join(shippedNames(), ", "))
		}
	}
	if len(c.Watch) > maxWatch {
		bad("watch: has %d entries; at most %d are taken, each costs a query a minute", len(c.Watch), maxWatch)
	}
	for i, w := range c.Watch {
		at := fmt.Sprintf("watch[%d].", i)
		if !model.UTF8Validation.IsValidMetricName(w.Metric) || strings.ContainsAny(w.Metric, "{}") {
			bad(at+"metric: %q: must be the name of a metric", w.Metric)
			continue
		}
		if _, err := triage.ParseKind(w.Kind); err != nil {
			bad(at+"kind: %q: must be one of %s", w.Kind, join(triage.Kinds()))
		}
		if !slices.Contains(meanings, meaning(w.Means)) {
			bad(at+"means: %q: must be one of %s", w.Means, join(meanings))
		}
		if (w.Means == string(meansLabel)) != (w.Label != "") {
			bad(at + "label: goes with means: label, and only with it")
		}
		if _, err := matcherLabels(w.Match); err != nil {
			bad(at+"match: %q: must be matchers, like env=\"prod\": %w", w.Match, err)
		}
		for key, labels := range map[string][]string{"name": w.Name, "service": w.Service, "label": {w.Label}} {
			for _, l := range labels {
				if l != "" && !model.LegacyValidation.IsValidLabelName(l) {
					bad(at+"%s: %q: must be the name of a label", key, l)
				}
			}
		}
	}
	slices.SortFunc(errs, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
	return errors.Join(errs...)
}

func shippedNames() []string {
	var out []string
	for _, w := range shipped {
		out = append(out, w.metric)
	}
	return out
}

func join[S ~string](all []S) string {
	var out []string
	for _, s := range all {
		out = append(out, string(s))
	}
	return strings.Join(out, ", ")
}
