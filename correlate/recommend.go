package correlate

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/triaged-dev/triaged/triage"
	"github.com/triaged-dev/triaged/triage/say"
)

// recommend names the cheapest safe way back, or says why there is none. A reversal is advised only if the leader is
// likely enough, well ahead of every other hypothesis (none included), has direct evidence and no veto, and can be undone
// safely. The refusals are kept apart: it would do harm, it will not help, we cannot tell.
func (m *ranking) recommend(n *none) triage.Recommendation {
	rec := triage.Recommendation{Verdict: triage.VerdictCannotTell, Action: triage.ActionInvestigate, Avoid: m.avoidAfter()}
	if len(m.candidates) == 0 {
		m.outside(&rec, n)
		return rec
	}
	l := m.candidates[0]
	p, margin := float64(l.micros)/million, m.margin(n)
	m.avoidHarm(&rec, l)
	rec.Owner = m.ownerOf(l.ch.Service)
	likely := p >= m.threshold(l) && margin >= m.cfg.MinMargin
	harm := m.harm(l)
	sure := likely && l.direct && m.together(l) && m.rival(l) == nil && !l.veto && !m.long(l) && harm == ""
	act := sure && reversal(l.ch) != ""
	if act && m.undoOf(l.ch) == nil {
		l.alone = m.alone(l)
		sure, act = l.alone == "", l.alone == ""
	}
	switch {
	case !act && running(l.ch, m.at) && p >= m.cfg.MinPause && !l.veto && harm == "" && !m.long(l):
		rec.Target = targetOf(l.ch)
		rec.Verdict, rec.Action = triage.VerdictAct, triage.ActionPauseRollout
		doubt, why := m.doubt(l, n, p, margin)
		rec.Doubt, rec.Reason = doubt, fmt.Sprintf("it is still going on and %s; to hold it is safe while that is settled", why)
		rec.Steps = []triage.Instruction{action(rec.Action, "hold "+label(l.ch))}
		rec.Check = m.separate(l, n)
	case n.micros >= l.micros && float64(n.micros)/million >= 0.5:
		rec.Owner = m.ownerOf(m.scope.Service)
		m.outside(&rec, n)
	case likely && harm != "" && !l.veto:
		rec.Target = targetOf(l.ch)
		rec.Verdict, rec.Action = triage.VerdictHarmful, triage.ActionDoNotRollBack
		rec.Reason = harm
		rec.Steps = []triage.Instruction{
			do(fmt.Sprintf("stop further steps of %s only if its tool says that is safe", label(l.ch))),
			do("mend forward with its owner; restore data from backup only where it was written wrongly"),
		}
	case act && m.undoOf(l.ch) != nil:
		m.wait(&rec, l)
	case act:
		m.advise(&rec, l)
	case sure:
		rec.Target = targetOf(l.ch)
		rec.Verdict, rec.Action = triage.VerdictAct, triage.ActionFixForward
		rec.Reason = m.strongest(l)
		rec.Check = m.verify(l)
	default:
		rec.Doubt, rec.Reason = m.doubt(l, n, p, margin)
		m.offerBoth(&rec, l, n)
		rec.Check = m.separate(l, n)
	}
	if rec.Verdict == triage.VerdictCannotTell || rec.Action == triage.ActionPauseRollout {
		rec.Experiment = m.experiment(n.micros < l.micros)
	}
	return rec
}

// long reports whether a candidate is of the longer search only, or no onset was measured to say.
func (m *ranking) long(c *candidate) bool { return c.far || m.in.Widened && m.symptom == nil }

// margin is how far the leader is ahead of the next hypothesis, none included.
func (m *ranking) margin(n *none) float64 {
	next := n.micros
	if len(m.candidates) > 1 {
		next = max(next, m.candidates[1].micros)
	}
	return float64(m.candidates[0].micros-next) / million
}

// threshold is the probability from which a reversal is advised. A cheap undo of the alerting service's own, with nothing but
// the stillness of what it calls for it, is worth no more than any other.
func (m *ranking) threshold(c *candidate) float64 {
	switch c.ch.Kind {
	case triage.KindFlag:
		if c.place == placeSelf && contribution(c, "split") <= 0 {
			return max(m.cfg.MinFlag, m.cfg.MinProbability)
		}
		return m.cfg.MinFlag
	case triage.KindDeploy, triage.KindRollback:
		return max(m.cfg.MinProbability, m.cfg.MinRollback)
	default: // undone with as much care as anything
		return m.cfg.MinProbability
	}
}

// rival is another candidate of the same service that shares the leader's evidence and is not far behind: what their service did
// does not part the two. A split does, for it tells who had the change. Nil where there is none.
func (m *ranking) rival(l *candidate) *candidate {
	if contribution(l, "split") > 0 || l.ch.Service == "" {
		return nil
	}
	for _, o := range m.candidates {
		if o != l && o.ch.Service == l.ch.Service && !o.veto && float64(o.micros) >= rivalLeast*million {
			return o
		}
	}
	return nil
}

