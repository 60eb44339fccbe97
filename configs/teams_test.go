package configs_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/triaged-dev/triaged/configs"
)

// platform is the file of forty teams: all that the platform has to write.
const platform = `
team_files: [teams]
catalog: [catalog.yaml]
route:
  receiver: teams
  suspect_receiver: teams
  mode: live
  routes:
    - {matchers: ['severity="page"'], receiver: audit, mode: shadow, continue: true}
    - {matchers: ['tier="1"', 'owner=~"team-3.*"'], receiver: platform, continue: false}
    - {receiver: teams}
receivers:
  - name: teams
    fallback: platform
    slack_configs: [{token_file: slack.token, channel: '{{owner.slack}}'}]
  - name: mails
    fallback: platform
    email_configs: [{from: t@example.com, to: '{{owner.email}}', smarthost: 'mail.example.com:587'}]
  - name: platform
    slack_configs: [{token_file: slack.token, channel: C0PLATFORM}]
  - name: audit
    log_configs: [{}]
`

// write puts files into a new directory and returns the path of triaged.yml.
func write(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return filepath.Join(dir, "triaged.yml")
}

func fortyTeams() map[string]string { return someTeams(40) }

func someTeams(n int) map[string]string {
	files := map[string]string{
		"catalog.yaml": "{apiVersion: backstage.io/v1alpha1, kind: Component, metadata: {name: listed}, spec: {owner: team-99}}",
		"triaged.yml":  platform, "teams/.git/config.yml": "not: ours", "teams/README.md": "# teams",
	}
	for i := range n {
		files[fmt.Sprintf("teams/group-%d/team-%02d.yml", i%4, i)] = fmt.Sprintf(`
team: team-%02[1]d
contacts: {slack: C0TEAM%02[1]d, email: team-%02[1]d@example.com}
services:
  svc-%02[1]d: {tier: %[2]d}
routes:
  - {matchers: ['severity="ticket"'], receiver: backlog}
receivers:
  - name: backlog
    webhook_configs: [{url: 'https://backlog.example.com/%02[1]d'}]
playbooks:
  rules:
    - {kinds: [deploy], runbook: 'https://runbooks.example.com/%02[1]d'}
`, i, i%3+1)
	}
	return files
}

// targets are where an alert of a service goes.
func targets(c *configs.Config, labels ...string) []string {
	ls := make(map[string]string)
	for i := 0; i+1 < len(labels); i += 2 {
		ls[labels[i]] = labels[i+1]
	}
	var out []string
	for _, to := range c.Route.Targets(ls) {
		out = append(out, to.Receiver)
	}
	return out
}

// Forty teams from one short file of the platform's and one file of each team's, of which one is broken: that team alone is left out.
func TestFortyTeamsOneBroken(t *testing.T) {
	files := fortyTeams()
	broken := "teams/group-3/team-07.yml"
	files[broken] += "\nroute: {receiver: everything}\n"
	c, err := configs.Load(write(t, files))
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Warnings) != 1 || c.LeftOut != 1 || !strings.Contains(c.Warnings[0], broken) || !strings.Contains(c.Warnings[0], "route") {
		t.Fatalf("want one file left out and named, got %q", c.Warnings)
	}
	places := 0
	for _, r := range c.Receivers {
		switch {
		case strings.HasPrefix(r.Name, "teams@"):
			places++
			if n := strings.TrimPrefix(r.Name, "teams@team-"); len(r.Slack) != 1 || r.Slack[0].Channel != "C0TEAM"+n || !filepath.IsAbs(r.Slack[0].TokenFile) {
				t.Errorf("%s: %+v", r.Name, r.Slack)
			}
		case strings.Contains(r.Name, "07"):
			t.Errorf("the broken file has left %s", r.Name)
		}
	}
	if places != 39 || c.Route.Fallback["teams"] != "platform" || len(c.Services) != 39 || len(c.Playbooks.Rules) != 39 {
		t.Errorf("%d places, %v, %d services, %d rules", places, c.Route.Fallback, len(c.Services), len(c.Playbooks.Rules))
	}
	for _, r := range c.Playbooks.Rules {
		if n := strings.TrimPrefix(r.Runbook, "https://runbooks.example.com/"); !slices.Equal(r.Services, []string{"svc-" + n}) {
			t.Errorf("the playbook of team %s is for %v", n, r.Services)
		}
	}
	for _, tc := range []struct{ labels, want []string }{
		{[]string{"owner", "team-11", "severity", "page"}, []string{"audit", "teams"}},
		{[]string{"owner", "team-11", "severity", "ticket"}, []string{"team-11/backlog"}},
		{[]string{"owner", "team-07", "severity", "ticket"}, []string{"teams"}},
		{[]string{"owner", "team-33", "tier", "1", "severity", "ticket"}, []string{"team-33/backlog"}},
		{[]string{"owner", "team-33", "tier", "1", "severity", "warning"}, []string{"platform"}},
		{[]string{"severity", "ticket"}, []string{"teams"}},
	} {
		if got := targets(c, tc.labels...); !slices.Equal(got, tc.want) {
			t.Errorf("%v: want %v, got %v", tc.labels, tc.want, got)
		}
	}
	if text, err := c.Redacted(); err != nil || !strings.Contains(text, "teams@team-11") {
		t.Errorf("want what is in force shown: %v", err)
	}
}

