package replay

import (
	"cmp"
	"math"
	"slices"
	"time"

	"github.com/triaged-dev/triaged/correlate"
	"github.com/triaged-dev/triaged/triage"
)

// A baseline is a simple ranking to beat. It sees what the ranker sees; higher scores come first, ties go by id.
type baseline struct {
	name  string
	score func(in correlate.Input, c triage.Change) float64
}

var baselines = [...]baseline{
	{"most_recent", func(in correlate.Input, c triage.Change) float64 { return -age(in, c) }},
	{"most_recent_on_service", func(in correlate.Input, c triage.Change) float64 {
		if c.Service == symptomOf(in) {
			return -age(in, c)
		}
		return -1e12 - age(in, c)
	}},
	{"recency_over_hops", func(in correlate.Input, c triage.Change) float64 {
		hops := 9
		if h, ok := in.Topology.Downstream(symptomOf(in), 4)[c.Service]; ok {
			hops = h
		}
		return 1 / ((1 + age(in, c)/60) * float64(1+hops))
	}},
	{"largest_shift", func(in correlate.Input, c triage.Change) float64 { return shiftOf(in, c) - age(in, c)/1e6 }},
	{"largest_shift_after_change", func(in correlate.Input, c triage.Change) float64 {
		return shiftOf(in, c) - age(in, c)/300
	}},
}

// score of a baseline over cases with truth.
type baselineScore struct {
	Top1 float64 `json:"top1"`
	Top3 float64 `json:"top3"`
	MRR  float64 `json:"mrr"`
	n    int
	hit1 []bool // by case with truth, in order
}

func (b baseline) over(os []outcome, delay time.Duration) baselineScore {
	var s baselineScore
	for _, o := range os {
		if !o.truth() {
			continue
		}
		c := o.s.in
		if delay > 0 {
			c.ReportAt = c.ReportTime().Add(delay)
		}
		in := correlate.InputOf(c)
		type entry struct {
			id    triage.ChangeID
			score float64
		}
		es := make([]entry, len(in.Changes))
		for i, ch := range in.Changes {
			es[i] = entry{ch.ID, b.score(in, ch)}
		}
		slices.SortFunc(es, func(a, b entry) int { return cmp.Or(cmp.Compare(b.score, a.score), cmp.Compare(a.id, b.id)) })
		rank := 0
		for i, e := range es {
			if slices.Contains(o.s.expect.Truth, e.id) {
				rank = i + 1
				break
			}
		}
		s.n++
		s.hit1 = append(s.hit1, rank == 1)
		if rank == 1 {
			s.Top1++
		}
		if rank > 0 && rank <= 3 {
			s.Top3++
		}
		if rank > 0 {
			s.MRR += 1 / float64(rank)
		}
	}
	n := float64(s.n)
	s.Top1, s.Top3, s.MRR = ratio(s.Top1, n), ratio(s.Top3, n), ratio(s.MRR, n)
	return s
}

// age is how long before the report the change occurred, in seconds.
func age(in correlate.Input, c triage.Change) float64 { return in.At.Sub(c.OccurredAt()).Seconds() }

func symptomOf(in correlate.Input) string {
	if in.Scope.Service != "" || len(in.Alerts) == 0 {
		return in.Scope.Service
	}
	return in.Alerts[0].Labels["service"]
}

// shiftOf is the largest robust shift, in the bad direction, of any series of the changed service: the last three samples
// against all before the change.
func shiftOf(in correlate.Input, c triage.Change) float64 {
	top := 0.0
	for _, s := range in.Series {
		if s.Labels["service"] != c.Service || c.Service == "" {
			continue
		}
		cut := s.Until(in.At)
		var before, after []float64
		for i, v := range cut.Values {
			if math.IsNaN(v) {
				continue
			}
			if _, to := cut.Covers(i); to.After(c.OccurredAt()) {
				after = append(after, v)
			} else {
				before = append(before, v)
			}
		}
		if len(before) < 3 || len(after) == 0 {
			continue
		}
		slices.Sort(before)
		slices.Sort(after)
		med := before[len(before)/2]
		dev := make([]float64, len(before))
		for i, v := range before {
			dev[i] = math.Abs(v - med)
		}
		slices.Sort(dev)
		z := (after[len(after)/2] - med) / max(dev[len(dev)/2]*1.4826, 0.01*math.Abs(med), 1e-12)
		switch s.Better {
		case triage.BetterHigher:
			z = -z
		case "":
			z = math.Abs(z)
		case triage.BetterLower:
		}
		top = max(top, z)
	}
	return top
}
