package api

import (
	"fmt"
	"maps"
	"slices"

	"github.com/triaged-dev/triaged/triage"
)

// own makes a pushed event the caller's own: its source is the token's, or one that the token may name, and its id begins with it, so
// that nobody writes over what another source reported. What was claimed instead is said in the answer.
func (c *caller) own(ev triage.Event) (out triage.Event, warning string) {
	if c.sources == nil {
		return ev, ""
	}
	if ev.Change != nil {
		ch := *ev.Change
		ch.Source, warning = c.source(ch.Source)
		ch.ID = triage.ChangeID(triage.OwnID(ch.Source, string(ch.ID)))
		labels := make(map[string]string, len(ch.Labels)+1)
		maps.Copy(labels, ch.Labels)
		if _, there := labels[triage.LabelPushedBy]; !there && len(labels) >= triage.MaxLabels {
			delete(labels, slices.Max(slices.Collect(maps.Keys(labels)))) // who said it is worth more
		}
		labels[triage.LabelPushedBy] = c.name
		ch.Labels = labels
		return triage.Event{Change: &ch}, warning
	}
	an := *ev.Anomaly
	an.Source, warning = c.source(an.Source)
	an.ID = triage.AnomalyID(triage.OwnID(an.Source, string(an.ID)))
	return triage.Event{Anomaly: &an}, warning
}

// source is the one that is taken for a claimed one.
func (c *caller) source(claimed string) (source, warning string) {
	switch {
	case claimed == "":
		return c.sources[0], ""
	case slices.Contains(c.sources, claimed):
		return claimed, ""
	}
	return c.sources[0], fmt.Sprintf("source %q is not one that this token may name; it is stored as %q (auth.tokens[].sources)", cutText(claimed, maxErrorValue), c.sources[0])
}
