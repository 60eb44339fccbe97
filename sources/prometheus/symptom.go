package prometheus

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"

	"github.com/triaged-dev/triaged/triage"
)

const (
	maxSymptomSeries = 20
	finestStep       = 15 * time.Second // unless the scrape interval is known to be finer
	leastRange       = 10 * time.Second // a rate over less is noise, however fine the scrapes
)

// Symptom finds the rule behind a and reads the alert's own raw series over [from, to]. It is as complete as it could be made
// also when the error is not nil: a rule without series, or series without the rule.
func (s *Source) Symptom(ctx context.Context, a triage.Alert, from, to time.Time) (triage.Symptom, error) {
	sym, err := s.symptom(inTurn(ctx, turnFirst), a, from, to)
	s.asked(err)
	return sym, err
}

func (s *Source) symptom(ctx context.Context, a triage.Alert, from, to time.Time) (triage.Symptom, error) {
	if now := s.now(); to.After(now) {
		to = now
	}
	fromURL := generatorExpr(a.GeneratorURL)
	rules, rulesErr := s.client.rules(ctx)
	found, ok := findRule(rules.Groups, a, cmp.Or(fromURL, a.Expr))
	sym := triage.Symptom{
		RuleFound: ok, Expr: cmp.Or(found.rule.Query, fromURL, a.Expr),
		ForS: cmp.Or(found.rule.Duration, a.ForS), EvalIntervalS: cmp.Or(found.interval.Seconds(), a.EvalIntervalS),
	}
	if found.active != nil {
		sym.ActiveAt = found.active.ActiveAt.UTC()
	}
	if rulesErr != nil {
		sym.Notes = append(sym.Notes, "the rules could not be read; pending time and evaluation interval are as the alert says, or unknown")
	} else if !ok {
		sym.Notes = append(sym.Notes, fmt.Sprintf("no rule named %q here", a.Name()))
	}
	if sym.Expr == "" {
		return sym, rulesErr
	}
	e, err := parseExpr(sym.Expr)
	if err != nil {
		sym.Notes = append(sym.Notes, "the rule's expression is not PromQL that can be read here")
		return sym, rulesErr
	}
	q := &symptomQuery{s: s, alert: a, found: found, ok: ok, rec: recordingsOf(rules.Groups), from: from, to: to}
	err = q.run(ctx, e, &sym)
	return sym, err
}

// symptomQuery is one attempt at the alert's own series.
type symptomQuery struct {
	s        *Source
	alert    triage.Alert
	found    foundRule
	ok       bool
	rec      recordings
	from, to time.Time
}

// candidate is one expression that may show the symptom.
type candidate struct {
	expr       string
	comparable bool // with the rule's threshold
}

func (q *symptomQuery) run(ctx context.Context, e parser.Expr, sym *triage.Symptom) error {
	sym.LongestRangeS = q.rec.depth(e).Seconds()
	stripped, err := copyExpr(e)
	if err != nil {
		return fmt.Errorf("read the rule's expression: %w", err)
	}
	leg := choose(legs(stripped), func(e parser.Expr) float64 { return q.rec.depth(e).Seconds() })
	sym.BadDirection = leg.bad

	scrape, note := q.s.scrapeInterval(ctx, q.s.client, leg.expr, q.alert.Labels[model.JobLabel], q.to)
	if note != "" {
		sym.Notes = append(sym.Notes, note)
	}
	sym.ScrapeIntervalS = scrape.Seconds()
	step := scrape
	if note != "" {
		step = max(scrape, finestStep)
	}
	g := newGrid(q.from, q.to, step)

	cands, signal := q.candidates(ctx, leg, scrape)
	var lastErr error
	for _, c := range cands {
		m, err := q.s.client.matrix(ctx, c.expr, g)
		if err != nil {
			lastErr = err
			if r := reasonFor(q.s.cfg.Name, err); r == ReasonRefused || r == ReasonTooLarge {
				continue // a simpler expression may do
			}
			return err
		}
		series := q.series(m, g, leg, signal)
		if len(series) == 0 {
			continue
		}
		sym.SeriesExpr = c.expr
		sym.Threshold = nil
		if c.comparable {
			sym.Threshold = leg.threshold
		}
		q.reference(ctx, c.expr, g, series)
		sym.Series = series
		return nil
	}
	if len(cands) > 0 {
		sym.SeriesExpr = cands[0].expr
		if cands[0].comparable {
			sym.Threshold = leg.threshold
		}
	}
	if lastErr == nil {
		sym.Notes = append(sym.Notes, "the alert's own series are empty over the time asked for")
	}
	return lastErr
}

