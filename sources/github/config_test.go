package github

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"
)

func parse(text string) (Config, error) {
	var c Config
	dec := yaml.NewDecoder(strings.NewReader(text))
	dec.KnownFields(true)
	err := dec.Decode(&c)
	return c, err
}

func TestConfigIsRead(t *testing.T) {
	c, err := parse(`
name: hub
token_file: secrets/token
poll_interval: 1m
backfill: 6h
http_config: {proxy_url: "http://proxy.example:3128"}
webhook: {secret_file: secrets/hook}
repositories:
- name: lumen-shop/checkout
  service: checkout
  environment: production
  environments:
  - match: '^(?P<environment>\w+)/(?P<region>\w+)$'
    cluster: c1
  ignore_environments: ['^github-pages$', '^pr-']
  services: [{paths: ['services/cart/**'], service: cart}]
  branches: [main, 'release/*']
  config_paths: ['deploy/**']
  migration_paths: ['db/migrations/**']
  applied_on_push: true
  deploy_workflows: [deploy.yml, {match: 'Release *', environment: staging, branches: [main]}]
  payload_service: app.name
- name: lumen-shop/*
`)
	if err != nil {
		t.Fatal(err)
	}
	c.SetDirectory("/etc/triaged")
	r := c.Repositories[0]
	for _, x := range []struct {
		what string
		ok   bool
	}{
		{"interval", time.Duration(c.PollInterval) == time.Minute && time.Duration(c.Backfill) == 6*time.Hour},
		{"default URL", c.APIURL == DefaultAPIURL},
		{"paths", c.TokenFile == filepath.FromSlash("/etc/triaged/secrets/token") && c.Webhook.SecretFile == filepath.FromSlash("/etc/triaged/secrets/hook")},
		{"workflows", len(r.DeployWorkflows) == 2 && r.DeployWorkflows[0].Match == "deploy.yml" && r.DeployWorkflows[1].Environment == "staging"},
		{"payload", r.PayloadService == "app.name" && c.Repositories[1].PayloadService == "service"},
	} {
		if !x.ok {
			t.Errorf("%s is wrong: %+v", x.what, c)
		}
	}
	s := newTestSource(t, Options{Config: c, Transport: refuseAll{t}})
	if got := s.repos[0].scope("Production/EU1", "x"); got.Environment != "production" || got.Region != "EU1" || got.Cluster != "c1" || got.Service != "checkout" {
		t.Errorf("scope: got %+v", got)
	}
	if !s.repos[0].ignores("pr-7") || s.repos[0].ignores("production") {
		t.Error("ignore_environments is not applied")
	}
	out, err := yaml.Marshal(c)
	if err != nil || strings.Contains(string(out), "<nil>") {
		t.Errorf("written back: %v\n%s", err, out)
	}
}

func TestSecretsArePrintedAsSecret(t *testing.T) {
	c, err := parse("token: abc123\nwebhook: {secret: def456}\nrepositories: [{name: a/b}]")
	if err != nil {
		t.Fatal(err)
	}
	out, err := yaml.Marshal(c)
	if err != nil || strings.Contains(string(out), "abc123") || strings.Contains(string(out), "def456") {
		t.Errorf("secrets are shown (%v):\n%s", err, out)
	}
}

