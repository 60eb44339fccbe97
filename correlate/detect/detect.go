// Package detect finds when a metric left its expected range.
//
// It is the command line's view of the correlator's change point detector; it decides nothing about causes.
package detect

import (
	"context"
	"io"
)

// Options say what to read and print.
type Options struct {
	Name   string // of the input, for messages; its extension chooses the format: .csv or .json
	Scores bool   // print a score in [0,1] per sample instead of onsets, using only the past
}

// Run reads one series and prints JSON lines.
func Run(ctx context.Context, opts Options, r io.Reader, w io.Writer) error { return ctx.Err() }
