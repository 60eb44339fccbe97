package alerting

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/common/model"

	"github.com/triaged-dev/triaged/triage"
)

// VerifyInput is what the effect of an undo is judged by. Nothing else is read, the clock included.
type VerifyInput struct {
	Undid   triage.Change   // the suspect that was taken back
	Undo    triage.Change   // the change that took it back
	Others  []triage.Change // further undos, and changes that were moving between onset and Now: any of them may have done it
	Service string          // whose symptom it is
	Signal  triage.Signal   // of the symptom; shares are printed for errors only
	Onset   triage.Interval
	Now     time.Time
	Firing  int // alerts that still fire

	Symptom triage.Symptom  // the alert's own series, from well before the onset until Now
	Own     []triage.Series // errors and latency of the changed service
	Traffic []triage.Series // of the symptom's service

	Limits   VerifyConfig
	Restores int // how many of the team's own restores stand behind Limits.GiveUp; 0: the default
}

// Where a sample stands between how it was (0) and how bad it got (1).
const (
	backBelow  = 0.25 // so low counts as back
	turnBelow  = 0.5  // the way back is half done: the turn
	sameFrom   = 0.75 // so high counts as if nothing had been done
	leastShift = 1e-9 // a smaller shift is none
)

// undoneAt is when the undo had taken effect, as far as is known.
func undoneAt(undo triage.Change) time.Time {
	if undo.FinishedAt.After(undo.StartedAt) && undo.Status == triage.StatusSucceeded {
		return undo.FinishedAt
	}
	return undo.OccurredAt()
}

// Verify says what undoing did. The symptom must be back, and stay back longer than a retry cycle and the rate window; the
// changed service too, where it had shifted. It is called verified only if nothing else explains the recovery: enough
// traffic is there to fail, one thing was undone, the turn came within the lag, nothing else was moving. A symptom that
// stays after the limit does not clear what was undone: first the system may hold itself down, only then the next suspect.
//
// Worked example: undone 03:08:00, rate window 60 s, retry cycle 2 min. The error ratio crosses half way back at 03:09:10
// (70 s: within the lag) and is below a quarter from 03:09:40 on. At 03:11:40 it has been back for the retry cycle: verified.
func Verify(in VerifyInput) triage.Checked {
	at := undoneAt(in.Undo)
	out := triage.Checked{Undid: in.Undid.ID, By: in.Undo.ID, At: at.UTC(), Asked: in.Now.UTC(), Outcome: triage.CheckWatching}
	what := undoneWord(in.Undid)
	span1 := in.Now.Sub(at)
	window := secs(in.Symptom.LongestRangeS)
	hold := max(window, time.Duration(in.Limits.RetryCycle))
	giveUp := max(time.Duration(in.Limits.GiveUp), window+time.Duration(in.Limits.RetryCycle))
	moveOn := max(time.Duration(in.Limits.MoveOn), giveUp+hold)

	symptom, measured := gauge(in.Symptom.Series, in.Onset, at, in.Now, hold, in.Symptom.BadDirection, in.Symptom.Threshold)
	symptom.known = symptom.known && in.Signal == triage.SignalErrors
	own, ownSeen := gauge(in.Own, in.Onset, at, in.Now, hold, "", nil)
	switch {
	case !measured && span1 >= giveUp:
		out.Outcome = triage.CheckUnmeasured
		out.Sentence = fmt.Sprintf("%s at %s; what it did cannot be measured: the alert's own series are not readable", what, clock(at))
		return out
	case !measured:
		out.Sentence = fmt.Sprintf("%s at %s; waiting for a sample of the alert's own series", what, clock(at))
		return out
	}
	ownBack := !ownSeen || own.back
	if symptom.back && symptom.heldFor >= hold && (ownBack || span1 >= giveUp) {
		recovered(&out, in, symptom, own, ownSeen, giveUp)
		return out
	}
	if span1 < giveUp || symptom.back {
		until := at.Add(giveUp)
		if symptom.back {
			until = in.Now.Add(hold - symptom.heldFor)
		}
		out.Sentence = fmt.Sprintf("%s at %s; %s, watched until %s before anything is concluded", what, clock(at), symptom.words(in.Service), clock(until))
		return out
	}
	limit := fmt.Sprintf("%s (usual limit)", span(giveUp))
	if in.Restores > 0 {
		limit = fmt.Sprintf("%s (90 %% of %d restores here were faster)", span(giveUp), in.Restores)
	}
	if span1 >= moveOn && (!ownSeen || !own.back) {
		out.Outcome = triage.CheckNotHelped
		out.Sentence = fmt.Sprintf("%s at %s; %s after %s: undoing it did not help", what, clock(at), symptom.words(in.Service), span(span1))
		if ownSeen && own.level >= sameFrom {
			out.Sentence += ", and " + in.Undid.Service + " itself has not moved"
		}
		out.Steps = []string{"go on to the next suspect; leave what was undone as it is until that is settled"}
		return out
	}
	out.Outcome = triage.CheckStuck
	out.Sentence = fmt.Sprintf("trigger removed, system may be stuck: %s at %s, %s after more than %s", what, clock(at), symptom.words(in.Service), limit)
	switch {
	case ownSeen && own.back && in.Undid.Service != in.Service:
		out.Sentence += "; " + in.Undid.Service + " itself is back"
	case ownSeen && own.level >= sameFrom && in.Undid.Service != in.Service:
		out.Sentence += "; or it was not the trigger: " + in.Undid.Service + " itself has not moved"
	}
	out.Steps = []string{
		"shed load on " + firstNonEmpty(in.Service, "what fails") + ", cap retries of its callers, then let traffic back in slices",
		"add capacity or restart what is saturated; do not undo more at once",
	}
	return out
}

