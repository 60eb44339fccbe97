package replay

import (
	"math/rand/v2"
	"slices"
	"time"

	"github.com/triaged-dev/triaged/triage"
)

// summary is what replay prints. The first block of names is fixed by the documentation; the rest says how sure they are.
type summary struct {
	Cases         int                      `json:"cases"`
	Top1          float64                  `json:"top1"`
	Top3          float64                  `json:"top3"`
	MRR           float64                  `json:"mrr"`
	Named         float64                  `json:"named"`
	FalseBlame    float64                  `json:"false_blame"`
	Advised       float64                  `json:"advised"`
	WrongRollback float64                  `json:"wrong_rollback"`
	WrongRefusal  float64                  `json:"wrong_refusal"`
	Brier         float64                  `json:"brier"`
	LogLoss       float64                  `json:"log_loss"`
	ECE           float64                  `json:"ece"`
	NoneAUROC     *float64                 `json:"none_auroc,omitempty"` // twins included
	Baselines     map[string]baselineScore `json:"baselines"`
	Detail        map[string]interval      `json:"detail"`            // shares with n and 95 % intervals
	Confusion     []confusion              `json:"confusion"`         // advice against label, in cases
	Twins         *twinScore               `json:"twins,omitempty"`   // originals and twins pooled, none at 30 %
	Against       *bootstrap               `json:"against,omitempty"` // the best baseline
	Model         string                   `json:"model"`
	Results       []result                 `json:"results"`
	RankMS        *timing                  `json:"rank_ms,omitempty"`
}

// twinScore pools every case with its twin, reweighted so that three in ten have no cause.
type twinScore struct {
	Cases         int     `json:"cases"`
	ECE           float64 `json:"ece"`
	Spiegelhalter float64 `json:"spiegelhalter_z"`
	LogLoss       float64 `json:"log_loss"`
	PriorLogLoss  float64 `json:"log_loss_prior"`
	Brier         float64 `json:"brier"`
	NoneAUROC     float64 `json:"none_auroc"`
	FalseBlame    float64 `json:"false_blame"`
	Reliability   []bin   `json:"reliability"`
}

type result struct {
	ID             string           `json:"id"`
	Truth          []string         `json:"truth"`
	Ranked         []ranked         `json:"ranked"`
	None           float64          `json:"none"`
	Onset          triage.Onset     `json:"onset"`
	Recommendation resultAdvice     `json:"recommendation"`
	RankMS         *float64         `json:"rank_ms,omitempty"`
	Suspects       []triage.Suspect `json:"suspects,omitempty"` // with -v
}

type ranked struct {
	ID          string  `json:"id"`
	Probability float64 `json:"probability"`
}

type resultAdvice struct {
	Verdict triage.Verdict `json:"verdict"`
	Action  triage.Action  `json:"action"`
	Target  string         `json:"target"`
	Avoid   []triage.Avoid `json:"avoid"`
}

type timing struct {
	P50 float64 `json:"p50"`
	P99 float64 `json:"p99"`
	Max float64 `json:"max"`
}

// noneShare is the share of incidents without a change behind them to which the pool is reweighted.
const noneShare = 0.30

