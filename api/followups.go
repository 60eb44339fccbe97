package api

import (
	"fmt"
	"strings"
	"time"

	"github.com/triaged-dev/triaged/triage"
	"github.com/triaged-dev/triaged/triage/say"
)

// lateAlert is how long after the beginning an alert counts as late: three in four published incidents were noticed by a
// machine sooner than 5 minutes.
const lateAlert = 5 * time.Minute

// followUps asks, for each gate a change passes on its way to users, whether it could have been stopped there. Only what
// the record shows is asked.
func (d *draft) followUps() {
	d.line("## Follow-ups, by the gate that let it through")
	d.line("")
	n := 0
	ask := func(gate, question string, args ...any) {
		n++
		d.line("- [ ] **%s**: %s", gate, fmt.Sprintf(question, args...))
	}
	if c := d.culprit(); c != nil {
		name := cell(say.Change(*c))
		if len(c.Steps) < 2 && c.RolloutPercent == nil && (c.Kind == triage.KindFlag || c.Kind == triage.KindDeploy || c.Kind == triage.KindConfig) {
			ask("Staged rollout", "%s went live in one step, as far as was seen. Could it go to a few first, and wait?", name)
		} else if len(c.Steps) > 1 {
			ask("Staged rollout", "%s went live in %d steps. What would have made it stop at an earlier one?", name, len(c.Steps))
		}
		switch c.Reversible.Value {
		case triage.ReversibleNo:
			ask("Way back", "%s could not be undone (%s). How is the next one made undoable?", name, plainText(c.Reversible.Reason))
		case triage.ReversibleYes:
		default:
			ask("Way back", "whether %s can be undone was not known. Write down how, and try it.", name)
		}
		if s, ok := d.dir.Service(c.Service); c.Service != "" && c.Kind != triage.KindFlag && (!ok || s.AutoSync == nil) {
			ask("Way back", "whether a GitOps controller owns %s is not written down (`services: auto_sync`), so no command could be given.", plainText(c.Service))
		}
		if s, ok := d.dir.Service(c.Service); c.Service != "" && (!ok || s.Owner == "") {
			ask("Ownership", "no team is written down for %s.", plainText(c.Service))
		}
	} else {
		ask("Visibility", "no change was found. What altered the system, and which source would have reported it?")
	}
	began, measured := d.began()
	if gap := d.paged().Sub(began); measured && gap > lateAlert {
		ask("Detection", "the alert came %s after it began. Which signal showed it sooner?", say.Span(gap))
	}
	for _, c := range d.last.Checked {
		switch c.Outcome {
		case triage.CheckStuck, triage.CheckNotHelped:
			ask("Recovery", "the symptom outlasted the undo at %s. What holds the system down once the trigger is gone: retries, queues, cold caches?", clockOf(c.At))
		case triage.CheckConsistent:
			ask("Proof", "what ended it is not proven: %s.", plainText(strings.Join(c.Missing, "; ")))
		default: // leaves no question open
		}
	}
	if len(d.last.Hold) > 0 {
		ask("Freeze", "%s went live in its reach while it was open. Should an open incident hold such changes?", say.Count(len(d.last.Hold), "change"))
	}
	for _, c := range d.last.Coverage {
		if c.State != triage.SourceOK && c.State != "" {
			ask("Visibility", "%s was %s during the incident.", plainText(c.Source), say.Enum(c.State))
		}
	}
	if id, none := d.label(); id == "" && !none {
		ask("Label", "say in triaged what it was, so that the next report is better.")
	}
	if n == 0 {
		d.line("Nothing in the record shows a gate that could have stopped it.")
	}
}

// culprit is the change believed to be the trigger, nil where there is none.
func (d *draft) culprit() *triage.Change {
	id, none := d.label()
	if none {
		return nil
	}
	for _, c := range d.last.Checked {
		if id == "" && (c.Outcome == triage.CheckVerified || c.Outcome == triage.CheckConsistent) {
			id = c.Undid
		}
	}
	if id == "" && d.last.Standing().Word == triage.WordLikely {
		id = triage.ChangeID(d.last.Leader().ID())
	}
	s, _ := suspectOf(d.reports, id)
	return s.Change
}
