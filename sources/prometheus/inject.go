package prometheus

import (
	"slices"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
)

// inject restricts e to results that satisfy m by adding m to the selectors the label comes from. It goes only where the label
// survives: through sum by (l) but not through sum; to the many side of group_left, to the one side for a label it includes.
// False means that no result of e carries the label from its selectors; e is then unchanged where that matters.
//
// Worked example: service="a" into `sum by (service) (rate(x[5m])) / on (service) group_left () y` reaches x and y; into
// `sum(rate(x[5m]))` it cannot go.
func inject(e parser.Expr, m *labels.Matcher) bool {
	switch e := unparen(e).(type) {
	case *parser.VectorSelector:
		addMatcher(e, m)
		return true
	case *parser.MatrixSelector:
		return inject(e.VectorSelector, m)
	case *parser.SubqueryExpr:
		return inject(e.Expr, m)
	case *parser.UnaryExpr:
		return inject(e.Expr, m)
	case *parser.AggregateExpr:
		if slices.Contains(e.Grouping, m.Name) == e.Without && !keepsLabels(e.Op) {
			return false
		}
		return inject(e.Expr, m)
	case *parser.Call:
		return injectCall(e, m)
	case *parser.BinaryExpr:
		return injectBinary(e, m)
	}
	return false
}

// keepsLabels is true of aggregations that select series instead of merging them.
func keepsLabels(op parser.ItemType) bool {
	switch op {
	case parser.TOPK, parser.BOTTOMK, parser.LIMITK, parser.LIMIT_RATIO:
		return true
	default:
		return false
	}
}

func addMatcher(v *parser.VectorSelector, m *labels.Matcher) {
	for _, have := range v.LabelMatchers {
		if have.Name == m.Name && have.Type == m.Type && have.Value == m.Value {
			return
		}
	}
	v.LabelMatchers = append(v.LabelMatchers, m)
}

func injectCall(e *parser.Call, m *labels.Matcher) bool {
	switch e.Func.Name {
	case "scalar", "vector", "time", "absent", "absent_over_time", "pi":
		return false
	case "label_replace", "label_join":
		if dst, ok := e.Args[1].(*parser.StringLiteral); !ok || dst.Val == m.Name {
			return false
		}
	case "histogram_quantile", "histogram_fraction":
		if m.Name == labels.BucketLabel {
			return false
		}
	}
	done := false
	for _, a := range e.Args {
		done = inject(a, m) || done
	}
	return done
}

func injectBinary(e *parser.BinaryExpr, m *labels.Matcher) bool {
	vm := e.VectorMatching
	if vm == nil { // a scalar on one side, or on both
		l, r := inject(e.LHS, m), inject(e.RHS, m)
		return l || r
	}
	shared := slices.Contains(vm.MatchingLabels, m.Name) == vm.On // the label takes part in the matching
	both := func() bool {
		l, r := inject(e.LHS, m), inject(e.RHS, m)
		return l || r
	}
	switch {
	case e.Op == parser.LOR:
		return both()
	case e.Op == parser.LAND, e.Op == parser.LUNLESS:
		done := inject(e.LHS, m)
		if done && shared {
			inject(e.RHS, m)
		}
		return done
	case shared:
		return both()
	case vm.Card == parser.CardOneToOne:
		return false // the result does not have it
	case vm.Card == parser.CardManyToOne:
		if slices.Contains(vm.Include, m.Name) {
			return inject(e.RHS, m)
		}
		return inject(e.LHS, m)
	default:
		if slices.Contains(vm.Include, m.Name) {
			return inject(e.LHS, m)
		}
		return inject(e.RHS, m)
	}
}
