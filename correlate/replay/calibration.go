package replay

import (
	"cmp"
	"math"
	"slices"
)

// weighted pools outcomes so that cases without a cause have the share of none.
func weighted(os []outcome, noneShare float64) []float64 {
	with, without := 0, 0
	for _, o := range os {
		if o.truth() {
			with++
		} else {
			without++
		}
	}
	w := make([]float64, len(os))
	for i, o := range os {
		switch {
		case noneShare <= 0 || with == 0 || without == 0:
			w[i] = 1 / float64(len(os))
		case o.truth():
			w[i] = (1 - noneShare) / float64(with)
		default:
			w[i] = noneShare / float64(without)
		}
	}
	return w
}

const floorP = 1e-6 // probabilities are printed to this; a log-loss cannot be worse

func logLoss(os []outcome, w []float64) float64 {
	sum := 0.0
	for i, o := range os {
		sum -= w[i] * math.Log(max(o.pTruth, floorP))
	}
	return round9(sum)
}

// priorLoss is the log-loss of knowing only the prior: none .3, the rest evenly over the candidates.
func priorLoss(os []outcome, w []float64) float64 {
	sum := 0.0
	for i, o := range os {
		p := 0.3
		if o.truth() {
			p = floorP
			if o.rank > 0 {
				p = 0.7 / float64(len(o.changes()))
			}
		}
		sum -= w[i] * math.Log(p)
	}
	return round9(sum)
}

// brier is the multi-class score over all changes and none; several true changes are one class.
func brier(os []outcome, w []float64) float64 {
	sum := 0.0
	for i, o := range os {
		b := 0.0
		for _, s := range o.changes() {
			if !slices.Contains(o.s.expect.Truth, s.Change.ID) {
				b += s.Probability * s.Probability
			}
		}
		if o.truth() {
			b += o.pNone*o.pNone + (1-o.pTruth)*(1-o.pTruth)
		} else {
			b += (1 - o.pNone) * (1 - o.pNone)
		}
		sum += w[i] * b
	}
	return round9(sum)
}

// bin is one row of the reliability table.
type bin struct {
	N         int     `json:"n"`
	From      float64 `json:"from"`
	To        float64 `json:"to"`
	Predicted float64 `json:"predicted"`
	Observed  float64 `json:"observed"`
	weight    float64
}

// reliability sorts cases by the probability of their top hypothesis and cuts them into five bins of equal mass.
func reliability(os []outcome, w []float64) ([]bin, float64) {
	type point struct {
		p, y, w float64
		id      string
	}
	pts := make([]point, len(os))
	total := 0.0
	for i, o := range os {
		p, right := o.top()
		pts[i] = point{p, 0, w[i], o.s.in.ID}
		if right {
			pts[i].y = 1
		}
		total += w[i]
	}
	slices.SortFunc(pts, func(a, b point) int { return cmp.Or(cmp.Compare(a.p, b.p), cmp.Compare(a.id, b.id)) })
	const bins = 5
	out := make([]bin, bins)
	seen := 0.0
	for _, pt := range pts {
		i := min(bins-1, int((seen+pt.w/2)/total*bins))
		b := &out[i]
		if b.N == 0 {
			b.From = pt.p
		}
		b.To = pt.p
		b.N++
		b.weight += pt.w
		b.Predicted += pt.w * pt.p
		b.Observed += pt.w * pt.y
		seen += pt.w
	}
	ece := 0.0
	for i := range out {
		if out[i].weight > 0 {
			ece += math.Abs(out[i].Predicted - out[i].Observed)
			out[i].Predicted = round9(out[i].Predicted / out[i].weight)
			out[i].Observed = round9(out[i].Observed / out[i].weight)
		}
	}
	return slices.DeleteFunc(out, func(b bin) bool { return b.N == 0 }), ratio(ece, total)
}

// spiegelhalter is the z of calibration of the top hypothesis: beyond ±2 the probabilities are not what they claim.
func spiegelhalter(os []outcome, w []float64) float64 {
	num, den := 0.0, 0.0
	for i, o := range os {
		p, right := o.top()
		y := 0.0
		if right {
			y = 1
		}
		num += w[i] * (y - p) * (1 - 2*p)
		den += w[i] * w[i] * (1 - 2*p) * (1 - 2*p) * p * (1 - p)
	}
	if den <= 0 {
		return 0
	}
	return round9(num / math.Sqrt(den))
}

// auroc is how often a case without a cause has a higher p(none) than one with; ties count half. ok needs both kinds.
func auroc(os []outcome) (float64, bool) {
	var with, without []float64
	for _, o := range os {
		if o.truth() {
			with = append(with, o.pNone)
		} else {
			without = append(without, o.pNone)
		}
	}
	if len(with) == 0 || len(without) == 0 {
		return 0, false
	}
	sum := 0.0
	for _, a := range without {
		for _, b := range with {
			switch {
			case a > b:
				sum++
			case a == b:
				sum += 0.5
			}
		}
	}
	return round9(sum / float64(len(with)*len(without))), true
}

func ratio(a, b float64) float64 {
	if b == 0 {
		return 0
	}
	return round9(a / b)
}

// round9 takes off the last digits of a score, which differ between platforms.
func round9(x float64) float64 { return math.Round(x*1e9) / 1e9 }
