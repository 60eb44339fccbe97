package replay

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"text/tabwriter"
)

// comparison sets two tables side by side, with the cases that flip.
type comparison struct {
	Changed map[string][2]float64 `json:"changed"` // weight: this table, other table
	This    summary               `json:"this"`
	Other   summary               `json:"other"`
	Gain    *bootstrap            `json:"gain,omitempty"` // Top-1 of the other over this, paired
	Flips   []flip                `json:"flips"`
}

// flip is a case that one table has first and the other has not.
type flip struct {
	ID    string     `json:"id"`
	Rank  [2]int     `json:"rank"` // 0: not listed
	Truth [2]float64 `json:"p_truth"`
}

// runCompare ranks everything again with the other table.
func runCompare(ctx context.Context, scenarios []scenario, os []outcome, s summary, opts Options, w io.Writer) error {
	this, err := tableOf(opts.Weights, nil)
	if err != nil {
		return err
	}
	other, err := tableOf(opts.Compare, opts.Without)
	if err != nil {
		return err
	}
	c := comparison{Changed: make(map[string][2]float64), This: s}
	a, b := this.Values(), other.Values()
	for name, v := range a {
		if b[name] != v {
			c.Changed[name] = [2]float64{v, b[name]}
		}
	}
	if len(c.Changed) == 0 {
		return errNothingToCompare
	}
	os2, twins2, err := rankAll(ctx, scenarios, &other, opts)
	if err != nil {
		return err
	}
	c.Other = summarise(os2, twins2, opts)
	var d []int
	for i := range os {
		x, y := os[i], os2[i]
		if x.truth() {
			d = append(d, b2i(y.rank == 1)-b2i(x.rank == 1))
		}
		if (x.rank == 1) != (y.rank == 1) {
			c.Flips = append(c.Flips, flip{x.s.in.ID, [2]int{x.rank, y.rank}, [2]float64{x.pTruth, y.pTruth}})
		}
	}
	if len(d) > 0 {
		gain, ci, p := resample(d, opts.Seed)
		c.Gain = &bootstrap{Baseline: "this table", Gain: gain, CI: ci, P: p, Samples: resamples}
	}
	c.This.Results, c.Other.Results = nil, nil
	if opts.Format == "json" {
		return writeJSON(w, c)
	}
	return writeCompare(w, c)
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

func writeCompare(out io.Writer, c comparison) error {
	w := bufio.NewWriter(out)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "weight\tthis\tother")
	for _, name := range slices.Sorted(maps.Keys(c.Changed)) {
		fmt.Fprintf(t, "%s\t%g\t%g\n", name, c.Changed[name][0], c.Changed[name][1])
	}
	t.Flush()
	fmt.Fprintln(w)
	t = tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "score\tthis\tother")
	row := func(name string, a, b float64) { fmt.Fprintf(t, "%s\t%.3f\t%.3f\n", name, a, b) }
	row("top-1", c.This.Top1, c.Other.Top1)
	row("top-3", c.This.Top3, c.Other.Top3)
	row("mrr", c.This.MRR, c.Other.MRR)
	row("named", c.This.Named, c.Other.Named)
	row("false blame", c.This.FalseBlame, c.Other.FalseBlame)
	row("log-loss", c.This.LogLoss, c.Other.LogLoss)
	if a, b := c.This.Twins, c.Other.Twins; a != nil && b != nil {
		row("with twins: ece", a.ECE, b.ECE)
		row("with twins: auroc of none", a.NoneAUROC, b.NoneAUROC)
		row("with twins: log-loss", a.LogLoss, b.LogLoss)
	}
	t.Flush()
	if g := c.Gain; g != nil {
		fmt.Fprintf(w, "\nTop-1 of the other over this: %+.3f, 95 %% %+.3f to %+.3f (paired bootstrap, %d resamples)\n", g.Gain, g.CI[0], g.CI[1], g.Samples)
	}
	fmt.Fprintf(w, "\n%d cases flip\n", len(c.Flips))
	for _, f := range c.Flips {
		fmt.Fprintf(w, "  %s: rank %d → %d, p(truth) %.3f → %.3f\n", f.ID, f.Rank[0], f.Rank[1], f.Truth[0], f.Truth[1])
	}
	return w.Flush()
}
