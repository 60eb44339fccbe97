package replay

import (
	"bufio"
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/triaged-dev/triaged/triage"
)

// writeText prints the table people read.
func writeText(out io.Writer, s summary, os []outcome, opts Options) error {
	w := bufio.NewWriter(out)
	if opts.Verbose {
		for _, o := range os {
			writeCase(w, o)
		}
	}
	fmt.Fprintf(w, "%d cases, weights table %s", s.Cases, s.Model)
	if opts.Delay > 0 {
		fmt.Fprintf(w, ", %s after the alert", opts.Delay)
	}
	if len(opts.Without) > 0 {
		fmt.Fprintf(w, ", without %s", strings.Join(opts.Without, ", "))
	}
	fmt.Fprint(w, "\n\n")
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "ranking\ttop-1\ttop-3\tmrr\t95 % of top-1")
	d := s.Detail["top1"]
	fmt.Fprintf(t, "triaged\t%.2f (%d/%d)\t%.2f (%d/%d)\t%.2f\t%.2f–%.2f\n", s.Top1, d.Hits, d.N, s.Top3, s.Detail["top3"].Hits, d.N, s.MRR, d.CI[0], d.CI[1])
	for _, g := range systems(os) {
		t1, t3 := topK(g.os, 1), topK(g.os, 3)
		fmt.Fprintf(t, "  %s\t%.2f (%d/%d)\t%.2f (%d/%d)\t%.2f\t%.2f–%.2f\n", g.name, t1.Value, t1.Hits, t1.N, t3.Value, t3.Hits, t3.N, mrr(g.os), t1.CI[0], t1.CI[1])
	}
	for _, name := range slices.SortedFunc(maps.Keys(s.Baselines), func(a, b string) int {
		return cmp.Or(cmp.Compare(s.Baselines[b].Top1, s.Baselines[a].Top1), cmp.Compare(a, b))
	}) {
		b := s.Baselines[name]
		fmt.Fprintf(t, "%s\t%.2f\t%.2f\t%.2f\t\n", strings.ReplaceAll(name, "_", " "), b.Top1, b.Top3, b.MRR)
	}
	t.Flush()
	if a := s.Against; a != nil {
		fmt.Fprintf(w, "\nagainst the best baseline (%s): Top-1 %+.2f, 95 %% %+.2f to %+.2f, p %.4f (paired bootstrap, %d resamples)\n",
			strings.ReplaceAll(a.Baseline, "_", " "), a.Gain, a.CI[0], a.CI[1], a.P, a.Samples)
	}
	fmt.Fprintln(w)
	t = tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, name := range [...]string{"named", "named_with_cause", "false_blame", "advised", "wrong_rollback", "wrong_refusal"} {
		d := s.Detail[name]
		fmt.Fprintf(t, "%s\t%.2f\t%d of %d\t95 %% %.2f–%.2f\n", strings.ReplaceAll(name, "_", " "), d.Value, d.Hits, d.N, d.CI[0], d.CI[1])
	}
	fmt.Fprintf(t, "brier\t%.3f\t\t\nlog-loss\t%.3f\t\t\nece\t%.3f\t\t\n", s.Brier, s.LogLoss, s.ECE)
	t.Flush()
	writeConfusion(w, s.Confusion)
	if tw := s.Twins; tw != nil {
		fmt.Fprintf(w, "\nwith twins (true change removed), none reweighted to 30 %%, n %d:\n", tw.Cases)
		fmt.Fprintf(w, "ece %.3f · Spiegelhalter z %+.2f · AUROC of none %.3f · log-loss %.3f (prior alone %.3f) · brier %.3f · false blame %.3f\n",
			tw.ECE, tw.Spiegelhalter, tw.NoneAUROC, tw.LogLoss, tw.PriorLogLoss, tw.Brier, tw.FalseBlame)
		t = tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
		fmt.Fprintln(t, "top hypothesis\tn\tpredicted\tobserved")
		for _, b := range tw.Reliability {
			fmt.Fprintf(t, "%.2f–%.2f\t%d\t%.2f\t%.2f\n", b.From, b.To, b.N, b.Predicted, b.Observed)
		}
		t.Flush()
	}
	if r := s.RankMS; r != nil {
		fmt.Fprintf(w, "\nrank: p50 %.2f ms, p99 %.2f ms, max %.2f ms\n", r.P50, r.P99, r.Max)
	}
	return w.Flush()
}

type group struct {
	name string
	os   []outcome
}

// systems groups outcomes by where they come from, in order; nil for a single one.
func systems(os []outcome) []group {
	var out []group
	for _, o := range os {
		if len(out) == 0 || out[len(out)-1].name != o.s.system {
			out = append(out, group{name: o.s.system})
		}
		g := &out[len(out)-1]
		g.os = append(g.os, o)
	}
	if len(out) < 2 {
		return nil
	}
	return out
}

// writeCase prints one case with its evidence.
func writeCase(w io.Writer, o outcome) {
	verdict := "none expected"
	switch {
	case o.truth() && o.rank == 0:
		verdict = "MISSED"
	case o.truth():
		verdict = fmt.Sprintf("rank %d", o.rank)
	}
	fmt.Fprintf(w, "%s: %s, p(truth) %.3f, none %.3f\n", o.s.in.ID, verdict, o.pTruth, o.pNone)
	r := o.report
	fmt.Fprintf(w, "  symptom: %s\n  onset: %s – %s – %s, %s (%s)\n", r.Symptom.Sentence, r.Onset.Earliest.Format("15:04:05"),
		r.Onset.Best.Format("15:04:05"), r.Onset.Latest.Format("15:04:05"), r.Onset.Shape, r.Onset.Basis)
	for i, s := range r.Suspects {
		if i >= 5 && (s.Change == nil || !slices.Contains(o.s.expect.Truth, s.Change.ID)) {
			continue
		}
		mark := " "
		what := ""
		if s.Change != nil {
			what = fmt.Sprintf("%s %s", s.Change.Kind, s.Change.Service)
			if slices.Contains(o.s.expect.Truth, s.Change.ID) {
				mark = "*"
			}
		} else if s.Anomaly != nil {
			what = fmt.Sprintf("anomaly %s %s", s.Anomaly.Signal, s.Anomaly.Service)
		}
		fmt.Fprintf(w, " %s%d. %.3f %s (%s) %+d\n", mark, s.Rank, s.Probability, s.ID(), what, s.LogOdds)
		for _, e := range slices.Concat(s.For, s.Against) {
			fmt.Fprintf(w, "      %+6d %s: %s\n", e.Contribution, e.Factor, e.Sentence)
		}
	}
	fmt.Fprintf(w, "  none %.3f %+d\n", r.None.Probability, r.None.LogOdds)
	for _, e := range r.None.Evidence {
		fmt.Fprintf(w, "      %+6d %s: %s\n", e.Contribution, e.Factor, e.Sentence)
	}
	writeAdvice(w, r.Recommendation)
	fmt.Fprintln(w)
}

func writeAdvice(w io.Writer, rec triage.Recommendation) {
	fmt.Fprintf(w, "  advice: %s %s", rec.Verdict, rec.Action)
	if rec.Target != nil {
		fmt.Fprintf(w, " %s", rec.Target.ChangeID)
	}
	fmt.Fprintf(w, ": %s\n", rec.Reason)
	for _, a := range rec.Avoid {
		fmt.Fprintf(w, "    avoid %s %s: %s: %s\n", a.Action, a.Target, a.Class, a.Reason)
	}
}
