package prometheus

import (
	"regexp"

	"github.com/prometheus/prometheus/promql/parser"
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
}

const (
	badHigher = "higher"
	badLower  = "lower"
)

// legs strips e. It changes e's nodes: give it a private copy. There is always at least one leg.
func legs(e parser.Expr) []leg {
	switch e := unparen(e).(type) {
	case *parser.BinaryExpr:
		switch {
		case e.Op == parser.LAND, e.Op == parser.LOR:
			return append(legs(e.LHS), legs(e.RHS)...)
		case e.Op == parser.LUNLESS:
			return legs(e.LHS)
		case e.Op.IsComparisonOperator():
			return comparison(e)
		}
	case *parser.Call:
		if l, ok := absence(e); ok {
			return []leg{l}
		}
		if l, ok := throughCall(e); ok {
			return []leg{l}
		}
	case *parser.AggregateExpr:
		if f, ok := isFilter(e.Expr); ok && e.Op != parser.COUNT && e.Op != parser.GROUP && !f.ReturnBool {
			l := comparison(f)[0]
			e.Expr = l.expr
			l.expr = e
			return []leg{l}
		} else if ok && !f.ReturnBool {
			zero := 0.0
			return []leg{{expr: e, threshold: &zero, bad: badHigher, compared: true}}
		}
	}
	return []leg{{expr: e}}
}

// comparison strips one comparison operator.
func comparison(e *parser.BinaryExpr) []leg {
	lhs, op := e.LHS, e.Op
	c, ok := constant(e.RHS)
	if !ok {
		if c, ok = constant(e.LHS); ok {
			lhs, op = e.RHS, mirrored(e.Op)
		}
	}
	if !ok {
		return []leg{betweenVectors(e)}
	}
	if call, isCall := isCall(lhs, "absent", "absent_over_time"); isCall {
		if l, ok := absence(call); ok {
			return []leg{l}
		}
	}
	if inner, isFilter := isFilter(lhs); isFilter && inner.ReturnBool {
		// (x > bool 5) == 1 is x > 5; == 0 is its opposite.
		out := comparison(inner)
		if holds(op, 1, c) == holds(op, 0, c) {
			return out
		}
		if holds(op, 0, c) {
			for i := range out {
				out[i].bad = opposite(out[i].bad)
			}
		}
		return out
	}
	return []leg{{expr: lhs, threshold: &c, bad: badSide(op, c), compared: true}}
}

// betweenVectors strips `a > b`: the difference, whose threshold is 0, because either side may be the one that moves; but where b
// is history (offset), a itself: its own past is looked at elsewhere.
func betweenVectors(e *parser.BinaryExpr) leg {
	if comparesWithThePast(e.RHS) && !comparesWithThePast(e.LHS) {
		return leg{expr: e.LHS, bad: badSide(e.Op, 1), compared: true}
	}
	if comparesWithThePast(e.LHS) && !comparesWithThePast(e.RHS) {
		return leg{expr: e.RHS, bad: badSide(mirrored(e.Op), 1), compared: true}
	}
	zero := 0.0
	l := leg{threshold: &zero, compared: true}
	if e.Op != parser.EQLC && e.Op != parser.NEQ {
		l.bad = badSide(e.Op, 1)
	}
	e.LHS, e.RHS = paren(e.LHS), paren(e.RHS)
	e.Op, e.ReturnBool = parser.SUB, false
	l.expr = e
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
			l := comparison(f)[0]
			c.Args[at] = l.expr
			l.expr = c
			return l, true
		}
	case "avg_over_time", "min_over_time", "max_over_time", "last_over_time", "quantile_over_time":
		if sq, ok := unparen(c.Args[at]).(*parser.SubqueryExpr); ok {
			if f, ok := isFilter(sq.Expr); ok && !f.ReturnBool {
				l := comparison(f)[0]
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

// badSide is where the alert fires. Equality says it only for flags: == 0 fires when something goes down, == 1 when it comes up.
func badSide(op parser.ItemType, c float64) string {
	switch {
	case op == parser.GTR, op == parser.GTE, op == parser.EQLC && c == 1, op == parser.NEQ && c == 0:
		return badHigher
	case op == parser.LSS, op == parser.LTE, op == parser.EQLC && c == 0, op == parser.NEQ && c == 1:
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

var windowWord = regexp.MustCompile(`\d+(ms|[smhdwy])`)

// choose picks the leg to look at: the first comparison; where the others are the same thing over other windows (burn rates),
// the one with the shortest window, since it shows the onset best.
func choose(ls []leg, depth func(parser.Expr) float64) leg {
	var best *leg
	family := ""
	for i := range ls {
		l := &ls[i]
		switch {
		case best == nil, l.compared && !best.compared:
			best, family = l, windowWord.ReplaceAllString(l.expr.String(), "")
		case l.compared && windowWord.ReplaceAllString(l.expr.String(), "") == family && depth(l.expr) < depth(best.expr):
			best = l
		}
	}
	return *best
}
