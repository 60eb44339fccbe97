package alerting

import (
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/triaged-dev/triaged/triage"
	"github.com/triaged-dev/triaged/triage/say"
)

// Bounds on what one incident remembers of what was done since.
const (
	maxUndos  = 10
	maxMoving = 20
	maxHold   = 5 // changes named under "hold others"
)

// undoing is one undo of a suspect and what was seen of it. Guarded by Alerting.mu.
type undoing struct {
	undid, undo triage.Change
	onset       triage.Interval // as told when the undo was seen: later reports rank on a symptom that may be gone
	named       triage.Undone   // what undo is called
	checked     triage.Checked
	next        time.Time // when to look again
	blind       bool      // the latest look saw nothing of the symptom
}

// settled reports whether looking again can change nothing.
func (u *undoing) settled() bool {
	return u.checked.Outcome.Recovered() || u.checked.Outcome == triage.CheckRedone
}

// undoOf returns the suspect that c takes back. Changes that cannot reach what fails are weighed too, and stay suspects of a
// sort: taking one of those back is no remedy, unless it was thought possible or advised. Needs Alerting.mu.
func (e *entry) undoOf(c *triage.Change) (triage.Change, bool) {
	if len(c.Undoes) == 0 || e.report == nil {
		return triage.Change{}, false
	}
	target := e.report.Recommendation.Target
	for _, s := range e.report.Suspects {
		if s.Change == nil || s.Change.ID == c.ID || !slices.Contains(c.Undoes, s.Change.ID) {
			continue
		}
		if e.touches(s.Change) || s.Probability >= triage.PossibleFrom || target != nil && target.ChangeID == s.Change.ID {
			return *s.Change, true
		}
	}
	return triage.Change{}, false
}

// noteRedone takes in a change that takes back an undo: what was undone acts again. That is no undo of its own, and what the
// undo did is measured no further. It reports whether c is one. Needs Alerting.mu.
func (a *Alerting) noteRedone(e *entry, c *triage.Change, now time.Time) bool {
	if c.Status == triage.StatusFailed || c.Status == triage.StatusCancelled {
		return false
	}
	i := slices.IndexFunc(e.undos, func(u *undoing) bool {
		return slices.Contains(c.Undoes, u.undo.ID) && u.checked.Outcome != triage.CheckRedone
	})
	if i < 0 {
		return false
	}
	u := e.undos[i]
	u.checked.Outcome, u.checked.Asked, u.checked.Missing, u.checked.Steps = triage.CheckRedone, now.UTC(), nil, nil
	u.checked.Sentence = say.Change(u.undid) + " is in place again since " + say.Clock(c.OccurredAt()) + ": what had undone it was taken back by " + say.Change(*c)
	if e.inc.State == triage.IncidentMitigating && !e.anyActive() {
		inc := e.change()
		inc.State, inc.UpdatedAt = triage.IncidentOpen, now
	}
	return true
}

// noteUndo takes in an undo of undid, or a further word about one that is known: a rollback that is through, or failed.
// It reports whether on-call should hear of it. Needs Alerting.mu.
func (a *Alerting) noteUndo(e *entry, undid triage.Change, c triage.Change, now time.Time) bool {
	i := slices.IndexFunc(e.undos, func(u *undoing) bool { return u.undo.ID == c.ID })
	failed := c.Status == triage.StatusFailed || c.Status == triage.StatusCancelled
	switch {
	case failed && i < 0:
		return false
	case failed:
		e.undos = slices.Delete(slices.Clone(e.undos), i, i+1)
		e.undoFailed = "the undo failed: " + say.Change(c)
		if len(e.undos) == 0 && e.inc.State == triage.IncidentMitigating {
			inc := e.change()
			inc.State, inc.UpdatedAt = triage.IncidentOpen, now
		}
		return true
	case i >= 0:
		u := e.undos[i]
		u.undo = c
		if at := c.EffectAt().UTC(); !at.Equal(u.checked.At) && !u.settled() {
			u.checked.At, u.next = at, now.Add(time.Duration(a.cfg.Verify.Interval))
		}
		return false
	case len(e.undos) >= maxUndos:
		return false
	}
	e.undoFailed = ""
	e.undos = append(slices.Clone(e.undos), &undoing{
		undid: undid, undo: c, onset: e.report.Onset.Interval, named: triage.UndoneOf(c),
		checked: triage.Checked{
			Undid: undid.ID, By: c.ID, At: c.EffectAt().UTC(), Asked: now.UTC(), Outcome: triage.CheckWatching,
			Sentence: say.WentBack(undid) + " at " + say.Clock(c.EffectAt()) + "; the symptom is being watched",
		},
		next: now.Add(time.Duration(a.cfg.Verify.Interval)),
	})
	if e.inc.State == triage.IncidentRecovered {
		return false // the note on the recovery will tell
	}
	inc := e.change()
	inc.State, inc.UpdatedAt = triage.IncidentMitigating, now
	e.looks = a.looksAfter(now, now)
	return true
}

