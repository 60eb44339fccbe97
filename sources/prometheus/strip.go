package prometheus

import (
	"slices"
	"strings"

	"github.com/prometheus/prometheus/promql/parser"

	"github.com/triaged-dev/triaged/triage"
)

// leg is one comparison of an alert's expression, stripped: expr is what is measured, on its bad side of threshold the alert fires.
// Worked example: `(a:rate1h > 14.4*0.001 and a:rate5m > 14.4*0.001)` has two legs, a:rate1h and a:rate5m, both with threshold
// 0.0144 and bad direction higher.
type leg struct {
	expr      parser.Expr
	threshold *float64
	bad       string // "higher", "lower" or "" where the comparison does not say
	compared  bool   // there was a comparison (absent counts)
	absent    bool   // expr counts what should be there; nothing there reads as 0
	apart     bool   // expr is how far two things are apart
}

const (
	badHigher = "higher"
	badLower  = "lower"
)

// maxAlternatives bounds what one alert is read by: each is a query.
const maxAlternatives = 8

// disjuncts are the sides of the expression's top-level "or", each with the comparisons that must all hold for it to fire. It
// changes e's nodes: give it a private copy. There is always at least one, with at least one leg.
//
// Worked example: `a <= 199 or a >= 400` has two, of one leg each: a with bad side lower of 199, a with bad side higher of 400.
func disjuncts(e parser.Expr) [][]leg {
	if b, ok := unparen(e).(*parser.BinaryExpr); ok {
		switch b.Op {
		case parser.LOR:
			return bound(append(disjuncts(b.LHS), disjuncts(b.RHS)...))
		case parser.LAND:
			var guards []leg
			for _, alt := range disjuncts(b.RHS) {
				guards = append(guards, alt...)
			}
			out := disjuncts(b.LHS)
			for i := range out {
				out[i] = append(slices.Clip(out[i]), guards...)
			}
			return out
		case parser.LUNLESS:
			return disjuncts(b.LHS)
		case parser.MUL, parser.DIV, parser.ADD, parser.SUB:
			if out, ok := throughArithmetic(b); ok {
				return out
			}
		}
	}
	return [][]leg{{single(e)}}
}

func bound(alts [][]leg) [][]leg { return alts[:min(len(alts), maxAlternatives)] }

// single strips an expression that is no set operation.
func single(e parser.Expr) leg {
	switch e := unparen(e).(type) {
	case *parser.BinaryExpr:
		if e.Op.IsComparisonOperator() {
			return comparison(e)
		}
	case *parser.Call:
		if l, ok := absence(e); ok {
			return l
		}
		if l, ok := throughCall(e); ok {
			return l
		}
	case *parser.AggregateExpr:
		if f, ok := isFilter(e.Expr); ok && e.Op != parser.COUNT && e.Op != parser.GROUP && !f.ReturnBool {
			l := comparison(f)
			e.Expr = l.expr
			l.expr = e
			return l
		} else if ok && !f.ReturnBool {
			zero := 0.0
			return leg{expr: e, threshold: &zero, bad: badHigher, compared: true}
		}
	}
	return leg{expr: e}
}

// throughArithmetic strips comparisons that something is calculated with: (x > 85) * on (instance) group_left (nodename) info. The
// join with an info metric, which is 1, stays for the labels it brings; other factors go, so that the threshold stays true.
func throughArithmetic(e *parser.BinaryExpr) ([][]leg, bool) {
	for _, side := range []struct {
		of, other parser.Expr
		left      bool
	}{{e.LHS, e.RHS, true}, {e.RHS, e.LHS, false}} {
		b, ok := unparen(side.of).(*parser.BinaryExpr)
		if !ok || ((!b.Op.IsComparisonOperator() || b.ReturnBool) && !b.Op.IsSetOperator()) {
			continue
		}
		alts := disjuncts(b)
		if !slices.ContainsFunc(alts, func(ls []leg) bool { return slices.ContainsFunc(ls, func(l leg) bool { return l.compared }) }) {
			continue
		}
		if e.Op != parser.MUL || !onlyLabels(side.other) {
			return alts, true
		}
		for _, ls := range alts {
			for i := range ls {
				if joined, err := copyExpr(e); err == nil && !ls[i].absent {
					j := joined.(*parser.BinaryExpr)
					if side.left {
						j.LHS = paren(ls[i].expr)
					} else {
						j.RHS = paren(ls[i].expr)
					}
					ls[i].expr = j
				}
			}
		}
		return alts, true
	}
	return nil, false
}

// onlyLabels reports whether e is 1 wherever it is: it brings labels, no value.
func onlyLabels(e parser.Expr) bool {
	sel := selectors(e)
	return len(sel) == 1 && (strings.HasSuffix(sel[0].Name, "_info") || strings.HasSuffix(sel[0].Name, "_owner") ||
		strings.HasSuffix(sel[0].Name, "_labels") || strings.HasSuffix(sel[0].Name, "_meta"))
}

// comparison strips one comparison operator.
func comparison(e *parser.BinaryExpr) leg {
	lhs, op := e.LHS, e.Op
	c, ok := constant(e.RHS)
	if !ok {
		if c, ok = constant(e.LHS); ok {
			lhs, op = e.RHS, mirrored(e.Op)
		}
	}
	if !ok {
		return betweenVectors(e)
	}
	if call, isCall := isCall(lhs, "absent", "absent_over_time"); isCall {
		if l, ok := absence(call); ok {
			return l
		}
	}
	if inner, isFilter := isFilter(lhs); isFilter {
		in := comparison(inner)
		if !inner.ReturnBool { // 3 <= x < 20
			return within(in, leg{expr: in.expr, threshold: &c, bad: badSide(op, c), compared: true})
		}
		// (x > bool 5) == 1 is x > 5; == 0 is its opposite.
		if holds(op, 0, c) && !holds(op, 1, c) {
			in.bad = opposite(in.bad)
		}
		return in
	}
	if op == parser.NEQ && c != 0 && c != 1 {
		return distance(lhs, number(c))
	}
	return leg{expr: lhs, threshold: &c, bad: badSide(op, c), compared: true}
}

