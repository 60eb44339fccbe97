package collector

import (
	"slices"
	"time"
)

const (
	heardTimes  = 64          // kept per source to learn its usual gap: 1.5 KiB
	heardEnough = 10          // times below which nothing is said of the usual gap
	oneBurst    = time.Minute // events closer than this are one occasion: the four statuses of a deploy say nothing of the gap between deploys
)

// heard is what was heard of one source: when its events occurred, the last ones only.
type heard struct {
	events      uint64
	quarantined uint64
	times       []time.Time // sorted; when an occasion began
	last        time.Time   // latest event
}

// event notes one event. Its own time counts and not its arrival: so a source that catches up at start is known at once.
func (h *heard) event(at, now time.Time) {
	h.events++
	if at.IsZero() || at.After(now) {
		at = now
	}
	if at.After(h.last) {
		h.last = at
	}
	i, _ := slices.BinarySearchFunc(h.times, at, time.Time.Compare)
	if (i > 0 && at.Sub(h.times[i-1]) < oneBurst) || (i < len(h.times) && h.times[i].Sub(at) < oneBurst) {
		return
	}
	h.times = slices.Insert(h.times, i, at)
	if len(h.times) > heardTimes {
		h.times = slices.Delete(h.times, 0, 1)
	}
}

// usualGap is the median time between occasions, 0 where fewer than heardEnough were seen.
func (h *heard) usualGap() time.Duration {
	if len(h.times) < heardEnough {
		return 0
	}
	gaps := make([]time.Duration, 0, len(h.times)-1)
	for i := 1; i < len(h.times); i++ {
		gaps = append(gaps, h.times[i].Sub(h.times[i-1]))
	}
	slices.Sort(gaps)
	return gaps[len(gaps)/2]
}

// lastBefore is the latest event known to have occurred by then.
func (h *heard) lastBefore(to time.Time) time.Time {
	if !h.last.After(to) {
		return h.last
	}
	i, exact := slices.BinarySearchFunc(h.times, to, time.Time.Compare)
	if exact {
		return to
	}
	if i == 0 {
		return time.Time{}
	}
	return h.times[i-1]
}