// checks are the latest words on every undo, oldest first. Needs Alerting.mu.
func (e *entry) checks() []triage.Checked {
	var out []triage.Checked
	for _, u := range e.undos {
		c := u.checked
		c.Undo = u.named
		out = append(out, c)
	}
	return out
}

// annotate adds to a report what is not the ranking's: undos and their effect, what went live meanwhile, the severity.
func (a *Alerting) annotate(e *entry, answer *triage.Answer) {
	r := &answer.Report
	a.mu.Lock()
	defer a.mu.Unlock()
	notes := slices.Clone(r.Notes)
	if e.undoFailed != "" && !slices.Contains(notes, e.undoFailed) {
		notes = append(notes, e.undoFailed)
	}
	r.Notes, r.Checked = notes, e.checks()
	r.State = r.Tells()
	if len(answer.Input.Changes) > 0 {
		e.moving = moving(e, answer.Input.Changes, r.Onset.Interval)
		r.Hold = holds(e.moving, r.Onset.Interval)
	}
	sev := ProposeSeverity(SeverityInput{Incident: e.snapshot(), Report: *r, Services: answer.Input.Services, Owners: a.opts.Owners, Peak: e.peak})
	r.Severity, e.peak = &sev, &sev
}

// moving are the changes in the blast radius that acted after the onset, without undos and what was undone; controllers'
// own reactions do not count. Needs Alerting.mu.
func moving(e *entry, changes []triage.Change, onset triage.Interval) []triage.Change {
	if onset.IsZero() {
		return nil
	}
	var out []triage.Change
	for _, c := range changes {
		if len(out) < maxMoving && isMoving(e, &c, onset) {
			out = append(out, c)
		}
	}
	return out
}

func isMoving(e *entry, c *triage.Change, onset triage.Interval) bool {
	if !c.LastActivity().After(onset.Latest) || c.Labels["controller"] != "" || c.Status == triage.StatusCancelled || c.Status == triage.StatusSuperseded {
		return false
	}
	for _, u := range e.undos {
		if c.ID == u.undo.ID || c.ID == u.undid.ID {
			return false
		}
	}
	return e.touches(c)
}

// touches reports whether a change is near enough to e to matter. Needs Alerting.mu.
func (e *entry) touches(c *triage.Change) bool {
	if c.Service != "" && !c.Global && !e.reach[c.Service] {
		return false
	}
	here, there := c.Scope, e.inc.Scope
	here.Service, here.Namespace = "", ""
	_, contradicts := here.Contradicts(there)
	return !contradicts
}

// holds are the changes that went live after the onset and are no remedy, oldest first.
func holds(moving []triage.Change, onset triage.Interval) []triage.Undone {
	var out []triage.Undone
	for _, c := range moving {
		if c.StartedAt.IsZero() || !c.StartedAt.After(onset.Latest) || c.Kind == triage.KindRollback || len(c.Undoes) > 0 {
			continue
		}
		out = append(out, triage.UndoneOf(c))
	}
	slices.SortStableFunc(out, func(x, y triage.Undone) int {
		if d := x.At.Compare(y.At); d != 0 {
			return d
		}
		return strings.Compare(string(x.ChangeID), string(y.ChangeID))
	})
	return out[:min(len(out), maxHold)]
}

// watchUndos looks at the symptom after every undo until it is settled. One question at a time: a Prometheus that is in
// trouble is not asked about every incident at once.
func (a *Alerting) watchUndos(ctx context.Context) {
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		due := a.undosDue(a.now())
		for _, d := range due {
			if ctx.Err() != nil {
				return
			}
			a.lookAt(ctx, d.e, d.u)
		}
	}
}

type dueUndo struct {
	e *entry
	u *undoing
}

func (a *Alerting) undosDue(now time.Time) []dueUndo {
	a.mu.Lock()
	defer a.mu.Unlock()
	var out []dueUndo
	for _, id := range slices.Sorted(maps.Keys(a.entries)) {
		e := a.entries[id]
		for i, u := range e.undos {
			given := u.checked.Outcome == triage.CheckNotHelped && i < len(e.undos)-1 // something else was tried since
			if !u.settled() && !given && !u.next.After(now) {
				u.next = now.Add(time.Duration(a.cfg.Verify.Interval))
				out = append(out, dueUndo{e, u})
			}
		}
	}
	return out
}

