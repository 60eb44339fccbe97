package alertmanager

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"sort"
	"strings"

	"github.com/prometheus/alertmanager/matcher/compat"
	"github.com/prometheus/alertmanager/pkg/labels"
	"github.com/prometheus/common/model"
	"github.com/prometheus/common/promslog"
	"go.yaml.in/yaml/v3"

	"github.com/triaged-dev/triaged/triage"
)

// tree is what matters of an Alertmanager's configuration: which groups an alert falls into and which of them page.
type tree struct {
	root   *route
	pagers map[string]bool // receivers with pagerduty_configs
}

// route is one node of the tree, with what it inherits filled in.
type route struct {
	key      string // as it stands before the colon of a group key
	receiver string
	matchers labels.Matchers
	groupBy  map[string]bool
	byAll    bool // group_by: ['...']
	goOn     bool // continue
	routes   []*route
}

// file is the part of the configuration that is read. Everything else, secrets and keys of newer versions among it, is passed over.
type file struct {
	Route     *fileRoute `yaml:"route"`
	Receivers []struct {
		Name      string `yaml:"name"`
		PagerDuty []any  `yaml:"pagerduty_configs"`
	} `yaml:"receivers"`
}

type fileRoute struct {
	Receiver string            `yaml:"receiver"`
	GroupBy  *[]string         `yaml:"group_by"`
	Match    map[string]string `yaml:"match"`
	MatchRE  map[string]string `yaml:"match_re"`
	Matchers []string          `yaml:"matchers"`
	Continue bool              `yaml:"continue"`
	Routes   []*fileRoute      `yaml:"routes"`
}

const maxRoutes = 20_000 // nodes of one tree, about 500 B each

// parseTree reads a configuration as /api/v2/status shows it.
func parseTree(original string) (*tree, error) {
	var f file
	err := triage.CheckYAML([]byte(original))
	if err == nil {
		err = yaml.Unmarshal([]byte(original), &f)
	}
	if err != nil {
		return nil, fmt.Errorf("read its configuration: %w", err)
	}
	if f.Route == nil {
		return nil, errors.New("read its configuration: there is no route in it")
	}
	t := &tree{pagers: make(map[string]bool)}
	for _, r := range f.Receivers {
		if len(r.PagerDuty) > 0 {
			t.pagers[r.Name] = true
		}
	}
	nodes := 0
	t.root, err = newRoute(f.Route, nil, &nodes)
	return t, err
}

// newRoute builds a node and what is below it. Alertmanager sorts the matchers of a node and writes them into its key.
func newRoute(f *fileRoute, parent *route, nodes *int) (*route, error) {
	if *nodes++; *nodes > maxRoutes {
		return nil, fmt.Errorf("read its configuration: more than %d routes", maxRoutes)
	}
	r := &route{goOn: f.Continue}
	if parent != nil {
		r.receiver, r.groupBy, r.byAll = parent.receiver, parent.groupBy, parent.byAll
	}
	if f.Receiver != "" {
		r.receiver = f.Receiver
	}
	if f.GroupBy != nil {
		if r.byAll = slices.Contains(*f.GroupBy, "..."); !r.byAll {
			r.groupBy = make(map[string]bool)
			for _, l := range *f.GroupBy {
				r.groupBy[l] = true
			}
		}
	}
	var err error
	if r.matchers, err = f.matchers(); err != nil {
		return nil, err
	}
	r.key = r.matchers.String()
	if parent != nil {
		r.key = parent.key + "/" + r.key
	}
	for _, c := range f.Routes {
		if c == nil {
			continue
		}
		child, err := newRoute(c, r, nodes)
		if err != nil {
			return nil, err
		}
		r.routes = append(r.routes, child)
	}
	return r, nil
}

// matchers are those of all three spellings, in Alertmanager's order.
func (f *fileRoute) matchers() (labels.Matchers, error) {
	var out labels.Matchers
	add := func(kind labels.MatchType, name, value string) error {
		m, err := labels.NewMatcher(kind, name, value)
		if err != nil {
			return fmt.Errorf("read its configuration: matcher of %s: %w", name, err)
		}
		out = append(out, m)
		return nil
	}
	for name, value := range f.Match {
		if err := add(labels.MatchEqual, name, value); err != nil {
			return nil, err
		}
	}
	for name, value := range f.MatchRE {
		re, err := regexp.Compile("^(?:" + value + ")$") // this is what stands in the key
		if err != nil {
			return nil, fmt.Errorf("read its configuration: match_re of %s: %w", name, err)
		}
		if err := add(labels.MatchRegexp, name, re.String()); err != nil {
			return nil, err
		}
	}
	parse := compat.FallbackMatchersParser(promslog.NewNopLogger())
	for _, line := range f.Matchers {
		ms, err := parse(line, "route")
		if err != nil {
			return nil, fmt.Errorf("read its configuration: matcher %q: %w", line, err)
		}
		out = append(out, ms...)
	}
	sort.Sort(out)
	return out, nil
}

// match finds the nodes an alert ends at: depth first; the first child that matches ends the search among its siblings unless
// it says continue; a node none of whose children match is itself the end.
func (r *route) match(ls model.LabelSet) []*route {
	if !r.matchers.Matches(ls) {
		return nil
	}
	var all []*route
	for _, c := range r.routes {
		found := c.match(ls)
		all = append(all, found...)
		if found != nil && !c.goOn {
			break
		}
	}
	if len(all) == 0 {
		all = append(all, r)
	}
	return all
}

// groupKey names the group an alert falls into at this node, as in {}/{severity="page"}:{alertname="HighErrorRate"}.
func (r *route) groupKey(ls model.LabelSet) string {
	group := make(model.LabelSet)
	for name, value := range ls {
		if r.byAll || r.groupBy[string(name)] {
			group[name] = value
		}
	}
	return r.key + ":" + group.String()
}

// pagerKeys are the group keys under which the pagers know an alert, in the order of the tree.
func (t *tree) pagerKeys(alert map[string]string) []string {
	ls := make(model.LabelSet, len(alert))
	for name, value := range alert {
		ls[model.LabelName(strings.Clone(name))] = model.LabelValue(value)
	}
	var out []string
	for _, r := range t.root.match(ls) {
		if !t.pagers[r.receiver] {
			continue
		}
		if key := r.groupKey(ls); !slices.Contains(out, key) {
			out = append(out, key)
		}
	}
	return out
}
