package configs

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// load writes text to a file and loads it.
func load(t *testing.T, text string) (*Config, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "triaged.yml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return Load(path)
}

// What the reference file says are the defaults must be the defaults.
func TestReferenceHoldsTheDefaults(t *testing.T) {
	data, err := os.ReadFile("triaged.yml")
	if err != nil {
		t.Fatal(err)
	}
	got, err := Parse(data)
	if err != nil {
		t.Fatal(err)
	}
	a, err := got.Redacted()
	if err != nil {
		t.Fatal(err)
	}
	want := Default()
	b, err := want.Redacted()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(b, a, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("configs/triaged.yml differs from the defaults (-default +file):\n%s", diff)
	}
}

// Everything the reference file shows in a comment must be valid, too, and every key must be shown.
func TestReferenceShowsEveryKey(t *testing.T) {
	data, err := os.ReadFile("triaged.yml")
	if err != nil {
		t.Fatal(err)
	}
	text := string(data)
	for key := range keysOf(Config{}) {
		if !strings.Contains(text, key+":") {
			t.Errorf("configs/triaged.yml does not show the key %s", key)
		}
	}
	if _, err := Parse([]byte(uncomment(text))); err != nil {
		t.Errorf("the examples in configs/triaged.yml are not valid: %v", err)
	}
}

func TestEmptyFileIsTheDefault(t *testing.T) {
	for name, text := range map[string]string{"empty": "", "only a comment": "# nothing\n", "empty sections": "global:\njournal:\nsources:\n"} {
		t.Run(name, func(t *testing.T) {
			if _, err := load(t, text); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestProblemsNamePathValueAndRemedy(t *testing.T) {
	for name, tc := range map[string]struct{ text, want string }{
		"unknown key":         {"windw: {}", "windw: is not a known key"},
		"unknown nested key":  {"window: {retentoin: 3h}", "retentoin: is not a known key"},
		"two documents":       {"global: {}\n---\nglobal: {}", "more than one YAML document"},
		"external url":        {"global: {external_url: triaged.example.com}", `global.external_url: "triaged.example.com": must be an absolute http or https URL`},
		"source without name": {"sources: {prometheus: [{url: http://p:9090}]}", "name: must not be empty"},
		"source named twice": {
			"sources: {prometheus: [{name: a, url: http://p:9090}, {name: a, url: http://q:9090}]}",
			`sources.prometheus[1].name: "a": is the name of sources.prometheus[0] already`,
		},
		"unknown receiver":       {"route: {receiver: nobody}", `route.receiver: "nobody": is not defined under receivers`},
		"receiver goes where":    {"receivers: [{name: x}]", `receivers[0]: "x": posts nowhere`},
		"alias of two":           {"services: {a: {aliases: [x]}, b: {aliases: [x]}}", `services.b.aliases[0]: "x": is an alias of a already`},
		"alias is a name":        {"services: {a: {aliases: [b]}, b: {}}", `services.a.aliases[0]: "b": is the name of another service`},
		"hook without secret":    {"hooks: [{name: a, type: argocd}]", "without one anybody could report changes"},
		"hook named as a source": {"hooks: [{name: a, type: argocd, secret: x}]\nsources: {prometheus: [{name: a, url: http://p:9090}]}", `hooks[0].name: "a": is the name of sources.prometheus[0] already`},
		"weight":                 {"correlate: {weights: {no.such: 1}}", "no.such"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := load(t, tc.text)
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("want %q in the error, got %v", tc.want, err)
			}
		})
	}
}

// A team's mistake must not stop everybody's triage: the file is left out whole, with a warning.
func TestBadTeamFileIsLeftOut(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"triaged.yml": "team_files: ['teams/*.yml']\nservices: {checkout: {owner: team-checkout}}\n",
		"teams/a.yml": "services: {pricing: {owner: team-pricing}}\ntopology: {calls: {checkout: [pricing]}}\n",
		"teams/b.yml": "services: {checkout: {owner: somebody-else}}\n",
		"teams/c.yml": "servces: {}\n",
	} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c, err := Load(filepath.Join(dir, "triaged.yml"))
	if err != nil {
		t.Fatal(err)
	}
	if c.Services["pricing"].Owner != "team-pricing" || c.Services["checkout"].Owner != "team-checkout" || len(c.Topology.Edges()) != 1 {
		t.Errorf("got services %+v, edges %+v", c.Services, c.Topology.Edges())
	}
	if len(c.Warnings) != 2 || !strings.Contains(c.Warnings[0], "b.yml") || !strings.Contains(c.Warnings[1], "c.yml") {
		t.Errorf("want a warning for b.yml and c.yml, got %q", c.Warnings)
	}
}

// The catalogue fills in what the file leaves open; the file wins, and names that are its aliases become its services.
func TestCatalog(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"triaged.yml": "catalog: ['cat/*.yaml', missing.yaml]\nservices: {checkout: {owner: team-checkout, aliases: [shop-front]}}\ntopology: {calls: {checkout: [cart]}}\n",
		"cat/a.yaml": `
apiVersion: backstage.io/v1alpha1
kind: Component
metadata: {name: checkout, labels: {tier: "1"}, annotations: {backstage.io/kubernetes-id: checkout-web}}
spec: {owner: payments, dependsOn: [component:pricing]}
---
apiVersion: backstage.io/v1alpha1
kind: Component
metadata: {name: shop-front}
spec: {dependsOn: [component:search]}
`,
		"cat/b.yaml": "kind: [",
	} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c, err := Load(filepath.Join(dir, "triaged.yml"))
	if err != nil {
		t.Fatal(err)
	}
	if name, rule := c.Directory().Resolve("checkout-web"); name != "checkout" || rule != "alias" {
		t.Errorf("checkout-web: got %s by %s", name, rule)
	}
	if s, _ := c.Directory().Service("checkout"); s.Owner != "team-checkout" || s.Tier != 1 {
		t.Errorf("checkout: %+v", s)
	}
	var edges []string
	for _, e := range c.Edges() {
		edges = append(edges, e.From+" → "+e.To+" ("+e.Origin+")")
	}
	if got, want := strings.Join(edges, ", "), "checkout → cart (config), checkout → pricing (catalog), checkout → search (catalog)"; got != want {
		t.Errorf("edges: want %s, got %s", want, got)
	}
	if len(c.Warnings) != 2 || !strings.Contains(c.Warnings[0], "missing.yaml") || !strings.Contains(c.Warnings[1], "b.yaml") {
		t.Errorf("want warnings for missing.yaml and b.yaml, got %q", c.Warnings)
	}
}