// rivalLeast is the probability from which a change of the same service is a rival.
const rivalLeast = 0.15

// apart is how long after a fault shows on its service it may show at the symptom: calls carry it at once.
const apart = ms(2 * 60_000)

// together reports whether the shift of the changed service came with the symptom's. One that was there well before is
// perhaps another matter, and is not acted on without a look.
func (m *ranking) together(c *candidate) bool {
	p := c.own.best
	if p == nil {
		return true
	}
	k := p.firstAfter(c.own.at)
	return k >= len(p.bad) || m.onset.best <= p.end(k)+max(apart, p.step/2)
}

// reversal is the action that undoes a change, "" where none is known.
func reversal(ch *triage.Change) triage.Action {
	if byController(ch) {
		return ""
	}
	switch ch.Kind {
	case triage.KindFlag:
		return triage.ActionFlagOff
	case triage.KindConfig, triage.KindScale:
		return triage.ActionConfigRevert
	case triage.KindDeploy, triage.KindRollback:
		return triage.ActionRollback
	default: // what else there is must say itself that it can be undone
	}
	if ch.Reversible.Value == triage.ReversibleYes {
		if ch.PreviousVersion != "" {
			return triage.ActionRollback
		}
		return triage.ActionConfigRevert
	}
	return ""
}

// harm says why undoing the change would do harm, "" where nothing is known against it.
func (m *ranking) harm(c *candidate) string {
	ch := c.ch
	if ch.Reversible.Value == triage.ReversibleNo {
		return orDefault(ch.Reversible.Reason, "it cannot be undone")
	}
	if ch.Kind == triage.KindRollback && ch.Reversible.Value != triage.ReversibleYes {
		return "it is itself a way back, and undoing it brings back what was taken out"
	}
	if ch.Kind == triage.KindMigration && ch.Reversible.Value != triage.ReversibleYes {
		return "a migration changed data or schema"
	}
	if ch.Kind != triage.KindDeploy && ch.Kind != triage.KindRollback {
		return ""
	}
	for _, o := range m.candidates {
		if m.undoOf(o.ch) != nil || o.ch.Status == triage.StatusCancelled {
			continue // taken back before it was through: what ran before still fits
		}
		if o.ch.Kind == triage.KindMigration && o.ch.Service == ch.Service && o.act.last >= c.act.start-migrationGap && o.ch.Reversible.Value != triage.ReversibleYes {
			return fmt.Sprintf("%s ran with or after it at %s, and the old version may not fit the new schema", label(o.ch), clock(m.abs(o.act.start)))
		}
	}
	return ""
}

// migrationGap is how long before a deploy its migration may run and still belong to it.
const migrationGap = ms(15 * 60_000)

// running reports whether a rollout is still going on.
func running(ch *triage.Change, at time.Time) bool {
	if ch.Status.Terminal() || ch.Kind == triage.KindMigration || ch.Kind == triage.KindFlag && ch.RolloutPercent == nil && len(ch.Steps) == 0 {
		return false
	}
	if !ch.FinishedAt.IsZero() && !ch.FinishedAt.After(at) {
		return false
	}
	if p := ch.RolloutPercent; p != nil {
		return *p < 100
	}
	if n := len(ch.Steps); n > 0 {
		last := sortedSteps(ch.Steps)[n-1]
		return last.At.After(at) || last.Percent > 0 && last.Percent < 100
	}
	return ch.Status == triage.StatusStarted && slow(ch.Kind)
}

// advise fills in the reversal of the leader.
func (m *ranking) advise(rec *triage.Recommendation, l *candidate) {
	rec.Target = targetOf(l.ch)
	rec.Verdict, rec.Action = triage.VerdictAct, reversal(l.ch)
	rec.Reason = m.strongest(l)
	rec.AlsoUndoes = m.alsoUndoes(l)
	rec.Steps = m.steps(l, rec)
	rec.Check = m.verify(l)
}

// wait is the advice about a leader that was undone already: to undo it once more does nothing.
func (m *ranking) wait(rec *triage.Recommendation, l *candidate) {
	u := m.undoOf(l.ch)
	rec.Target = targetOf(l.ch)
	rec.Doubt = triage.DoubtUndone
	rec.Reason = fmt.Sprintf("%s is the likeliest change, and was undone at %s by %s: see whether the symptom follows before anything else is undone", label(l.ch), clock(u.OccurredAt()), label(u))
	rec.Check = m.verify(l)
}

