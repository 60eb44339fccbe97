package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/triaged-dev/triaged/configs"
)

// What the pages for the first day tell people to copy must be taken: configuration parses, commands know their flags.
func TestDocsCanBeCopied(t *testing.T) {
	block := regexp.MustCompile("(?s)```(yaml|sh)\n(.*?)```")
	ours := regexp.MustCompile(`^(global|auth|topology|services|signals|sources|hooks|incidents|route|receivers):`)
	line := regexp.MustCompile(`(?m)^triaged (.*)$`)
	parsed, checked := 0, 0
	for _, name := range []string{"../README.md", "first-fifteen-minutes.md", "wiring.md", "operations.md"} {
		text, err := os.ReadFile("../../docs/" + name)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range block.FindAllStringSubmatch(string(text), -1) {
			// A webhook with max_alerts belongs into Alertmanager's file.
			if m[1] == "yaml" && ours.MatchString(m[2]) && !strings.Contains(m[2], "max_alerts") {
				parsed++
				if _, err := configs.Parse([]byte(m[2])); err != nil {
					t.Errorf("%s:\n%s%v", name, m[2], err)
				}
			}
			for _, command := range line.FindAllStringSubmatch(m[2], -1) {
				checked++
				before, _, _ := strings.Cut(command[1], " -- ")
				var help strings.Builder
				words := strings.Fields(before)
				n := 1
				if words[0] == "change" {
					n = 2
				}
				if code := run(t.Context(), append(words[:n:n], "--help"), streams{strings.NewReader(""), &help, &help}); code != 0 {
					t.Errorf("%s: triaged %s: there is no such command", name, before)
				}
				for _, w := range words[n:] {
					if flag, _, _ := strings.Cut(w, "="); strings.HasPrefix(flag, "--") && !strings.Contains(help.String(), flag) && !strings.Contains(help.String(), "--[no-]"+flag[2:]) {
						t.Errorf("%s: triaged %s: there is no flag %s", name, before, flag)
					}
				}
			}
		}
	}
	if parsed < 3 || checked < 7 {
		t.Errorf("only %d configurations and %d commands were found", parsed, checked)
	}
}

// A page nobody links to is a page nobody reads: every one is in the index, and every link of README and index leads to a file.
func TestEveryPageIsInTheIndex(t *testing.T) {
	index, err := os.ReadFile("../../docs/README.md")
	if err != nil {
		t.Fatal(err)
	}
	pages, err := filepath.Glob("../../docs/*.md")
	if err != nil || len(pages) < 10 {
		t.Fatalf("want the pages, got %v, %v", pages, err)
	}
	for _, p := range pages {
		if name := filepath.Base(p); name != "README.md" && !strings.Contains(string(index), "]("+name+")") {
			t.Errorf("docs/README.md does not link to %s", name)
		}
	}
	link := regexp.MustCompile(`\]\(([^)#]+)[^)]*\)`)
	for _, page := range append(pages, "../../README.md") {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range link.FindAllStringSubmatch(string(text), -1) {
			if strings.Contains(m[1], "://") || strings.HasPrefix(m[1], "/") {
				continue
			}
			if _, err := os.Stat(filepath.Join(filepath.Dir(page), m[1])); err != nil {
				t.Errorf("%s links to %s: %v", page, m[1], err)
			}
		}
	}
}