// lookAt measures what one undo did, and tells if that is news.
func (a *Alerting) lookAt(ctx context.Context, e *entry, u *undoing) {
	req := a.question(e, u)
	asking, cancel := context.WithTimeout(ctx, time.Duration(a.cfg.Deadline))
	got, blind := a.opts.Verifier.Verify(asking, req)
	cancel()
	if ctx.Err() != nil {
		return
	}
	a.mu.Lock()
	was := u.checked.Outcome
	if was == triage.CheckRedone { // taken back while it was measured
		a.mu.Unlock()
		return
	}
	u.checked, u.blind = got, blind
	news := was != got.Outcome && got.Outcome != triage.CheckWatching && got.Outcome != triage.CheckUnmeasured
	recovered := e.inc.State == triage.IncidentRecovered
	if news && got.Outcome.Recovered() {
		e.looks = nil // nothing is learned from ranking a symptom that is gone
	}
	if news && got.Outcome == triage.CheckNotHelped && e.inc.State == triage.IncidentMitigating && !e.anyActive() {
		inc := e.change()
		inc.State, inc.UpdatedAt = triage.IncidentOpen, a.now()
	}
	id := e.inc.ID
	a.mu.Unlock()
	if !news {
		return
	}
	a.metrics.checks.WithLabelValues(string(got.Outcome)).Inc()
	if got.Outcome == triage.CheckVerified && a.opts.Labels != nil {
		f := triage.Feedback{IncidentID: id, Verdict: triage.FeedbackVerified, ChangeID: got.Undid, Comment: got.Sentence, At: got.Turned}
		if err := a.opts.Labels.SaveFeedback(ctx, f); err != nil {
			a.log.Error("keep verified undo as a label; the report has it", "incident", id, "err", err)
		}
	}
	switch {
	case recovered:
	case got.Outcome.Recovered():
		if err := a.noteChecked(ctx, e); err != nil && ctx.Err() == nil {
			a.log.Error("tell what the undo did; the note on the recovery will", "incident", id, "err", err)
		}
	default:
		a.enqueue(e, CauseChecked, a.now())
	}
}

// anyActive reports whether an undo is left that may still work. Needs Alerting.mu.
func (e *entry) anyActive() bool {
	return slices.ContainsFunc(e.undos, func(u *undoing) bool { return u.checked.Outcome.Active() })
}

// question is what is asked about one undo, as things stand.
func (a *Alerting) question(e *entry, u *undoing) triage.UndoRequest {
	a.mu.Lock()
	defer a.mu.Unlock()
	v := a.cfg.Verify
	q := triage.UndoRequest{
		Incident: e.snapshot(), Undid: u.undid, Undo: u.undo, Onset: u.onset, Moving: e.moving, Near: slices.Sorted(maps.Keys(e.reach)), At: a.now(),
		Limits: triage.UndoLimits{
			RetryCycle: time.Duration(v.RetryCycle), GiveUp: time.Duration(v.GiveUp), MoveOn: time.Duration(v.MoveOn), MinTraffic: v.MinTraffic,
		},
	}
	q.Undo.FinishedAt = later(q.Undo.FinishedAt, u)
	if e.report != nil {
		q.Signal = e.report.Symptom.Signal
	}
	for _, o := range e.undos {
		if o != u {
			q.Undos = append(q.Undos, o.undo)
		}
	}
	return q
}

// later keeps the time an undo took effect across a restart, where its body is no longer at hand.
func later(finished time.Time, u *undoing) time.Time {
	if finished.IsZero() && u.undo.StartedAt.IsZero() {
		return u.checked.At
	}
	return finished
}

// noteChecked makes a report that says what an undo did and ranks nothing anew: the symptom is gone, and with it the evidence.
func (a *Alerting) noteChecked(ctx context.Context, e *entry) error {
	now := a.now()
	a.mu.Lock()
	inc := e.snapshot()
	r := *e.report
	a.mu.Unlock()
	r.Number, r.Kind, r.State, r.CreatedAt, r.Cause, r.Deadline = inc.Reports+1, triage.ReportChecked, "", now, CauseChecked, false
	return a.record(ctx, e, triage.Answer{Report: r, Input: inputOf(inc, now)})
}

// undecided reports whether the note on a recovery should wait for what is being measured. Needs Alerting.mu.
func (a *Alerting) undecided(e *entry, now time.Time) bool {
	if a.opts.Verifier == nil || now.Sub(e.inc.RecoveredAt) > time.Duration(a.cfg.Verify.GiveUp) {
		return false
	}
	return slices.ContainsFunc(e.undos, func(u *undoing) bool { return !u.settled() && !u.blind && u.checked.Outcome != triage.CheckNotHelped })
}

// restoreUndos brings back from the latest report what was known of undos.
func (e *entry) restoreUndos(r triage.Report) {
	for _, c := range r.Checked {
		u := &undoing{
			undid: triage.Change{ID: c.Undid}, undo: triage.Change{ID: c.By, StartedAt: c.At}, onset: r.Onset.Interval, checked: c,
			named: c.Undo,
		}
		for _, s := range r.Suspects {
			if s.Change != nil && s.Change.ID == c.Undid {
				u.undid = *s.Change
			}
		}
		e.undos = append(e.undos, u)
	}
}
