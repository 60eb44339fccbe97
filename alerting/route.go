package alerting

import (
	"errors"
	"fmt"
	"slices"

	"github.com/triaged-dev/triaged/alerting/outbox"
	"github.com/triaged-dev/triaged/triage"
)

// Mode says whether a route posts or only records what it would have posted.
type Mode string

// The modes of a route.
const (
	ModeLive   Mode = "live"
	ModeShadow Mode = "shadow"
)

// RouteConfig is the `route` section: a tree. An alert goes to the deepest node whose matchers, and those of its parents, all hold;
// the first such child is taken unless it says continue. A node without receiver or mode has its parent's. The root's mode is
// shadow unless set, so that a first install speaks to nobody; without a receiver anywhere reports are only recorded.
type RouteConfig struct {
	Receiver string        `yaml:"receiver,omitempty"`
	Matchers Matchers      `yaml:"matchers,omitempty"`
	Mode     Mode          `yaml:"mode,omitempty"`
	Continue bool          `yaml:"continue,omitempty"`
	Routes   []RouteConfig `yaml:"routes,omitempty"`
}

// DefaultRouteConfig records everything and posts nothing.
func DefaultRouteConfig() RouteConfig { return RouteConfig{Mode: ModeShadow} }

// UnmarshalYAML reads one node and checks its mode. The root's default mode comes from Targets, since a node cannot know that it is the root.
func (r *RouteConfig) UnmarshalYAML(unmarshal func(any) error) error {
	type plain RouteConfig
	*r = RouteConfig{}
	if err := unmarshal((*plain)(r)); err != nil {
		return err
	}
	switch r.Mode {
	case "", ModeLive, ModeShadow:
		return nil
	}
	return &triage.FieldError{Field: "route.mode", Value: string(r.Mode), Remedy: "use live or shadow"}
}

// Target is where one alert's report goes.
type Target struct {
	Receiver string
	Mode     Mode
}

// Targets finds where an alert with these labels goes, in the order of the tree, each receiver once; live wins over shadow.
func (r RouteConfig) Targets(ls map[string]string) []Target {
	root := Target{Receiver: r.Receiver, Mode: r.Mode}
	if root.Mode == "" {
		root.Mode = ModeShadow
	}
	if !r.Matchers.All(ls) {
		return nil
	}
	return mergeTargets(nil, r.descend(ls, root))
}

func (r RouteConfig) descend(ls map[string]string, inherited Target) []Target {
	var out []Target
	matched := false
	for _, child := range r.Routes {
		if !child.Matchers.All(ls) {
			continue
		}
		matched = true
		t := inherited
		if child.Receiver != "" {
			t.Receiver = child.Receiver
		}
		if child.Mode != "" {
			t.Mode = child.Mode
		}
		out = append(out, child.descend(ls, t)...)
		if !child.Continue {
			break
		}
	}
	if !matched && inherited.Receiver != "" {
		out = append(out, inherited)
	}
	return out
}

func mergeTargets(into, more []Target) []Target {
	for _, t := range more {
		i := slices.IndexFunc(into, func(o Target) bool { return o.Receiver == t.Receiver })
		switch {
		case i < 0:
			into = append(into, t)
		case t.Mode == ModeLive:
			into[i].Mode = ModeLive
		}
	}
	return into
}

// Validate checks that every receiver the tree names is one of known; every problem is a FieldError.
func (r RouteConfig) Validate(known func(name string) bool) error { return r.validate("route", known) }

func (r RouteConfig) validate(path string, known func(string) bool) error {
	var problems []error
	if r.Receiver != "" && !known(r.Receiver) {
		problems = append(problems, &triage.FieldError{Field: path + ".receiver", Value: r.Receiver, Remedy: "is not defined under receivers"})
	}
	for i, child := range r.Routes {
		problems = append(problems, child.validate(fmt.Sprintf("%s.routes[%d]", path, i), known))
	}
	return errors.Join(problems...)
}

// destinations are where the report of an incident goes: wherever one of its alerts is routed to, if it pages.
func destinations(inc triage.Incident, route RouteConfig) []outbox.Destination {
	if !inc.Pages {
		return nil
	}
	var targets []Target
	for _, al := range inc.Alerts {
		targets = mergeTargets(targets, route.Targets(al.Labels))
	}
	out := make([]outbox.Destination, 0, len(targets))
	for _, t := range targets {
		out = append(out, outbox.Destination{Receiver: t.Receiver, Shadow: t.Mode == ModeShadow})
	}
	return out
}
