package correlate

import (
	"fmt"
	"slices"
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
			Action: a, Target: ch.ID, Change: undoneOf(ch), Class: triage.VerdictWillNotHelp,
			Reason: fmt.Sprintf("it began at %s, at least %s after the trouble did, and cannot have set it off", clock(ch.OccurredAt()), span1(m.rel(ch.OccurredAt())-m.onset.latest)),
		})
	}
	return out
}

func undoneOf(ch *triage.Change) *triage.Undone {
	u := triage.UndoneOf(*ch)
	return &u
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
			rec.Avoid = append(rec.Avoid, triage.Avoid{Action: a, Target: c.ch.ID, Change: undoneOf(c.ch), Class: triage.VerdictHarmful, Reason: why})
		}
	}
}

// outside is the advice when no change fits. That a rollback will not help is said where it is known: something outside is seen to be
// the cause, changes were seen and do not fit, and every source was heard. Not to have seen a change is not to know that there is none.
func (m *ranking) outside(rec *triage.Recommendation, n *none) {
	where, look, check := m.pointsOutside(n)
	known := check != "" && float64(n.micros)/million >= m.cfg.MinProbability
	deaf := slices.IndexFunc(m.in.Coverage, func(c triage.Coverage) bool { return c.State != triage.SourceOK && c.State != "" })
	switch {
	case known && len(m.candidates) > 0 && deaf < 0:
		rec.Verdict, rec.Action = triage.VerdictWillNotHelp, triage.ActionDoNotRollBack
		rec.Reason, rec.Check = where, check
		rec.Steps = []triage.Instruction{do(look)}
		return
	case where != "":
		rec.Reason = where
		if deaf >= 0 {
			rec.Reason += fmt.Sprintf("; %s could not be heard as usual, so a change I did not see may be behind it", m.in.Coverage[deaf].Source)
		}
		rec.Steps = []triage.Instruction{do(look)}
		return
	}
	rec.Doubt, rec.Reason = triage.DoubtNoChange, "no change I saw fits"
	if len(m.candidates) == 0 {
		rec.Reason = fmt.Sprintf("no change was seen in the %s before the onset", span1(m.lookback))
	}
	if look != "" {
		rec.Steps = []triage.Instruction{do(look)}
	}
	rec.Check = "what is not reported here: changes made by hand, vendors, certificates that ran out, limits reached with time"
	if len(m.candidates) > 0 && float64(m.candidates[0].micros) >= 0.15*million {
		if apart := m.separate(m.candidates[0], n); apart != "" {
			rec.Check = apart
		}
	}
}

// pointsOutside says what besides a change is seen to be the cause, and where to look then; "" where nothing is. check says how it
// would show, and is "" where it is only seen where the trouble sits, not why.
func (m *ranking) pointsOutside(n *none) (where, look, check string) {
	for _, e := range n.evidence {
		if e.Factor == "surge" {
			return e.Sentence, "where that traffic comes from: a campaign, a job, clients that ask again and again", "the symptom goes as that traffic goes"
		}
	}
	if len(n.sources) == 0 || n.sources[0].name == m.scope.Service {
		return "", "", ""
	}
	top := n.sources[0]
	if top.share < 0.5 || top.log <= 2 || m.changedAt(top.name) {
		if top.share > 0.3 && top.log > 1 { // as weak as the evidence that names it: a place to look, and no more
			look = lookAt(top.name)
		}
		return "", look, ""
	}
	if m.external(top.name) {
		return fmt.Sprintf("the trouble points at %s, which is not ours", top.name), fmt.Sprintf("what %s says of itself: its status page, its support", top.name), fmt.Sprintf("calls to %s recover first", top.name)
	}
	return fmt.Sprintf("%s shifted on its own account and no change to it was seen", top.name), lookAt(top.name), ""
}

func lookAt(name string) string {
	return fmt.Sprintf("%s first: its logs, its limits, the host it runs on, what was done to it by hand", name)
}

// doubt says why no reversal is advised, as a value and in a sentence.
func (m *ranking) doubt(l *candidate, n *none, p, margin float64) (triage.Doubt, string) {
	name := label(l.ch)
	say := func(d triage.Doubt, format string, args ...any) (triage.Doubt, string) {
		return d, fmt.Sprintf(format, args...)
	}
	switch {
	case l.alone != "":
		return say(triage.DoubtAlone, "%s leads on one measurement alone, %s; another look in a minute will tell", name, l.alone)
	case l.veto:
		return say(triage.DoubtOlder, "%s is the likeliest change, but the trouble is older than it", name)
	case l.far:
		return say(triage.DoubtFar, "%s is the likeliest change, but it was found only in the longer search: undoing it would take much else along", name)
	case m.long(l):
		return say(triage.DoubtNoOnset, "%s is the likeliest change by its time, but no series says when the trouble began", name)
	case !l.direct && !l.own.observed:
		return say(triage.DoubtUnmeasured, "%s is the likeliest change by timing and place alone: nothing measures it", name)
	case !l.direct && l.own.ratio > 1:
		return say(triage.DoubtFaint, "%s is the likeliest change, but what is measured on it moved too little or too briefly to act on", name)
	case !l.direct:
		return say(triage.DoubtStill, "%s is the likeliest change by timing and place alone: nothing measured on it moved", name)
	case !m.together(l):
		return say(triage.DoubtApart, "%s is the likeliest change, but %s shifted well before the symptom did: that may be another matter", name, orUnknown(l.ch.Service))
	case p >= m.threshold(l) && m.rival(l) != nil:
		return say(triage.DoubtShared, "%s is the likeliest change, and what %s did fits %s as well", name, l.ch.Service, label(m.rival(l).ch))
	case p < m.threshold(l):
		return say(triage.DoubtUnlikely, "%s is the likeliest change, but not by enough to act on", name)
	case margin < m.cfg.MinMargin && len(m.candidates) > 1 && m.candidates[1].micros >= n.micros:
		return say(triage.DoubtTied, "%s and %s cannot be told apart", name, label(m.candidates[1].ch))
	case reversal(l.ch) == "":
		return say(triage.DoubtNoUndo, "%s is the likeliest change, and no safe way to undo it is known", name)
	}
	return say(triage.DoubtUnseen, "%s is the likeliest change, but something unseen is nearly as likely", name)
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
	return fmt.Sprintf("%s by %s UTC; retries, queues and rate windows lag: later is no sign that it was something else", what, by)
}
