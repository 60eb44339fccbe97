// Package configs reads and validates the configuration file. Every section belongs to the package that uses it; this one puts
// them together, reads the file strictly (an unknown key is an error) and makes relative paths relative to the file.
//
// It opens nothing the file names: secrets and certificates are read by those who need them.
package configs

import (
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/common/model"

	"github.com/triaged-dev/triaged/alerting"
	"github.com/triaged-dev/triaged/alerting/outbox"
	"github.com/triaged-dev/triaged/api"
	"github.com/triaged-dev/triaged/collector"
	"github.com/triaged-dev/triaged/correlate"
	"github.com/triaged-dev/triaged/journal"
	"github.com/triaged-dev/triaged/playbooks"
	"github.com/triaged-dev/triaged/sources/alertmanager"
	"github.com/triaged-dev/triaged/sources/catalog"
	"github.com/triaged-dev/triaged/sources/github"
	"github.com/triaged-dev/triaged/sources/hooks"
	"github.com/triaged-dev/triaged/sources/kafka"
	"github.com/triaged-dev/triaged/sources/prometheus"
	"github.com/triaged-dev/triaged/triage"
)

// Config is the whole file. It is read-only after Load.
type Config struct {
	Global    Global                    `yaml:"global"`
	Auth      api.Config                `yaml:"auth"`
	Window    collector.Config          `yaml:"window"`
	Journal   journal.Config            `yaml:"journal"`
	Topology  Topology                  `yaml:"topology"`
	Services  map[string]triage.Service `yaml:"services"`
	Teams     map[string]Contacts       `yaml:"teams,omitempty"` // how teams are reached; receivers with {{owner.…}} ask for it
	TeamFiles []string                  `yaml:"team_files"`      // files, directories and patterns
	TeamsRead model.Duration            `yaml:"team_files_interval"`
	Catalog   []string                  `yaml:"catalog"` // Backstage files; patterns
	Signals   prometheus.SignalsConfig  `yaml:"signals"`
	Sources   Sources                   `yaml:"sources"`
	Hooks     []hooks.Config            `yaml:"hooks"`
	Mappings  []string                  `yaml:"mappings"` // the user's own mapping files; patterns
	Incidents alerting.Config           `yaml:"incidents"`
	Correlate correlate.Config          `yaml:"correlate"`
	Playbooks playbooks.Config          `yaml:"playbooks"`
	Route     alerting.RouteConfig      `yaml:"route"`
	Receivers []Receiver                `yaml:"receivers"`

	// Warnings are what was left out: team and catalogue files that could not be read. They are logged and shown, and nothing
	// else fails.
	Warnings []string `yaml:"-"`

	// LeftOut is how many files, and places of teams, are not in force though they are written down; Warnings say why.
	LeftOut int `yaml:"-"`

	catalog catalog.Catalog // what the files under Catalog say
}

// Global is the section global.
type Global struct {
	ExternalURL  string            `yaml:"external_url,omitempty"` // where people reach the pages; links in messages begin with it
	Environments map[string]string `yaml:"environments,omitempty"` // further names of an environment → its canonical name
}

// Topology is the section topology: who calls whom, as far as no catalogue and no metric says it.
type Topology struct {
	Calls map[string][]string `yaml:"calls,omitempty"` // service → the services it calls
}

// Sources is the section sources.
type Sources struct {
	Kafka        []kafka.Config        `yaml:"kafka,omitempty"`
	GitHub       []github.Config       `yaml:"github,omitempty"`
	Prometheus   []prometheus.Config   `yaml:"prometheus,omitempty"`
	Alertmanager []alertmanager.Config `yaml:"alertmanager,omitempty"`
}

// Default is the configuration of an empty file.
func Default() Config {
	return Config{
		Auth:      api.DefaultConfig(),
		Window:    collector.DefaultConfig(),
		Journal:   journal.DefaultConfig(),
		Signals:   prometheus.DefaultSignalsConfig(),
		Incidents: alerting.DefaultConfig(),
		Correlate: correlate.DefaultConfig(),
		Playbooks: playbooks.DefaultConfig(),
		Route:     alerting.DefaultRouteConfig(),
		TeamsRead: model.Duration(time.Minute),
	}
}

// UnmarshalYAML starts from the defaults, so that absent sections keep them.
func (c *Config) UnmarshalYAML(unmarshal func(any) error) error {
	*c = Default()
	type plain Config
	return unmarshal((*plain)(c))
}

// Directory resolves the names of services and environments: those of this file, filled up from the catalogue.
func (c *Config) Directory() *triage.Directory {
	return triage.NewDirectory(c.catalog.Merge(c.Services), c.Global.Environments)
}

