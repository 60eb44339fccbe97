package prometheus

import (
	"math"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/promql/parser"
)

// parseExpr reads PromQL, experimental functions included. The parser recovers from its own panics.
func parseExpr(s string) (parser.Expr, error) {
	return newParser().ParseExpr(s)
}

func newParser() parser.Parser {
	return parser.NewParser(parser.Options{EnableExperimentalFunctions: true, EnableExtendedRangeSelectors: true})
}

// matcherLabels reads a list of matchers without braces and returns the labels it speaks of; "" has none.
func matcherLabels(match string) ([]string, error) {
	if strings.TrimSpace(match) == "" {
		return nil, nil
	}
	ms, err := newParser().ParseMetricSelector("x{" + match + "}")
	if err != nil {
		return nil, err
	}
	var names []string
	for _, m := range ms {
		if m.Name != model.MetricNameLabel {
			names = append(names, m.Name)
		}
	}
	return names, nil
}

// copyExpr returns a private copy, so that rewriting one does not change the other.
func copyExpr(e parser.Expr) (parser.Expr, error) { return parseExpr(e.String()) }

func unparen(e parser.Expr) parser.Expr {
	for {
		switch p := e.(type) {
		case *parser.ParenExpr:
			e = p.Expr
		case *parser.StepInvariantExpr:
			e = p.Expr
		default:
			return e
		}
	}
}

func paren(e parser.Expr) parser.Expr {
	switch e.(type) {
	case *parser.BinaryExpr, *parser.UnaryExpr:
		return &parser.ParenExpr{Expr: e}
	}
	return e
}

func number(v float64) parser.Expr { return &parser.NumberLiteral{Val: v} }

// constant evaluates an expression of numbers only: 14.4 * (1 - 0.999).
func constant(e parser.Expr) (float64, bool) {
	switch e := unparen(e).(type) {
	case *parser.NumberLiteral:
		return e.Val, true
	case *parser.UnaryExpr:
		v, ok := constant(e.Expr)
		if e.Op == parser.SUB {
			v = -v
		}
		return v, ok
	case *parser.Call:
		if e.Func.Name == "vector" || e.Func.Name == "scalar" {
			return constant(e.Args[0])
		}
	case *parser.BinaryExpr:
		l, ok := constant(e.LHS)
		r, ok2 := constant(e.RHS)
		if !ok || !ok2 {
			return 0, false
		}
		switch e.Op {
		case parser.ADD:
			return l + r, true
		case parser.SUB:
			return l - r, true
		case parser.MUL:
			return l * r, true
		case parser.DIV:
			return l / r, true
		case parser.POW:
			return math.Pow(l, r), true
		case parser.MOD:
			return math.Mod(l, r), true
		}
	}
	return 0, false
}

func isFilter(e parser.Expr) (*parser.BinaryExpr, bool) {
	b, ok := unparen(e).(*parser.BinaryExpr)
	return b, ok && b.Op.IsComparisonOperator()
}

func isCall(e parser.Expr, names ...string) (*parser.Call, bool) {
	c, ok := unparen(e).(*parser.Call)
	if !ok {
		return nil, false
	}
	if slices.Contains(names, c.Func.Name) {
		return c, true
	}
	return nil, false
}

// selectors are all vector selectors beneath e, those of ranges included.
func selectors(e parser.Expr) []*parser.VectorSelector {
	var out []*parser.VectorSelector
	parser.Inspect(e, func(n parser.Node, _ []parser.Node) error {
		if v, ok := n.(*parser.VectorSelector); ok {
			out = append(out, v)
		}
		return nil
	})
	return out
}

// comparesWithThePast reports whether e looks at data of at least an hour before: a control, not the symptom.
func comparesWithThePast(e parser.Expr) bool {
	past := false
	parser.Inspect(e, func(n parser.Node, _ []parser.Node) error {
		switch n := n.(type) {
		case *parser.VectorSelector:
			past = past || n.OriginalOffset >= time.Hour
		case *parser.SubqueryExpr:
			past = past || n.OriginalOffset >= time.Hour
		}
		return nil
	})
	return past
}
