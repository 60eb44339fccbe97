package playbooks

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/triaged-dev/triaged/triage"
)

// Config is the section playbooks.
type Config struct {
	Detect   bool              `yaml:"detect"`             // use a ready-made playbook where the change itself says which tool made it
	Contexts map[string]string `yaml:"contexts,omitempty"` // cluster → what kubectl, helm and others call it
	Rules    []Rule            `yaml:"rules,omitempty"`    // the first that fits a change counts
}

// Rule says how changes of some services and kinds are undone.
type Rule struct {
	Services     []string          `yaml:"services,omitempty"`     // canonical names; none: all
	Environments []string          `yaml:"environments,omitempty"` // none: all
	Kinds        []triage.Kind     `yaml:"kinds,omitempty"`        // none: all
	Use          string            `yaml:"use,omitempty"`          // name of a ready-made playbook
	Values       map[string]string `yaml:"values,omitempty"`       // what the change does not say: project, workload, release, …
	Commands     [][]string        `yaml:"commands,omitempty"`     // lists of arguments; instead of use, or in place of its own
	GitOps       GitOps            `yaml:"gitops,omitempty"`       // of commands: live (default), git, none
	Link         string            `yaml:"link,omitempty"`
	Runbook      string            `yaml:"runbook,omitempty"` // of this way back; default: the service's
}

// GitOps says how a command stands to a controller that applies what is in Git.
type GitOps string

// What a command touches.
const (
	GitOpsLive GitOps = "live" // running state: given only where nothing would apply the change again
	GitOpsGit  GitOps = "git"  // the repository: given only where a controller is known to apply it
	GitOpsNone GitOps = "none" // nothing that is kept in Git: flags, pipelines
)

// DefaultConfig detects.
func DefaultConfig() Config { return Config{Detect: true} }

// UnmarshalYAML starts from the defaults.
func (c *Config) UnmarshalYAML(unmarshal func(any) error) error {
	type plain Config
	*c = DefaultConfig()
	if err := unmarshal((*plain)(c)); err != nil {
		return err
	}
	return c.Validate()
}

// Validate checks every rule; all problems at once, each a FieldError.
func (c Config) Validate() error {
	ready := readyMade()
	var problems []error
	for i, r := range c.Rules {
		path := fmt.Sprintf("playbooks.rules[%d]", i)
		add := func(field, value, remedy string) {
			problems = append(problems, &triage.FieldError{Field: path + field, Value: value, Remedy: remedy})
		}
		if _, ok := ready[r.Use]; r.Use != "" && !ok {
			add(".use", r.Use, "use one of "+strings.Join(Ready(), ", "))
		}
		if r.Use == "" && len(r.Commands) == 0 && r.Link == "" && r.Runbook == "" {
			add("", "", "says nothing; give use, commands, link or runbook")
		}
		for _, k := range r.Kinds {
			if !slices.Contains(triage.Kinds(), k) {
				_, err := triage.ParseKind(string(k))
				add(".kinds", string(k), strings.TrimPrefix(fmt.Sprint(err), fmt.Sprintf("kind: %q: ", k)))
			}
		}
		if !slices.Contains([]GitOps{"", GitOpsLive, GitOpsGit, GitOpsNone}, r.GitOps) {
			add(".gitops", string(r.GitOps), "use one of live, git, none")
		}
		for _, k := range slices.Sorted(maps.Keys(r.Values)) {
			if !fits(r.Values[k]) {
				add(".values."+k, r.Values[k], "may hold letters, digits and . _ : / @ + - only, and begins with a letter or digit")
			}
		}
		for j, args := range r.Commands {
			if why := checkCommand(args); why != "" {
				add(fmt.Sprintf(".commands[%d]", j), strings.Join(args, " "), why)
			}
		}
		if why := checkTemplate(r.Link); why != "" {
			add(".link", r.Link, why)
		}
		if u := r.Runbook; u != "" && !strings.HasPrefix(u, "https://") && !strings.HasPrefix(u, "http://") {
			add(".runbook", u, "must be an absolute http or https URL")
		}
	}
	for _, k := range slices.Sorted(maps.Keys(c.Contexts)) {
		if !fits(c.Contexts[k]) {
			problems = append(problems, &triage.FieldError{Field: "playbooks.contexts." + k, Value: c.Contexts[k], Remedy: "may hold letters, digits and . _ : / @ + - only"})
		}
	}
	return errors.Join(problems...)
}

// contextFlag is how a program is told which cluster is meant.
var contextFlag = map[string]string{"kubectl": "--context", "helm": "--kube-context", "flux": "--context", "oc": "--context", "argocd": "--argocd-context"}

// checkCommand finds what is wrong with a list of arguments.
func checkCommand(args []string) string {
	if len(args) == 0 || args[0] == "" {
		return "must begin with a program"
	}
	if placeholder.MatchString(args[0]) || shellVar.MatchString(args[0]) {
		return "must begin with a program, not with a value"
	}
	for _, a := range args {
		if why := checkTemplate(a); why != "" {
			return why
		}
	}
	flag, needs := contextFlag[args[0]]
	has := slices.ContainsFunc(args, func(a string) bool { return a == flag || strings.HasPrefix(a, flag+"=") })
	if needs && !has {
		return "must name its cluster: add " + flag + ", '{{context|cluster}}'"
	}
	return ""
}