// recovered words a recovery and finds what keeps it from being verified.
func recovered(out *triage.Checked, in VerifyInput, symptom, own level, ownSeen bool, lag time.Duration) {
	out.Turned = symptom.turned.UTC()
	what, after := undoneWord(in.Undid), symptom.turned.Sub(out.At)
	if after < -symptom.step {
		out.Outcome = triage.CheckElsewhere
		out.Sentence = fmt.Sprintf("it had turned at %s, %s before %s: something else ended it", clock(symptom.turned), span(-after), what)
		return
	}
	if after > lag {
		out.Missing = append(out.Missing, fmt.Sprintf("it turned %s later, more than the %s an undo takes", span(after), span(lag)))
	}
	if n := len(in.Others); n > 0 {
		names := make([]string, 0, 2)
		for _, o := range in.Others[:min(n, 2)] {
			names = append(names, describeChange(&o))
		}
		out.Missing = append(out.Missing, plural(n, "other change was", "other changes were")+" moving: "+strings.Join(names, ", "))
	}
	switch share, ok := trafficShare(in.Traffic, in.Onset, symptom.turned, in.Now); {
	case !ok:
		out.Missing = append(out.Missing, "its traffic is not measured")
	case share < in.Limits.MinTraffic:
		out.Missing = append(out.Missing, fmt.Sprintf("its traffic is at %.0f %% of before: little is left that could fail", 100*share))
	}
	if ownSeen && !own.back {
		out.Missing = append(out.Missing, in.Undid.Service+" itself is not back")
	}
	if in.Firing > 0 {
		out.Missing = append(out.Missing, plural(in.Firing, "alert still fires", "alerts still fire"))
	}
	out.Sentence = fmt.Sprintf("%s recovered %s after %s, and has stayed so for %s", firstNonEmpty(in.Service, "it"), span(max(after, 0)), what, span(symptom.heldFor))
	if ownSeen && own.back && in.Undid.Service != in.Service {
		out.Sentence += "; so has " + in.Undid.Service
	}
	out.Outcome = triage.CheckVerified
	if len(out.Missing) > 0 {
		out.Outcome = triage.CheckConsistent
		out.Sentence += "; consistent with " + describeChange(&in.Undid) + " as the trigger, not proof: " + strings.Join(out.Missing, "; ")
	}
}

