package verify

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/triaged-dev/triaged/triage"
	"github.com/triaged-dev/triaged/triage/say"
)

// level is where a group of series stands now.
type level struct {
	back    bool          // every series that had shifted is back, on every sample of the last stretch
	level   float64       // of the worst series, now: 0 as before, 1 as bad as it got
	turned  time.Time     // when the last series had come half way back for good; zero: not yet
	heldFor time.Duration // how long all have been back without a break
	step    time.Duration
	now     float64 // of the worst series, in its own unit
	before  float64
	known   bool   // now and before are shares, fit to be printed
	down    string // why it cannot be back, whatever the series say: "checkout is down: up is 0 since 03:02:10"
}

func (l level) words(service string) string {
	if l.down != "" {
		return l.down
	}
	s := cmp.Or(service, "it") + " still fails"
	if l.known {
		s = fmt.Sprintf("%s still at %s, usual %s", cmp.Or(service, "it"), say.Quantity(l.now, triage.UnitRatio), say.Quantity(l.before, triage.UnitRatio))
	}
	switch {
	case l.level < backBelow:
		return cmp.Or(service, "it") + " is back, for now"
	case l.level < sameFrom:
		return s + ", better than it was"
	}
	return s
}

// view is the stretch of time in which series are looked at, and which side of them is bad.
type view struct {
	onset     triage.Interval
	undo, now time.Time
	hold      time.Duration
	direction string   // as the alert's rule has it; "" where each series says it itself
	threshold *float64 // of the alert
}

// up reports whether higher is worse.
func (v view) up(s triage.Series) bool {
	if v.direction != "" {
		return v.direction != "lower"
	}
	if s.Better == "" {
		s.Better = triage.BetterOf(s.Metric)
	}
	return s.Better != triage.BetterHigher
}

// gauge places the series between before the onset and the time from onset to the undo. Only those that had shifted in the
// bad direction count; ok is false when none had, or none has a sample in the last stretch.
func gauge(series []triage.Series, v view) (level, bool) {
	var out level
	found := false
	for _, s := range series {
		l, ok := gaugeOne(s, v)
		if !ok {
			continue
		}
		if !found {
			out, found = l, true
			continue
		}
		held, turned, back := min(out.heldFor, l.heldFor), latest(out.turned, l.turned), out.back && l.back
		if out.turned.IsZero() || l.turned.IsZero() {
			turned = time.Time{}
		}
		if l.level > out.level {
			out = l
		}
		out.heldFor, out.turned, out.back, out.step = held, turned, back, max(out.step, l.step)
	}
	return out, found
}

func gaugeOne(s triage.Series, v view) (level, bool) {
	before := median(between(s, v.onset.Earliest.Add(-time.Hour), v.onset.Earliest))
	bad := median(between(s, v.onset.Latest, v.undo.Add(s.Step())))
	up := v.up(s)
	ended := v.ended(s)
	if !ended.IsZero() && before.v > 0 {
		up, bad = false, middle{n: 1} // what is gone has shifted totally: it is 0 now, and higher is better
	}
	shift := bad.v - before.v
	if !up {
		shift = -shift
	}
	if before.n < 2 || bad.n < 1 || shift <= max(leastShift, 4*before.spread, 0.02*abs(before.v)) {
		return level{}, false
	}
	where := func(x float64) float64 {
		at := (x - before.v) / (bad.v - before.v)
		if t := v.threshold; t != nil && (up && x > *t || !up && x < *t) {
			at = max(at, backBelow) // past the alert's own threshold is not back
		}
		return at
	}
	out := level{step: s.Step(), before: before.v, known: bad.v <= 1 && bad.v >= 0 && before.v >= 0 && before.v <= 1}
	var lastBad, lastHigh, newest time.Time
	for i, x := range s.Values {
		_, end := s.Covers(i)
		if !end.After(v.onset.Latest) || end.After(v.now) {
			continue
		}
		if x != x {
			if ended.IsZero() || !end.After(ended) {
				continue
			}
			x = 0
		}
		at := where(x)
		if at >= backBelow {
			lastBad = end
		}
		if at >= turnBelow {
			lastHigh = end
		}
		out.level, out.now, newest = at, x, end
	}
	if newest.IsZero() || !newest.After(v.now.Add(-max(v.hold, 3*s.Step()))) {
		return level{}, false
	}
	out.back = out.level < backBelow
	if out.level < turnBelow {
		out.turned = latest(lastHigh, v.onset.Latest).Add(s.Step())
	}
	if out.back {
		out.heldFor = newest.Sub(latest(lastBad, v.onset.Latest))
	}
	return out, true
}

