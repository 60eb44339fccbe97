// Command fortnight writes a made-up fortnight (package backfill) for a real Prometheus to serve: its storage, its rules, its
// configuration, and the truth about its 20 pages. It serves nothing itself.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/triaged-dev/triaged/test/casegen/backfill"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: fortnight DIR   then: cd DIR && prometheus --config.file=prometheus.yml --storage.tsdb.path=data --storage.tsdb.retention.time=100y")
		os.Exit(2)
	}
	if err := write(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "fortnight:", err)
		os.Exit(1)
	}
}

func write(dir string) error {
	w := backfill.New(time.Now(), 1)
	if err := w.WriteBlocks(context.Background(), filepath.Join(dir, "data")); err != nil {
		return err
	}
	truth, err := json.MarshalIndent(w.Pages, "", " ")
	if err != nil {
		return err
	}
	for name, text := range map[string]string{
		"prometheus.yml": backfill.Config, "rules.yml": backfill.Rules, "truth.json": string(truth) + "\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			return err
		}
	}
	return nil
}