// summarise scores the outcomes; twins are the same cases with the truth taken away.
func summarise(os, twins []outcome, opts Options) summary {
	even := weighted(os, 0)
	all, withCause := named(os)
	adv, wrong, refused := advice(os)
	fb, t1, t3 := falseBlame(os), topK(os, 1), topK(os, 3)
	_, ece := reliability(os, even)
	s := summary{
		Cases: len(os), Top1: t1.Value, Top3: t3.Value, MRR: mrr(os), Named: all.Value, FalseBlame: fb.Value,
		Advised: adv.Value, WrongRollback: wrong.Value, WrongRefusal: refused.Value,
		Brier: brier(os, even), LogLoss: logLoss(os, even), ECE: ece,
		Baselines: make(map[string]baselineScore, len(baselines)),
		Detail: map[string]interval{
			"top1": t1, "top3": t3, "named": all, "named_with_cause": withCause, "false_blame": fb,
			"advised": adv, "wrong_rollback": wrong, "wrong_refusal": refused,
		},
	}
	s.Confusion = confuse(os)
	best := ""
	for _, b := range baselines {
		sc := b.over(os, opts.Delay)
		s.Baselines[b.name] = sc
		if best == "" || sc.Top1 > s.Baselines[best].Top1 {
			best = b.name
		}
	}
	pool := slices.Concat(os, twins)
	if a, ok := auroc(pool); ok {
		s.NoneAUROC = &a
		w := weighted(pool, noneShare)
		bins, ece := reliability(pool, w)
		s.Twins = &twinScore{
			Cases: len(pool), ECE: ece, Spiegelhalter: spiegelhalter(pool, w), LogLoss: logLoss(pool, w),
			PriorLogLoss: priorLoss(pool, w), Brier: brier(pool, w), NoneAUROC: a, FalseBlame: falseBlamePool(pool, w), Reliability: bins,
		}
	}
	if t1.N > 0 {
		s.Against = compare(os, best, s.Baselines[best], opts.Seed)
	}
	for _, o := range os {
		s.Results = append(s.Results, resultOf(o, opts))
		s.Model = o.report.ModelVersion
	}
	if opts.Timing {
		s.RankMS = timings(os)
	}
	return s
}

func resultOf(o outcome, opts Options) result {
	rec := o.report.Recommendation
	r := result{
		ID: o.s.in.ID, Truth: []string{}, Ranked: []ranked{}, None: o.pNone, Onset: o.report.Onset,
		Recommendation: resultAdvice{Verdict: rec.Verdict, Action: rec.Action, Avoid: append([]triage.Avoid{}, rec.Avoid...)},
	}
	if rec.Target != nil {
		r.Recommendation.Target = string(rec.Target.ChangeID)
	}
	for _, t := range o.s.expect.Truth {
		r.Truth = append(r.Truth, string(t))
	}
	for _, s := range o.changes() {
		r.Ranked = append(r.Ranked, ranked{string(s.Change.ID), s.Probability})
	}
	if opts.Timing {
		took := millis(o.took)
		r.RankMS = &took
	}
	if opts.Verbose {
		r.Suspects = o.report.Suspects
	}
	return r
}

func millis(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

func timings(os []outcome) *timing {
	ds := make([]time.Duration, len(os))
	for i, o := range os {
		ds[i] = o.took
	}
	slices.Sort(ds)
	at := func(q float64) float64 { return millis(ds[min(len(ds)-1, int(q*float64(len(ds))))]) }
	return &timing{P50: at(.5), P99: at(.99), Max: millis(ds[len(ds)-1])}
}

// bootstrap is a paired comparison of Top-1 by case.
type bootstrap struct {
	Baseline string     `json:"baseline"`
	Gain     float64    `json:"gain"` // difference of Top-1
	CI       [2]float64 `json:"ci95"`
	P        float64    `json:"p"` // share of resamples in which the baseline is as good or better
	Samples  int        `json:"samples"`
}

// resamples of the bootstrap.
const resamples = 10_000

func compare(os []outcome, name string, base baselineScore, seed uint64) *bootstrap {
	var d []int
	i := 0
	for _, o := range os {
		if !o.truth() {
			continue
		}
		x := 0
		if o.rank == 1 {
			x++
		}
		if base.hit1[i] {
			x--
		}
		d, i = append(d, x), i+1
	}
	gain, ci, p := resample(d, seed)
	return &bootstrap{Baseline: name, Gain: gain, CI: ci, P: p, Samples: resamples}
}

// resample draws cases with replacement, seeded, and returns the mean difference, its 95 % interval and the share ≤ 0.
func resample(d []int, seed uint64) (mean float64, ci [2]float64, p float64) {
	rng := rand.New(rand.NewPCG(seed, 0x747269616765))
	means := make([]float64, resamples)
	le := 0
	for r := range means {
		sum := 0
		for range d {
			sum += d[rng.IntN(len(d))]
		}
		means[r] = float64(sum) / float64(len(d))
		if sum <= 0 {
			le++
		}
	}
	slices.Sort(means)
	total := 0
	for _, x := range d {
		total += x
	}
	return round9(float64(total) / float64(len(d))), [2]float64{round9(means[resamples*25/1000]), round9(means[resamples*975/1000])}, float64(le) / resamples
}
