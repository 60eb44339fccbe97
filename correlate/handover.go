package correlate

import (
	"maps"
	"math"
	"slices"

	"github.com/triaged-dev/triaged/triage"
)

// handover tells the samples in which requests were passing from the old to the new: what a rate then says of the old one are
// requests from before. Where nobody counts requests there are none.
func (s *service) handover(fresh, old []*prepared, label string) func(pair) bool {
	var mine [2]map[ms]float64
	for side, series := range [2][]*prepared{old, fresh} {
		mine[side] = make(map[ms]float64)
		for _, q := range s.signals[signalIndex(triage.SignalTraffic)] {
			if !slices.ContainsFunc(series, func(p *prepared) bool { return valueOf(p, label) != "" && valueOf(p, label) == valueOf(q, label) }) {
				continue
			}
			for i, v := range q.raw {
				if v == v {
					mine[side][q.from[i]] += v
				}
			}
		}
	}
	passing, last := make(map[ms]bool), math.NaN()
	for _, t := range slices.Sorted(maps.Keys(mine[0])) {
		share := mine[0][t] / (mine[0][t] + mine[1][t])
		passing[t] = share < handoverShare*last
		last = share
	}
	return func(q pair) bool { return passing[q.at] }
}

// handoverShare is to what part of its share of the requests the old must fall within one sample for a handover to be under way.
const handoverShare = 0.7
