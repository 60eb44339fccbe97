package backfill

import (
	"math"
	"slices"
)

// simulate counts requests by minute: by day and night, with noise, with what bad versions, the script and failing callees do.
func (w *World) simulate() {
	for _, s := range w.services {
		s.total, s.failed, s.slowly = make([]float64, steps), make([]float64, steps), make([]float64, steps)
		for i := range steps {
			hour := float64(w.at(i).Hour()) + float64(w.at(i).Minute())/60
			day := .55 + .45*math.Sin((hour-8)/24*2*math.Pi)
			n := s.rate * 60 * day * s.surge[i] * (1 + .04*w.rng.NormFloat64())
			s.total[i] = math.Round(max(n, 1))
		}
	}
	for _, s := range w.services {
		for i := range steps {
			fail, slow := .0015, .02
			for _, share := range s.pods(i) {
				fail += share.weight * share.set.fail
				slow += share.weight * share.set.slow
			}
			fail += s.fail[i]
			slow += s.slow[i]
			for _, callee := range s.calls { // part of what fails below fails here, too
				c := w.byName[callee]
				fail += .04 * c.fail[i]
				for _, share := range c.pods(i) {
					fail += .04 * share.weight * share.set.fail
				}
			}
			s.failed[i] = w.binomial(s.total[i], fail)
			s.slowly[i] = w.binomial(s.total[i], slow)
		}
	}
}

// binomial is about the number of hits among n, by the normal approximation, never out of range.
func (w *World) binomial(n, p float64) float64 {
	p = min(max(p, 0), 1)
	return min(n, max(0, math.Round(n*p+math.Sqrt(n*p*(1-p))*w.rng.NormFloat64())))
}

// podShare is a pod's part of the service's traffic.
type podShare struct {
	name   string
	set    replicaSet
	weight float64
	from   int // minute it became ready
}

// pods are those that serve in the minute; the slice is shared between minutes.
func (s *service) pods(minute int) []podShare {
	if s.serving == nil {
		s.serving = make([][]podShare, steps)
		for i := range steps {
			if i > 0 && !s.moves(i) {
				s.serving[i] = s.serving[i-1]
				continue
			}
			s.serving[i] = s.podsAt(i)
		}
	}
	return s.serving[minute]
}

// moves reports whether a pod comes or goes in the minute.
func (s *service) moves(minute int) bool {
	return slices.ContainsFunc(s.phases, func(p phase) bool { return p.at+1 == minute || p.at+3 == minute })
}

// podsAt are two, replaced one and three minutes after a rollout begins.
func (s *service) podsAt(minute int) []podShare {
	now := 0
	for i, p := range s.phases {
		if p.at+1 <= minute {
			now = i
		}
	}
	p := s.phases[now]
	first := podShare{s.podName(now, 0), s.sets[p.set], .5, p.at + 1}
	second := podShare{s.podName(now, 1), s.sets[p.set], .5, p.at + 3}
	if now > 0 && minute < p.at+3 {
		before := s.phases[now-1]
		second = podShare{s.podName(now-1, 1), s.sets[before.set], .5, before.at + 3}
	}
	return []podShare{first, second}
}

// podName is made from the phase, so that a pod of a rollback is not the pod of the rollout.
func (s *service) podName(phase, n int) string {
	const l = len(hashLetters)
	i := phase*2 + n
	tail := []byte{hashLetters[i%l], hashLetters[(i/l)%l], hashLetters[(i*7+3)%l], hashLetters[(i*5+1)%l], hashLetters[(i*3+len(s.name))%l]}
	return s.sets[s.phases[phase].set].name + "-" + string(tail)
}

// replicas is how many the Deployment's spec asks for; four make no difference to the traffic here.
func (s *service) replicas(minute int) float64 {
	n := 2
	if len(s.sizes) > 0 {
		n = 4
	}
	for _, r := range s.sizes {
		if r.at <= minute {
			n = r.replicas
		}
	}
	return float64(n)
}