func TestConfigErrorsNameFieldAndRemedy(t *testing.T) {
	const repo = "repositories: [{name: a/b}]\n"
	for text, want := range map[string]string{
		"token: x\n":                                                          "repositories: must list at least one",
		"repositories: [{name: ab}]":                                          `repositories[0].name: "ab": must be owner/repo`,
		"repositories: [{name: a/b}, {name: A/B}]":                            `repositories[1].name: "A/B": is listed twice`,
		"repositories: [{name: a/*}]":                                         "matched against webhooks only",
		"repositories: [{name: a/b, applied_on_push: true}]":                  "repositories[0].config_paths: applied_on_push needs",
		"repositories: [{name: a/b, environments: [{match: '('}]}]":           "is no regular expression",
		"repositories: [{name: a/b, environments: [{match: '(?P<team>x)'}]}]": `environments[0].match: "team": unknown group`,
		"repositories: [{name: a/b, services: [{service: x}]}]":               "repositories[0].services[0]: needs service and paths",
		"repositories: [{name: a/b, deploy_workflows: [{service: x}]}]":       "deploy_workflows[0].match",
		"repositories: [{name: a/b, colour: red}]":                            "field colour not found",
		repo + "api_url: github.com":                                          `api_url: "github.com": must be an http(s) URL`,
		repo + "api_url: https://me:pw@github.example.com":                    "must be an http(s) URL without user",
		repo + "poll_interval: 1s":                                            `poll_interval: "1s": must be at least 5s`,
		repo + "poll_interval: 0s":                                            "without polling a webhook is needed",
		repo + "backfill: 0s":                                                 "backfill",
		repo + "webhook: {}":                                                  "webhook.secret: is required",
		repo + "webhook: {secret: a, secret_file: b}":                         "set either secret or secret_file",
		repo + "token: a\ntoken_file: b":                                      "set only one of token",
		repo + "token: a\nhttp_config: {bearer_token: b}":                     "set only one of token",
		repo + "app: {app_id: 1}":                                             "app.private_key_file: must name the PEM file",
		repo + "name: ''":                                                     "name: must not be empty",
		"repositories: [{name: a/b, deployments: false}]":                     "repositories[0].deployments: \"false\": leaves nothing to report",
	} {
		_, err := parse(text)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s\nwant %q\ngot  %v", text, want, err)
		}
		if err != nil && strings.Contains(err.Error(), "pw") {
			t.Errorf("a password is shown: %v", err)
		}
	}
}

func TestGlobs(t *testing.T) {
	for _, x := range []struct {
		pattern, path string
		want          bool
	}{
		{"deploy/**", "deploy/prod/a.yaml", true},
		{"deploy/**", "src/deploy/a.yaml", false},
		{"deploy", "deploy/prod/a.yaml", true},
		{"deploy/", "deploy/a", true},
		{"deploy/", "deployed/a", false},
		{"**/values.yaml", "values.yaml", true},
		{"**/values.yaml", "a/b/values.yaml", true},
		{"*.sql", "db/1.sql", true},
		{"db/*.sql", "db/x/1.sql", false},
		{"db/?.sql", "db/1.sql", true},
		{"a+b/**", "a+b/c", true},
		{"**", "anything/at/all", true},
	} {
		g, err := compileGlob(x.pattern)
		if err != nil {
			t.Fatal(err)
		}
		if got := g.re.MatchString(x.path); got != x.want {
			t.Errorf("%s on %s: want %v", x.pattern, x.path, x.want)
		}
	}
}

func TestCleanText(t *testing.T) {
	for in, want := range map[string]string{
		"  a\r\nb\tc ":            "a  b c",
		"tick\x00\x1b[31mred":     "tick[31mred",
		"right\u202eleft":         "rightleft",
		"bad\xff":                 "bad",
		strings.Repeat("é", 600):  strings.Repeat("é", 510) + "…",
		strings.Repeat("x", 1024): strings.Repeat("x", 1024),
		strings.Repeat("x", 1025): strings.Repeat("x", 1021) + "…",
	} {
		if got := clean(in); got != want {
			t.Errorf("want %q, got %q", want, got)
		}
	}
	for in, want := range map[string]string{
		"https://ci.example/x?y=1": "https://ci.example/x?y=1", "javascript:alert(1)": "", "/relative": "", "https://u:p@h/": "", " https://h/a ": "https://h/a",
	} {
		if got := link(in); got != want {
			t.Errorf("link %q: want %q, got %q", in, want, got)
		}
	}
}
