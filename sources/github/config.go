package github

import (
	"cmp"
	"errors"
	"fmt"
	"net/url"
	"path"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/common/config"
	"github.com/prometheus/common/model"

	"github.com/triaged-dev/triaged/triage"
)

// Config is one entry of sources.github[]: one GitHub or Enterprise Server, one identity, its repositories.
type Config struct {
	Name         string                  `yaml:"name"`
	APIURL       string                  `yaml:"api_url"` // https://api.github.com, or https://HOST of an Enterprise Server
	Token        config.Secret           `yaml:"token,omitempty"`
	TokenFile    string                  `yaml:"token_file,omitempty"` // read again on every request, so it may be rotated
	App          *App                    `yaml:"app,omitempty"`
	Repositories []Repository            `yaml:"repositories"`
	PollInterval model.Duration          `yaml:"poll_interval"` // 0: never on a clock, only after a webhook
	Backfill     model.Duration          `yaml:"backfill"`      // how far back the first poll, and one after an outage, reads
	HTTPConfig   config.HTTPClientConfig `yaml:"http_config"`
	Webhook      *Webhook                `yaml:"webhook,omitempty"`
}

// App authenticates as an installation of a GitHub App instead of with a token.
type App struct {
	ID             int64  `yaml:"app_id"`
	InstallationID int64  `yaml:"installation_id"`
	PrivateKeyFile string `yaml:"private_key_file"` // PEM, PKCS#1 or PKCS#8
}

// Webhook switches the receiving end on. Without a secret it is refused.
type Webhook struct {
	Secret     config.Secret `yaml:"secret,omitempty"`
	SecretFile string        `yaml:"secret_file,omitempty"` // read again on every delivery
}

// Repository says what in one repository reaches production, and under which names.
// A name may end in "*" after the slash ("acme/*"): such an entry takes webhooks of every repository it matches, and polls none.
type Repository struct {
	Name        string `yaml:"name"`                  // owner/repo
	Service     string `yaml:"service,omitempty"`     // default: payload, then task, then the repository's name
	Environment string `yaml:"environment,omitempty"` // of what names none itself: pushes, merges, releases, workflow runs

	Deployments        *bool             `yaml:"deployments,omitempty"`         // default true; false: this repository has none to poll
	Environments       []EnvironmentRule `yaml:"environments,omitempty"`        // first match wins
	IgnoreEnvironments []Regexp          `yaml:"ignore_environments,omitempty"` // deployments there are not reported
	PayloadService     string            `yaml:"payload_service"`               // dotted path of the service in deployment.payload
	Services           []PathRule        `yaml:"services,omitempty"`            // monorepo: which paths are whose

	Branches        []string   `yaml:"branches,omitempty"` // globs; default: the default branch
	ConfigPaths     []string   `yaml:"config_paths,omitempty"`
	MigrationPaths  []string   `yaml:"migration_paths,omitempty"`
	AppliedOnPush   bool       `yaml:"applied_on_push"`
	DeployWorkflows []Workflow `yaml:"deploy_workflows,omitempty"`
	ReleaseIsDeploy bool       `yaml:"release_is_deploy"`
	Prereleases     bool       `yaml:"prereleases"`
	MergeIsDeploy   bool       `yaml:"merge_is_deploy"`
	PushIsDeploy    bool       `yaml:"push_is_deploy"`
}

// EnvironmentRule reads the scope out of an environment's name. Named groups of Match (service, environment, region, cluster,
// namespace) fill the scope; the fixed fields fill what the groups leave empty.
type EnvironmentRule struct {
	Match       Regexp `yaml:"match"`
	Service     string `yaml:"service,omitempty"`
	Environment string `yaml:"environment,omitempty"`
	Region      string `yaml:"region,omitempty"`
	Cluster     string `yaml:"cluster,omitempty"`
	Namespace   string `yaml:"namespace,omitempty"`
}

// PathRule gives the files under Paths (globs with * and **) to Service.
type PathRule struct {
	Paths   []string `yaml:"paths"`
	Service string   `yaml:"service"`
}

// Workflow is a workflow whose runs are deploys. In YAML a plain string is a Workflow with only Match.
type Workflow struct {
	Match       string   `yaml:"match"` // name, file name or path; globs
	Service     string   `yaml:"service,omitempty"`
	Environment string   `yaml:"environment,omitempty"`
	Branches    []string `yaml:"branches,omitempty"` // globs on head_branch; empty: any
	Events      []string `yaml:"events,omitempty"`   // default: every trigger but pull_request and its kin
}

