package configs

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/triaged-dev/triaged/alerting"
	"github.com/triaged-dev/triaged/alerting/email"
	"github.com/triaged-dev/triaged/alerting/grafana"
	"github.com/triaged-dev/triaged/alerting/slack"
	"github.com/triaged-dev/triaged/alerting/teams"
	"github.com/triaged-dev/triaged/alerting/webhook"
	"github.com/triaged-dev/triaged/playbooks"
	"github.com/triaged-dev/triaged/triage"
)

// team is what a team file may hold: the team's own services and who calls whom, and where its own reports go, and how its own
// changes are undone. Nothing in it reaches further than the services the team owns.
type team struct {
	Team      string                    `yaml:"team"`
	Contacts  Contacts                  `yaml:"contacts"`
	Services  map[string]triage.Service `yaml:"services"`
	Topology  Topology                  `yaml:"topology"`
	Routes    []alerting.RouteConfig    `yaml:"routes"`
	Receivers []Receiver                `yaml:"receivers"`
	Playbooks struct {
		Rules []playbooks.Rule `yaml:"rules"`
	} `yaml:"playbooks"`
}

const maxTeamFiles = 5000

// includeTeams reads the team files. One that cannot be read, or that reaches for what is somebody else's, is left out whole
// and becomes a warning: a team's mistake must not stop everybody's triage.
func (c *Config) includeTeams() {
	var routes []alerting.RouteConfig
	var rules []playbooks.Rule
	for _, path := range c.teamPaths() {
		t, err := c.includeTeam(path)
		if err != nil {
			c.leaveOut(fmt.Sprintf("team file left out: %s: %v", path, err))
			continue
		}
		routes, rules = append(routes, t.Routes...), append(rules, t.Playbooks.Rules...)
	}
	// Behind the file's own first routes that let others go on, before those that do not: so the platform sees everything it asked
	// for, and a team what is its own.
	at := slices.IndexFunc(c.Route.Routes, func(r alerting.RouteConfig) bool { return !r.Continue })
	if at < 0 {
		at = len(c.Route.Routes)
	}
	c.Route.Routes = slices.Insert(slices.Clone(c.Route.Routes), at, routes...)
	c.Playbooks.Rules = slices.Concat(rules, c.Playbooks.Rules)
}

// TeamPaths are the patterns under team_files and catalog, for whoever watches them.
func (c *Config) TeamPaths() []string { return slices.Concat(c.TeamFiles, c.Catalog) }

// teamPaths are the files that team_files names: of a directory all YAML files in it, whatever its depth, but for what is hidden: the
// inside of a Git checkout.
func (c *Config) teamPaths() []string {
	var out []string
	for _, path := range c.glob("team_files", c.TeamFiles) {
		files, err := Walk(path)
		if err != nil {
			c.leaveOut(fmt.Sprintf("team files left out: %v", err))
		}
		out = append(out, files...)
	}
	if len(out) > maxTeamFiles {
		c.leaveOut(fmt.Sprintf("team files left out: there are %d, and at most %d are read", len(out), maxTeamFiles))
		out = out[:maxTeamFiles]
	}
	return out
}

// Walk lists a file, or the YAML files in a directory, sorted.
func Walk(path string) ([]string, error) {
	info, err := os.Stat(path)
	if err != nil || !info.IsDir() {
		return []string{path}, nil //nolint:nilerr // reading it says what is wrong
	}
	var out []string
	err = filepath.WalkDir(path, func(p string, d fs.DirEntry, err error) error {
		switch ext := filepath.Ext(p); {
		case err != nil:
			return err
		case p != path && strings.HasPrefix(d.Name(), "."):
			if d.IsDir() {
				return fs.SkipDir
			}
		case !d.IsDir() && (ext == ".yml" || ext == ".yaml"):
			out = append(out, p)
		}
		return nil
	})
	slices.Sort(out)
	return out, err
}

// includeTeam adds one team file, or nothing of it.
func (c *Config) includeTeam(path string) (team, error) {
	data, err := read(path)
	if err != nil {
		return team{}, err
	}
	var t team
	if err := decode(data, &t); err != nil {
		return team{}, err
	}
	if n := len(c.Services) + len(t.Services); n > maxServices {
		return team{}, fmt.Errorf("services: with those of this file there would be %d; at most %d are read", n, maxServices)
	}
	own := len(t.Contacts)+len(t.Routes)+len(t.Receivers)+len(t.Playbooks.Rules) > 0
	if t.Team = ownerOf(t.Team, t.Services); own && t.Team == "" {
		return team{}, &triage.FieldError{Field: "team", Remedy: "must say whose routes, receivers, contacts and playbooks these are, where the services do not"}
	}
	with := *c
	with.Services, with.Teams = maps.Clone(c.Services), maps.Clone(c.Teams)
	if with.Services == nil {
		with.Services = make(map[string]triage.Service)
	}
	if with.Teams == nil {
		with.Teams = make(map[string]Contacts)
	}
	problems := with.addServices(t, path)
	problems = append(problems, with.aliasProblems()...)
	if own {
		problems = append(problems, t.confine(&with, filepath.Dir(path))...)
	}
	if err := errors.Join(problems...); err != nil {
		return team{}, err
	}
	c.Services, c.Teams, c.Receivers, c.Warnings, c.LeftOut = with.Services, with.Teams, with.Receivers, with.Warnings, with.LeftOut
	if len(t.Topology.Calls) > 0 {
		calls := maps.Clone(c.Topology.Calls)
		if calls == nil {
			calls = make(map[string][]string)
		}
		for from, to := range t.Topology.Calls {
			calls[from] = slices.Concat(calls[from], to)
		}
		c.Topology.Calls = calls
	}
	return t, nil
}

