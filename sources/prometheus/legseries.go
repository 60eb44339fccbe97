package prometheus

import (
	"cmp"
	"maps"
	"slices"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/promql/parser"

	"github.com/triaged-dev/triaged/triage"
)

// mentionedLabels are those an expression groups, joins or matches by.
func mentionedLabels(e parser.Expr) []string {
	var out []string
	parser.Inspect(e, func(n parser.Node, _ []parser.Node) error {
		switch n := n.(type) {
		case *parser.AggregateExpr:
			if !n.Without {
				out = append(out, n.Grouping...)
			}
		case *parser.BinaryExpr:
			if n.VectorMatching != nil && n.VectorMatching.On {
				out = append(out, n.VectorMatching.MatchingLabels...)
			}
		case *parser.VectorSelector:
			for _, m := range n.LabelMatchers {
				out = append(out, m.Name)
			}
		}
		return nil
	})
	return out
}

// orZero makes an empty result 0.
func orZero(e parser.Expr) parser.Expr {
	return &parser.BinaryExpr{
		Op: parser.LOR, LHS: paren(e), VectorMatching: &parser.VectorMatching{Card: parser.CardManyToMany},
		RHS: &parser.Call{Func: parser.Functions["vector"], Args: parser.Expressions{number(0)}},
	}
}

// fillRatio makes failed/total 0 instead of empty while nothing has failed yet: (failed or total * 0) / total. Without it the
// series would only begin when the trouble does.
func fillRatio(e parser.Expr) parser.Expr {
	switch b := e.(type) {
	case *parser.ParenExpr:
		b.Expr = fillRatio(b.Expr)
	case *parser.AggregateExpr:
		b.Expr = fillRatio(b.Expr)
	case *parser.BinaryExpr:
		if _, ok := constant(b.RHS); ok {
			b.LHS = fillRatio(b.LHS)
			return b
		}
		if _, ok := constant(b.LHS); ok {
			b.RHS = fillRatio(b.RHS)
			return b
		}
		num, ok1 := unparen(b.LHS).(*parser.AggregateExpr)
		den, ok2 := unparen(b.RHS).(*parser.AggregateExpr)
		if b.Op != parser.DIV || !ok1 || !ok2 || b.VectorMatching == nil || b.VectorMatching.Card != parser.CardOneToOne ||
			signalOf(num) != triage.SignalErrors && !isGoodShare(b) || num.Without != den.Without || !slices.Equal(slices.Sorted(slices.Values(num.Grouping)), slices.Sorted(slices.Values(den.Grouping))) {
			return b
		}
		zero, err := copyExpr(&parser.BinaryExpr{Op: parser.MUL, LHS: den, RHS: number(0)})
		if err != nil {
			return b
		}
		b.LHS = &parser.ParenExpr{Expr: &parser.BinaryExpr{
			Op: parser.LOR, LHS: num, RHS: zero, VectorMatching: &parser.VectorMatching{Card: parser.CardManyToMany},
		}}
	}
	return e
}

// seriesOf is what the series of one leg are called and mean.
type seriesOf struct {
	metric, bad string
	signal      triage.Signal
	unit        triage.Unit
}

// series turns the answer into symptom series, at most maxSymptomSeries in order of their labels. Where the comparison does not say
// which way is bad, the name may.
func (q *symptomQuery) series(m model.Matrix, g grid, of seriesOf) []triage.Series {
	better := map[string]triage.Better{badHigher: triage.BetterLower, badLower: triage.BetterHigher}[of.bad]
	better = cmp.Or(better, triage.BetterOf(of.metric))
	var out []triage.Series
	for _, st := range sortedMatrix(m) {
		v, ok := g.values(st)
		if !ok {
			continue
		}
		sr := g.series(v)
		sr.Metric, sr.Signal, sr.Better, sr.Role = of.metric, of.signal, better, triage.RoleSymptom
		sr.Unit = of.unit
		sr.Labels = q.s.symptomLabels(q.alert.Labels, st.Metric)
		if out = append(out, sr); len(out) == maxSymptomSeries {
			break
		}
	}
	return out
}

// symptomLabels are the service the alert is about and, in our own words, where the series comes from.
func (s *Source) symptomLabels(alert map[string]string, metric model.Metric) map[string]string {
	all := maps.Clone(alert)
	if all == nil {
		all = make(map[string]string)
	}
	out := make(map[string]string)
	for k, v := range metric {
		all[string(k)] = string(v)
	}
	for word, candidates := range s.signals.Labels {
		for _, l := range candidates {
			if v := string(metric[model.LabelName(l)]); v != "" {
				out[word] = v
				break
			}
		}
	}
	if name := triage.SubjectOf(all, s.PodOwner).Service; name != "" {
		out["service"], _ = s.dir.Load().Resolve(name)
	}
	return out
}
