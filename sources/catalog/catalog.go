// Package catalog reads Backstage's catalog-info.yaml files: Components and Resources become services with their owners and
// other names, and what they depend on, consume and provide becomes calls between them.
//
// It reads files it is given and nothing they point at: no URL, no Location, no placeholder is followed. It invents nothing:
// a reference to what no file describes is an edge to that name, and a name that could mean two services is nobody's alias.
package catalog

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/triaged-dev/triaged/triage"
)

// Origin is what edges from a catalogue are marked with.
const Origin = "catalog"

// Catalog is what the files say together. It is immutable.
type Catalog struct {
	services map[string]triage.Service
	edges    []triage.Edge
	contacts map[string]map[string]string // by the group's name
	notes    []string
}

// Contacts are the ways groups are reached, by their names: what annotations under triaged.dev/contact- say, the e-mail address of
// the profile, and the Slack channel where its id is given.
func (c Catalog) Contacts() map[string]map[string]string {
	out := make(map[string]map[string]string, len(c.contacts))
	for team, more := range c.contacts {
		out[team] = maps.Clone(more)
	}
	return out
}

// Notes say what was left out and why, one sentence each.
func (c Catalog) Notes() []string { return slices.Clone(c.notes) }

// Services are the described services by name.
func (c Catalog) Services() map[string]triage.Service { return maps.Clone(c.services) }

// Edges are the calls, with Origin "catalog", sorted.
func (c Catalog) Edges() []triage.Edge { return slices.Clone(c.edges) }

// builder puts the entities of all files together.
type builder struct {
	Catalog
	names     map[string]string   // "component:default/checkout", lower case → the service's name
	providers map[string][]string // api reference → services that provide it
	channels  map[string]string   // group reference → where it is asked
}

// build makes the catalogue of entities, which may refer to each other in any order.
func build(entities []entity) Catalog {
	b := &builder{names: make(map[string]string), providers: make(map[string][]string), channels: make(map[string]string)}
	b.services, b.contacts = make(map[string]triage.Service), make(map[string]map[string]string)
	slices.SortStableFunc(entities, func(x, y entity) int { // Components come first: a Resource of the same name gives way
		return cmp.Or(cmp.Compare(strings.ToLower(x.Kind), strings.ToLower(y.Kind)), cmp.Compare(x.Metadata.Name, y.Metadata.Name))
	})
	for _, e := range entities {
		switch strings.ToLower(e.Kind) {
		case "component", "resource":
			b.name(e)
		case "group":
			if more := e.contacts(); len(more) > 0 {
				b.contacts[e.Metadata.Name] = more
			}
			if ch := e.channel(); ch != "" {
				b.channels[reference("group", e.Metadata.Namespace, e.Metadata.Name)] = ch
			}
		}
	}
	for _, e := range entities {
		if name, ok := b.names[e.reference()]; ok && name != "" {
			for _, api := range e.Spec.ProvidesAPIs {
				ref := parseReference(api, "api", e.Metadata.Namespace)
				b.providers[ref] = append(b.providers[ref], name)
			}
			b.services[name] = b.describe(e, b.services[name])
		}
	}
	for _, e := range entities {
		b.connect(e)
	}
	b.dropAmbiguous()
	slices.SortFunc(b.edges, func(x, y triage.Edge) int { return cmp.Or(cmp.Compare(x.From, y.From), cmp.Compare(x.To, y.To)) })
	b.edges = slices.Compact(b.edges)
	return b.Catalog
}

// name gives the entity its place among the services.
func (b *builder) name(e entity) {
	name := e.Metadata.Name
	if _, taken := b.services[name]; taken {
		b.notes = append(b.notes, fmt.Sprintf("%s is described more than once; the first description counts", name))
		if _, known := b.names[e.reference()]; !known {
			b.names[e.reference()] = name
		}
		return
	}
	b.names[e.reference()] = name
	b.services[name] = triage.Service{Name: name}
}

// Annotations that hold another name of a component.
var nameAnnotations = []string{
	"backstage.io/kubernetes-id", "argocd/app-name", "github.com/project-slug", "gitlab.com/project-slug", "bitbucket.org/project-slug",
	"jenkins.io/job-full-name", "sentry.io/project-slug", "datadoghq.com/service",
}

