package main

import (
	"os"
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
	for _, name := range []string{"first-fifteen-minutes.md", "wiring.md", "operations.md"} {
		text, err := os.ReadFile("../../docs/" + name)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range block.FindAllStringSubmatch(string(text), -1) {
			if m[1] == "yaml" && ours.MatchString(m[2]) {
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