// addServices adds the services of a file. One that two files describe is the first's: the other may be in the right, and loses no
// more than that service. Where the catalogue says who owns it, only they may describe it.
func (c *Config) addServices(t team, path string) []error {
	var problems []error
	listed := c.catalog.Services()
	for _, name := range slices.Sorted(maps.Keys(t.Services)) {
		s := t.Services[name]
		if _, taken := c.Services[name]; taken {
			c.leaveOut(fmt.Sprintf("service left out: %s: %s is described in another file already", path, name))
			continue
		}
		if owner := listed[name].Owner; t.Team != "" && owner != "" && owner != t.Team {
			problems = append(problems, &triage.FieldError{Field: "services." + name, Value: t.Team, Remedy: "belongs to " + owner + ", as the catalogue has it"})
		}
		if t.Team != "" && s.Owner != "" && s.Owner != t.Team {
			problems = append(problems, &triage.FieldError{Field: "services." + name + ".owner", Value: s.Owner, Remedy: "is another team than " + t.Team + ", whose file this is"})
		}
		if s.Owner == "" {
			s.Owner = t.Team
		}
		c.Services[name] = s
	}
	return problems
}

// confine checks what a team says about itself, and keeps it to the team: its routes see alerts of its services, its receivers have
// its name before theirs, its playbooks are for changes of its services.
func (t *team) confine(c *Config, dir string) []error {
	problems := contactProblems("contacts", t.Contacts)
	if len(t.Contacts) > 0 {
		c.Teams[t.Team] = t.Contacts
	}
	names := make(map[string]string)
	for i, r := range t.Receivers {
		path := fmt.Sprintf("receivers[%d]", i)
		switch {
		case r.Name == "" || names[r.Name] != "":
			problems = append(problems, &triage.FieldError{Field: path + ".name", Value: r.Name, Remedy: "must be there, and another for each"})
		case r.perOwner != nil:
			problems = append(problems, &triage.FieldError{Field: path, Value: r.Name, Remedy: "holds {{owner.…}}, which is for receivers that serve every team"})
		}
		names[r.Name] = t.Team + "/" + r.Name
		r.Name = names[r.Name]
		r.setDirectory(dir)
		if err := r.check(); err != nil {
			problems = append(problems, fmt.Errorf("%s: %w", path, err))
		}
		c.Receivers = append(slices.Clone(c.Receivers), r)
	}
	owner, err := alerting.ParseMatcher(fmt.Sprintf("owner=%q", t.Team))
	if err != nil {
		return append(problems, fmt.Errorf("team: %w", err))
	}
	known := func(name string) bool {
		return slices.ContainsFunc(c.Receivers, func(r Receiver) bool { return r.Name == name })
	}
	for i := range t.Routes {
		t.Routes[i].Rename(names)
		if err := t.Routes[i].Validate(known); err != nil {
			problems = append(problems, fmt.Errorf("routes[%d]: %w", i, err))
		}
		t.Routes[i].Matchers = append(alerting.Matchers{owner}, t.Routes[i].Matchers...)
	}
	if err := (playbooks.Config{Rules: t.Playbooks.Rules}).Validate(); err != nil {
		problems = append(problems, err)
	}
	return append(problems, t.confineRules(c.servicesOf(t.Team))...)
}

// confineRules keeps playbooks to the team's services. One that is for services which the file describes and another file has
// goes with them.
func (t *team) confineRules(services []string) []error {
	var problems []error
	var kept []playbooks.Rule
	for i, r := range t.Playbooks.Rules {
		var own []string
		for j, s := range r.Services {
			_, described := t.Services[s]
			switch {
			case slices.Contains(services, s):
				own = append(own, s)
			case !described:
				problems = append(problems, &triage.FieldError{Field: fmt.Sprintf("playbooks.rules[%d].services[%d]", i, j), Value: s, Remedy: "is not a service of " + t.Team})
			}
		}
		if len(r.Services) == 0 {
			own = services
		}
		if len(services)+len(t.Services) == 0 {
			problems = append(problems, &triage.FieldError{Field: fmt.Sprintf("playbooks.rules[%d]", i), Value: t.Team, Remedy: "owns no service that is known"})
		}
		if r.Services = own; len(own) > 0 { // without any it would be for all
			kept = append(kept, r)
		}
	}
	t.Playbooks.Rules = kept
	return problems
}

// servicesOf are the services a team owns, here and in the catalogue.
func (c *Config) servicesOf(team string) []string {
	var out []string
	for _, s := range c.Directory().Services() {
		if s.Owner == team {
			out = append(out, s.Name)
		}
	}
	return out
}

// check builds what the receiver posts with and throws it away: what cannot be built must not be found when everything is built.
func (r Receiver) check() error {
	var problems []error
	if r.integrations() == 0 {
		problems = append(problems, errors.New("posts nowhere"))
	}
	try := func(_ any, err error) { problems = append(problems, err) }
	for _, c := range r.Slack {
		try(slack.New(slack.Options{Config: c}))
	}
	for _, c := range r.Webhook {
		try(webhook.New(webhook.Options{Config: c}))
	}
	for _, c := range r.Teams {
		try(teams.New(teams.Options{Config: c}))
	}
	for _, c := range r.Email {
		try(email.New(c))
	}
	for _, c := range r.Grafana {
		try(grafana.New(grafana.Options{Config: c}))
	}
	return errors.Join(problems...)
}