// candidates are the expressions to try, the most telling first: raw and short; as the rule has it; and where the labels that
// single the alert out are a guess, the worst of all series.
func (q *symptomQuery) candidates(ctx context.Context, l leg, scrape time.Duration) ([]candidate, triage.Signal) {
	external := map[string]string{}
	if conf, err := q.s.serverConfig(ctx, q.s.client); err == nil {
		external = conf.Global.ExternalLabels
	}
	own, sure := ownLabels(q.alert, q.found, q.ok, external, mentionedLabels(l.expr))

	var out []candidate
	add := func(e parser.Expr, keepsUnit bool) {
		if l.absent {
			e = orZero(e)
		}
		if text := e.String(); len(text) <= maxExpr && !slices.ContainsFunc(out, func(c candidate) bool { return c.expr == text }) {
			out = append(out, candidate{text, keepsUnit})
		}
	}
	var signal triage.Signal
	if raw, err := copyExpr(l.expr); err == nil {
		w := &rewriter{
			rules: q.rec, short: max(4*scrape, leastRange),
			keep: l.bad == badLower && l.threshold != nil && *l.threshold <= 0,
		}
		raw = fillRatio(w.rewrite(raw, nil))
		signal = signalOf(l.expr, raw)
		q.injectAll(raw, own, l)
		add(raw, !w.off)
	}
	if plain, err := copyExpr(l.expr); err == nil {
		q.injectAll(plain, own, l)
		add(plain, true)
	}
	if worst := aggregateWorst(l.bad); !sure && worst != 0 {
		add(&parser.AggregateExpr{Op: worst, Expr: l.expr}, true)
	}
	return out, signal
}

func (q *symptomQuery) injectAll(e parser.Expr, own map[string]string, l leg) {
	if l.absent {
		return // what is absent has no labels to match
	}
	for _, k := range slices.Sorted(maps.Keys(own)) {
		inject(e, labels.MustNewMatcher(labels.MatchEqual, k, own[k]))
	}
}

func aggregateWorst(bad string) parser.ItemType {
	switch bad {
	case badHigher:
		return parser.MAX
	case badLower:
		return parser.MIN
	default:
		return 0
	}
}

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
			signalOf(num) != triage.SignalErrors || num.Without != den.Without || !slices.Equal(slices.Sorted(slices.Values(num.Grouping)), slices.Sorted(slices.Values(den.Grouping))) {
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

// series turns the answer into symptom series, at most maxSymptomSeries in order of their labels.
func (q *symptomQuery) series(m model.Matrix, g grid, l leg, signal triage.Signal) []triage.Series {
	better := map[string]triage.Better{badHigher: triage.BetterLower, badLower: triage.BetterHigher}[l.bad]
	metric := symptomName(l.expr)
	var out []triage.Series
	for _, st := range sortedMatrix(m) {
		v, ok := g.values(st)
		if !ok {
			continue
		}
		sr := g.series(v)
		sr.Metric, sr.Signal, sr.Better, sr.Role = metric, signal, better, triage.RoleSymptom
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

// reference adds what the same expression showed on the configured days before. Days that cannot be had are left out.
func (q *symptomQuery) reference(ctx context.Context, expr string, g grid, series []triage.Series) {
	past := q.s.pastDays(ctx, expr, g)
	for i := range series {
		var samples []float64
		for _, m := range past {
			for _, st := range m {
				if len(series) == 1 || maps.Equal(q.s.symptomLabels(q.alert.Labels, st.Metric), series[i].Labels) {
					for _, p := range st.Values {
						samples = append(samples, float64(p.Value))
					}
				}
			}
		}
		series[i].Reference = reference(samples)
	}
}
