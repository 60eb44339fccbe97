package correlate

import (
	"fmt"
	"time"

	"github.com/triaged-dev/triaged/triage"
)

// avoidAfter advises against undoing what began after the trouble: it will not help. At most three, nearest first.
func (m *ranking) avoidAfter() []triage.Avoid {
	var out []triage.Avoid
	for i := range m.after {
		ch := &m.after[i]
		if len(out) == 3 {
			break
		}
		if _, reached := m.down[ch.Service]; !reached && ch.Service != m.scope.Service && !ch.Global {
			continue
		}
		if goesBack(ch) { // what took something back is what was asked for, or somebody's remedy: no word against it
			continue
		}
		a := reversal(ch)
		if a == "" {
			a = triage.ActionRollback
		}
		out = append(out, triage.Avoid{
			Action: a, Target: ch.ID, Class: triage.VerdictWillNotHelp,
			Reason: fmt.Sprintf("%s began at %s, %s after the latest possible onset", label(ch), clock(ch.OccurredAt()), span1(m.rel(ch.OccurredAt())-m.onset.latest)),
		})
	}
	return out
}

// goesBack reports whether a change takes another one back.
func goesBack(ch *triage.Change) bool { return ch.Kind == triage.KindRollback || len(ch.Undoes) > 0 }

// avoidHarm advises against undoing likely candidates whose reversal would do harm.
func (m *ranking) avoidHarm(rec *triage.Recommendation, leader *candidate) {
	for i, c := range m.candidates {
		if i >= 5 {
			return
		}
		if float64(c.micros) < 0.05*million && c != leader {
			continue
		}
		if why := m.harm(c); why != "" {
			a := reversal(c.ch)
			if a == "" {
				a = triage.ActionRollback
			}
			rec.Avoid = append(rec.Avoid, triage.Avoid{Action: a, Target: c.ch.ID, Class: triage.VerdictHarmful, Reason: why})
		}
	}
}

// outside is the advice when no change fits: a rollback will not help where something outside is seen to be the cause,
// else we cannot tell.
func (m *ranking) outside(rec *triage.Recommendation, n *none) {
	p := float64(n.micros) / million
	if where := m.pointsOutside(n); where != "" && p >= m.cfg.MinProbability {
		rec.Verdict, rec.Action = triage.VerdictWillNotHelp, triage.ActionDoNotRollBack
		rec.Reason = "no change I saw fits; " + where
		rec.Steps = []triage.Instruction{do("look there first; undoing recent changes would cost time and mend nothing")}
		rec.Check = "the symptom follows that signal, not any change"
		return
	}
	rec.Reason = "no change I saw fits"
	if len(m.candidates) == 0 {
		rec.Reason = fmt.Sprintf("no change was seen in the %s before the onset", span1(m.lookback))
	}
	rec.Check = "look for what is not reported here: manual changes, vendors, expiring certificates, limits reached with time"
	if len(m.candidates) > 0 && float64(m.candidates[0].micros) >= 0.15*million {
		rec.Check = m.separate(m.candidates[0])
	}
}

// pointsOutside says what besides a change is seen to be the cause, "" where nothing is.
func (m *ranking) pointsOutside(n *none) string {
	for _, e := range n.evidence {
		if e.Factor == "surge" {
			return e.Sentence
		}
	}
	if len(n.sources) > 0 && n.sources[0].share >= 0.5 && n.sources[0].log > 2 && n.sources[0].name != m.scope.Service && !m.changedAt(n.sources[0].name) {
		top := n.sources[0]
		if m.external(top.name) {
			return fmt.Sprintf("the trouble points at %s, which is not ours", top.name)
		}
		return fmt.Sprintf("%s shifted on its own account and no change to it was seen", top.name)
	}
	return ""
}

// doubt says in a sentence why no reversal is advised.
func (m *ranking) doubt(l *candidate, n *none, p, margin float64) string {
	name := label(l.ch)
	switch {
	case l.veto:
		return fmt.Sprintf("%s leads, but the trouble is older than it", name)
	case m.long(l):
		return fmt.Sprintf("%s leads, but it was found only in the longer search: undoing it would take much else along", name)
	case !l.direct && !l.own.observed:
		return fmt.Sprintf("%s leads on timing and place alone: nothing measures it", name)
	case !l.direct && l.own.ratio > 1:
		return fmt.Sprintf("%s leads, but what is measured on it moved too little or too briefly to act on", name)
	case !l.direct:
		return fmt.Sprintf("%s leads on timing and place alone: nothing measured on it moved", name)
	case !m.together(l):
		return fmt.Sprintf("%s leads, but %s shifted well before the symptom did: that may be another matter", name, orUnknown(l.ch.Service))
	case p >= m.threshold(l) && m.rival(l) != nil:
		return fmt.Sprintf("%s leads, and what %s did fits %s as well", name, l.ch.Service, label(m.rival(l).ch))
	case p < m.threshold(l):
		return fmt.Sprintf("%s leads, but not by enough to act on", name)
	case margin < m.cfg.MinMargin && len(m.candidates) > 1 && m.candidates[1].micros >= n.micros:
		return fmt.Sprintf("%s and %s cannot be told apart", name, label(m.candidates[1].ch))
	case reversal(l.ch) == "":
		return fmt.Sprintf("%s leads, and no safe way to undo it is known", name)
	}
	return fmt.Sprintf("%s leads, but something unseen is nearly as likely", name)
}

// offerBoth lists two cheap safe undos that tie.
func (m *ranking) offerBoth(rec *triage.Recommendation, l *candidate, n *none) {
	if len(m.candidates) < 2 || m.in.Widened {
		return
	}
	s := m.candidates[1]
	if s.micros < n.micros || float64(l.micros+s.micros) < m.cfg.MinProbability*million || l.veto || s.veto {
		return
	}
	for _, c := range [...]*candidate{l, s} {
		if k := c.ch.Kind; k != triage.KindFlag && k != triage.KindConfig || m.harm(c) != "" {
			return
		}
	}
	for _, c := range [...]*candidate{l, s} {
		rec.Either = append(rec.Either, *targetOf(c.ch))
		step := do(fmt.Sprintf("cheap and safe to undo: %s (%s)", label(c.ch), clock(m.abs(c.act.start))))
		step.Target = c.ch.ID
		rec.Steps = append(rec.Steps, step)
	}
}

// strongest is the leader's best reason in a sentence: its strongest direct evidence.
func (m *ranking) strongest(l *candidate) string {
	for _, e := range sortedEvidence(l.evidence()) {
		if e.Direct && e.Contribution > 0 {
			return e.Sentence
		}
	}
	return label(l.ch) + " fits best"
}

// verify says how to see that the reversal worked: the symptom back at what it was, and the changed service too, no
// sooner than the slowest window allows.
func (m *ranking) verify(l *candidate) string {
	wait := 10 * time.Minute
	if m.in.Symptom != nil && m.in.Symptom.LongestRangeS > 0 {
		wait = max(wait, 2*time.Duration(m.in.Symptom.LongestRangeS*float64(time.Second)))
	}
	by := m.at.Add(wait).UTC().Format("15:04")
	what := orUnknown(m.scope.Service) + " back to usual"
	if p, sh := m.clearestSymptom(); p != nil {
		what = fmt.Sprintf("%s %s back near %s", orUnknown(m.scope.Service), measure(p), quantity(p, sh.before))
	}
	if l.ch.Service != "" && l.ch.Service != m.scope.Service {
		what += ", and " + l.ch.Service + " too"
	}
	return fmt.Sprintf("%s by %s UTC; slower does not clear it: retries, queues and rate windows lag", what, by)
}
