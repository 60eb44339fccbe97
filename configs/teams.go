package configs

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/triaged-dev/triaged/alerting"
	"github.com/triaged-dev/triaged/triage"
)

// Contacts are the ways a team is reached: slack, email, pagerduty, or whatever receivers ask for. A receiver with {{owner.slack}} in it
// has a place of its own for every team that has such a contact.
type Contacts map[string]string

var placeholder = regexp.MustCompile(`\{\{\s*owner\.([a-z][a-z0-9_]*)\s*\}\}`)

// anyPlaceholder also finds those that are not written as they must be.
var anyPlaceholder = regexp.MustCompile(`\{\{\s*(?:owner|team|service|suspect)\b[^}]*\}\}`)

// UnmarshalYAML keeps an entry with placeholders as it is: what it says can be checked only for a team.
func (r *Receiver) UnmarshalYAML(unmarshal func(any) error) error {
	var raw map[string]any
	if err := unmarshal(&raw); err == nil && len(asks(raw)) > 0 {
		name, _ := raw["name"].(string)
		fallback, _ := raw["fallback"].(string)
		*r = Receiver{Name: name, Fallback: fallback, perOwner: raw}
		return nil
	}
	type plain Receiver
	*r = Receiver{}
	return unmarshal((*plain)(r))
}

// asks lists the placeholders in the strings of v, each once.
func asks(v any) []string {
	var out []string
	switch v := v.(type) {
	case string:
		out = anyPlaceholder.FindAllString(v, -1)
	case []any:
		for _, x := range v {
			out = append(out, asks(x)...)
		}
	case map[string]any:
		for _, k := range slices.Sorted(maps.Keys(v)) {
			out = append(out, asks(v[k])...)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// fill puts a team's contacts into the strings of v; missing are those it does not have.
func fill(v any, contacts Contacts, missing map[string]bool) any {
	switch v := v.(type) {
	case string:
		return placeholder.ReplaceAllStringFunc(v, func(p string) string {
			key := placeholder.FindStringSubmatch(p)[1]
			if contacts[key] == "" {
				missing[key] = true
			}
			return contacts[key]
		})
	case []any:
		out := make([]any, len(v))
		for i, x := range v {
			out[i] = fill(x, contacts, missing)
		}
		return out
	case map[string]any:
		out := make(map[string]any, len(v))
		for k, x := range v {
			out[k] = fill(x, contacts, missing)
		}
		return out
	}
	return v
}

// contacts are what is known of every team, here and in the catalogue; what is written here wins.
func (c *Config) contacts() map[string]Contacts {
	out := make(map[string]Contacts)
	add := func(team string, more map[string]string) {
		if out[team] == nil {
			out[team] = make(Contacts)
		}
		maps.Copy(out[team], more)
	}
	for team, more := range c.catalog.Contacts() {
		add(team, more)
	}
	for team, more := range c.Teams {
		add(team, more)
	}
	return out
}

// expand makes a receiver with placeholders into one for each team. One team's contact that cannot be used leaves that team
// out, with a warning: its reports go to the fallback.
func (c *Config) expand(dir string) []error {
	var problems []error
	teams := c.contacts()
	var out []Receiver
	c.Route.Fallback = make(map[string]string)
	for i, r := range c.Receivers {
		if r.perOwner == nil {
			out = append(out, r)
			continue
		}
		path := fmt.Sprintf("receivers[%d]", i)
		for _, p := range asks(r.perOwner) {
			if !placeholder.MatchString(p) {
				problems = append(problems, &triage.FieldError{Field: path, Value: p, Remedy: "write {{owner.slack}}, with the name of a contact under teams"})
			}
		}
		fallback := slices.IndexFunc(c.Receivers, func(o Receiver) bool { return o.Name == r.Fallback && o.perOwner == nil })
		if fallback < 0 {
			problems = append(problems, &triage.FieldError{Field: path + ".fallback", Value: r.Fallback, Remedy: "must name a receiver for services that no team owns, or whose team has no such contact"})
			continue
		}
		c.Route.Fallback[r.Name] = r.Fallback
		places, failed := r.forTeams(teams, dir)
		out = append(out, places...)
		if len(places) == 0 && len(failed) > 1 { // what no team can have is wrong with the receiver
			problems = append(problems, fmt.Errorf("%s: %w", path, failed[slices.Sorted(maps.Keys(failed))[0]]))
			continue
		}
		for _, team := range slices.Sorted(maps.Keys(failed)) {
			c.leaveOut(fmt.Sprintf("receiver %s has no place for %s, whose reports go to %s: %v", r.Name, team, r.Fallback, failed[team]))
		}
	}
	c.Receivers = out
	return problems
}

// forTeams are the receiver's places for the teams that have what it takes, and what is wrong with those that cannot be made.
func (r Receiver) forTeams(teams map[string]Contacts, dir string) (places []Receiver, failed map[string]error) {
	failed = make(map[string]error)
	for _, team := range slices.Sorted(maps.Keys(teams)) {
		one, err := r.forTeam(team, teams[team], dir)
		switch {
		case err != nil:
			failed[team] = err
		case one.Name != "":
			places = append(places, one)
		}
	}
	return places, failed
}

// forTeam is the receiver's place for one team; without a name where the team has not what it takes.
func (r Receiver) forTeam(team string, contacts Contacts, dir string) (Receiver, error) {
	missing := make(map[string]bool)
	filled, _ := fill(r.perOwner, contacts, missing).(map[string]any)
	if len(missing) > 0 {
		return Receiver{}, nil
	}
	delete(filled, "fallback")
	filled["name"] = alerting.PerOwner(r.Name, team)
	text, err := yaml.Marshal(filled)
	if err != nil {
		return Receiver{}, err
	}
	var one Receiver
	if err := decode(text, &one); err != nil {
		return Receiver{}, err
	}
	if one.perOwner != nil {
		return Receiver{}, errors.New("a contact holds a placeholder itself")
	}
	one.setDirectory(dir)
	return one, one.check()
}

// leaveOut notes what is not in force though it is written down.
func (c *Config) leaveOut(what string) {
	c.Warnings = append(c.Warnings, what)
	c.LeftOut++
}

// contactProblems checks the section teams.
func contactProblems(path string, contacts Contacts) []error {
	var problems []error
	for _, k := range slices.Sorted(maps.Keys(contacts)) {
		if !placeholder.MatchString("{{owner." + k + "}}") {
			problems = append(problems, &triage.FieldError{Field: path, Value: k, Remedy: "name a contact in lower case, as receivers do: {{owner.slack}}"})
		}
		if v := contacts[k]; strings.TrimSpace(v) != v || v == "" || len(v) > triage.MaxText || strings.ContainsAny(v, "\r\n\x00") {
			problems = append(problems, &triage.FieldError{Field: path + "." + k, Value: v, Remedy: "must be one line that is not empty"})
		}
	}
	return problems
}

// ownerOf is the team that all of these services name, or the one that is given.
func ownerOf(given string, services map[string]triage.Service) string {
	team := given
	for _, name := range slices.Sorted(maps.Keys(services)) {
		owner := services[name].Owner
		if given == "" && team != "" && owner != team {
			return ""
		}
		team = cmp.Or(team, owner)
	}
	return team
}
