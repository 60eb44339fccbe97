package replay

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"

	"github.com/triaged-dev/triaged/correlate"
)

// knob is a weight that a few dozen cases can carry. It is moved on the scale given, under a normal prior around the
// documented value, so that little data moves it little.
type knob struct {
	name  string
	log   bool    // moved by factors, not by steps
	sigma float64 // of the prior, on that scale
	lo    float64
	hi    float64
}

// knobs are own-signal, cascade, topology, the offset of none and the temperature: no more, whatever the data say.
var knobs = [...]knob{
	{"none.rate", true, 0.5, 0.005, 2},
	{"temperature", true, 0.25, 0.4, 3},
	{"shift.cap_one", false, 1, 1, 7},
	{"shift.cap", false, 1, 2, 9},
	{"origin.noise", true, 0.7, 0.005, 0.3},
	{"origin.caller", false, 0.2, 0.1, 0.95},
	{"origin.witness", false, 0.2, 0, 1},
	{"place.hop", false, 0.15, -1, 0},
	{"lag.prompt", false, 0.2, 0, 1},
}

// fitFolds is how often the coordinates are gone through: the prior makes the surface smooth, so that few rounds suffice.
const fitFolds = 3

// fitted is one fit with where it came from.
type fitted struct {
	Weights correlate.Overrides `json:"weights"`
	Before  float64             `json:"log_loss_before"`
	After   float64             `json:"log_loss_after"`
	Cases   int                 `json:"cases"`
}

// fitReport is what --fit prints: the table, and how it does on the systems it has not seen.
type fitReport struct {
	Table      fitted            `json:"table"`
	Folds      map[string]fitted `json:"folds"` // by the system left out
	HeldOut    summary           `json:"held_out"`
	FromTable  string            `json:"from_table"`
	Provenance string            `json:"provenance"`
}

// runFit fits on all systems but one, scores the one, and prints the held-out scores beside the table fitted on all.
func runFit(ctx context.Context, scenarios []scenario, table correlate.Weights, opts Options, w io.Writer) error {
	var names []string
	for _, s := range scenarios {
		if !slices.Contains(names, s.system) {
			names = append(names, s.system)
		}
	}
	if len(scenarios) < 10 {
		return fmt.Errorf("fit on %d cases: needs at least 10", len(scenarios))
	}
	rep := fitReport{FromTable: table.Version, Folds: make(map[string]fitted)}
	var held, heldTwins []outcome
	if len(names) > 1 {
		for _, out := range names {
			train, test := partition(scenarios, out)
			f, t, err := fit(ctx, train, table, opts, "without "+out)
			if err != nil {
				return err
			}
			rep.Folds[out] = f
			o, tw, err := rankAll(ctx, test, &t, opts)
			if err != nil {
				return err
			}
			held, heldTwins = append(held, o...), append(heldTwins, tw...)
		}
	}
	f, _, err := fit(ctx, scenarios, table, opts, "all systems")
	if err != nil {
		return err
	}
	rep.Table = f
	rep.Provenance = fmt.Sprintf("fitted from table %s on %d cases of %d systems with their twins, none at %.0f %%, prior at the documented values",
		table.Version, len(scenarios), len(names), 100*noneShare)
	if len(held) > 0 {
		rep.HeldOut = summarise(held, heldTwins, opts)
		rep.HeldOut.Results = nil
	}
	if opts.Format == "json" {
		return writeJSON(w, rep)
	}
	return writeFit(w, rep, held, opts)
}

func partition(scenarios []scenario, out string) (train, test []scenario) {
	for _, s := range scenarios {
		if s.system == out {
			test = append(test, s)
		} else {
			train = append(train, s)
		}
	}
	return train, test
}