func TestSecretsAreHidden(t *testing.T) {
	c, err := load(t, `
auth: {tokens: [{name: a, token: hunter2-hunter2-hunter2, scopes: [read]}]}
hooks: [{name: h, type: launchdarkly, secret: hunter2}, {name: p, type: pagerduty, routing_keys: [{key: hunter2}]}]
receivers: [{name: r, webhook_configs: [{url: "https://hooks.example.com/hunter2", secret: hunter2}]}]
`)
	if err != nil {
		t.Fatal(err)
	}
	text, err := c.Redacted()
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(text, "hunter2") {
		t.Errorf("a secret is shown:\n%s", text)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte("global: {}\n"))
	f.Add([]byte("sources: {kafka: [{name: a, brokers: [b:1], topics: [{topic: t, format: triaged}]}]}"))
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := Parse(data)
		if err == nil && c == nil {
			t.Fatal("neither a configuration nor an error")
		}
	})
}

// A file with more entries than anybody has is refused before the decoder compares each key with every other, which takes minutes.
func TestFilesOfVeryManyServices(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var many strings.Builder
	many.WriteString("services:\n")
	for i := range 200_000 {
		fmt.Fprintf(&many, "  svc-%d: {}\n", i)
	}
	write("many.yml", many.String())
	write("few.yml", "services: {checkout: {}}\n")
	write("triaged.yml", "team_files: [few.yml, many.yml]\n")
	began := time.Now()
	c, err := Load(filepath.Join(dir, "triaged.yml"))
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Services) != 1 || len(c.Warnings) != 1 || !strings.Contains(c.Warnings[0], "200000 keys") {
		t.Errorf("want the large one left out, got %d services, %q", len(c.Services), c.Warnings)
	}
	if took := time.Since(began); took > time.Minute {
		t.Errorf("it took %s", took)
	}
	if _, err := Load(filepath.Join(dir, "many.yml")); err == nil || !strings.Contains(err.Error(), "200000 keys") {
		t.Errorf("want a main file like that refused, got %v", err)
	}
}
