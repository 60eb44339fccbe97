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
	q := &symptomQuery{s: s, alert: a, found: found, ok: ok, rec: recordingsOf(rules.Groups), from: from, to: to}
	e, err := parseExpr(sym.Expr)
	if err != nil {
		err = q.foreign(ctx, err, &sym)
	} else {
		err = q.run(ctx, e, &sym)
	}
	return sym, cmp.Or(err, rulesErr)
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
	all := eachLeg(stripped, func(e parser.Expr) float64 { return q.rec.depth(e).Seconds() })
	for _, l := range all {
		sym.Legs = append(sym.Legs, triage.SymptomLeg{Expr: l.expr.String(), Threshold: l.threshold, BadDirection: l.bad})
	}
	scrape, note := q.s.scrapeInterval(ctx, q.s.client, all[0].expr, q.alert.Labels[model.JobLabel], q.to)
	if note != "" {
		sym.Notes = append(sym.Notes, note)
	}
	sym.ScrapeIntervalS = scrape.Seconds()
	step := scrape
	if note != "" {
		step = max(scrape, finestStep)
	}
	g := newGrid(q.from, q.to, step)

	// Of several sides of an "or" the one that fires is the symptom; where none is seen to, the first that has series.
	var best *triage.Symptom
	var lastErr error
	for _, l := range all {
		leg := *sym
		leg.BadDirection = l.bad
		err := q.read(ctx, l, readAs{g, scrape}, &leg)
		if best == nil || len(best.Series) == 0 && len(leg.Series) > 0 {
			best = &leg
		}
		if err != nil {
			lastErr = err
			if r := reasonFor(q.s.cfg.Name, err); r != ReasonRefused && r != ReasonTooLarge {
				break // the server does not answer
			}
		}
		if len(leg.Series) > 0 && (len(all) == 1 || fires(leg)) {
			best = &leg
			break
		}
	}
	if best != nil {
		*sym = *best
	}
	if len(sym.Series) > 0 {
		q.reference(ctx, sym.SeriesExpr, g, sym.Series)
		return nil
	}
	if lastErr == nil {
		sym.Notes = append(sym.Notes, "the alert's own series are empty over the time asked for")
	}
	return lastErr
}

// fires reports whether a series of the leg ends beyond its threshold.
func fires(sym triage.Symptom) bool {
	if sym.Threshold == nil || sym.BadDirection == "" {
		return false
	}
	const latest = 4 // samples: the last ones may be missing, or better again
	for _, sr := range sym.Series {
		for _, v := range sr.Values[max(0, len(sr.Values)-latest):] {
			if sym.BadDirection == badHigher && v >= *sym.Threshold && v != 0 || sym.BadDirection == badLower && v <= *sym.Threshold {
				return true
			}
		}
	}
	return false
}

// readAs is how the series of a leg are asked for.
type readAs struct {
	grid   grid
	scrape time.Duration
}

// read asks for the series of one leg.
func (q *symptomQuery) read(ctx context.Context, l leg, as readAs, sym *triage.Symptom) error {
	cands, signal := q.candidates(ctx, l, as.scrape)
	var lastErr error
	for _, c := range cands {
		m, err := q.s.client.matrix(ctx, c.expr, as.grid)
		if err != nil {
			lastErr = err
			if r := reasonFor(q.s.cfg.Name, err); r == ReasonRefused || r == ReasonTooLarge {
				continue // a simpler expression may do
			}
			return err
		}
		series := q.series(m, as.grid, seriesOf{symptomName(l.expr), l.bad, signal, unitOfText(c.expr)})
		if len(series) == 0 {
			continue
		}
		sym.SeriesExpr, sym.Threshold, sym.Series = c.expr, nil, series
		if c.comparable {
			sym.Threshold = l.threshold
		}
		return nil
	}
	if len(cands) > 0 {
		sym.SeriesExpr = cands[0].expr
		if cands[0].comparable {
			sym.Threshold = l.threshold
		}
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