// within decides for x > a and x < b, which fires between two bounds, from where x comes: what is good when high (time left, space
// free) falls into it past the upper bound, anything else climbs into it past the lower one.
func within(a, b leg) leg {
	if a.bad == b.bad || b.threshold == nil || b.bad == "" {
		return a
	}
	if a.bad == "" {
		return b
	}
	side := badHigher
	if goodWhenHigh(a.expr) {
		side = badLower
	}
	if a.bad == side {
		return a
	}
	return b
}

func goodWhenHigh(e parser.Expr) bool {
	sel := selectors(e)
	return len(sel) > 0 && triage.BetterOf(sel[0].Name) == triage.BetterHigher
}

// distance strips a != b: how far they are apart, 0 while they agree.
func distance(a, b parser.Expr) leg {
	zero := 0.0
	diff := &parser.BinaryExpr{Op: parser.SUB, LHS: paren(a), RHS: paren(b)}
	return leg{
		expr:      &parser.Call{Func: parser.Functions["abs"], Args: parser.Expressions{diff}},
		threshold: &zero, bad: badHigher, compared: true, apart: true,
	}
}

// betweenVectors strips `a > b`: the difference, whose threshold is 0, because either side may be the one that moves; but where b
// is history (offset), a itself: its own past is looked at elsewhere. a == b fires when a has come up to what limits it.
func betweenVectors(e *parser.BinaryExpr) leg {
	if comparesWithThePast(e.RHS) && !comparesWithThePast(e.LHS) {
		return leg{expr: e.LHS, bad: badSide(e.Op, 1), compared: true}
	}
	if comparesWithThePast(e.LHS) && !comparesWithThePast(e.RHS) {
		return leg{expr: e.RHS, bad: badSide(mirrored(e.Op), 1), compared: true}
	}
	op := e.Op
	e.LHS, e.RHS = paren(e.LHS), paren(e.RHS)
	e.Op, e.ReturnBool = parser.SUB, false
	zero := 0.0
	l := leg{expr: e, threshold: &zero, compared: true, apart: true, bad: badSide(op, 1)}
	if op == parser.NEQ {
		l.expr, l.bad = &parser.Call{Func: parser.Functions["abs"], Args: parser.Expressions{e}}, badHigher
	}
	return l
}

// absence turns absent(x) into count(x), which is 0 when the alert fires.
func absence(c *parser.Call) (leg, bool) {
	if c.Func.Name != "absent" && c.Func.Name != "absent_over_time" || len(c.Args) != 1 {
		return leg{}, false
	}
	arg := unparen(c.Args[0])
	switch a := arg.(type) {
	case *parser.MatrixSelector:
		arg = a.VectorSelector
	case *parser.SubqueryExpr:
		arg = a.Expr
	}
	zero := 0.0
	return leg{expr: &parser.AggregateExpr{Op: parser.COUNT, Expr: arg}, threshold: &zero, bad: badLower, compared: true, absent: true}, true
}

// throughCall strips a comparison inside a function that only renames, sorts or summarises: label_replace(x > 5, …).
func throughCall(c *parser.Call) (leg, bool) {
	if len(c.Args) == 0 {
		return leg{}, false
	}
	at := 0
	if c.Func.Name == "quantile_over_time" {
		at = 1
	}
	switch c.Func.Name {
	case "label_replace", "label_join", "sort", "sort_desc", "sort_by_label", "sort_by_label_desc":
		if f, ok := isFilter(c.Args[at]); ok {
			l := comparison(f)
			c.Args[at] = l.expr
			l.expr = c
			return l, true
		}
	case "avg_over_time", "min_over_time", "max_over_time", "last_over_time", "quantile_over_time":
		if sq, ok := unparen(c.Args[at]).(*parser.SubqueryExpr); ok {
			if f, ok := isFilter(sq.Expr); ok && !f.ReturnBool {
				l := comparison(f)
				sq.Expr = paren(l.expr)
				l.expr = c
				return l, true
			}
		}
	}
	return leg{}, false
}

func mirrored(op parser.ItemType) parser.ItemType {
	switch op {
	case parser.GTR:
		return parser.LSS
	case parser.LSS:
		return parser.GTR
	case parser.GTE:
		return parser.LTE
	case parser.LTE:
		return parser.GTE
	default:
		return op
	}
}

func opposite(bad string) string {
	switch bad {
	case badHigher:
		return badLower
	case badLower:
		return badHigher
	default:
		return ""
	}
}

// badSide is where the alert fires. Equality says it by which value it comes to: 0 and below is down, 1 and above is up.
func badSide(op parser.ItemType, c float64) string {
	switch {
	case op == parser.GTR, op == parser.GTE, op == parser.EQLC && c > 0, op == parser.NEQ && c == 0:
		return badHigher
	case op == parser.LSS, op == parser.LTE, op == parser.EQLC && c <= 0, op == parser.NEQ && c == 1:
		return badLower
	default:
		return ""
	}
}

func holds(op parser.ItemType, v, c float64) bool {
	switch op {
	case parser.EQLC:
		return v == c
	case parser.NEQ:
		return v != c
	case parser.GTR:
		return v > c
	case parser.GTE:
		return v >= c
	case parser.LSS:
		return v < c
	case parser.LTE:
		return v <= c
	default:
		return false
	}
}
