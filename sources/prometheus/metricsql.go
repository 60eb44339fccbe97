package prometheus

import (
	"context"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/triaged-dev/triaged/triage"
)

var (
	unknownFunction = regexp.MustCompile(`unknown function with name "([a-zA-Z0-9_]+)"`)
	metricWord      = regexp.MustCompile(`[a-zA-Z_:][a-zA-Z0-9_:]*`)
	lastComparison  = regexp.MustCompile(`^(==|!=|>=|<=|>|<)\s*(bool\s+)?(.+)$`)
)

// foreign does what can be done with an expression that is no PromQL: MetricsQL, as VictoriaMetrics has it. Its last comparison with a
// number is read by the eye, as it were, and the rest asked as it stands, of a server that understands it. What cannot be read is
// said in a sentence: a threshold that was guessed wrong is worse than none.
func (q *symptomQuery) foreign(ctx context.Context, cause error, sym *triage.Symptom) error {
	what := "the rule's expression is not PromQL"
	if m := unknownFunction.FindStringSubmatch(cause.Error()); m != nil {
		what = fmt.Sprintf("the rule's expression uses %s, which PromQL does not have", m[1])
	}
	expr, l, ok := splitComparison(sym.Expr)
	if !ok {
		sym.Notes = append(sym.Notes, what+": what it measures and its threshold are not read")
		return nil
	}
	sym.BadDirection, sym.Threshold = l.BadDirection, l.Threshold
	sym.Legs = []triage.SymptomLeg{l}
	own, _ := ownLabels(q.alert, q.found, q.ok, nil, metricWord.FindAllString(expr, -1))
	asked := expr
	for _, k := range slices.Sorted(maps.Keys(own)) {
		asked = fmt.Sprintf("label_match(%s, %q, %q)", asked, k, regexp.QuoteMeta(own[k]))
	}
	signal, name := signalOfText(expr)
	for _, x := range []string{asked, expr} {
		g := newGrid(q.from, q.to, finestStep)
		m, err := q.s.client.matrix(ctx, x, g)
		if err != nil {
			if r := reasonFor(q.s.cfg.Name, err); r == ReasonRefused || r == ReasonTooLarge {
				continue
			}
			return err
		}
		if sym.Series = q.series(m, g, seriesOf{name, l.BadDirection, signal, triage.UnitUnknown}); len(sym.Series) > 0 {
			sym.SeriesExpr = x
			sym.Notes = append(sym.Notes, what+": it was asked as it stands, windows and recording rules included")
			return nil
		}
	}
	sym.Notes = append(sym.Notes, what+": its threshold was read, its series were not")
	return nil
}

// splitComparison splits at the last comparison outside all brackets and quotes, where a number follows.
func splitComparison(expr string) (lhs string, l triage.SymptomLeg, ok bool) {
	depth, quote := 0, byte(0)
	at := -1
	for i := 0; i < len(expr); i++ {
		c := expr[i]
		switch {
		case quote != 0:
			switch c {
			case '\\':
				i++
			case quote:
				quote = 0
			}
		case c == '"' || c == '\'' || c == '`':
			quote = c
		case strings.IndexByte("([{", c) >= 0:
			depth++
		case strings.IndexByte(")]}", c) >= 0:
			depth--
		case depth == 0 && (c == '>' || c == '<' || (c == '=' || c == '!') && i+1 < len(expr) && expr[i+1] == '='):
			at = i
			i++ // >= and == are one
		}
	}
	if at < 0 {
		return "", l, false
	}
	m := lastComparison.FindStringSubmatch(expr[at:])
	if m == nil {
		return "", l, false
	}
	c, err := strconv.ParseFloat(strings.TrimSpace(m[3]), 64)
	if e, perr := parseExpr(m[3]); perr == nil {
		if v, isConst := constant(e); isConst {
			c, err = v, nil
		}
	}
	lhs = strings.TrimSpace(expr[:at])
	if err != nil || lhs == "" {
		return "", l, false
	}
	bad := map[string]string{">": badHigher, ">=": badHigher, "<": badLower, "<=": badLower}[m[1]]
	switch {
	case m[1] == "==" && c > 0, m[1] == "!=" && c == 0:
		bad = badHigher
	case m[1] == "==", m[1] == "!=":
		bad = badLower
	}
	return lhs, triage.SymptomLeg{Expr: lhs, Threshold: &c, BadDirection: bad}, true
}

// signalOfText guesses from the words of an expression nobody parsed: its first metric is the one that is followed by a selector.
func signalOfText(expr string) (triage.Signal, string) {
	for _, at := range metricWord.FindAllStringIndex(expr, -1) {
		if at[1] >= len(expr) || expr[at[1]] != '{' && expr[at[1]] != '[' {
			continue
		}
		name, selector := expr[at[0]:at[1]], expr[at[0]:at[1]]
		if expr[at[1]] == '{' {
			if end := strings.IndexByte(expr[at[1]:], '}'); end > 0 {
				selector = expr[at[0] : at[1]+end+1]
			}
		}
		for _, x := range []string{selector, name} { // a template of WITH is no matcher
			if e, err := parseExpr(x); err == nil {
				return signalOf(e), name
			}
		}
	}
	return triage.SignalCustom, "expression"
}