// A team reaches no further than what it owns, and a mistake of one says what it is.
func TestTeamsAreConfined(t *testing.T) {
	for name, tc := range map[string]struct{ add, want string }{
		"the catalogue's":        {"services:\n  listed: {}", "belongs to team-99"},
		"another owner":          {"services:\n  x: {owner: team-02}", "services.x.owner"},
		"another's playbook":     {"services:\n  x: {}\nplaybooks: {rules: [{services: [svc-02], runbook: 'https://x.example'}]}", "is not a service of team-01"},
		"no service":             {"playbooks: {rules: [{runbook: 'https://x.example'}]}", "owns no service"},
		"bad playbook":           {"services:\n  x: {}\nplaybooks: {rules: [{use: magic}]}", "playbooks.rules[0].use"},
		"unknown receiver":       {"routes: [{receiver: nowhere}]", "is not defined under receivers"},
		"bad matcher":            {"routes: [{matchers: ['x'], receiver: platform}]", "matchers"},
		"a receiver for all":     {"receivers: [{name: x, slack_configs: [{token: t, channel: '{{owner.slack}}'}]}]", "for receivers that serve every team"},
		"tells suspects":         {"routes: [{receiver: platform, suspect_receiver: platform}]", "suspect_receiver"},
		"bad receiver":           {"receivers: [{name: x, slack_configs: [{token: t, channel: general}]}]", "channel"},
		"authority is not there": {"receivers: [{name: x, webhook_configs: [{url: 'https://x.example', http_config: {tls_config: {ca_file: gone.pem}}}]}]", "gone.pem"},
		"posts nowhere":          {"receivers: [{name: x}]", "posts nowhere"},
		"bad contact":            {"contacts: {Slack: C0123456}", "contacts"},
		"two of a name":          {"receivers: [{name: x, log_configs: [{}]}, {name: x, log_configs: [{}]}]", "receivers[1].name"},
		"global section":         {"auth: {anonymous: [admin]}", "auth"},
	} {
		t.Run(name, func(t *testing.T) {
			files := someTeams(6)
			files["teams/group-1/team-01.yml"] = "team: team-01\n" + tc.add + "\n"
			c, err := configs.Load(write(t, files))
			if err != nil {
				t.Fatal(err)
			}
			if len(c.Warnings) != 1 || !strings.Contains(c.Warnings[0], "team-01.yml") || !strings.Contains(c.Warnings[0], tc.want) {
				t.Errorf("want the file left out because of %q, got %q", tc.want, c.Warnings)
			}
		})
	}
	// Of two that describe one service the first has it; the other loses no more than that.
	claimed := someTeams(6)
	claimed["teams/group-0/team-00.yml"] += "  # and\n"
	claimed["teams/group-0/team-04.yml"] = "team: team-04\nservices:\n  svc-04: {}\n  svc-05: {tier: 1}\n"
	c, err := configs.Load(write(t, claimed))
	if err != nil || len(c.Warnings) != 1 || !strings.Contains(c.Warnings[0], "group-1/team-05.yml: svc-05 is described in another file already") {
		t.Errorf("want one service left out of another's file: %v %q", err, c.Warnings)
	}
	files := map[string]string{"triaged.yml": "team_files: [t.yml]\nreceivers: [{name: all, log_configs: [{}]}]\n", "t.yml": "services: {a: {owner: x}, b: {owner: y}}\nroutes: [{receiver: all}]\n"}
	if c, err := configs.Load(write(t, files)); err != nil || len(c.Warnings) != 1 || !strings.Contains(c.Warnings[0], "team: must say whose") {
		t.Errorf("want to be told that the file is nobody's: %v %v", c.Warnings, err)
	}
}

