package correlate

import (
	"fmt"
	"strings"

	"github.com/triaged-dev/triaged/triage"
)

// perLookback makes a density per minute a plain number: against a change at an even chance over half an hour.
const perLookback = 30

// timingFactor: how well the lag fits the kind, steps and uncertain times and the onset integrated out.
func (m *ranking) timingFactor(c *candidate) finding {
	c.density = m.timing(c)
	return finding{nats: ln(float64(c.density * perLookback)), say: func() string { return m.timingSentence(c) }}
}

// kindFactor: how often a change of this kind sets off an incident.
func (m *ranking) kindFactor(c *candidate) finding {
	n := m.w.kind(c.ch.Kind)
	switch {
	case n == 0:
		return finding{}
	case n > 0:
		return finding{nats: n, say: func() string {
			return fmt.Sprintf("changes of kind %s set off incidents more often than deploys do", c.ch.Kind)
		}}
	}
	return finding{nats: n, say: func() string {
		return fmt.Sprintf("changes of kind %s set off incidents less often than deploys do", c.ch.Kind)
	}}
}

// busyFactor: a service that changes all the time earns less suspicion per change.
func (m *ranking) busyFactor(c *candidate) finding {
	rate, ok := m.in.ChangeRate[c.ch.Service]
	if !ok {
		rate = m.rateOf(c.ch.Service)
	}
	if c.ch.Service == "" || rate <= m.w.BusyReference {
		return finding{}
	}
	n := -m.w.BusyExponent * ln(rate/m.w.BusyReference)
	return finding{nats: max(n, -1.5), say: func() string {
		return fmt.Sprintf("%s changes often, about %s times an hour", c.ch.Service, number(rate))
	}}
}

// rateOf counts the service's candidates over the lookback, per hour.
func (m *ranking) rateOf(name string) float64 {
	if m.rates == nil {
		m.rates = make(map[string]float64)
		hours := (m.lookback + m.onset.latest - m.onset.earliest).minutes() / 60
		for _, c := range m.candidates {
			if !c.far {
				m.rates[c.ch.Service] += 1 / hours
			}
		}
	}
	return m.rates[name]
}

// topologyFactor: whether a fault there can reach the symptom, and over how many calls.
func (m *ranking) topologyFactor(c *candidate) finding {
	sym := m.scope.Service
	switch c.place {
	case placeSelf:
		return finding{nats: 0, say: func() string { return fmt.Sprintf("it changed %s itself", sym) }}
	case placeCallee:
		return finding{nats: float64(m.w.PlaceHop * float64(c.hops)), say: func() string {
			return fmt.Sprintf("%s depends on %s, %s away", sym, c.ch.Service, plural(c.hops, "call"))
		}}
	case placeCaller:
		return finding{nats: m.w.PlaceCaller, say: func() string {
			return fmt.Sprintf("%s calls %s, and causes are mostly on the called side", c.ch.Service, sym)
		}}
	case placeGlobal:
		return finding{nats: m.w.PlaceGlobal, say: func() string { return "it reaches every service" }}
	case placeNoService:
		return finding{nats: m.w.PlaceNoService, say: func() string { return "it names no service" }}
	case placeNoGraph:
		return finding{nats: m.w.PlaceNoGraph, say: func() string {
			return fmt.Sprintf("it changed %s, and no topology says whether %s depends on it", c.ch.Service, orUnknown(sym))
		}}
	case placeUnplaced:
		// A graph is seldom whole: a service it does not know may be called by anybody, the more of them the less likely each.
		return finding{nats: m.w.PlaceUnplaced - ln(float64(max(1, m.unplaced))), say: func() string {
			return fmt.Sprintf("it changed %s, which the call graph does not know", c.ch.Service)
		}}
	default: // off the graph
	}
	// Missing edges and shared nodes exist, but not many: all changes without a path share one small chance.
	share := -ln(float64(max(1, m.offGraph)))
	return finding{nats: m.w.PlaceOffGraph + share, say: func() string { return fmt.Sprintf("no known path from %s to %s", sym, c.ch.Service) }}
}