// Regexp is a regular expression of the configuration; it matches anywhere unless it is anchored.
type Regexp struct{ *regexp.Regexp }

// Defaults of a source and of a repository.
const (
	DefaultAPIURL       = "https://api.github.com"
	DefaultPollInterval = 30 * time.Second
	DefaultBackfill     = 24 * time.Hour
	minPollInterval     = 5 * time.Second
	maxBackfill         = 30 * 24 * time.Hour
)

// DefaultConfig is what an entry is before its keys are read.
func DefaultConfig() Config {
	return Config{
		Name:         "github",
		APIURL:       DefaultAPIURL,
		PollInterval: model.Duration(DefaultPollInterval),
		Backfill:     model.Duration(DefaultBackfill),
		HTTPConfig:   config.DefaultHTTPClientConfig,
	}
}

// UnmarshalYAML reads one entry over the defaults and checks it.
func (c *Config) UnmarshalYAML(unmarshal func(any) error) error {
	*c = DefaultConfig()
	type plain Config
	if err := unmarshal((*plain)(c)); err != nil {
		return err
	}
	return c.Validate()
}

// UnmarshalYAML reads one repository over its defaults.
func (r *Repository) UnmarshalYAML(unmarshal func(any) error) error {
	*r = Repository{PayloadService: "service"}
	type plain Repository
	return unmarshal((*plain)(r))
}

// UnmarshalYAML reads a workflow as a mapping, or as a string that is its match.
func (w *Workflow) UnmarshalYAML(unmarshal func(any) error) error {
	var s string
	if err := unmarshal(&s); err == nil {
		*w = Workflow{Match: s}
		return nil
	}
	type plain Workflow
	return unmarshal((*plain)(w))
}

// UnmarshalYAML compiles the expression.
func (r *Regexp) UnmarshalYAML(unmarshal func(any) error) error {
	var s string
	if err := unmarshal(&s); err != nil {
		return err
	}
	re, err := regexp.Compile(s)
	if err != nil {
		return &triage.FieldError{Field: "match", Value: s, Remedy: "is no regular expression (RE2): " + err.Error()}
	}
	r.Regexp = re
	return nil
}

// MarshalYAML writes the expression back as it was given.
func (r Regexp) MarshalYAML() (any, error) {
	if r.Regexp == nil {
		return "", nil
	}
	return r.String(), nil
}

// SetDirectory resolves relative paths against the directory of the configuration file.
func (c *Config) SetDirectory(dir string) {
	c.TokenFile = joinDir(dir, c.TokenFile)
	c.HTTPConfig.SetDirectory(dir)
	if c.App != nil {
		c.App.PrivateKeyFile = joinDir(dir, c.App.PrivateKeyFile)
	}
	if c.Webhook != nil {
		c.Webhook.SecretFile = joinDir(dir, c.Webhook.SecretFile)
	}
}

func joinDir(dir, file string) string {
	if file == "" || filepath.IsAbs(file) {
		return file
	}
	return filepath.Join(dir, file)
}

// Validate reports every problem of the entry at once, each with its path below the entry.
func (c *Config) Validate() error {
	var problems []error
	bad := func(field, value, remedy string) {
		problems = append(problems, &triage.FieldError{Field: field, Value: value, Remedy: remedy})
	}
	if c.Name == "" {
		bad("name", "", "must not be empty; it names the source in reports and metrics")
	}
	if u, err := url.Parse(c.APIURL); err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" || u.User != nil {
		bad("api_url", redactURL(c.APIURL), "must be an http(s) URL without user and password, like "+DefaultAPIURL+" or https://github.example.com")
	}
	if d := time.Duration(c.PollInterval); d != 0 && d < minPollInterval {
		bad("poll_interval", c.PollInterval.String(), "must be at least "+minPollInterval.String()+", or 0 to poll only after a webhook")
	}
	if d := time.Duration(c.Backfill); d <= 0 || d > maxBackfill {
		bad("backfill", c.Backfill.String(), "must be more than 0 and at most 30d")
	}
	if time.Duration(c.PollInterval) == 0 && c.Webhook == nil {
		bad("poll_interval", "0s", "without polling a webhook is needed, or nothing is ever seen; set webhook.secret_file")
	}
	c.checkIdentity(bad)
	if w := c.Webhook; w != nil {
		switch {
		case w.Secret == "" && w.SecretFile == "":
			bad("webhook.secret", "", "is required, or anybody could report changes; set secret or secret_file to the secret entered at GitHub")
		case w.Secret != "" && w.SecretFile != "":
			bad("webhook.secret_file", w.SecretFile, "set either secret or secret_file, not both")
		}
	}
	if len(c.Repositories) == 0 {
		bad("repositories", "", "must list at least one repository, as owner/repo")
	}
	seen := make(map[string]bool)
	for i := range c.Repositories {
		r := &c.Repositories[i]
		at := fmt.Sprintf("repositories[%d].", i)
		if key := strings.ToLower(r.Name); seen[key] {
			bad(at+"name", r.Name, "is listed twice")
		} else {
			seen[key] = true
		}
		r.check(func(field, value, remedy string) { bad(at+field, value, remedy) })
		if r.wildcard() && c.Webhook == nil {
			bad(at+"name", r.Name, "a pattern is matched against webhooks only; set webhook, or name the repository to poll it")
		}
	}
	return errors.Join(problems...)
}

