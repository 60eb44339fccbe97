package signin

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode"
)

// The ways by which a person is known.
const (
	ViaOIDC  = "oidc"
	ViaProxy = "proxy"
)

// Person is somebody who has signed in.
type Person struct {
	Name    string   // what people call them; not unique
	Subject string   // what the provider calls them; unique there
	Via     string   // ViaOIDC or ViaProxy
	Groups  []string // as the provider has them, in its order
}

const (
	maxName   = 200  // bytes of a name or subject
	maxGroup  = 200  // bytes of a group's name
	maxGroups = 1000 // groups of one person
)

// clean makes a name fit for a log and a page: what cannot be printed makes it no name.
func clean(s string) string {
	s = strings.TrimSpace(s)
	if len(s) > maxName || strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return ""
	}
	return s
}

// addGroup adds a group that can be named, once.
func addGroup(to []string, group string) []string {
	group = strings.TrimSpace(group)
	if group == "" || len(group) > maxGroup || len(to) >= maxGroups || slices.Contains(to, group) {
		return to
	}
	return append(to, group)
}

// claims are what a provider says of a person.
type claims map[string]any

// at finds a claim by its name, or by a path of names with dots between, where no claim has that very name.
func (c claims) at(name string) any {
	if v, ok := c[name]; ok {
		return v
	}
	var v any = map[string]any(c)
	for part := range strings.SplitSeq(name, ".") {
		m, ok := v.(map[string]any)
		if !ok {
			return nil
		}
		v = m[part]
	}
	return v
}

func (c claims) text(name string) string {
	s, _ := c.at(name).(string)
	return s
}

// name is what the person is called: by the claim asked for, by e-mail address, by subject.
func (c claims) name(claim string) string {
	for _, k := range []string{claim, "email", "sub"} {
		if s := clean(c.text(k)); s != "" {
			return s
		}
	}
	return ""
}

// groups reads a list of groups as providers write it: a list of names, one name, or an object whose keys are the names.
func (c claims) groups(claim string) (groups []string, told bool) {
	switch v := c.at(claim).(type) {
	case string:
		groups = addGroup(groups, v)
	case []any:
		for _, g := range v {
			groups = addGroup(groups, fmt.Sprint(g))
		}
	case map[string]any:
		for _, g := range slices.Sorted(maps.Keys(v)) {
			groups = addGroup(groups, g)
		}
	default:
		return nil, false
	}
	return groups, true
}