// undoneWord says what was done, as a clause: "flag new-pricing went back".
func undoneWord(c triage.Change) string {
	name := clean(firstNonEmpty(c.Name(), c.Service, c.Title, string(c.ID)), maxName)
	switch c.Kind {
	case triage.KindFlag:
		return "flag " + name + " went back"
	case triage.KindConfig:
		return "config " + name + " was reverted"
	case triage.KindDeploy, triage.KindRollback:
		return name + " was rolled back"
	default: // nothing to do for the others
	}
	return string(c.Kind) + " " + name + " was undone"
}

// level is where a group of series stands now.
type level struct {
	back    bool          // every series that had shifted is back, on every sample of the last stretch
	level   float64       // of the worst series, now: 0 as before, 1 as bad as it got
	turned  time.Time     // when the last series had come half way back for good; zero: not yet
	heldFor time.Duration // how long all have been back without a break
	step    time.Duration
	now     float64 // of the worst series, in its own unit
	before  float64
	known   bool // now and before are shares of errors, fit to be printed
}

func (l level) words(service string) string {
	s := firstNonEmpty(service, "it") + " still fails"
	if l.known {
		s = fmt.Sprintf("%s still at %s, usual %s", firstNonEmpty(service, "it"), share(l.now), share(l.before))
	}
	switch {
	case l.level < backBelow:
		return firstNonEmpty(service, "it") + " is back, for now"
	case l.level < sameFrom:
		return s + ", better than it was"
	}
	return s
}

// share prints an error share.
func share(v float64) string { return fmt.Sprintf("%.2g %%", 100*v) }

// gauge places the series between before the onset and the time from onset to the undo. Only those that had shifted in the
// bad direction count; ok is false when none had, or none has a sample in the last stretch.
func gauge(series []triage.Series, onset triage.Interval, undo, now time.Time, hold time.Duration, direction string, threshold *float64) (level, bool) {
	var out level
	found := false
	for _, s := range series {
		l, ok := gaugeOne(s, onset, undo, now, hold, direction, threshold)
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

func gaugeOne(s triage.Series, onset triage.Interval, undo, now time.Time, hold time.Duration, direction string, threshold *float64) (level, bool) {
	before := median(between(s, onset.Earliest.Add(-time.Hour), onset.Earliest))
	bad := median(between(s, onset.Latest, undo.Add(s.Step())))
	up := direction != "lower"
	if direction == "" {
		up = s.Better != "higher"
	}
	shift := bad.v - before.v
	if !up {
		shift = -shift
	}
	if before.n < 2 || bad.n < 1 || shift <= max(leastShift, 4*before.spread, 0.02*abs(before.v)) {
		return level{}, false
	}
	where := func(v float64) float64 {
		x := (v - before.v) / (bad.v - before.v)
		if threshold != nil && (up && v > *threshold || !up && v < *threshold) {
			x = max(x, backBelow) // past the alert's own threshold is not back
		}
		return x
	}
	out := level{step: s.Step(), before: before.v, known: bad.v <= 1 && before.v >= 0}
	var lastBad, lastHigh time.Time
	seen := false
	tail := between(s, now.Add(-max(hold, 3*s.Step())), now.Add(time.Nanosecond))
	if len(tail) == 0 {
		return level{}, false
	}
	for _, p := range between(s, onset.Latest, now.Add(time.Nanosecond)) {
		x := where(p.v)
		if x >= backBelow {
			lastBad = p.at
		}
		if x >= turnBelow {
			lastHigh = p.at
		}
		out.level, out.now, seen = x, p.v, true
	}
	if !seen {
		return level{}, false
	}
	out.back = out.level < backBelow
	newest := tail[len(tail)-1].at
	if out.level < turnBelow {
		out.turned = latest(lastHigh, onset.Latest).Add(s.Step())
	}
	if out.back {
		out.heldFor = newest.Sub(latest(lastBad, onset.Latest))
	}
	return out, true
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
	out := middle{v: half(vs), n: len(vs)}
	for i, v := range vs {
		vs[i] = abs(v - out.v)
	}
	out.spread = half(vs)
	return out
}

// half sorts vs and returns its middle.
func half(vs []float64) float64 {
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

// durationOf is a duration as the configuration has it.
func durationOf(d time.Duration) model.Duration { return model.Duration(d) }

func abs(v float64) float64 { return max(v, -v) }