// Edges are the calls that are written down: here and in the catalogue, whose names the Directory knows.
func (c *Config) Edges() []triage.Edge {
	out := c.Topology.Edges()
	dir := c.Directory()
	for _, e := range c.catalog.Edges() {
		e.From, _ = dir.Resolve(e.From)
		e.To, _ = dir.Resolve(e.To)
		out = append(out, e)
	}
	return out
}

// Edges are the configured calls.
func (t Topology) Edges() []triage.Edge {
	var out []triage.Edge
	for from, callees := range t.Calls {
		for _, to := range callees {
			out = append(out, triage.Edge{From: from, To: to, Origin: "config"})
		}
	}
	return out // NewTopology sorts
}

// validate checks what only the whole file can tell. Every problem names path, value and remedy.
func (c *Config) validate() []error {
	var problems []error
	add := func(field, value, remedy string) {
		problems = append(problems, &triage.FieldError{Field: field, Value: value, Remedy: remedy})
	}
	if u := c.Global.ExternalURL; u != "" {
		if p, err := url.Parse(u); err != nil || p.Host == "" || (p.Scheme != "http" && p.Scheme != "https") {
			add("global.external_url", u, "must be an absolute http or https URL, like https://triaged.example.com")
		}
	}
	if c.Auth.OIDC != nil && c.Global.ExternalURL == "" {
		add("global.external_url", "", "must be set with auth.oidc: the provider sends people back to it")
	}
	seen := make(map[string]string)
	name := func(path, name string) {
		switch before, taken := seen[name]; {
		case name == "":
			add(path, "", "must not be empty; it is what reports and metrics call the source")
		case taken:
			add(path, name, "is the name of "+before+" already; every source needs its own")
		}
		seen[name] = strings.TrimSuffix(path, ".name")
	}
	for i, s := range c.Sources.Kafka {
		name(fmt.Sprintf("sources.kafka[%d].name", i), s.Name)
	}
	for i, s := range c.Sources.GitHub {
		name(fmt.Sprintf("sources.github[%d].name", i), s.Name)
	}
	for i, s := range c.Sources.Prometheus {
		name(fmt.Sprintf("sources.prometheus[%d].name", i), s.Name)
	}
	for i, s := range c.Sources.Alertmanager {
		name(fmt.Sprintf("sources.alertmanager[%d].name", i), s.Name)
	}
	for i, h := range c.Hooks {
		name(fmt.Sprintf("hooks[%d].name", i), h.Name)
	}
	for _, team := range slices.Sorted(maps.Keys(c.Teams)) {
		problems = append(problems, contactProblems("teams."+team, c.Teams[team])...)
	}
	if d := time.Duration(c.TeamsRead); d != 0 && d < time.Second {
		add("team_files_interval", c.TeamsRead.String(), "must be at least 1s, or 0s to read them on reload only")
	}
	receivers := make(map[string]bool)
	for i, r := range c.Receivers {
		path := fmt.Sprintf("receivers[%d]", i)
		switch {
		case r.Name == "":
			add(path+".name", "", "must not be empty; route names it")
		case receivers[r.Name]:
			add(path+".name", r.Name, "is used twice; give each receiver its own name")
		case r.integrations() == 0:
			add(path, r.Name, "posts nowhere; add slack_configs, pagerduty_configs, teams_configs, email_configs, webhook_configs, grafana_configs or log_configs")
		}
		switch r.OnUncertain {
		case "", outbox.UncertainResend, outbox.UncertainHold:
		default:
			add(path+".on_uncertain", string(r.OnUncertain), "use resend or hold")
		}
		receivers[r.Name] = true
	}
	if r := c.Incidents.Digest.Receiver; r != "" && !receivers[r] {
		add("incidents.digest.receiver", r, "is not defined under receivers")
	}
	if err := c.Route.Validate(func(n string) bool { return receivers[n] }); err != nil {
		problems = append(problems, err)
	}
	problems = append(problems, c.aliasProblems()...)
	return problems
}

// aliasProblems finds names that would resolve to two services.
func (c *Config) aliasProblems() []error {
	var problems []error
	owner := make(map[string]string)
	for _, s := range c.Directory().Services() {
		for i, a := range s.Aliases {
			field := fmt.Sprintf("services.%s.aliases[%d]", s.Name, i)
			if other, taken := owner[a]; taken {
				problems = append(problems, &triage.FieldError{Field: field, Value: a, Remedy: "is an alias of " + other + " already; one name can mean one service only"})
			} else if _, isName := c.Services[a]; isName && a != s.Name {
				problems = append(problems, &triage.FieldError{Field: field, Value: a, Remedy: "is the name of another service"})
			}
			owner[a] = s.Name
		}
	}
	return problems
}
