package prometheus

import (
	"slices"
	"strings"

	"github.com/prometheus/prometheus/promql/parser"

	"github.com/triaged-dev/triaged/triage"
)

// unitOfText is unitOf of an expression as it was asked.
func unitOfText(expr string) triage.Unit {
	e, err := parseExpr(expr)
	if err != nil {
		return triage.UnitUnknown
	}
	return unitOf(e)
}

// unitOf is what the values of an expression are measured in, by its metrics' names and what is done with them. Whatever is not
// certain is unknown: a time called a share would be believed.
//
// Worked examples: sum(rate(x_total{code="5.."}[5m])) / sum(rate(x_total[5m])) is a share, 100 times that are per cent;
// histogram_quantile(0.99, rate(x_milliseconds_bucket[5m])) is in ms, and divided by 1000 in s.
func unitOf(e parser.Expr) triage.Unit {
	switch e := unparen(e).(type) {
	case *parser.VectorSelector:
		return known(triage.UnitOf(e.Name))
	case *parser.MatrixSelector:
		return unitOf(e.VectorSelector)
	case *parser.SubqueryExpr:
		return unitOf(e.Expr)
	case *parser.UnaryExpr:
		return unitOf(e.Expr)
	case *parser.AggregateExpr:
		return unitOfAggregate(e)
	case *parser.Call:
		return unitOfCall(e)
	case *parser.BinaryExpr:
		return unitOfBinary(e)
	}
	return triage.UnitUnknown
}

func known(u triage.Unit) triage.Unit {
	if u == "" {
		return triage.UnitUnknown
	}
	return u
}

func unitOfAggregate(e *parser.AggregateExpr) triage.Unit {
	u := unitOf(e.Expr)
	switch e.Op {
	case parser.COUNT, parser.COUNT_VALUES, parser.GROUP, parser.STDVAR:
		return triage.UnitUnknown
	case parser.SUM:
		if u.Share() {
			return triage.UnitUnknown // shares of different wholes
		}
	}
	return u
}

func unitOfCall(e *parser.Call) triage.Unit {
	if len(e.Args) == 0 {
		return triage.UnitUnknown
	}
	arg := e.Args[len(e.Args)-1]
	switch e.Func.Name {
	case "rate", "irate", "deriv":
		if sel := selectors(arg); len(sel) > 0 {
			return known(triage.UnitOfRate(sel[0].Name))
		}
	case "histogram_quantile":
		if sel := selectors(arg); len(sel) > 0 {
			return known(triage.UnitOf(sel[0].Name))
		}
	case "quantile_over_time":
		return unitOf(arg)
	case "label_replace", "label_join", "clamp", "clamp_min", "clamp_max", "sort", "sort_desc", "round", "increase", "delta", "idelta", "abs", "ceil", "floor", "histogram_avg",
		"avg_over_time", "min_over_time", "max_over_time", "last_over_time", "first_over_time", "mad_over_time", "stddev_over_time":
		return unitOf(e.Args[0])
	}
	return triage.UnitUnknown
}

func unitOfBinary(e *parser.BinaryExpr) triage.Unit {
	if e.Op.IsComparisonOperator() {
		if e.ReturnBool {
			return triage.UnitUnknown
		}
		return unitOf(e.LHS)
	}
	left, isLeft := constant(e.LHS)
	right, isRight := constant(e.RHS)
	switch {
	case isLeft && isRight:
		return triage.UnitUnknown
	case isRight:
		return scaledUnit(unitOf(e.LHS), e.Op, right)
	case isLeft && e.Op == parser.MUL:
		return scaledUnit(unitOf(e.RHS), e.Op, left)
	case isLeft && e.Op == parser.SUB: // 1 - share
		if u := unitOf(e.RHS); u == triage.UnitRatio && left == 1 || u == triage.UnitPercent && left == 100 {
			return u
		}
		return triage.UnitUnknown
	case isLeft:
		return triage.UnitUnknown
	}
	if e.Op == parser.DIV { // 100 * part / whole is read from the left
		if by, part, ok := factor(e.LHS); ok {
			return scaledUnit(quotient(part, e.RHS), parser.MUL, by)
		}
		return quotient(e.LHS, e.RHS)
	}
	l, r := unitOf(e.LHS), unitOf(e.RHS)
	switch e.Op {
	case parser.LOR, parser.LAND, parser.LUNLESS:
		return l
	case parser.ADD, parser.SUB:
		if l == r {
			return l
		}
	}
	return triage.UnitUnknown
}