// target says exactly what to act on.
func targetOf(ch *triage.Change) *triage.Target {
	t := &triage.Target{ChangeID: ch.ID, Kind: ch.Kind, Scope: ch.Scope, From: ch.Version, To: ch.PreviousVersion, URL: ch.URL}
	switch ch.Kind {
	case triage.KindFlag, triage.KindConfig:
		for _, k := range [...]string{"flag", "flag_key", "key", "name"} {
			if t.Name == "" {
				t.Name = ch.Labels[k]
			}
		}
		if t.To == "" {
			t.To = ch.Labels["previous"]
		}
	default: // is named after its service
	}
	if t.Name == "" {
		t.Name = ch.Service
	}
	return t
}

// do is something to do, in words.
func do(text string) triage.Instruction {
	return triage.Instruction{Kind: triage.InstructDo, Text: text}
}

// action is the advice itself as something to do.
func action(a triage.Action, text string) triage.Instruction {
	return triage.Instruction{Kind: triage.InstructDo, Text: text, Does: a}
}

// steps are what to do, a line each, without commands: those come from playbooks.
func (m *ranking) steps(l *candidate, rec *triage.Recommendation) []triage.Instruction {
	t := rec.Target
	where := placeOf(l.ch.Scope)
	var out []triage.Instruction
	if running(l.ch, m.at) {
		out = append(out, do("hold the rollout first: it is still going on"))
	}
	switch rec.Action {
	case triage.ActionFlagOff:
		out = append(out, action(rec.Action, fmt.Sprintf("set %s back to %s%s", orDefault(t.Name, "the flag"), orDefault(t.To, "its previous value"), where)))
	case triage.ActionConfigRevert:
		out = append(out, action(rec.Action, fmt.Sprintf("restore the configuration of %s to %s%s", orDefault(t.Name, "the service"), orDefault(t.To, "what it was before"), where)))
	default:
		out = append(out, action(rec.Action, fmt.Sprintf("return %s to %s%s", orDefault(l.ch.Service, t.Name), orDefault(t.To, "the version before"), where)))
	}
	if s, ok := m.in.Services[l.ch.Service]; ok && l.ch.Kind != triage.KindFlag {
		switch {
		case s.AutoSync == nil:
			out = append(out, do("check whether a GitOps controller owns it: it would apply the change again"))
		case *s.AutoSync:
			out = append(out, do("auto-sync would apply it again: revert in the repository, or suspend the sync first"))
		}
	}
	return out
}

func placeOf(s triage.Scope) string {
	if p := say.Place(s); p != "" {
		return " in " + p
	}
	return ""
}

// alsoUndoes lists what the reversal takes along: later changes of the same kind on the same service. A flag's value is its
// own, so only later flips of the same flag count.
func (m *ranking) alsoUndoes(l *candidate) []triage.Undone {
	var out []triage.Undone
	for _, ch := range m.laterOnes(l) {
		u := triage.UndoneOf(ch)
		u.Owner = m.ownerOf(ch.Service)
		out = append(out, u)
	}
	slices.SortStableFunc(out, func(a, b triage.Undone) int { return a.At.Compare(b.At) })
	return out
}

func (m *ranking) laterOnes(l *candidate) []triage.Change {
	family := func(k triage.Kind) triage.Kind {
		if k == triage.KindRollback {
			return triage.KindDeploy
		}
		return k
	}
	var out []triage.Change
	take := func(ch triage.Change) {
		if ch.ID == l.ch.ID || slices.Contains(ch.Undoes, l.ch.ID) || slices.Contains(l.ch.RevertedBy, ch.ID) || ch.Service != l.ch.Service || family(ch.Kind) != family(l.ch.Kind) || ch.Service == "" {
			return
		}
		if _, other := ch.Contradicts(l.ch.Scope); other || !ch.OccurredAt().After(l.ch.OccurredAt()) {
			return
		}
		if slices.ContainsFunc(ch.Undoes, func(id triage.ChangeID) bool { return slices.Contains(l.ch.RevertedBy, id) }) {
			return // it put this very change in place again
		}
		if ch.Kind == triage.KindFlag && (l.ch.Labels["flag"] == "" || ch.Labels["flag"] != l.ch.Labels["flag"]) {
			return
		}
		out = append(out, ch)
	}
	for _, c := range m.candidates {
		take(*c.ch)
	}
	for _, ch := range m.after {
		take(ch)
	}
	return out
}

func (m *ranking) ownerOf(name string) string {
	s, ok := m.in.Services[name]
	if !ok {
		return ""
	}
	var parts []string
	for _, v := range [...]string{s.Owner, s.Schedule, s.Channel} {
		if v != "" {
			parts = append(parts, v)
		}
	}
	return strings.Join(parts, " · ")
}

func orDefault(s, d string) string {
	if s == "" {
		return d
	}
	return s
}

// label names a change for a reader.
func label(ch *triage.Change) string { return say.Change(*ch) }