// describe adds what an entity says to what was known.
func (b *builder) describe(e entity, s triage.Service) triage.Service {
	m := e.Metadata
	for _, a := range nameAnnotations {
		s.Aliases = appendAlias(s.Aliases, m.Annotations[a], s.Name)
	}
	for sel := range strings.SplitSeq(m.Annotations["backstage.io/kubernetes-label-selector"], ",") {
		k, v, ok := strings.Cut(sel, "=")
		switch k = strings.TrimSpace(k); {
		case !ok:
		case k == "app", k == "k8s-app", k == "app.kubernetes.io/name", k == "app.kubernetes.io/instance":
			s.Aliases = appendAlias(s.Aliases, strings.TrimPrefix(strings.TrimSpace(v), "="), s.Name)
		}
	}
	if s.Owner == "" && e.Spec.Owner != "" {
		ref := parseReference(e.Spec.Owner, "group", m.Namespace)
		if kind, name := split(ref); kind == "group" { // never a person
			s.Owner, s.Channel = nameIn(e.Spec.Owner, name), b.channels[ref]
		}
	}
	s.Channel = cmp.Or(e.channel(), s.Channel)
	s.Runbook = cmp.Or(s.Runbook, e.link("runbook"))
	s.Tier = cmp.Or(s.Tier, e.tier())
	s.UserFacing = s.UserFacing || strings.EqualFold(e.Spec.Type, "website")
	return s
}

func appendAlias(aliases []string, alias, name string) []string {
	if alias == "" || alias == name || len(alias) > triage.MaxText || slices.Contains(aliases, alias) {
		return aliases
	}
	return append(aliases, alias)
}

// connect adds the edges of one entity: dependsOn points at what is called, dependencyOf at who calls, an API stands for every
// component that provides it.
func (b *builder) connect(e entity) {
	self, ok := b.names[e.reference()]
	if !ok {
		return
	}
	add := func(from, to string) {
		if from != "" && to != "" && from != to {
			b.edges = append(b.edges, triage.Edge{From: from, To: to, Origin: Origin})
		}
	}
	for _, d := range e.Spec.DependsOn {
		for _, to := range b.resolve(parseReference(d, "component", e.Metadata.Namespace)) {
			add(self, to)
		}
	}
	for _, d := range e.Spec.DependencyOf {
		for _, from := range b.resolve(parseReference(d, "component", e.Metadata.Namespace)) {
			add(from, self)
		}
	}
	for _, api := range e.Spec.ConsumesAPIs {
		for _, to := range b.resolve(parseReference(api, "api", e.Metadata.Namespace)) {
			add(self, to)
		}
	}
}

// resolve finds the services a reference means. One that no file describes keeps its name, unless it is an API, a system or a
// domain: those are not services.
func (b *builder) resolve(ref string) []string {
	if name, ok := b.names[ref]; ok {
		return []string{name}
	}
	switch kind, name := split(ref); kind {
	case "api":
		return b.providers[ref]
	case "component", "resource":
		return []string{name}
	}
	return nil
}

// dropAmbiguous takes away every alias that two services claim, or that is the name of another: a repository with many
// components names none of them.
func (b *builder) dropAmbiguous() {
	claims := make(map[string]int)
	for _, s := range b.services {
		for _, a := range s.Aliases {
			claims[a]++
		}
	}
	for _, name := range slices.Sorted(maps.Keys(b.services)) {
		s := b.services[name]
		s.Aliases = slices.DeleteFunc(s.Aliases, func(a string) bool {
			_, isName := b.services[a]
			return claims[a] > 1 || isName
		})
		if len(s.Aliases) == 0 {
			s.Aliases = nil
		}
		b.services[name] = s
	}
	for _, a := range slices.Sorted(maps.Keys(claims)) {
		if claims[a] > 1 {
			b.notes = append(b.notes, fmt.Sprintf("%s belongs to %d components and is taken as the name of none", a, claims[a]))
		}
	}
}

// Merge adds the catalogue to explicitly described services, which win wherever they say something: a field they leave empty
// is filled in, an alias they use is theirs, and a component they call an alias is that service.
func (c Catalog) Merge(explicit map[string]triage.Service) map[string]triage.Service {
	out := maps.Clone(explicit)
	if out == nil {
		out = make(map[string]triage.Service, len(c.services))
	}
	owner := make(map[string]string) // explicit alias or name → service
	for _, name := range slices.Sorted(maps.Keys(explicit)) {
		owner[name] = name
		for _, a := range explicit[name].Aliases {
			owner[a] = name
		}
	}
	for _, name := range slices.Sorted(maps.Keys(c.services)) {
		from := c.services[name]
		to := cmp.Or(owner[name], name)
		s := out[to]
		s.Owner = cmp.Or(s.Owner, from.Owner)
		s.Channel = cmp.Or(s.Channel, from.Channel)
		s.Runbook = cmp.Or(s.Runbook, from.Runbook)
		s.Tier = cmp.Or(s.Tier, from.Tier)
		s.UserFacing = s.UserFacing || from.UserFacing
		s.Aliases = slices.Clone(s.Aliases)
		for _, a := range from.Aliases {
			if _, taken := owner[a]; !taken {
				s.Aliases = appendAlias(s.Aliases, a, to)
			}
		}
		out[to] = s
	}
	return out
}