// ended is when a series that says of a service that it is there stopped, between the onset and the undo; zero where it went
// on, or where its end says nothing: without requests there is no share of errors and no latency.
func (v view) ended(s triage.Series) time.Time {
	if !presents(s) {
		return time.Time{}
	}
	at := endOf(s, v.undo.Add(s.Step()))
	if at.IsZero() || at.Before(v.onset.Earliest.Add(-time.Minute-2*s.Step())) {
		return time.Time{}
	}
	return at
}

// presents reports whether a series says that a service is there as long as it has samples: its traffic, what its processes
// use, and whether they are up. A series of one version, pod or instance ends with every rollout and says nothing.
func presents(s triage.Series) bool {
	for _, l := range [...]string{"version", "pod", "instance", "replicaset"} {
		if s.Labels[l] != "" {
			return false
		}
	}
	return s.Signal == triage.SignalTraffic || s.Signal == triage.SignalSaturation || s.Better == triage.BetterHigher || triage.BetterOf(s.Metric) == triage.BetterHigher
}

// A series that misses this much has ended; one that misses this share anyway is no witness.
const (
	endedAfter  = 45 * time.Second
	usualGaps   = 0.1
	leastBefore = 10 // samples, or there is no "anyway"
)

// endOf is the end of the last sample of a series before t, where it has none since and had them without fail before; zero
// where it goes on.
func endOf(s triage.Series, t time.Time) time.Time {
	var last time.Time
	seen, gaps, open := 0, 0, 0
	for i, x := range s.Values {
		_, end := s.Covers(i)
		if end.After(t) {
			break
		}
		if x != x {
			open++
			continue
		}
		if seen > 0 {
			gaps += open
		}
		seen, open, last = seen+1, 0, end
	}
	if seen < leastBefore || float64(gaps) > usualGaps*float64(seen) || t.Sub(last) < max(3*s.Step(), endedAfter) {
		return time.Time{}
	}
	return last
}

// point is one sample, at the end of what it covers.
type point struct {
	at time.Time
	v  float64
}

// between are the samples in (from, to].
func between(s triage.Series, from, to time.Time) []point {
	var out []point
	for i, v := range s.Values {
		if _, end := s.Covers(i); v == v && end.After(from) && !end.After(to) { // v != v: a gap
			out = append(out, point{end, v})
		}
	}
	return out
}

type middle struct {
	v, spread float64 // median, and the median distance from it
	n         int
}

func median(ps []point) middle {
	if len(ps) == 0 {
		return middle{}
	}
	vs := make([]float64, len(ps))
	for i, p := range ps {
		vs[i] = p.v
	}
	out := middle{v: middleOf(vs), n: len(vs)}
	for i, v := range vs {
		vs[i] = abs(v - out.v)
	}
	out.spread = middleOf(vs)
	return out
}

// middleOf sorts vs and returns its median.
func middleOf(vs []float64) float64 {
	slices.Sort(vs)
	n := len(vs)
	return (vs[(n-1)/2] + vs[n/2]) / 2
}

// trafficShare is the traffic since the turn as a share of that before the onset.
func trafficShare(series []triage.Series, onset triage.Interval, turned, now time.Time) (float64, bool) {
	before, after, n := 0.0, 0.0, 0
	for _, s := range series {
		b, a := median(between(s, onset.Earliest.Add(-time.Hour), onset.Earliest)), median(between(s, turned, now))
		if b.n < 2 || a.n < 1 {
			continue
		}
		before, after, n = before+b.v, after+a.v, n+1
	}
	if n == 0 || before <= 0 {
		return 0, false
	}
	return after / before, true
}

func abs(v float64) float64 { return max(v, -v) }

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
