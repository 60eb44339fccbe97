package alerting

import (
	"fmt"
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

	Alive    []triage.Series // what says that services are there: traffic, what they use, up, restarts; of both, and of others
	Controls []triage.Series // errors and latency of services that what was undone cannot reach, and of vendors
	Vendors  []string        // those among them that are not ours
	Far      []string        // those that no chain of calls joins with the incident
	Earlier  []triage.Alert  // firings of the alert before this one

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
// traffic is there to fail, one thing was undone, the turn came within the lag, nothing else was moving, nothing that the
// change cannot reach turned with it, and the alert is not one that ends by itself in such a time. A symptom that
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

	look := view{onset: in.Onset, undo: at, now: in.Now, hold: hold}
	own, ownSeen := gauge(in.Own, look)
	look.direction, look.threshold = in.Symptom.BadDirection, in.Symptom.Threshold
	symptom, measured := gauge(in.Symptom.Series, look)
	symptom.known = symptom.known && in.Signal == triage.SignalErrors
	there := presenceOf(in.Service, in.Alive, in.Now)
	if there.state == dead { // no requests, no errors: that is no recovery
		symptom, measured = level{level: 1, step: symptom.step, down: in.Service + " is down: " + there.why}, true
	}
	if in.Undid.Service != in.Service && presenceOf(in.Undid.Service, in.Alive, in.Now).state == dead {
		own, ownSeen = level{level: 1, step: own.step, down: in.Undid.Service + " is down"}, true
	}
	blind := "the alert's own series are not readable"
	if there.state == unmeasured || there.state == unscraped {
		blind = firstNonEmpty(in.Service, "it") + ": " + there.why
		measured = measured && !symptom.back // what is not measured any more does not fail any more
	}
	switch {
	case !measured && span1 >= giveUp:
		out.Outcome = triage.CheckUnmeasured
		out.Sentence = fmt.Sprintf("%s at %s; what it did cannot be measured: %s", what, clock(at), blind)
		return out
	case !measured && there.state != present:
		out.Sentence = fmt.Sprintf("%s at %s; nothing can be said yet of what it did: %s", what, clock(at), blind)
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
		switch {
		case own.down != "":
			out.Sentence += ", and " + own.down
		case ownSeen && own.level >= sameFrom:
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
	out.Missing = append(out.Missing, anyway(in, symptom)...)
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

// durationOf is a duration as the configuration has it.
func durationOf(d time.Duration) model.Duration { return model.Duration(d) }
