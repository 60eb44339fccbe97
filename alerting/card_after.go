package alerting

import (
	"slices"
	"strings"

	"github.com/triaged-dev/triaged/triage"
	"github.com/triaged-dev/triaged/triage/say"
)

// settled reports whether every undo has been measured to an end.
func settled(r triage.Report) bool {
	return len(r.Checked) > 0 && !slices.ContainsFunc(r.Checked, func(c triage.Checked) bool { return c.Outcome == triage.CheckWatching })
}

// checked says what each undo did, once there is something to say.
func (c *Card) checked(in CardInput) {
	for _, k := range in.Report.Checked {
		if k.Outcome == triage.CheckWatching {
			continue
		}
		var sub []string
		for _, s := range k.Steps {
			if s = clean(s, maxSentence); s != "" && len(sub) < 2 && in.Incident.State != triage.IncidentRecovered {
				sub = append(sub, s)
			}
		}
		c.add("CHECKED", strings.TrimSuffix(clean(k.Sentence, maxChecked), "."), sub...)
	}
}

// hold names what went live since it began: more of it would blur what did what.
func (c *Card) hold(in CardInput) {
	if len(in.Report.Hold) == 0 {
		return
	}
	var names []string
	for _, h := range in.Report.Hold {
		names = append(names, say.Undone(h)+" "+clockDay(h.At, in.Report.CreatedAt))
	}
	c.add("HOLD", "went live since it began: "+short(names)+"; hold others until this is settled")
}

// undone reports whether a change has been taken back, so that it needs no advice to do so.
func undone(r triage.Report, id triage.ChangeID) bool {
	return slices.ContainsFunc(r.Checked, func(c triage.Checked) bool { return c.Undid == id })
}
