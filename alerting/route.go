package alerting

import (
	"errors"
	"fmt"
	"slices"

	"github.com/prometheus/alertmanager/timeinterval"

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
	Receiver string `yaml:"receiver,omitempty"`
	// SuspectReceiver tells the team whose change is the likely one, once, where it is another team than those who hurt. It must be a
	// receiver with a place of its own for each owner.
	SuspectReceiver string   `yaml:"suspect_receiver,omitempty"`
	Matchers        Matchers `yaml:"matchers,omitempty"`
	Mode            Mode     `yaml:"mode,omitempty"`
	Continue        bool     `yaml:"continue,omitempty"`
	// MuteTimes are when nothing is posted by this node and those below it: what would be is recorded.
	MuteTimes []timeinterval.TimeInterval `yaml:"mute_times,omitempty"`
	Inhibit   []Inhibition                `yaml:"inhibit,omitempty"` // at the root
	Routes    []RouteConfig               `yaml:"routes,omitempty"`

	// Fallback is, for each receiver that has a place of its own for each owner, the receiver of those who have none. At the root.
	Fallback map[string]string `yaml:"-"`
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
	Receiver        string
	SuspectReceiver string
	Mode            Mode
	MuteTimes       []timeinterval.TimeInterval
}

// Targets finds where an alert with these labels goes, in the order of the tree, each receiver once; live wins over shadow.
func (r RouteConfig) Targets(ls map[string]string) []Target {
	root := Target{Receiver: r.Receiver, SuspectReceiver: r.SuspectReceiver, Mode: r.Mode, MuteTimes: r.MuteTimes}
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
		if child.SuspectReceiver != "" {
			t.SuspectReceiver = child.SuspectReceiver
		}
		if child.Mode != "" {
			t.Mode = child.Mode
		}
		t.MuteTimes = slices.Concat(t.MuteTimes, child.MuteTimes)
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
		i := slices.IndexFunc(into, func(o Target) bool { return o.Receiver == t.Receiver && o.SuspectReceiver == t.SuspectReceiver })
		switch {
		case i < 0:
			into = append(into, t)
		case t.Mode == ModeLive:
			into[i].Mode = ModeLive
		}
	}
	return into
}

// Rename puts other names in place of the receivers that the tree names; one that names has not stays.
func (r *RouteConfig) Rename(names map[string]string) {
	if to, ok := names[r.Receiver]; ok {
		r.Receiver = to
	}
	for i := range r.Routes {
		r.Routes[i].Rename(names)
	}
}

// Validate checks that every receiver the tree names is one of known, or has a place for each owner; every problem is a FieldError.
func (r RouteConfig) Validate(known func(name string) bool) error {
	return r.validate("route", func(name string) bool { return known(name) || r.Fallback[name] != "" }, r.Fallback)
}

func (r RouteConfig) validate(path string, known func(string) bool, perOwner map[string]string) error {
	var problems []error
	if s := r.SuspectReceiver; s != "" && perOwner[s] == "" {
		problems = append(problems, &triage.FieldError{Field: path + ".suspect_receiver", Value: s, Remedy: "must be a receiver with {{owner.…}} in it, which has a place for each team"})
	}
	if r.Receiver != "" && !known(r.Receiver) {
		problems = append(problems, &triage.FieldError{Field: path + ".receiver", Value: r.Receiver, Remedy: "is not defined under receivers"})
	}
	for i, h := range r.Inhibit {
		at := fmt.Sprintf("%s.inhibit[%d]", path, i)
		if path != "route" {
			problems = append(problems, &triage.FieldError{Field: at, Remedy: "stands at the root of route only"})
		}
		if len(h.Matchers) == 0 || len(h.While) == 0 {
			problems = append(problems, &triage.FieldError{Field: at, Remedy: "needs matchers, of what is held back, and while, of what holds it back"})
		}
	}
	for i, child := range r.Routes {
		problems = append(problems, child.validate(fmt.Sprintf("%s.routes[%d]", path, i), known, perOwner))
	}
	return errors.Join(problems...)
}