// fit goes along one coordinate after the other, halving the step, and keeps what lowers the penalised log-loss.
func fit(ctx context.Context, scenarios []scenario, table correlate.Weights, opts Options, what string) (fitted, correlate.Weights, error) {
	start := table.Values()
	at := make([]float64, len(knobs))
	for i, k := range knobs {
		at[i] = k.to(start[k.name])
	}
	plain := opts
	plain.Progress, plain.Timing = nil, false
	loss := func(at []float64) (penalised, raw float64, err error) {
		o := make(correlate.Overrides, len(knobs))
		for i, k := range knobs {
			o[k.name] = k.from(at[i])
		}
		t, err := table.With(o)
		if err != nil {
			return math.Inf(1), math.Inf(1), nil // outside the bounds of the table
		}
		os, twins, err := rankAll(ctx, scenarios, &t, plain)
		if err != nil {
			return 0, 0, err
		}
		pool := slices.Concat(os, twins)
		raw = logLoss(pool, weighted(pool, noneShare))
		penalised = raw * float64(len(scenarios))
		for i, k := range knobs {
			d := (at[i] - k.to(start[k.name])) / k.sigma
			penalised += d * d / 2
		}
		return penalised, raw, nil
	}
	best, before, err := loss(at)
	if err != nil {
		return fitted{}, table, err
	}
	after := before
	for round := range fitFolds {
		scale := math.Pow(0.5, float64(round))
		for i, k := range knobs {
			for _, dir := range [...]float64{1, -1} {
				for {
					try := slices.Clone(at)
					try[i] = min(max(try[i]+dir*scale*k.sigma, k.to(k.lo)), k.to(k.hi))
					if try[i] == at[i] {
						break
					}
					l, raw, err := loss(try)
					if err != nil {
						return fitted{}, table, err
					}
					if l >= best-1e-9 {
						break
					}
					at, best, after = try, l, raw
				}
			}
		}
		if opts.Progress != nil {
			fmt.Fprintf(opts.Progress, "fit %s: round %d of %d, log-loss %.4f\n", what, round+1, fitFolds, after)
		}
	}
	o := make(correlate.Overrides)
	for i, k := range knobs {
		if v := round4(k.from(at[i])); v != round4(start[k.name]) {
			o[k.name] = v
		}
	}
	t, err := table.With(o)
	return fitted{Weights: o, Before: before, After: after, Cases: len(scenarios)}, t, err
}

func (k knob) to(v float64) float64 {
	if k.log {
		return math.Log(v)
	}
	return v
}

func (k knob) from(v float64) float64 {
	if k.log {
		return math.Exp(v)
	}
	return v
}

func round4(v float64) float64 { return math.Round(v*1e4) / 1e4 }

// writeFit prints the table as YAML that correlate.weights and --compare read, with its provenance in comments.
func writeFit(out io.Writer, rep fitReport, held []outcome, opts Options) error {
	w := bufio.NewWriter(out)
	fmt.Fprintf(w, "# %s\n# log-loss, twins included: %.4f before, %.4f after\n", rep.Provenance, rep.Table.Before, rep.Table.After)
	for _, k := range knobs {
		if v, ok := rep.Table.Weights[k.name]; ok {
			fmt.Fprintf(w, "%s: %g\n", k.name, v)
		}
	}
	if len(held) == 0 {
		fmt.Fprintln(w, "# one system only: nothing was held out, so these numbers flatter")
		return w.Flush()
	}
	fmt.Fprintln(w, "#\n# on the systems left out:")
	for _, g := range systems(held) {
		f := rep.Folds[g.name]
		fmt.Fprintf(w, "#   %s, fitted on the others: %v\n", g.name, f.Weights)
	}
	if err := writeText(&commented{w: w}, rep.HeldOut, held, opts); err != nil {
		return err
	}
	return w.Flush()
}

// commented puts "# " before every line, so that the whole output stays a table.
type commented struct {
	w   *bufio.Writer
	mid bool
}

func (c *commented) Write(p []byte) (int, error) {
	for _, b := range p {
		if !c.mid {
			c.w.WriteString("# ")
			c.mid = true
		}
		c.w.WriteByte(b)
		if b == '\n' {
			c.mid = false
		}
	}
	return len(p), nil
}

// errNothingToCompare says that both tables are the same.
var errNothingToCompare = errors.New("compare: both tables are the same")