// scopeFactor: whether it touched the environment, cluster, namespace and region that hurt.
func (m *ranking) scopeFactor(c *candidate) finding {
	mine, theirs := m.scope, c.ch.Scope
	mine.Service, theirs.Service = "", ""
	if theirs.Region == "" {
		theirs.Region = onlyRegion(c.ch.Steps)
	}
	if aspect, bad := mine.Contradicts(theirs); bad {
		return finding{nats: m.w.ScopeMismatch, say: func() string {
			return fmt.Sprintf("it changed %s %s, the symptom is in %s", aspect, scopeAspect(theirs, aspect), scopeAspect(mine, aspect))
		}}
	}
	var same []string
	for _, a := range [...]string{"environment", "cluster", "namespace", "region"} {
		if v := scopeAspect(mine, a); v != "" && v == scopeAspect(theirs, a) {
			same = append(same, a+" "+v)
		}
	}
	if len(same) == 0 {
		return finding{}
	}
	return finding{nats: m.w.ScopeMatch, say: func() string { return "same " + strings.Join(same, ", ") }}
}

// onlyRegion is the region of all steps, or "" where they have several or none.
func onlyRegion(steps []triage.Step) string {
	region := ""
	for i, s := range steps {
		if i > 0 && s.Region != region {
			return ""
		}
		region = s.Region
	}
	return region
}

func scopeAspect(s triage.Scope, aspect string) string {
	switch aspect {
	case "environment":
		return s.Environment
	case "cluster":
		return s.Cluster
	case "namespace":
		return s.Namespace
	}
	return s.Region
}

// exposureFactor: how much of the traffic had it when the trouble began.
func (m *ranking) exposureFactor(c *candidate) finding {
	percent := -1.0
	for _, s := range sortedSteps(c.ch.Steps) {
		if m.rel(s.At) <= m.onset.latest && s.Percent > 0 {
			percent = s.Percent
		}
	}
	if p := c.ch.RolloutPercent; percent < 0 && p != nil && len(c.ch.Steps) == 0 {
		percent = *p
	}
	switch {
	case percent < 0:
		return finding{}
	case percent <= 5:
		return finding{nats: m.w.ExposureSmall, say: func() string { return fmt.Sprintf("only %s %% had it when the trouble began", number(percent)) }}
	case percent >= 100:
		return finding{nats: m.w.ExposureFull, say: func() string { return "everything had it when the trouble began" }}
	}
	return finding{nats: 0, say: func() string { return fmt.Sprintf("%s %% had it when the trouble began", number(percent)) }}
}

// sizeFactor: large changes break a little more often; small ones still do.
func (m *ranking) sizeFactor(c *candidate) finding {
	s := c.ch.Size
	switch {
	case s.Files >= 20 || s.Lines >= 500:
		return finding{nats: m.w.SizeLarge, say: func() string {
			return fmt.Sprintf("a large change: %s, %s", plural(s.Files, "file"), plural(s.Lines, "line"))
		}}
	case s.Lines > 0 && s.Lines <= 3:
		return finding{nats: m.w.SizeSmall, say: func() string { return fmt.Sprintf("a small change: %s", plural(s.Lines, "line")) }}
	}
	return finding{}
}

// riskFactor: a rollout that did not end well, and one that changed nothing.
func (m *ranking) riskFactor(c *candidate) finding {
	ch := c.ch
	switch {
	case ch.Status == triage.StatusFailed || ch.Status == triage.StatusCancelled:
		return finding{nats: m.w.RiskFailed, say: func() string { return fmt.Sprintf("it %s: half a rollout may be live", statusWord(ch.Status)) }}
	case ch.Version != "" && ch.Version == ch.PreviousVersion && slow(ch.Kind) && ch.Kind != triage.KindInfra:
		return finding{nats: m.w.RiskNoop, say: func() string { return fmt.Sprintf("%s before and after: nothing changed but a restart", ch.Version) }}
	case byController(ch):
		return finding{nats: m.w.RiskReaction, say: func() string { return "a controller did it by itself: mostly a reaction" }}
	}
	return finding{}
}

// byController reports whether no person or pipeline asked for the change: an autoscaler's scaling. Whoever undoes it fights the
// controller.
func byController(ch *triage.Change) bool { return ch.Labels["controller"] != "" }

func statusWord(s triage.Status) string {
	if s == triage.StatusCancelled {
		return "was cancelled"
	}
	return string(s)
}