func (c *Config) checkIdentity(bad func(field, value, remedy string)) {
	h := c.HTTPConfig
	own := h.Authorization != nil || h.BasicAuth != nil || h.OAuth2 != nil
	ways := 0
	for _, set := range []bool{c.Token != "", c.TokenFile != "", c.App != nil, own} {
		if set {
			ways++
		}
	}
	if ways > 1 {
		bad("token", "", "set only one of token, token_file, app and http_config's own authorization")
	}
	if err := h.Validate(); err != nil {
		bad("http_config", "", err.Error())
	}
	if a := c.App; a != nil {
		if a.ID <= 0 {
			bad("app.app_id", strconv.FormatInt(a.ID, 10), "must be the App's number, shown on its settings page")
		}
		if a.InstallationID <= 0 {
			bad("app.installation_id", strconv.FormatInt(a.InstallationID, 10), "must be the number at the end of the installation's settings URL")
		}
		if a.PrivateKeyFile == "" {
			bad("app.private_key_file", "", "must name the PEM file generated on the App's settings page")
		}
	}
}

var repoName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9-]*(_[a-z0-9]+)?/[A-Za-z0-9._*-]+$`)

func (r *Repository) deployments() bool { return r.Deployments == nil || *r.Deployments }

func (r *Repository) wildcard() bool { return strings.Contains(r.Name, "*") }

func (r *Repository) check(bad func(field, value, remedy string)) {
	if !repoName.MatchString(r.Name) {
		bad("name", r.Name, "must be owner/repo, or owner/* for webhooks")
	}
	if !r.deployments() && len(r.DeployWorkflows) == 0 && !r.AppliedOnPush && !r.ReleaseIsDeploy && !r.MergeIsDeploy && !r.PushIsDeploy {
		bad("deployments", "false", "leaves nothing to report; set deploy_workflows, applied_on_push or one of the *_is_deploy keys")
	}
	for i, e := range r.Environments {
		if e.Match.Regexp == nil {
			bad(fmt.Sprintf("environments[%d].match", i), "", "must not be empty")
			continue
		}
		for _, g := range e.Match.SubexpNames() {
			switch g {
			case "", "service", "environment", "region", "cluster", "namespace":
			default:
				bad(fmt.Sprintf("environments[%d].match", i), g, "unknown group; use service, environment, region, cluster or namespace")
			}
		}
	}
	for i, p := range r.Services {
		if p.Service == "" || len(p.Paths) == 0 {
			bad(fmt.Sprintf("services[%d]", i), "", "needs service and paths")
		}
	}
	for i, w := range r.DeployWorkflows {
		if w.Match == "" {
			bad(fmt.Sprintf("deploy_workflows[%d].match", i), "", "must be a workflow's name or file, like deploy.yml")
		}
	}
	if r.AppliedOnPush && len(r.ConfigPaths)+len(r.MigrationPaths) == 0 {
		bad("config_paths", "", "applied_on_push needs the paths that are applied, like deploy/**")
	}
	for _, b := range r.Branches {
		if _, err := path.Match(b, "x"); err != nil || b == "" {
			bad("branches", b, "is no glob")
		}
	}
}

// redactURL drops user and password from a URL that is shown back.
func redactURL(s string) string {
	u, err := url.Parse(s)
	if err != nil {
		return ""
	}
	u.User, u.RawQuery = nil, ""
	return cmp.Or(u.String(), "")
}
