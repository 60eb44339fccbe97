// Command casegen writes the repository's own cases under testdata/cases. It is deterministic: running it again changes no byte.
// It imports nothing of the ranking, so that the cases cannot be made to fit it.
package main

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/triaged-dev/triaged/test/casegen/scenario"
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

// sets are all cases by folder. Half of the incidents, by a hash of their id, are held out: they are looked at only to close.
func sets() (map[string][]scenario.Scenario, error) {
	out := map[string][]scenario.Scenario{"demo": demoScenarios()}
	fs, err := facts()
	if err != nil {
		return nil, err
	}
	for _, f := range fs {
		set := "incidents"
		if heldOut(f.ID) {
			set = "heldout"
		}
		out[set] = append(out[set], variants(incident(f))...)
	}
	for _, f := range typeFacts() {
		out["types"] = append(out["types"], typed(f))
	}
	return out, nil
}

func write(dir string) error {
	all, err := sets()
	if err != nil {
		return err
	}
	for _, set := range slices.Sorted(maps.Keys(all)) {
		if err := os.MkdirAll(filepath.Join(dir, set), 0o755); err != nil {
			return fmt.Errorf("make folder of %s: %w", set, err)
		}
		for _, s := range all[set] {
			b, err := s.Build().Encode()
			if err != nil {
				return err
			}
			if err := os.WriteFile(filepath.Join(dir, set, s.ID+".json.gz"), b, 0o644); err != nil {
				return fmt.Errorf("write case: %w", err)
			}
		}
	}
	return nil
}
