package correlate

// ownShift is what the candidate's own service did from the candidate's start on.
type ownShift struct {
	observed bool
	ratio    float64 // likelihood ratio of a shift that began with or after the candidate
	at       ms      // the likeliest time of the shift
	best     *prepared
	shift    shift // of best
	anomaly  *anomalyAt
	earlier  int // samples that had shifted alike before the candidate began
	learned  learned
}

// Lags, in minutes, at which a shift of the changed service itself is looked for, with their weights.
var ownLags = [...]struct{ minutes, weight float64 }{
	{0, .25}, {0.5, .2}, {1, .15}, {2, .12}, {4, .12}, {7, .08}, {12, .08},
}

// ownShiftOf weighs the changed service's series at the candidate's own steps, and at the onset where that came later.
// Times that no sample describes yet count as not observed, neither for nor against.
func (m *ranking) ownShiftOf(c *candidate) ownShift {
	s := m.services[c.ch.Service]
	out := ownShift{ratio: 1}
	if s == nil {
		return out
	}
	sum, total, top := 0.0, 0.0, -1.0
	add := func(t ms, weight float64) {
		l := 1.0
		if v, ok := m.logAt(s, t); ok {
			l, out.observed = exp(v), true
			if l > top {
				top, out.at = l, t
			}
		}
		sum += float64(weight * l)
		total += weight
	}
	for _, p := range c.act.parts {
		for _, lag := range ownLags {
			t := min(p.from+ms(lag.minutes*60000), max(0, m.onset.latest))
			add(t, float64(0.5*p.weight*lag.weight))
		}
	}
	for i, t := range m.onset.points {
		if t >= c.act.first {
			add(t, float64(0.5*m.onset.weights[i]))
		}
	}
	if !out.observed || total == 0 {
		return out
	}
	out.ratio = sum / total
	out.anomaly = s.anomalyNear(out.at)
	m.bestSeries(s, &out)
	out.earlier = shiftedBefore(out.best, c.act.first)
	return out
}

// bestSeries picks the series that shows the shift most clearly, for the sentence; where none does, the first of the
// signal that says most.
func (m *ranking) bestSeries(s *service, o *ownShift) {
	top := 0.5
	for _, group := range s.signals {
		for _, p := range group {
			k := p.firstAfter(o.at)
			if k >= len(p.bad) || !p.seenFrom(k) {
				continue
			}
			if v := p.logSplit(k, &m.w); v > top || o.best == nil {
				top, o.best = max(v, top), p
			}
		}
	}
	if o.best != nil {
		o.shift = o.best.shiftAt(o.best.firstAfter(o.at), &m.w)
	}
}

// shiftedBefore counts the samples straight before t that had left the range by at least half of what came after t.
func shiftedBefore(p *prepared, t ms) int {
	if p == nil {
		return 0
	}
	k := p.firstAfter(t)
	for k > 0 && p.end(k-1) > t {
		k--
	}
	if k < 8 {
		return 0
	}
	var buf [beforeMax]float64
	half := k / 2
	med, mad, n := medianMAD(p.bad[max(0, half-beforeMax):half], buf[:0])
	loc, spread := p.baseline(med, mad, n)
	after, _, na := medianMAD(p.bad[k:min(len(p.bad), k+afterMax)], make([]float64, 0, afterMax))
	if loc != loc || na == 0 {
		return 0
	}
	bar := max(float64(4*spread), float64(0.5*(after-loc)))
	count := 0
	for i := k - 1; i >= 0; i-- {
		if v := p.bad[i]; v == v {
			if v-loc < bar {
				break
			}
			count++
		}
	}
	return count
}
