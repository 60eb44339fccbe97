package verify

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"github.com/triaged-dev/triaged/triage"
	"github.com/triaged-dev/triaged/triage/say"
)

// Input is what the effect of an undo is judged by. Nothing else is read, the clock included.
type Input struct {
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

	Limits   triage.UndoLimits
	Restores int // how many of the team's own restores stand behind Limits.GiveUp; 0: the default
}

// Where a sample stands between how it was (0) and how bad it got (1).
const (
	backBelow  = 0.25 // so low counts as back
	turnBelow  = 0.5  // the way back is half done: the turn
	sameFrom   = 0.75 // so high counts as if nothing had been done
	leastShift = 1e-9 // a smaller shift is none
)

// Judge says what undoing did. The symptom must be back, and stay back longer than a retry cycle and the rate window; the
// changed service too, where it had shifted. It is called verified only if nothing else explains the recovery: enough
// traffic is there to fail, one thing was undone, the turn came within the lag, nothing else was moving, nothing that the
// change cannot reach turned with it, and the alert is not one that ends by itself in such a time. A symptom that
// stays after the limit does not clear what was undone: first the system may hold itself down, only then the next suspect.
//
// Worked example: undone 03:08:00, rate window 60 s, retry cycle 2 min. The error ratio crosses half way back at 03:09:10
// (70 s: within the lag) and is below a quarter from 03:09:40 on. At 03:11:40 it has been back for the retry cycle: verified.
func Judge(in Input) triage.Checked {
	at := in.Undo.EffectAt()
	out := triage.Checked{Undid: in.Undid.ID, By: in.Undo.ID, At: at.UTC(), Asked: in.Now.UTC(), Outcome: triage.CheckWatching}
	what := say.WentBack(in.Undid)
	since := in.Now.Sub(at)
	window := say.Seconds(in.Symptom.LongestRangeS)
	hold := max(window, in.Limits.RetryCycle)
	giveUp := max(in.Limits.GiveUp, window+in.Limits.RetryCycle)
	moveOn := max(in.Limits.MoveOn, giveUp+hold)

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
		blind = cmp.Or(in.Service, "it") + ": " + there.why
		measured = measured && !symptom.back // what is not measured any more does not fail any more
	}
	switch {
	case !measured && since >= giveUp:
		out.Outcome = triage.CheckUnmeasured
		out.Sentence = fmt.Sprintf("%s at %s; what it did cannot be measured: %s", what, say.Clock(at), blind)
		return out
	case !measured && there.state != present:
		out.Sentence = fmt.Sprintf("%s at %s; nothing can be said yet of what it did: %s", what, say.Clock(at), blind)
		return out
	case !measured:
		out.Sentence = fmt.Sprintf("%s at %s; waiting for a sample of the alert's own series", what, say.Clock(at))
		return out
	}
	ownBack := !ownSeen || own.back
	if symptom.back && symptom.heldFor >= hold && (ownBack || since >= giveUp) {
		recovered(&out, in, symptom, own, ownSeen, giveUp)
		return out
	}
	if since < giveUp || symptom.back {
		until := at.Add(giveUp)
		if symptom.back {
			until = in.Now.Add(hold - symptom.heldFor)
		}
		out.Sentence = fmt.Sprintf("%s at %s; %s, watched until %s before anything is concluded", what, say.Clock(at), symptom.words(in.Service), say.Clock(until))
		return out
	}
	limit := fmt.Sprintf("%s (usual limit)", say.Span(giveUp))
	if in.Restores > 0 {
		limit = fmt.Sprintf("%s (90 %% of %d restores here were faster)", say.Span(giveUp), in.Restores)
	}
	if since >= moveOn && (!ownSeen || !own.back) {
		out.Outcome = triage.CheckNotHelped
		out.Sentence = fmt.Sprintf("%s at %s; %s after %s: undoing it did not help", what, say.Clock(at), symptom.words(in.Service), say.Span(since))
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
	out.Sentence = fmt.Sprintf("trigger removed, system may be stuck: %s at %s, %s after more than %s", what, say.Clock(at), symptom.words(in.Service), limit)
	switch {
	case ownSeen && own.back && in.Undid.Service != in.Service:
		out.Sentence += "; " + in.Undid.Service + " itself is back"
	case ownSeen && own.level >= sameFrom && in.Undid.Service != in.Service:
		out.Sentence += "; or it was not the trigger: " + in.Undid.Service + " itself has not moved"
	}
	out.Steps = []string{
		"shed load on " + cmp.Or(in.Service, "what fails") + ", cap retries of its callers, then let traffic back in slices",
		"add capacity or restart what is saturated; do not undo more at once",
	}
	return out
}

// recovered words a recovery and finds what keeps it from being verified.
func recovered(out *triage.Checked, in Input, symptom, own level, ownSeen bool, lag time.Duration) {
	out.Turned = symptom.turned.UTC()
	what, after := say.WentBack(in.Undid), symptom.turned.Sub(out.At)
	if after < -symptom.step {
		out.Outcome = triage.CheckElsewhere
		out.Sentence = fmt.Sprintf("it had turned at %s, %s before %s: something else ended it", say.Clock(symptom.turned), say.Span(-after), what)
		return
	}
	if after > lag {
		out.Missing = append(out.Missing, fmt.Sprintf("it turned %s later, more than the %s an undo takes", say.Span(after), say.Span(lag)))
	}
	if n := len(in.Others); n > 0 {
		names := make([]string, 0, 2)
		for _, o := range in.Others[:min(n, 2)] {
			names = append(names, say.Change(o))
		}
		out.Missing = append(out.Missing, say.Plural(n, "other change was", "other changes were")+" moving: "+strings.Join(names, ", "))
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
		out.Missing = append(out.Missing, say.Plural(in.Firing, "alert still fires", "alerts still fire"))
	}
	out.Sentence = fmt.Sprintf("%s recovered %s after %s, and has stayed so for %s", cmp.Or(in.Service, "it"), say.Span(max(after, 0)), what, say.Span(symptom.heldFor))
	if ownSeen && own.back && in.Undid.Service != in.Service {
		out.Sentence += "; so has " + in.Undid.Service
	}
	out.Outcome = triage.CheckVerified
	if len(out.Missing) > 0 {
		out.Outcome = triage.CheckConsistent
		out.Sentence += "; consistent with " + say.Change(in.Undid) + " as the trigger, not proof: " + strings.Join(out.Missing, "; ")
	}
}