// historyFactor: how changes of this service and kind turned out before. Verified outcomes count a quarter of confirmed ones.
func (m *ranking) historyFactor(c *candidate) finding {
	guilty, clear := 0.0, 0.0
	for _, o := range m.in.History {
		if o.Service != c.ch.Service || o.Kind != c.ch.Kind || o.Service == "" {
			continue
		}
		switch o.Outcome {
		case "confirmed":
			guilty += o.N
		case "verified":
			guilty += float64(o.N / 4)
		case "rejected":
			clear += o.N
		}
	}
	if guilty+clear == 0 {
		return finding{}
	}
	n := clamp(0.5*ln((guilty+1)/(clear+1)), -m.w.HistoryMax, m.w.HistoryMax)
	return finding{nats: n, say: func() string {
		return fmt.Sprintf("earlier %s changes of %s: guilty %s times, cleared %s", c.ch.Kind, c.ch.Service, number(guilty), number(clear))
	}}
}

// revertedFactor: a change undone before the trouble began cannot feed it; one undone since stays a suspect, also when it
// did not help at once: only when that was measured past every limit does it step back behind the next one.
func (m *ranking) revertedFactor(c *candidate) finding {
	for _, k := range m.in.Checked {
		if k.Undid == c.ch.ID && k.Outcome == triage.CheckNotHelped && !k.Asked.After(m.at) {
			return finding{nats: m.w.RevertedNoHelp, say: func() string {
				return fmt.Sprintf("it was undone at %s, and the symptom stayed for the %s it was watched", clock(k.At), span1(ms(k.Asked.Sub(k.At).Milliseconds())))
			}}
		}
	}
	undo := m.undoOf(c.ch)
	if undo == nil {
		return finding{}
	}
	at := m.rel(undo.OccurredAt())
	if !undo.FinishedAt.IsZero() {
		at = m.rel(undo.FinishedAt)
	}
	if at < m.onset.earliest-60_000 {
		return finding{nats: m.w.RevertedBefore, say: func() string { return fmt.Sprintf("it was undone at %s, before the trouble began", clock(m.abs(at))) }}
	}
	// A person's guess is no evidence of the cause: only what is measured after it is.
	return finding{say: func() string { return fmt.Sprintf("it was undone at %s, after the trouble began", clock(m.abs(at))) }}
}

// takenBackAgain are the changes that a later one took back: an undo among them undoes nothing any more.
func (m *ranking) takenBackAgain() map[triage.ChangeID]bool {
	out := make(map[triage.ChangeID]bool)
	for i := range m.in.Changes {
		if u := &m.in.Changes[i]; seenBy(*u, m.at) && u.Status != triage.StatusFailed && u.Status != triage.StatusCancelled {
			for _, id := range u.Undoes {
				out[id] = true
			}
		}
	}
	return out
}

// undoOf is the earliest change seen that undid this one, nil where there is none.
func (m *ranking) undoOf(ch *triage.Change) *triage.Change {
	if m.undone == nil {
		m.undone = make(map[triage.ChangeID]*triage.Change)
		byID := make(map[triage.ChangeID]*triage.Change, len(m.in.Changes))
		note := func(id triage.ChangeID, u *triage.Change) {
			if was := m.undone[id]; was == nil || u.OccurredAt().Before(was.OccurredAt()) || u.OccurredAt().Equal(was.OccurredAt()) && u.ID < was.ID {
				m.undone[id] = u
			}
		}
		again := m.takenBackAgain()
		for i := range m.in.Changes {
			u := &m.in.Changes[i]
			if seenBy(*u, m.at) && !again[u.ID] {
				byID[u.ID] = u
				for _, id := range u.Undoes {
					note(id, u)
				}
			}
		}
		for _, c := range m.candidates {
			for _, id := range c.ch.RevertedBy {
				if u := byID[id]; u != nil {
					note(c.ch.ID, u)
				}
			}
		}
	}
	return m.undone[ch.ID]
}

// splitLabel is the label by which a series tells new from old, "" without one.
func splitLabel(labels map[string]string) string {
	for _, l := range [...]string{"version", "variant", "region"} {
		if labels[l] != "" {
			return l
		}
	}
	for _, l := range [...]string{"pod", "instance", "replicaset"} {
		if labels[l] != "" {
			return l
		}
	}
	return ""
}