// Receivers for every team are checked as far as they can be: a place that cannot be made goes to the fallback, and is said.
func TestReceiversForEveryTeam(t *testing.T) {
	base := "receivers:\n  - {name: all, log_configs: [{}]}\n"
	for name, tc := range map[string]struct{ text, wrong, warned string }{
		"no fallback":        {base + "  - {name: t, slack_configs: [{token: x, channel: '{{owner.slack}}'}]}\n", "receivers[1].fallback", ""},
		"an unknown one":     {base + "  - {name: t, fallback: gone, slack_configs: [{token: x, channel: '{{owner.slack}}'}]}\n", "receivers[1].fallback", ""},
		"another form":       {base + "  - {name: t, fallback: all, slack_configs: [{token: x, channel: '{{ team.Slack }}'}]}\n", "{{ team.Slack }}", ""},
		"no route for all":   {base + "route: {receiver: all, suspect_receiver: all}\n", "suspect_receiver", ""},
		"a bad contact":      {base + "  - {name: t, fallback: all, slack_configs: [{token: x, channel: '{{owner.slack}}'}]}\nteams: {a: {slack: general}, b: {slack: C0123456}}\n", "", "no place for a, whose reports go to all"},
		"a bad key":          {base + "  - {name: t, fallback: all, slack_configs: [{token: x, chanel: '{{owner.slack}}'}]}\nteams: {a: {slack: C0123456}}\n", "", "chanel"},
		"contact is nothing": {base + "teams: {a: {slack: ''}}\n", "teams.a.slack", ""},
	} {
		t.Run(name, func(t *testing.T) {
			c, err := configs.Load(write(t, map[string]string{"triaged.yml": tc.text}))
			switch {
			case (err != nil) != (tc.wrong != "") || err != nil && !strings.Contains(err.Error(), tc.wrong):
				t.Errorf("want %q, got %v", tc.wrong, err)
			case err == nil && (len(c.Warnings) != 1 || !strings.Contains(c.Warnings[0], tc.warned)):
				t.Errorf("want a warning about %q, got %q", tc.warned, c.Warnings)
			}
		})
	}
}

// Groups of a Backstage catalogue bring their contacts; what is written here wins.
func TestContactsFromTheCatalogue(t *testing.T) {
	c, err := configs.Load(write(t, map[string]string{
		"triaged.yml": "catalog: [c.yaml]\nteams: {team-b: {slack: C0WRITTEN}}\nreceivers:\n  - {name: all, log_configs: [{}]}\n" +
			"  - {name: t, fallback: all, slack_configs: [{token: x, channel: '{{owner.slack}}'}]}\nroute: {receiver: t}\n",
		"c.yaml": `
apiVersion: backstage.io/v1alpha1
kind: Group
metadata: {name: team-a, annotations: {slack.com/channel: C0CATALOG}}
spec: {type: team, profile: {email: a@example.com}}
---
apiVersion: backstage.io/v1alpha1
kind: Group
metadata: {name: team-b, annotations: {triaged.dev/contact-slack: C0OTHERWISE}}
---
apiVersion: backstage.io/v1alpha1
kind: Group
metadata: {name: team-c, annotations: {slack.com/channel: '#a-name'}}
`,
	}))
	if err != nil || len(c.Warnings) != 0 {
		t.Fatal(err, c.Warnings)
	}
	got := make(map[string]string)
	for _, r := range c.Receivers {
		if len(r.Slack) > 0 {
			got[r.Name] = r.Slack[0].Channel
		}
	}
	if len(got) != 2 || got["t@team-a"] != "C0CATALOG" || got["t@team-b"] != "C0WRITTEN" {
		t.Errorf("places: %v", got)
	}
}
