package detect

import "time"

const (
	day          = 24 * time.Hour
	seasonBins   = 96      // a quarter of an hour each
	seasonAfter  = 2 * day // before that there is no yesterday
	seasonLearns = 0.25    // weight of a new day in the profile
	seasonMemory = 3 * day // of how well the profile explains
	seasonWorth  = 0.35    // share of the variance left, at most, for the series to have a season
	seasonSpan   = 12      // samples whose mean distance from the profile is looked at
)

// season is the profile of a series over the day. It has a say only while the series follows it: a peak that does not come is
// news then, though its values are those of every night.
type season struct {
	level       [seasonBins]float64
	days        [seasonBins]int // that made each level
	bin         int             // now
	sum         float64         // of the bin so far
	count       int
	first, last time.Time
	mean        float64
	left, all   float64 // mean squares of the distances from the profile and from the mean
	recent      [seasonSpan]float64
	compared    int
	tail        tail
}

// see gives the rarity of the mean distance of the latest samples from the profile.
func (s *season) see(at time.Time, v, floor float64) float64 {
	at = at.UTC()
	bin := (at.Hour()*60 + at.Minute()) * seasonBins / (24 * 60)
	if s.first.IsZero() {
		s.first, s.bin, s.mean = at, bin, v
	}
	weight := float64(at.Sub(s.last)) / float64(min(max(at.Sub(s.first), 1), seasonMemory))
	weight = min(max(weight, 0), 1)
	s.last = at
	if bin != s.bin {
		s.fold()
		s.bin = bin
	}
	s.sum, s.count = s.sum+v, s.count+1
	off := v - s.mean
	s.mean += float64(weight * off)
	s.all += float64(weight * (float64(off*off) - s.all))
	if at.Sub(s.first) < seasonAfter || s.days[bin] == 0 {
		return 0
	}
	d := v - s.level[bin]
	s.left += float64(weight * (float64(d*d) - s.left))
	s.recent[s.compared%seasonSpan] = d
	if s.compared++; s.compared < seasonSpan {
		return 0
	}
	mean := 0.0
	for _, x := range s.recent {
		mean += x / seasonSpan
	}
	follows := s.left <= float64(seasonWorth*s.all)
	rarity := either(s.tail.see(mean, floor))
	if !follows {
		return 0
	}
	return rarity
}

// fold takes the bin that is over into the profile.
func (s *season) fold() {
	if s.count == 0 {
		return
	}
	b := s.bin
	s.days[b]++
	s.level[b] += float64(max(seasonLearns, 1/float64(s.days[b])) * (s.sum/float64(s.count) - s.level[b]))
	s.sum, s.count = 0, 0
}
