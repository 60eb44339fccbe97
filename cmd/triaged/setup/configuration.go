package setup

import (
	"fmt"
	"maps"
	"net/url"
	"os"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/triaged-dev/triaged/alerting"
)

// maxServices is how many services are written down by name.
const maxServices = 300

// configuration is triaged.yml with comments. Everything from outside is quoted as YAML.
func (f *found) configuration() string {
	var b strings.Builder
	p := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	p("# Written by `triaged init` on %s from %s.", f.o.Now().UTC().Format("2006-01-02"), host(f.o.Prometheus))
	p("# Every key there is, with its default, stands in configs/triaged.yml. `triaged check-config` says what is wrong with this file,")
	p("# `triaged doctor --config.file=` what is wrong around it.")
	p("")
	p("global:")
	p("  # Where people reach the pages; without it messages have no links.")
	p("  external_url: %s", quote(f.o.Triaged))
	p("")
	f.auth(p)
	f.services(p)
	p("sources:")
	p("  prometheus:")
	p("    - name: prometheus")
	p("      url: %s", quote(f.o.Prometheus))
	f.httpConfig(&b)
	if len(f.survey.ExternalLabels) > 0 {
		p("      # Its external labels say where everything lives that it sees: %s", labelList(f.survey.ExternalLabels))
	}
	if s := f.survey.ScrapeInterval; s > 0 {
		p("      # It scrapes every %s.", s)
	}
	if len(f.ams) > 0 {
		p("  alertmanager:   # asked for its route tree, by which incidents at PagerDuty are found")
		for i, am := range f.ams {
			name := "alertmanager"
			if i > 0 {
				name += fmt.Sprintf("-%d", i+1)
			}
			p("    - {name: %s, url: %s}", name, quote(am.URL))
		}
	}
	p("  # What no metric shows — flags, migrations, Terraform, commands — is pushed: docs/wiring.md has a line to copy for each.")
	f.unseen(p)
	p("")
	f.pages(p)
	p("route:")
	p("  mode: shadow   # records what it would have posted and speaks to nobody; set live, here or on a sub-route, when it convinces you")
	p("  receiver: log")
	p("")
	p("receivers:")
	p("  - name: log")
	p("    log_configs: [{card: true}]")
	p("  # - name: oncall")
	p("  #   slack_configs: [{token_file: slack.token, channel: C0123456789}]")
	p("  #   pagerduty_configs: [{token_file: pagerduty.token, from: triaged@example.com}]")
	return b.String()
}

type printer func(format string, args ...any)

func (f *found) auth(p printer) {
	p("auth:")
	p("  tokens:   # made up by init; the files hold them")
	p("    - {name: alertmanager, token_file: %s, scopes: ['write:alerts']}", alertsToken)
	p("    - {name: changes, token_file: %s, scopes: ['write:changes']}", changesToken)
	p("    - {name: oncall, token_file: %s, scopes: [read, feedback]}   # for people: looks and answers, changes nothing; docs/sign-in.md has them sign in instead", readToken)
	p("    - {name: admin, token_file: %s, scopes: [admin]}", adminToken)
	p("")
}

func (f *found) services(p printer) {
	s := f.survey
	if len(s.Services) == 0 {
		p("# No service was found under the conventions known; describe yours under signals.conventions.")
		p("services: {}")
		p("")
		return
	}
	p("# The services that metrics tell of. What a team adds here makes reports better: owner, channel, tier, aliases, auto_sync.")
	for _, c := range s.Conventions {
		p("#   %s names %d of them by label %s", c.Name, len(c.Services), c.Label)
	}
	p("services:")
	for _, name := range s.Services[:min(len(s.Services), maxServices)] {
		p("  %s: {}", quote(name))
	}
	if len(s.Services) > maxServices {
		p("  # … and %d more: a service that is not listed works, too", len(s.Services)-maxServices)
	}
	p("")
	switch c := f.graph; {
	case c.Seen == 0:
		p("# No metric says who calls whom. Without it only timing and metrics tell a neighbour's change from a stranger's:")
		p("# topology: {calls: {checkout: [pricing, payments]}}")
	case c.Alone > 0:
		p("# %d calls between services are known from %s. %d of the %d services with metrics are in none of them;", c.Seen, strings.Join(s.Edges, ", "), c.Alone, c.Services)
		p("# where they are called, or call, write it here:")
		for _, name := range c.AloneNames {
			p("#   %s", quote(name))
		}
		p("# topology: {calls: {checkout: [%s]}}", quote(c.AloneNames[0]))
	default:
		p("# %d calls between services are known from %s: every service with metrics is in one of them.", c.Seen, strings.Join(s.Edges, ", "))
	}
	p("")
}

