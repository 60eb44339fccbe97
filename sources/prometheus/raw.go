package prometheus

import (
	"slices"
	"time"

	v1 "github.com/prometheus/client_golang/api/prometheus/v1"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
)

// recorded is one recording rule.
type recorded struct {
	expr     string
	labels   map[string]string // that the rule adds
	interval time.Duration     // of its group
}

// recordings are the recording rules by the name they record.
type recordings map[string][]recorded

const (
	maxNesting = 5    // recording rules within recording rules
	maxExpr    = 8192 // bytes of an expression we would send
)

func recordingsOf(groups []v1.RuleGroup) recordings {
	out := make(recordings)
	for _, g := range groups {
		for _, r := range g.Rules {
			if rec, ok := r.(v1.RecordingRule); ok {
				ls := make(map[string]string, len(rec.Labels))
				for k, v := range rec.Labels {
					ls[string(k)] = string(v)
				}
				out[rec.Name] = append(out[rec.Name], recorded{expr: rec.Query, labels: ls, interval: seconds(g.Interval)})
			}
		}
	}
	return out
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

// of returns the one rule that records what v selects. Where several could, none is returned: the recorded series is then used.
func (rs recordings) of(v *parser.VectorSelector) (recorded, bool) {
	var found []recorded
	for _, r := range rs[v.Name] {
		if !slices.ContainsFunc(v.LabelMatchers, func(m *labels.Matcher) bool {
			val, static := r.labels[m.Name]
			return static && m.Name != model.MetricNameLabel && !m.Matches(val)
		}) {
			found = append(found, r)
		}
	}
	if len(found) != 1 {
		return recorded{}, false
	}
	return found[0], true
}

// depth is how far back the value of e reaches: the longest range, with those of recording rules beneath it added, each with its
// group's interval. History that e compares with (offset of an hour and more) does not count. seen guards against cycles.
func (rs recordings) depth(e parser.Expr, seen ...string) time.Duration {
	switch e := unparen(e).(type) {
	case *parser.VectorSelector:
		if e.OriginalOffset >= time.Hour {
			return 0
		}
		longest := time.Duration(0)
		if len(seen) < maxNesting && !slices.Contains(seen, e.Name) {
			for _, r := range rs[e.Name] {
				if inner, err := parseExpr(r.expr); err == nil {
					longest = max(longest, r.interval+rs.depth(inner, append(slices.Clone(seen), e.Name)...))
				}
			}
		}
		return longest + max(0, e.OriginalOffset)
	case *parser.MatrixSelector:
		v, _ := e.VectorSelector.(*parser.VectorSelector)
		if v != nil && v.OriginalOffset >= time.Hour {
			return 0
		}
		return e.Range + rs.depth(e.VectorSelector, seen...)
	case *parser.SubqueryExpr:
		if e.OriginalOffset >= time.Hour {
			return 0
		}
		return e.Range + max(0, e.OriginalOffset) + rs.depth(e.Expr, seen...)
	case nil:
		return 0
	default:
		longest := time.Duration(0)
		for c := range parser.ChildrenIter(e) {
			if x, ok := c.(parser.Expr); ok {
				longest = max(longest, rs.depth(x, seen...))
			}
		}
		return longest
	}
}

// rewriter makes of a stripped expression the one in which the onset is best seen: recording rules replaced by what they record,
// ranges cut to short, smoothing and prediction removed.
type rewriter struct {
	rules recordings
	short time.Duration
	keep  bool // low counts are bad: leave the ranges of counting functions, short ones would be empty on good days too
	off   bool // the result can no longer be compared with the threshold
}

// rewrite changes e's nodes: give it a private copy.
func (w *rewriter) rewrite(e parser.Expr, seen []string) parser.Expr {
	switch e := e.(type) {
	case *parser.ParenExpr:
		e.Expr = w.rewrite(e.Expr, seen)
	case *parser.StepInvariantExpr:
		return w.rewrite(e.Expr, seen)
	case *parser.UnaryExpr:
		e.Expr = w.rewrite(e.Expr, seen)
	case *parser.SubqueryExpr:
		e.Expr = w.rewrite(e.Expr, seen)
	case *parser.BinaryExpr:
		e.LHS, e.RHS = w.rewrite(e.LHS, seen), w.rewrite(e.RHS, seen)
	case *parser.AggregateExpr:
		if f, ok := isFilter(e.Expr); ok && e.Op == parser.COUNT && !f.ReturnBool {
			// count(up == 0) is empty while all is well; sum(up == bool 0) is 0 then.
			e.Op, f.ReturnBool = parser.SUM, true
		}
		e.Expr = w.rewrite(e.Expr, seen)
	case *parser.VectorSelector:
		if x, ok := w.expand(e, seen); ok {
			return x
		}
	case *parser.Call:
		return w.call(e, seen)
	}
	return e
}

// expand replaces a recorded series by the rule's expression with the selector's matchers pushed into it.
func (w *rewriter) expand(v *parser.VectorSelector, seen []string) (parser.Expr, bool) {
	if v.OriginalOffset != 0 || v.Timestamp != nil || v.StartOrEnd != 0 || len(seen) >= maxNesting || slices.Contains(seen, v.Name) {
		return nil, false
	}
	r, ok := w.rules.of(v)
	if !ok {
		return nil, false
	}
	x, err := parseExpr(r.expr)
	if err != nil || len(r.expr) > maxExpr {
		return nil, false
	}
	for _, m := range v.LabelMatchers {
		if _, static := r.labels[m.Name]; static || m.Name == model.MetricNameLabel {
			continue
		}
		if !inject(x, m) {
			return nil, false
		}
	}
	return paren(w.rewrite(x, append(slices.Clone(seen), v.Name))), true
}

func (w *rewriter) call(c *parser.Call, seen []string) parser.Expr {
	switch c.Func.Name {
	case "absent", "absent_over_time", "last_over_time", "present_over_time", "irate", "idelta":
		return c
	case "predict_linear", "holt_winters", "double_exponential_smoothing":
		if c.Func.Name == "predict_linear" {
			w.off = true
		}
		return w.rewrite(smoothed(c.Args[0]), seen)
	case "rate", "deriv":
		w.cut(c.Args[0], seen)
		return c
	case "increase", "delta", "changes", "resets", "count_over_time", "sum_over_time":
		if w.keep {
			return c
		}
		return scaled(c, w.cut(c.Args[0], seen))
	case "avg_over_time", "max_over_time", "min_over_time", "quantile_over_time", "stddev_over_time", "mad_over_time":
		at := len(c.Args) - 1
		if m, ok := unparen(c.Args[at]).(*parser.MatrixSelector); ok && c.Func.Name[0] != 's' && c.Func.Name[:3] != "mad" {
			if v, ok := m.VectorSelector.(*parser.VectorSelector); ok {
				if x, ok := w.expand(v, seen); ok {
					return x
				}
			}
		}
		w.cut(c.Args[at], seen)
		return c
	}
	for i := range c.Args {
		c.Args[i] = w.rewrite(c.Args[i], seen)
	}
	return c
}

// cut shortens a range to w.short, or a subquery's to four of its steps where that is more, and returns by what factor.
func (w *rewriter) cut(e parser.Expr, seen []string) float64 {
	switch e := unparen(e).(type) {
	case *parser.MatrixSelector:
		if e.Range > w.short && w.short > 0 {
			f := e.Range.Seconds() / w.short.Seconds()
			e.Range = w.short
			return f
		}
	case *parser.SubqueryExpr:
		e.Expr = w.rewrite(e.Expr, seen)
		step := e.Step
		if step == 0 {
			step = w.short / 4
		}
		if short := max(w.short, 4*step); e.Range > short && short > 0 {
			f := e.Range.Seconds() / short.Seconds()
			e.Range = short
			return f
		}
	}
	return 1
}

// smoothed is what is beneath the range: x of x[6h], f(y) of f(y)[6h:5m].
func smoothed(e parser.Expr) parser.Expr {
	switch e := unparen(e).(type) {
	case *parser.MatrixSelector:
		return e.VectorSelector
	case *parser.SubqueryExpr:
		return paren(e.Expr)
	default:
		return e
	}
}

func scaled(c *parser.Call, factor float64) parser.Expr {
	if factor == 1 {
		return c
	}
	return &parser.ParenExpr{Expr: &parser.BinaryExpr{Op: parser.MUL, LHS: c, RHS: number(factor)}}
}
