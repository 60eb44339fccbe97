package main

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

func readRoot(t *testing.T, path ...string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(append([]string{"../.."}, path...)...))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// Workflows run what everybody can run, with no more rights than they need.
func TestWorkflows(t *testing.T) {
	for name, runs := range map[string][]string{"ci.yml": {".ci/run"}, "nightly.yml": {".ci/nightly", "make vuln"}, "release.yml": {".ci/run", "tools/release"}} {
		var w struct {
			Permissions map[string]string
			Jobs        map[string]struct {
				Timeout int `yaml:"timeout-minutes"`
				Steps   []struct{ Run, Uses string }
			}
		}
		if err := yaml.Unmarshal([]byte(readRoot(t, ".github", "workflows", name)), &w); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if w.Permissions["contents"] != "read" || len(w.Permissions) != 1 {
			t.Errorf("%s: want contents: read by default, got %v", name, w.Permissions)
		}
		var ran []string
		for job, j := range w.Jobs {
			if j.Timeout == 0 {
				t.Errorf("%s: %s may run for ever", name, job)
			}
			for _, s := range j.Steps {
				ran = append(ran, s.Run)
				if s.Uses != "" && !regexp.MustCompile(`^actions/[a-z-]+@v\d+$`).MatchString(s.Uses) {
					t.Errorf("%s: %s is neither GitHub's own nor pinned", name, s.Uses)
				}
			}
		}
		for _, want := range runs {
			if !slices.Contains(ran, want) {
				t.Errorf("%s does not run %s", name, want)
			}
			if script, _, _ := strings.Cut(want, " "); script != "make" {
				if info, err := os.Stat(filepath.Join("../..", script)); err != nil || info.Mode()&0o111 == 0 {
					t.Errorf("%s: %s cannot be run: %v", name, want, err)
				}
			}
		}
	}
}

// The changelog begins with this version, and says where an operator reads on.
func TestChangelogIsOfThisVersion(t *testing.T) {
	version := strings.TrimSpace(readRoot(t, "VERSION"))
	log := readRoot(t, "CHANGELOG.md")
	if !strings.HasPrefix(log, "# Changelog\n\n## "+version+" / ") || !strings.Contains(log, "docs/upgrade.md") {
		t.Errorf("CHANGELOG.md does not begin with %s", version)
	}
	if !strings.Contains(readRoot(t, "docs", "upgrade.md"), "\n## To "+version+" from ") {
		t.Errorf("docs/upgrade.md does not say what to do for %s", version)
	}
	minor := version[:strings.LastIndexByte(version, '.')]
	if !strings.Contains(readRoot(t, "SECURITY.md"), "| "+minor+".x | yes |") {
		t.Errorf("SECURITY.md does not support %s", minor)
	}
}

// Packages hold what they must: what systemd, man and the shells look for, where they look for it, and the configuration as one that
// the administrator may change.
func TestPackageContents(t *testing.T) {
	var p struct {
		Contents []struct {
			Src, Dst, Type string
		}
	}
	if err := yaml.Unmarshal([]byte(readRoot(t, "tools", "nfpm", "nfpm.yaml")), &p); err != nil {
		t.Fatal(err)
	}
	types := make(map[string]string)
	for _, c := range p.Contents {
		types[c.Dst] = c.Type + "."
	}
	for _, dst := range []string{
		"/usr/bin/triaged", "/usr/lib/systemd/system/triaged.service", "/usr/share/man/man1/triaged.1.gz",
		"/usr/share/bash-completion/completions/triaged", "/usr/share/zsh/vendor-completions/_triaged", "/usr/share/doc/triaged/copyright",
	} {
		if types[dst] == "" {
			t.Errorf("%s is not in the packages", dst)
		}
	}
	if types["/etc/triaged/triaged.yml"] != "config|noreplace." {
		t.Error("an upgrade of the package would write over the configuration")
	}
}
