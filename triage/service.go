package triage

import (
	"cmp"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// Service is what is known of one service besides its name.
type Service struct {
	Name        string     `json:"name,omitempty" yaml:"-"`
	Aliases     []string   `json:"aliases,omitempty" yaml:"aliases,omitempty"`
	Owner       string     `json:"owner,omitempty" yaml:"owner,omitempty"`     // team, never a person
	Channel     string     `json:"channel,omitempty" yaml:"channel,omitempty"` // where the owner is asked, "#pricing-oncall"
	Schedule    string     `json:"schedule,omitempty" yaml:"schedule,omitempty"`
	Tier        int        `json:"tier,omitempty" yaml:"tier,omitempty"` // 1 is the most important; 0 unknown
	UserFacing  bool       `json:"user_facing,omitempty" yaml:"user_facing,omitempty"`
	Runbook     string     `json:"runbook,omitempty" yaml:"runbook,omitempty"`
	AutoSync    *bool      `json:"auto_sync,omitempty" yaml:"auto_sync,omitempty"` // nil: GitOps ownership unknown
	External    bool       `json:"external,omitempty" yaml:"external,omitempty"`   // a vendor: changes there are not ours
	Reversible  Reversible `json:"reversible,omitzero" yaml:"-"`
	Environment string     `json:"environment,omitempty" yaml:"environment,omitempty"`
}

// NameRule says which rule joined a name to a Service.
type NameRule string

// The rules by which a name is resolved, in the order they are tried.
const (
	NameAlias      NameRule = "alias"
	NameExact      NameRule = "exact"
	NameNormalised NameRule = "normalised"
	NameUnknown    NameRule = "unknown" // kept as it came
)

// Directory resolves the many names of a service to one. It is immutable.
type Directory struct {
	services map[string]Service
	aliases  map[string]string // exact alias → name
	folded   map[string]string // normalised name or alias → name; ambiguous ones are absent
	envs     map[string]string // environment alias → canonical environment
}

// Environment names that mean the same, besides the configured ones.
var environmentAliases = map[string]string{"prod": "production", "prd": "production", "stg": "staging", "stage": "staging", "dev": "development"}

// NewDirectory indexes services by name and alias. environments maps further aliases to environment names.
func NewDirectory(services map[string]Service, environments map[string]string) *Directory {
	d := &Directory{
		services: make(map[string]Service, len(services)),
		aliases:  make(map[string]string),
		folded:   make(map[string]string),
		envs:     maps.Clone(environmentAliases),
	}
	for from, to := range environments {
		d.envs[strings.ToLower(from)] = strings.ToLower(to)
	}
	ambiguous := make(map[string]bool)
	fold := func(from, name string) {
		k := normaliseName(from)
		if prev, ok := d.folded[k]; ok && prev != name {
			ambiguous[k] = true
		}
		d.folded[k] = name
	}
	for _, name := range slices.Sorted(maps.Keys(services)) {
		s := services[name]
		s.Name = name
		d.services[name] = s
		fold(name, name)
		for _, a := range s.Aliases {
			if _, taken := d.aliases[a]; !taken {
				d.aliases[a] = name
			}
			fold(a, name)
		}
	}
	for k := range ambiguous {
		delete(d.folded, k)
	}
	return d
}

// Resolve returns the canonical name and the rule that found it. An unknown name comes back as it is.
func (d *Directory) Resolve(name string) (string, NameRule) {
	if d == nil || name == "" {
		return name, NameUnknown
	}
	if to, ok := d.aliases[name]; ok {
		return to, NameAlias
	}
	if _, ok := d.services[name]; ok {
		return name, NameExact
	}
	if to, ok := d.folded[normaliseName(name)]; ok {
		return to, NameNormalised
	}
	return name, NameUnknown
}

// Environment lower-cases an environment and applies its aliases: "prod" and "PRD" are "production".
func (d *Directory) Environment(env string) string {
	env = strings.ToLower(strings.TrimSpace(env))
	envs := environmentAliases
	if d != nil {
		envs = d.envs
	}
	if to, ok := envs[env]; ok {
		return to
	}
	return env
}

// Service returns what is known of the service with this canonical name.
func (d *Directory) Service(name string) (Service, bool) {
	if d == nil {
		return Service{}, false
	}
	s, ok := d.services[name]
	return s, ok
}

// Services lists the known services by name.
func (d *Directory) Services() []Service {
	if d == nil {
		return nil
	}
	return slices.SortedFunc(maps.Values(d.services), func(a, b Service) int { return cmp.Compare(a.Name, b.Name) })
}

// Map returns the services by canonical name, as a copy.
func (d *Directory) Map() map[string]Service {
	if d == nil {
		return nil
	}
	return maps.Clone(d.services)
}

var (
	affixSuffix = regexp.MustCompile(`[-_.](svc|service|api|server|app|prod|production|prd|staging|stage|stg|dev|development|v\d+)$`)
	affixPrefix = regexp.MustCompile(`^(svc|service|prod|production|prd|staging|stage|stg|dev|development)[-_.]`)
)

// normaliseName lower-cases a name and strips environment, version and role affixes: "Checkout-v2", "prod-checkout-svc" → "checkout".
// It is used only to find a service that is known; the result is never shown.
func normaliseName(s string) string {
	s = strings.ToLower(s)
	if i := strings.LastIndexByte(s, '/'); i >= 0 {
		s = s[i+1:]
	}
	for {
		t := affixPrefix.ReplaceAllString(affixSuffix.ReplaceAllString(s, ""), "")
		if t == s || t == "" {
			return s
		}
		s = t
	}
}

// Where the last part of a DNS name is one of these, or there is no other part, it is a name of the inside.
var insideSuffixes = []string{"local", "internal", "lan", "intern", "corp", "localdomain", "consul", "svc", "test", "cluster"}

// Of names of two parts only these endings are surely public ones: pricing.shop may well be pricing in the namespace shop.
var publicSuffixes = []string{"com", "net", "org", "io", "dev", "co", "ai", "cloud", "eu", "de", "uk", "fr", "us", "info"}

// ExternalHost reports whether a service that is known by a host name only, as clients see it, lies outside: a vendor.
func ExternalHost(name string) bool {
	parts := strings.Split(name, ".")
	last := parts[len(parts)-1]
	switch {
	case len(parts) < 2 || strings.ContainsAny(name, "/:@ ") || strings.Trim(last, "0123456789") == "":
		return false
	case len(parts) == 2:
		return slices.Contains(publicSuffixes, last)
	}
	return !slices.Contains(insideSuffixes, last) && !slices.Contains(parts, "svc")
}
