package main

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/triaged-dev/triaged/"

// mayImport is the house's rule of who may know whom: package (or the tree below it, with /…) → packages of ours it may import.
// Arrows go one way: triage ← triage/say ← sources, collector, correlate, journal, alerting, api, web ← configs ← cmd/triaged.
var mayImport = []struct {
	pkg string
	may []string
}{
	{"triage", nil},
	{"triage/say", []string{"triage"}},
	{"triage/meter", nil},
	{"sources/cloudevents", []string{"triage", "triage/say"}},
	{"sources/mapping", []string{"triage", "triage/say"}},
	{"sources/kafka", []string{"triage", "triage/say", "triage/meter"}},
	{"sources/github", []string{"triage", "triage/say", "triage/meter"}},
	{"sources/prometheus", []string{"triage", "triage/say", "triage/meter"}},
	{"sources/alertmanager", []string{"triage", "triage/say"}},
	{"sources/hooks", []string{"triage", "triage/say", "triage/meter"}},
	{"sources/catalog", []string{"triage", "triage/say"}},
	{"collector", []string{"triage", "triage/say"}},
	{"correlate", []string{"triage", "triage/say", "triage/meter"}},
	{"correlate/verify", []string{"triage", "triage/say"}},
	{"correlate/placebo", []string{"triage", "triage/say", "correlate"}},
	{"correlate/detect", []string{"triage", "triage/say", "correlate"}},
	{"correlate/replay", []string{"triage", "triage/say", "correlate"}},
	{"journal", []string{"triage", "triage/say"}},
	{"alerting/card", []string{"triage", "triage/say"}},
	{"alerting/outbox", []string{"triage", "triage/say", "alerting/card"}},
	{"alerting/digest", []string{"triage", "triage/say", "alerting/card", "alerting/outbox"}},
	{"alerting", []string{"triage", "triage/say", "alerting/card", "alerting/outbox", "alerting/digest"}},
	{"alerting/…", []string{"triage", "triage/say", "alerting/…"}},
	{"api", []string{"triage", "triage/say", "api/apitest", "api/signin"}},
	{"api/signin", []string{"triage"}},
	{"api/apitest", []string{"api"}},
	{"api/mcp", []string{"triage", "triage/say"}},
	{"web", []string{"triage", "triage/say"}},
	{"playbooks", []string{"triage", "triage/say"}},
	{"configs/hooks", nil},
	{"configs", []string{"triage", "triage/say", "sources/…", "collector", "correlate", "journal", "alerting", "alerting/…", "api", "web", "playbooks", "configs/hooks"}},
	{"test/casegen", []string{"triage", "triage/say", "test/casegen/…"}},
	{"test/casegen/…", []string{"triage", "triage/say", "test/casegen/…"}},
	{"test/proof", []string{"…"}},
	{"test/words", []string{"…"}},
	{"test/lab", []string{"triage", "test/lab/…"}},
	{"test/lab/…", nil},
	{"cmd/triaged", []string{"…"}},
	{"cmd/triaged/…", []string{"…"}},
	{"testdata/…", nil},
}

func matches(pattern, pkg string) bool {
	if prefix, tree := strings.CutSuffix(pattern, "…"); tree {
		return strings.HasPrefix(pkg, prefix)
	}
	return pattern == pkg
}

func TestImportsGoOneWay(t *testing.T) {
	out, err := exec.CommandContext(t.Context(), "go", "list", "-json=ImportPath,Imports,TestImports,XTestImports", module+"...").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	dec := json.NewDecoder(strings.NewReader(string(out)))
	seen := 0
	for {
		var p struct {
			ImportPath                         string
			Imports, TestImports, XTestImports []string
		}
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		seen++
		name := strings.TrimPrefix(p.ImportPath, module)
		i := slices.IndexFunc(mayImport, func(r struct {
			pkg string
			may []string
		},
		) bool {
			return matches(r.pkg, name)
		})
		if i < 0 {
			t.Errorf("%s is a new room of the house: add it to the rule above, and a note in docs/decisions", name)
			continue
		}
		for _, imp := range slices.Concat(p.Imports, p.TestImports, p.XTestImports) {
			ours, ok := strings.CutPrefix(imp, module)
			if !ok || ours == name {
				continue
			}
			if !slices.ContainsFunc(mayImport[i].may, func(m string) bool { return matches(m, ours) }) {
				t.Errorf("%s must not import %s", name, ours)
			}
		}
	}
	if seen < 5 {
		t.Errorf("go list showed only %d packages", seen)
	}
}
