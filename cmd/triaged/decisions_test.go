package main

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	direct = regexp.MustCompile(`(?m)^\t(\S+) v\S+$`) // an indirect one says so at the end of its line
	major  = regexp.MustCompile(`/v\d+$`)
	number = regexp.MustCompile(`^\d{4}-[a-z0-9-]+\.md$`)
)

// A dependency is a decision: every direct one stands in the note on libraries, by the end of its path.
func TestEveryLibraryIsADecision(t *testing.T) {
	mod, err := os.ReadFile(filepath.Join("..", "..", "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	note, err := os.ReadFile(filepath.Join("..", "..", "docs", "decisions", "0003-libraries.md"))
	if err != nil {
		t.Fatal(err)
	}
	found := direct.FindAllStringSubmatch(string(mod), -1)
	if len(found) < 20 {
		t.Fatalf("only %d direct dependencies were found", len(found))
	}
	for _, m := range found {
		parts := strings.Split(major.ReplaceAllString(m[1], ""), "/")
		if name := strings.Join(parts[max(0, len(parts)-2):], "/"); !strings.Contains(string(note), name) {
			t.Errorf("%s is not in docs/decisions/0003-libraries.md: say what for, and why it", m[1])
		}
	}
}

// No two decisions share a number: a note that speaks of one means one.
func TestDecisionsAreNumberedOnce(t *testing.T) {
	files, err := os.ReadDir(filepath.Join("..", "..", "docs", "decisions"))
	if err != nil {
		t.Fatal(err)
	}
	seen := make(map[string]string)
	for _, f := range files {
		name := f.Name()
		if name == "README.md" {
			continue
		}
		if !number.MatchString(name) {
			t.Errorf("%s: decisions are NNNN-title.md", name)
			continue
		}
		if other := seen[name[:4]]; other != "" {
			t.Errorf("%s and %s share a number", other, name)
		}
		seen[name[:4]] = name
	}
}

// Every package stands in the picture of the house.
func TestArchitectureShowsEveryPackage(t *testing.T) {
	root := filepath.Join("..", "..")
	doc, err := os.ReadFile(filepath.Join(root, "docs", "architecture.md"))
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for _, top := range []string{"triage", "sources", "collector", "journal", "correlate", "alerting", "api", "web", "playbooks", "configs", "cmd"} {
		err := filepath.WalkDir(filepath.Join(root, top), func(path string, d fs.DirEntry, err error) error {
			if err != nil || !d.IsDir() {
				return err
			}
			if d.Name() == "testdata" {
				return filepath.SkipDir
			}
			if sources, err := filepath.Glob(filepath.Join(path, "*.go")); err != nil || len(sources) == 0 {
				return err
			}
			seen++
			rel, err := filepath.Rel(root, path)
			if err != nil {
				return err
			}
			if pkg := filepath.ToSlash(rel); !strings.Contains(string(doc), "`"+pkg+"`") {
				t.Errorf("%s is not in docs/architecture.md: give it its one sentence", pkg)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if seen < 30 {
		t.Fatalf("only %d packages were found", seen)
	}
}
