package replay

import (
	"math"
	"slices"
	"time"

	"github.com/triaged-dev/triaged/correlate"
	"github.com/triaged-dev/triaged/triage"
)

// outcome is one case ranked.
type outcome struct {
	s      scenario
	report triage.Report
	rank   int     // of the best-ranked true change, 0 when it is not listed
	pTruth float64 // of the true hypothesis: the true changes together, or none
	pNone  float64 // 1 − Σ p(changes)
	took   time.Duration
}

// truth reports whether the case has a true change at all.
func (o outcome) truth() bool { return len(o.s.expect.Truth) > 0 }

// first is the first change of the ranking, nil when there is none.
func (o outcome) first() *triage.Suspect {
	for i := range o.report.Suspects {
		if o.report.Suspects[i].Change != nil {
			return &o.report.Suspects[i]
		}
	}
	return nil
}

// changes are the suspects that are changes, in order.
func (o outcome) changes() []triage.Suspect {
	return slices.DeleteFunc(slices.Clone(o.report.Suspects), func(s triage.Suspect) bool { return s.Change == nil })
}

// top is the probability of the likeliest hypothesis, none included, and whether it is right.
func (o outcome) top() (p float64, right bool) {
	f := o.first()
	if f == nil || o.pNone >= f.Probability {
		return o.pNone, !o.truth()
	}
	return f.Probability, slices.Contains(o.s.expect.Truth, f.Change.ID)
}

// rank runs the ranking on one case.
func rank(s scenario, w *correlate.Weights, cfg correlate.Config, delay time.Duration) outcome {
	c := s.in
	if delay > 0 {
		c.ReportAt = c.ReportTime().Add(delay)
	}
	in := correlate.InputOf(c)
	in.Weights, in.Config = w, cfg
	began := time.Now()
	o := outcome{s: s, report: correlate.Rank(in)}
	o.took = time.Since(began)
	o.pNone = 1
	n := 0
	for _, sp := range o.report.Suspects {
		if sp.Change == nil {
			continue
		}
		n++
		o.pNone -= sp.Probability
		if slices.Contains(s.expect.Truth, sp.Change.ID) {
			o.pTruth += sp.Probability
			if o.rank == 0 {
				o.rank = n
			}
		}
	}
	o.pNone = max(0, math.Round(o.pNone*1e6)/1e6)
	if !o.truth() {
		o.pTruth = o.pNone
	}
	return o
}

// interval is a share with its n and a 95 % interval.
type interval struct {
	Value float64    `json:"value"`
	Hits  int        `json:"hits"`
	N     int        `json:"n"`
	CI    [2]float64 `json:"ci95"`
}

// share is hits of n with Wilson's interval.
func share(hits, n int) interval {
	if n == 0 {
		return interval{CI: [2]float64{0, 1}}
	}
	low, high := triage.Wilson(hits, n)
	return interval{round9(float64(hits) / float64(n)), hits, n, [2]float64{round9(low), round9(high)}}
}

// topK counts cases with truth whose true change is among the first k.
func topK(os []outcome, k int) interval {
	hits, n := 0, 0
	for _, o := range os {
		if o.truth() {
			n++
			if o.rank > 0 && o.rank <= k {
				hits++
			}
		}
	}
	return share(hits, n)
}

func mrr(os []outcome) float64 {
	sum, n := 0.0, 0
	for _, o := range os {
		if o.truth() {
			n++
			if o.rank > 0 {
				sum += 1 / float64(o.rank)
			}
		}
	}
	return ratio(sum, float64(n))
}

// named is the share of cases whose first change has p ≥ .5; of all cases, and of those that have a cause.
func named(os []outcome) (all, withCause interval) {
	hits, hitsC, nC := 0, 0, 0
	for _, o := range os {
		f := o.first()
		yes := f != nil && f.Probability >= 0.5
		if yes {
			hits++
		}
		if o.truth() {
			nC++
			if yes {
				hitsC++
			}
		}
	}
	return share(hits, len(os)), share(hitsC, nC)
}

// falseBlame counts cases whose first change has p ≥ .5 and is wrong, or truth is empty.
func falseBlame(os []outcome) interval {
	hits := 0
	for _, o := range os {
		if f := o.first(); f != nil && f.Probability >= 0.5 && !slices.Contains(o.s.expect.Truth, f.Change.ID) {
			hits++
		}
	}
	return share(hits, len(os))
}

// falseBlamePool is falseBlame with weights.
func falseBlamePool(os []outcome, w []float64) float64 {
	sum := 0.0
	for i, o := range os {
		if f := o.first(); f != nil && f.Probability >= 0.5 && !slices.Contains(o.s.expect.Truth, f.Change.ID) {
			sum += w[i]
		}
	}
	return round9(sum)
}

// allows reports whether the label allows a reversal: it names one, or names no action and the truth is not unsafe.
func (o outcome) allows() bool {
	if len(o.s.expect.Action) > 0 {
		return slices.ContainsFunc(o.s.expect.Action, triage.Action.Reversal)
	}
	return slices.ContainsFunc(o.s.expect.Truth, func(id triage.ChangeID) bool { return !o.unsafe(id) })
}

func (o outcome) unsafe(id triage.ChangeID) bool {
	return slices.ContainsFunc(o.s.expect.Unsafe, func(u triage.Unsafe) bool { return u.ID == id })
}

// advice: advised counts reversals where the label allows one; wrong counts reversals of the wrong or an unsafe change
// among all reversals advised; refused counts refusals ("harmful", "will not help") where the label allows a reversal.
// Saying "cannot tell" is neither.
func advice(os []outcome) (advised, wrong, refused interval) {
	a, allowed, reversals, w, r := 0, 0, 0, 0, 0
	for _, o := range os {
		rec := o.report.Recommendation
		rev := rec.Action.Reversal() && rec.Target != nil
		if o.allows() {
			allowed++
			if rev {
				a++
			}
			if rec.Verdict == triage.VerdictHarmful || rec.Verdict == triage.VerdictWillNotHelp {
				r++
			}
		}
		if rev {
			reversals++
			if id := rec.Target.ChangeID; !slices.Contains(o.s.expect.Truth, id) || o.unsafe(id) {
				w++
			}
		}
	}
	return share(a, allowed), share(w, reversals), share(r, allowed)
}