// factor takes a number off a product.
func factor(e parser.Expr) (by float64, rest parser.Expr, ok bool) {
	b, is := unparen(e).(*parser.BinaryExpr)
	if !is || b.Op != parser.MUL {
		return 0, nil, false
	}
	if by, ok = constant(b.LHS); ok {
		return by, b.RHS, true
	}
	by, ok = constant(b.RHS)
	return by, b.LHS, ok
}

// scaledUnit is a unit times or by a number: the scalings that people do.
func scaledUnit(u triage.Unit, op parser.ItemType, by float64) triage.Unit {
	switch {
	case by == 1 || op == parser.ADD && by == 0:
		return u
	case op != parser.MUL && op != parser.DIV:
		return triage.UnitUnknown
	}
	type step struct {
		from triage.Unit
		op   parser.ItemType
		by   float64
	}
	return known(map[step]triage.Unit{
		{triage.UnitRatio, parser.MUL, 100}:         triage.UnitPercent,
		{triage.UnitPercent, parser.DIV, 100}:       triage.UnitRatio,
		{triage.UnitSeconds, parser.MUL, 1000}:      triage.UnitMilliseconds,
		{triage.UnitMilliseconds, parser.DIV, 1000}: triage.UnitSeconds,
		{triage.UnitMicroseconds, parser.DIV, 1000}: triage.UnitMilliseconds,
		{triage.UnitMicroseconds, parser.DIV, 1e6}:  triage.UnitSeconds,
		{triage.UnitNanoseconds, parser.DIV, 1e6}:   triage.UnitMilliseconds,
		{triage.UnitNanoseconds, parser.DIV, 1e9}:   triage.UnitSeconds,
	}[step{u, op, by}])
}

// quotient is a sum by its count, which is a mean, or a part by its whole.
func quotient(part, whole parser.Expr) triage.Unit {
	l, r := unitOf(part), unitOf(whole)
	num, den := selectors(part), selectors(whole)
	if len(num) == 0 || len(den) == 0 {
		return triage.UnitUnknown
	}
	sum, isSum := strings.CutSuffix(num[0].Name, "_sum")
	count, isCount := strings.CutSuffix(den[0].Name, "_count")
	switch {
	case isSum && isCount && sum == count:
		return known(triage.UnitOf(sum))
	case l == r && l != triage.UnitUnknown:
		return triage.UnitRatio
	case increases(part) && increases(whole) && !isSum:
		return triage.UnitRatio
	}
	return triage.UnitUnknown
}

// increases reports whether every selector is of a counter's growth over a range: such growths of one thing divide into a share.
func increases(e parser.Expr) bool {
	ok := true
	parser.Inspect(e, func(n parser.Node, path []parser.Node) error {
		if v, number := n.(*parser.NumberLiteral); number && v.Val != 0 {
			ok = false // scaled: the share of what is not known
		}
		sel, is := n.(*parser.VectorSelector)
		if !is {
			return nil
		}
		grown := slices.ContainsFunc(path, func(p parser.Node) bool {
			c, call := p.(*parser.Call)
			return call && (c.Func.Name == "increase" || c.Func.Name == "rate" || c.Func.Name == "irate")
		})
		counter := strings.HasSuffix(sel.Name, "_total") || strings.HasSuffix(sel.Name, "_count") || strings.HasSuffix(sel.Name, "_bucket")
		ok = ok && grown && counter
		return nil
	})
	return ok
}
