package prometheus

import (
	"strings"

	"github.com/prometheus/prometheus/promql/parser"
)

// symptomName is what the alert's own series are called: their first metric. A share of requests by duration, as latency
// objectives have it, is called one: named after its histogram, it would be read as a time.
//
// Good ones over all are called a share too, so that 99 % of them is not read as so many requests.
//
// Worked example: 1 - rate(x_seconds_bucket{le="0.5"}[5m]) / rate(x_seconds_count[5m]) is "share of requests by x".
func symptomName(e parser.Expr) string {
	sel := selectors(e)
	if len(sel) == 0 || sel[0].Name == "" {
		return "expression"
	}
	if name := sel[0].Name; !isDurationShare(e) {
		if b, ok := unparen(e).(*parser.BinaryExpr); ok && b.Op == parser.DIV && isGoodShare(b) {
			return "share of good " + strings.TrimSuffix(name, "_total")
		}
		return name
	}
	base := sel[0].Name
	for _, suffix := range []string{"_bucket", "_count", "_seconds", "_milliseconds", "_duration"} {
		base = strings.TrimSuffix(base, suffix)
	}
	return "share of requests by " + base
}

// isDurationShare recognises counts of a histogram divided by each other, with numbers added or multiplied.
func isDurationShare(e parser.Expr) bool {
	switch e := unparen(e).(type) {
	case *parser.AggregateExpr:
		return isDurationShare(e.Expr)
	case *parser.BinaryExpr:
		if _, ok := constant(e.LHS); ok {
			return isDurationShare(e.RHS)
		}
		if _, ok := constant(e.RHS); ok {
			return isDurationShare(e.LHS)
		}
		if e.Op == parser.SUB || e.Op == parser.LOR {
			return isDurationShare(e.LHS)
		}
		return e.Op == parser.DIV && counts(e.LHS) && counts(e.RHS)
	}
	return false
}

func counts(e parser.Expr) bool {
	sel := selectors(e)
	for _, v := range sel {
		if !strings.HasSuffix(v.Name, "_bucket") && !strings.HasSuffix(v.Name, "_count") {
			return false
		}
	}
	return len(sel) > 0
}
