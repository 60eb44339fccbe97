// Package replay scores the ranking on recorded cases.
//
// It computes exactly the definitions of the documentation, beside simple baselines. It never lets the ranker see the
// right answer, nor a sample or a change from after the report time.
package replay

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/triaged-dev/triaged/correlate"
	"github.com/triaged-dev/triaged/triage"
)

// Options say what to replay and how to print it.
type Options struct {
	Paths    []string      // case files, or directories searched for *.json and *.json.gz
	Format   string        // text (default) or json
	Verbose  bool          // every case with its suspects and evidence
	Fit      bool          // fit the few weights the data can carry, leaving one system out
	Compare  string        // path of another weights table (YAML, name: value)
	Weights  string        // path of the weights table to use instead of the embedded one
	Without  []string      // factors to leave out
	Delay    time.Duration // rank this long after the report time
	Timing   bool          // add rank_ms
	Progress io.Writer     // nil: silent
	Seed     uint64        // of the bootstrap
	// Card words the first report on a case as on-call would get it; set, only the cards are printed, in the order of their ids.
	Card func(triage.Case, triage.Report) string
}

// ErrUnknownFormat says that Options.Format is neither text nor json.
var ErrUnknownFormat = errors.New("format must be text or json")

// Run replays and prints. It ends early when ctx does.
func Run(ctx context.Context, opts Options, w io.Writer) error {
	if opts.Format != "" && opts.Format != "text" && opts.Format != "json" {
		return fmt.Errorf("%w, not %q", ErrUnknownFormat, opts.Format)
	}
	table, err := tableOf(opts.Weights, opts.Without)
	if err != nil {
		return err
	}
	scenarios, err := load(opts.Paths)
	if err != nil {
		return err
	}
	if opts.Card != nil {
		return writeCards(ctx, scenarios, table, opts, w)
	}
	if opts.Fit {
		return runFit(ctx, scenarios, table, opts, w)
	}
	os, twins, err := rankAll(ctx, scenarios, &table, opts)
	if err != nil {
		return err
	}
	s := summarise(os, twins, opts)
	if opts.Compare != "" {
		return runCompare(ctx, scenarios, os, s, opts, w)
	}
	if opts.Format == "json" {
		return writeJSON(w, s)
	}
	return writeText(w, s, os, opts)
}

// tableOf reads a weights table and leaves factors out of it.
func tableOf(path string, without []string) (correlate.Weights, error) {
	table := correlate.DefaultWeights()
	if path != "" {
		f, err := os.Open(path)
		if err != nil {
			return table, fmt.Errorf("open weights table: %w", err)
		}
		defer f.Close()
		if table, err = correlate.ReadWeights(f); err != nil {
			return table, fmt.Errorf("weights table %s: %w", path, err)
		}
	}
	return table.Without(without...)
}

// rankAll ranks every case and its twin.
func rankAll(ctx context.Context, scenarios []scenario, table *correlate.Weights, opts Options) (originals, twins []outcome, err error) {
	all := make([]scenario, 0, 2*len(scenarios))
	all = append(all, scenarios...)
	for _, s := range scenarios {
		if len(s.expect.Truth) > 0 {
			all = append(all, s.withoutTruth())
		}
	}
	out := make([]outcome, len(all))
	cfg := correlate.DefaultConfig()
	cfg.MaxSuspects = 1 << 20 // every change counts here
	var next, done atomic.Int64
	var wg sync.WaitGroup
	workers := runtime.GOMAXPROCS(0)
	if opts.Timing {
		workers = 1
	}
	for range workers {
		wg.Go(func() {
			for ctx.Err() == nil {
				i := int(next.Add(1)) - 1
				if i >= len(all) {
					return
				}
				out[i] = rank(all[i], table, cfg, opts.Delay)
				if n := done.Add(1); opts.Progress != nil && n%50 == 0 {
					fmt.Fprintf(opts.Progress, "%d of %d cases ranked\n", n, len(all))
				}
			}
		})
	}
	wg.Wait()
	if ctx.Err() != nil {
		return nil, nil, ctx.Err()
	}
	return out[:len(scenarios)], out[len(scenarios):], nil
}

// writeCards ranks as a daemon would, with the list of suspects as long as it is there, and prints what on-call would read.
func writeCards(ctx context.Context, scenarios []scenario, table correlate.Weights, opts Options, w io.Writer) error {
	for _, s := range scenarios {
		if err := ctx.Err(); err != nil {
			return err
		}
		o := rank(s, &table, correlate.DefaultConfig(), opts.Delay)
		if _, err := fmt.Fprintf(w, "case %s\n%s\n", s.in.ID, opts.Card(s.in, o.report)); err != nil {
			return fmt.Errorf("write cards: %w", err)
		}
	}
	return nil
}

func writeJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}