// httpConfig copies the file as it is: what is read of it hides its secrets.
func (f *found) httpConfig(b *strings.Builder) {
	if f.o.HTTPFile == "" {
		return
	}
	text, err := os.ReadFile(f.o.HTTPFile)
	if err != nil {
		f.notes = append(f.notes, "http_config was not copied: "+err.Error())
		return
	}
	fmt.Fprintf(b, "      # As in %s; relative paths start at this file's directory.\n      http_config:\n", f.o.HTTPFile)
	for line := range strings.Lines(strings.TrimSpace(string(text))) {
		fmt.Fprintf(b, "        %s\n", strings.TrimRight(line, "\n"))
	}
}

// unseen says which of the metrics for changes are missing.
func (f *found) unseen(p printer) {
	if !f.survey.Has("kube_replicaset_created") && !f.survey.Versions && !f.survey.Has("target_info") {
		p("  # Deploys show in no metric here: there is neither kube-state-metrics nor a build_info or target_info with a version.")
	}
	if !f.survey.Has("kube_configmap_metadata_resource_version") {
		p("  # ConfigMaps changed in place show in no metric here: kube_configmap_metadata_resource_version is missing.")
	}
}

// pages writes which alerts page: those that Alertmanager routes to a pager, else the usual severities, else what there is.
func (f *found) pages(p printer) {
	usual := alerting.DefaultConfig().Pages
	var routed, others, all []string
	usualFound := false
	for _, r := range f.survey.Rules {
		sev := r.Labels["severity"]
		if sev == "" || strings.Contains(sev, "{{") {
			continue
		}
		ls := map[string]string{"alertname": r.Name}
		maps.Copy(ls, r.Labels)
		usualFound = usualFound || usual.All(ls)
		all = appendNew(all, sev)
		pager := slices.ContainsFunc(f.ams, func(am Alertmanager) bool {
			return slices.ContainsFunc(am.Receivers(ls), Receiver.Pages)
		})
		if pager {
			routed = appendNew(routed, sev)
		} else {
			others = appendNew(others, sev)
		}
	}
	slices.Sort(all)
	p("incidents:")
	switch {
	case len(routed) > 0 && !slices.ContainsFunc(routed, func(s string) bool { return slices.Contains(others, s) }):
		slices.Sort(routed)
		p("  # Alertmanager sends these severities, and only these, to a pager.")
		p("  pages: [%s]", quote(fmt.Sprintf("severity=~%q", strings.Join(routed, "|"))))
	case usualFound || len(all) == 0:
		p("  # Which alerts are posted; the others are recorded. Severities in use here: %s.", strings.Join(all, ", "))
		p("  pages: ['severity=~\"page|critical\"']")
	default:
		p("  # Which alerts are posted; the others are recorded. No rule here has severity page or critical, so all of these do for now.")
		p("  pages: [%s]", quote(fmt.Sprintf("severity=~%q", strings.Join(all, "|"))))
	}
	p("")
}

func appendNew(ss []string, s string) []string {
	if slices.Contains(ss, s) {
		return ss
	}
	return append(ss, s)
}

// quote writes a string as YAML writes it on one line.
func quote(s string) string {
	out, err := yaml.Marshal(&yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: s})
	if err != nil || strings.Count(string(out), "\n") > 1 {
		return fmt.Sprintf("%q", s)
	}
	return strings.TrimSpace(string(out))
}

func labelList(ls map[string]string) string {
	var out []string
	for k, v := range ls {
		out = append(out, k+"="+strings.Map(printable, v))
	}
	slices.Sort(out)
	return strings.Join(out, ", ")
}

// printable keeps a comment on its line.
func printable(r rune) rune {
	if r < ' ' || r == 0x7f || r == 0x85 || r == 0x2028 || r == 0x2029 {
		return ' '
	}
	return r
}

func host(raw string) string {
	u, err := url.Parse(raw)
	if err != nil {
		return "a Prometheus"
	}
	return u.Host
}
