package main

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// Every test that docs/reliability.md and docs/security.md name must exist in the package they name: a table that promises a test
// which is gone is worse than none. The form is `package TestName` or `package TestName/sub test`.
func TestNamedTestsExist(t *testing.T) {
	named := regexp.MustCompile("`([a-z][a-z0-9/]*) ((?:Test|Fuzz)[A-Za-z0-9_]+)(?:/[^`]*)?`")
	sources := make(map[string]string)
	total := 0
	for _, doc := range []string{"reliability.md", "security.md"} {
		text, err := os.ReadFile(filepath.Join("..", "..", "docs", doc))
		if err != nil {
			t.Fatal(err)
		}
		for n, row := range strings.Split(string(text), "\n") {
			found := named.FindAllStringSubmatch(row, -1)
			if len(found) == 0 && strings.HasPrefix(row, "| ") && !strings.HasPrefix(row, "| fault") && !strings.HasPrefix(row, "| threat") && !strings.Contains(row, "`make ") {
				t.Errorf("%s:%d names no test: %s", doc, n+1, row)
			}
			for _, f := range found {
				total++
				if _, read := sources[f[1]]; !read {
					sources[f[1]] = testSource(t, f[1])
				}
				if !strings.Contains(sources[f[1]], "\nfunc "+f[2]+"(") {
					t.Errorf("%s:%d: there is no %s in %s", doc, n+1, f[2], f[1])
				}
			}
		}
	}
	if total < 60 {
		t.Errorf("only %d tests are named; is the form still the same?", total)
	}
}

func testSource(t *testing.T, pkg string) string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("..", "..", filepath.FromSlash(pkg), "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	var all strings.Builder
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		all.WriteString("\n")
		all.Write(b)
	}
	return all.String()
}

// What ships is pinned by version and checksum, and under a licence that lets everybody use it.
func TestShippedModules(t *testing.T) {
	if _, err := exec.LookPath("go"); err != nil {
		t.Skip("needs the go tool to find the licences")
	}
	var out bytes.Buffer
	if err := sbom(options{binary: binary}, &out); err != nil {
		t.Fatal(err)
	}
	var bom struct {
		BOMFormat  string
		Components []struct {
			Name, Version string
			Licenses      []struct{ License struct{ ID string } }
			Properties    []struct{ Name, Value string }
		}
	}
	if err := json.Unmarshal(out.Bytes(), &bom); err != nil {
		t.Fatal(err)
	}
	if bom.BOMFormat != "CycloneDX" || len(bom.Components) < 20 {
		t.Fatalf("%s with %d components", bom.BOMFormat, len(bom.Components))
	}
	for _, c := range bom.Components {
		if !strings.HasPrefix(c.Version, "v") || len(c.Properties) != 1 || !strings.HasPrefix(c.Properties[0].Value, "h1:") {
			t.Errorf("%s %s is not pinned by version and checksum", c.Name, c.Version)
		}
		if id := c.Licenses[0].License.ID; strings.Contains(id, "GPL") {
			t.Errorf("%s is under %s", c.Name, id)
		}
	}
}
