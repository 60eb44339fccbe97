// Command casegen writes the repository's own cases under testdata/cases. It is deterministic: running it again changes no byte.
// It imports nothing of the ranking, so that the cases cannot be made to fit it.
package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/triaged-dev/triaged/cmd/casegen/scenario"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: casegen DIR   writes the cases below DIR (testdata/cases)")
		os.Exit(2)
	}
	if err := write(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "casegen:", err)
		os.Exit(1)
	}
}

func write(dir string) error {
	for set, scenarios := range map[string][]scenario.Scenario{"demo": demoScenarios()} {
		if err := os.MkdirAll(filepath.Join(dir, set), 0o755); err != nil {
			return err
		}
		for _, s := range scenarios {
			b, err := s.Build().Encode()
			if err != nil {
				return err
			}
			if err := os.WriteFile(filepath.Join(dir, set, s.ID+".json.gz"), b, 0o644); err != nil {
				return err
			}
		}
	}
	return nil
}
