package catalog

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/triaged-dev/triaged/triage"
)

const shop = `
apiVersion: backstage.io/v1alpha1
kind: Component
metadata:
  name: checkout
  labels: {tier: tier-1}
  annotations:
    github.com/project-slug: acme/shop
    backstage.io/kubernetes-label-selector: 'app=checkout-web,stage=live'
    argocd/app-name: checkout-prod
  links:
    - {url: https://runbooks.example.com/checkout, title: Runbook, type: runbook}
spec:
  type: website
  owner: group:default/Payments
  dependsOn: [component:default/Pricing, resource:default/checkout-db, component:legacy/ledger]
  consumesApis: [rates-api, nobodys-api]
---
apiVersion: backstage.io/v1alpha1
kind: Component
metadata:
  name: pricing
  annotations: {github.com/project-slug: acme/shop, slack.com/channel: "#pricing-oncall"}
spec: {type: service, owner: user:default/jane, providesApis: [rates-api], dependencyOf: [component:cart]}
---
# Somebody else's document.
apiVersion: v1
kind: ConfigMap
metadata: {name: not-ours}
---
apiVersion: backstage.io/v1alpha1
kind: Resource
metadata: {name: checkout-db}
spec: {type: database, owner: payments}
`

const teams = `
apiVersion: backstage.io/v1alpha1
kind: Group
metadata: {name: payments, links: [{url: "https://chat.example.com/c/1", title: "#payments"}]}
spec: {type: team}
---
apiVersion: backstage.io/v1alpha1
kind: Component
metadata: {name: cart, annotations: {backstage.io/kubernetes-id: pricing}}
spec: {owner: payments}
`

func files(t *testing.T, texts ...string) []string {
	t.Helper()
	dir := t.TempDir()
	var out []string
	for i, text := range texts {
		path := filepath.Join(dir, string(rune('a'+i))+".yaml")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		out = append(out, path)
	}
	return out
}

func TestLoad(t *testing.T) {
	c, problems := Load(files(t, shop, teams))
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	want := map[string]triage.Service{
		"checkout": {
			Name: "checkout", Aliases: []string{"checkout-prod", "checkout-web"}, Owner: "Payments", Channel: "#payments", Tier: 1, UserFacing: true,
			Runbook: "https://runbooks.example.com/checkout",
		},
		// The repository holds two components and names neither; a person is never the owner.
		"pricing":     {Name: "pricing", Channel: "#pricing-oncall"},
		"checkout-db": {Name: "checkout-db", Owner: "payments", Channel: "#payments"},
		// Its alias is the name of another component.
		"cart": {Name: "cart", Owner: "payments", Channel: "#payments"},
	}
	if diff := cmp.Diff(want, c.Services()); diff != "" {
		t.Errorf("services (-want +got):\n%s", diff)
	}
	edges := []triage.Edge{
		{From: "cart", To: "pricing", Origin: Origin},
		{From: "checkout", To: "checkout-db", Origin: Origin},
		{From: "checkout", To: "ledger", Origin: Origin},
		{From: "checkout", To: "pricing", Origin: Origin},
	}
	if diff := cmp.Diff(edges, c.Edges()); diff != "" {
		t.Errorf("edges (-want +got):\n%s", diff)
	}
	if notes := c.Notes(); len(notes) != 1 || !strings.Contains(notes[0], "acme/shop belongs to 2 components") {
		t.Errorf("notes: %q", notes)
	}
}

// What is written in the configuration wins; what it leaves open is filled in.
func TestMerge(t *testing.T) {
	c, problems := Load(files(t, shop, teams))
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	got := c.Merge(map[string]triage.Service{
		"checkout": {Owner: "team-checkout", Aliases: []string{"cart"}},
		"search":   {Owner: "team-search", Aliases: []string{"checkout-prod"}},
	})
	if s := got["checkout"]; s.Owner != "team-checkout" || s.Tier != 1 || s.Channel != "#payments" || !cmp.Equal(s.Aliases, []string{"cart", "checkout-web"}) {
		t.Errorf("checkout: %+v", s)
	}
	if _, ok := got["cart"]; ok {
		t.Error("cart is an alias of checkout, not a service")
	}
	if len(got) != 4 || !cmp.Equal(got["search"].Aliases, []string{"checkout-prod"}) {
		t.Errorf("got %+v", got)
	}
	if d := triage.NewDirectory(got, nil); len(d.Services()) != 4 {
		t.Errorf("directory: %+v", d.Services())
	}
}

// One bad file must not take the others with it.
func TestBadFileIsLeftOut(t *testing.T) {
	paths := append(files(t, shop, "kind: [", "a: b\n---\n- list\n"), filepath.Join(t.TempDir(), "missing.yaml"))
	c, problems := Load(paths)
	if len(problems) != 3 || len(c.Services()) != 3 {
		t.Errorf("problems %v, services %v", problems, c.Services())
	}
}

// The samples of the ecosystem, where they are at hand.
func TestSamples(t *testing.T) {
	shared := os.Getenv("TRIAGED_SHARED")
	if shared == "" {
		t.Skip("TRIAGED_SHARED is not set: the collected samples are not read")
	}
	c, problems := Load([]string{filepath.Join(shared, "payloads/backstage/catalog.authored.yaml"), filepath.Join(shared, "payloads/backstage/artist-lookup-component.yaml")})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	s := c.Services()
	if s["checkout"].Owner != "payments" || s["artist-lookup"].Owner != "team-a" || !cmp.Equal(s["checkout"].Aliases, []string{"acme/checkout"}) {
		t.Errorf("services: %+v", s)
	}
	want := []triage.Edge{
		{From: "artist-lookup", To: "artists-db", Origin: Origin},
		{From: "checkout", To: "checkout-db", Origin: Origin},
		{From: "checkout", To: "pricing", Origin: Origin},
	}
	if diff := cmp.Diff(want, c.Edges()); diff != "" {
		t.Errorf("edges (-want +got):\n%s", diff)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(shop))
	f.Add([]byte(teams))
	f.Fuzz(func(t *testing.T, doc []byte) {
		es, err := parse(doc)
		if err != nil {
			return
		}
		c := build(es)
		for _, e := range c.Edges() {
			if e.From == e.To || e.From == "" || e.To == "" {
				t.Errorf("edge %+v", e)
			}
		}
		owner := make(map[string]string)
		for name, s := range c.Services() {
			for _, a := range s.Aliases {
				if o, taken := owner[a]; taken || c.services[a].Name != "" {
					t.Errorf("alias %q of %q is taken by %q", a, name, o)
				}
				owner[a] = name
			}
		}
	})
}
