package prometheus

import (
	"regexp"
	"slices"

	"github.com/prometheus/prometheus/promql/parser"

	"github.com/triaged-dev/triaged/triage"
)

var windowWord = regexp.MustCompile(`\d+(ms|[smhdwy])`)

// family is what an expression is without its windows: the burn rates over 5 m and over 1 h are of one.
func family(e parser.Expr) string { return windowWord.ReplaceAllString(e.String(), "") }

// choose picks the leg to look at of those that must all hold: the first comparison that is no mere guard; where others are the
// same thing over other windows (burn rates), the one with the shortest window, since it shows the onset best; where another
// bounds it from the other side, the side it comes from.
func choose(ls []leg, depth func(parser.Expr) float64) leg {
	best, least := 0, 100
	for i, l := range ls {
		if g := l.guard(); g < least {
			best, least = i, g
		}
	}
	of := family(ls[best].expr)
	out := ls[best]
	for i, l := range ls {
		switch {
		case i == best || !l.compared || family(l.expr) != of:
		case l.bad == out.bad && depth(l.expr) < depth(out.expr):
			out = l
		case l.bad != out.bad && l.expr.String() == out.expr.String():
			out = within(out, l)
		}
	}
	return out
}

// guard is how likely a leg only keeps the alert quiet where it would be meaningless (little traffic, an hour of the day), from 0.
func (l leg) guard() int {
	switch {
	case !l.compared:
		return 9
	case len(selectors(l.expr)) == 0:
		return 8
	case l.apart:
		return 0
	case l.bad == badHigher && l.threshold != nil && *l.threshold == 0 && signalOf(l.expr) != triage.SignalErrors:
		return 4
	case signalOf(l.expr) == triage.SignalTraffic && l.bad == badHigher:
		return 3
	case calls(l.expr, "predict_linear", "deriv", "delta", "changes", "resets"):
		return 2
	case l.threshold != nil && *l.threshold == 1 && l.bad == badHigher && !l.ratio():
		return 1
	}
	return 0
}

// ratio reports whether something is divided.
func (l leg) ratio() bool {
	found := false
	parser.Inspect(l.expr, func(n parser.Node, _ []parser.Node) error {
		b, ok := n.(*parser.BinaryExpr)
		found = found || ok && b.Op == parser.DIV
		return nil
	})
	return found
}

func calls(e parser.Expr, names ...string) bool {
	found := false
	parser.Inspect(e, func(n parser.Node, _ []parser.Node) error {
		c, ok := n.(*parser.Call)
		found = found || ok && slices.Contains(names, c.Func.Name)
		return nil
	})
	return found
}

// eachLeg is the leg to look at of every alternative, without those that say the same thing again over other windows.
func eachLeg(e parser.Expr, depth func(parser.Expr) float64) []leg {
	var out []leg
	alts := disjuncts(e)
	compared := slices.ContainsFunc(alts, func(ls []leg) bool { return slices.ContainsFunc(ls, func(l leg) bool { return l.compared }) })
	for _, ls := range alts {
		l := choose(ls, depth)
		if compared && (!l.compared || len(alts) > 1 && len(selectors(l.expr)) == 0) {
			continue // x > 5 or vector(0): what is never compared, or a constant, is there for the empty result
		}
		same := slices.IndexFunc(out, func(o leg) bool { return o.bad == l.bad && family(o.expr) == family(l.expr) })
		switch {
		case same < 0:
			out = append(out, l)
		case depth(l.expr) < depth(out[same].expr):
			out[same] = l
		}
	}
	if len(out) == 0 { // constants on every side
		out = append(out, choose(alts[0], depth))
	}
	return out
}
