package triage

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// checker collects FieldErrors under one prefix.
type checker struct {
	prefix   string
	problems []error
}

func (k *checker) add(field, value, remedy string) {
	k.problems = append(k.problems, &FieldError{Field: join(k.prefix, field), Value: value, Remedy: remedy})
}

func (k *checker) text(field, value string, limit int) {
	if len(value) > limit {
		k.add(field, value, fmt.Sprintf("is %d bytes; at most %d are taken", len(value), limit))
	}
	if strings.IndexByte(value, 0) >= 0 {
		k.add(field, value, "must hold no NUL")
	}
}

func (k *checker) enum(err error) {
	if fe, ok := errors.AsType[*FieldError](err); ok {
		k.add(fe.Field, fe.Value, fe.Remedy)
	}
}

func (k *checker) scope(s Scope) {
	k.text("service", s.Service, MaxText)
	k.text("environment", s.Environment, MaxText)
	k.text("region", s.Region, MaxText)
	k.text("cluster", s.Cluster, MaxText)
	k.text("namespace", s.Namespace, MaxText)
	if s.Global && s.Service != "" {
		k.add("global", "true", "is for changes that reach every service; leave out service, or global")
	}
}

func (k *checker) labels(labels map[string]string) {
	if len(labels) > MaxLabels {
		k.add("labels", "", fmt.Sprintf("has %d entries; at most %d are taken", len(labels), MaxLabels))
	}
	for _, name := range slices.Sorted(maps.Keys(labels)) {
		k.text("labels."+name, name, MaxText)
		k.text("labels."+name, labels[name], MaxText)
	}
}

func (k *checker) count(field string, n, limit int) {
	if n > limit {
		k.add(field, "", fmt.Sprintf("has %d entries; at most %d are taken", n, limit))
	}
}

func (k *checker) err() error { return errors.Join(k.problems...) }

// Validate checks a Change against the bounds and rules of the schema; every problem is a FieldError under prefix.
func (c Change) Validate(prefix string) error {
	k := checker{prefix: prefix}
	if c.Kind == "" {
		k.add("kind", "", "is required; use one of "+joinEnum(Kinds()))
	} else {
		_, err := ParseKind(string(c.Kind))
		k.enum(err)
	}
	if c.Status != "" {
		_, err := ParseStatus(string(c.Status))
		k.enum(err)
	}
	switch c.Reversible.Value {
	case "", ReversibleYes, ReversibleNo, ReversibleUnknown:
	default:
		k.add("reversible.value", string(c.Reversible.Value), "use one of yes, no, unknown")
	}
	k.scope(c.Scope)
	if c.Service == "" && !c.Global && c.Kind != KindFlag && c.Environment == "" && c.Cluster == "" && c.Namespace == "" && c.Region == "" {
		k.add("service", "", `is required; for a change that reaches every service set "global": true`)
	}
	if c.StartedAt.IsZero() && c.FinishedAt.IsZero() && c.ObservedAt.IsZero() {
		k.add("started_at", "", "is required unless finished_at is given; use RFC 3339 with a zone")
	}
	if !c.StartedAt.IsZero() && !c.FinishedAt.IsZero() && c.FinishedAt.Before(c.StartedAt) {
		k.add("finished_at", c.FinishedAt.Format(time.RFC3339), "must not be before started_at "+c.StartedAt.Format(time.RFC3339))
	}
	for _, t := range [...]struct {
		name string
		at   time.Time
	}{{"started_at", c.StartedAt}, {"finished_at", c.FinishedAt}, {"observed_at", c.ObservedAt}} {
		k.year(t.name, t.at)
	}
	if c.TimeUncertaintyS < 0 || c.TimeUncertaintyS > 86400 {
		k.add("time_uncertainty_s", fmt.Sprint(c.TimeUncertaintyS), "must lie between 0 and 86400 seconds")
	}
	if !c.Seen.IsZero() {
		_, err := ParseSurely(string(c.Seen.Surely))
		k.enum(err)
		k.text("seen.in", c.Seen.In, MaxText)
		if c.Seen.LateS < 0 || c.Seen.LateS > 86400 {
			k.add("seen.late_s", fmt.Sprint(c.Seen.LateS), "must lie between 0 and 86400 seconds")
		}
	}
	if p := c.RolloutPercent; p != nil && (*p < 0 || *p > 100) {
		k.add("rollout_percent", fmt.Sprint(*p), "must lie between 0 and 100")
	}
	k.count("steps", len(c.Steps), MaxSteps)
	for i, s := range c.Steps {
		if s.At.IsZero() {
			k.add(fmt.Sprintf("steps[%d].at", i), "", "is required; use RFC 3339 with a zone")
		}
		k.year(fmt.Sprintf("steps[%d].at", i), s.At)
		if s.Percent < 0 || s.Percent > 100 {
			k.add(fmt.Sprintf("steps[%d].percent", i), fmt.Sprint(s.Percent), "must lie between 0 and 100")
		}
		k.text(fmt.Sprintf("steps[%d].region", i), s.Region, MaxText)
	}
	k.count("refs", len(c.Refs), MaxRefs)
	for i, r := range c.Refs {
		if r.System == "" || r.ID == "" {
			k.add(fmt.Sprintf("refs[%d]", i), "", "needs system and id")
		}
		k.text(fmt.Sprintf("refs[%d].id", i), r.ID, MaxText)
		k.text(fmt.Sprintf("refs[%d].system", i), r.System, MaxText)
		k.text(fmt.Sprintf("refs[%d].url", i), r.URL, MaxURL)
	}
	k.count("size.paths", len(c.Size.Paths), MaxPaths)
	for i, p := range c.Size.Paths {
		k.text(fmt.Sprintf("size.paths[%d]", i), p, MaxText)
	}
	if c.Size.Files < 0 || c.Size.Lines < 0 {
		k.add("size", fmt.Sprintf("%d files, %d lines", c.Size.Files, c.Size.Lines), "must not be negative")
	}
	for _, f := range [...]struct{ name, value string }{
		{"id", string(c.ID)},
		{"source", c.Source},
		{"version", c.Version},
		{"previous_version", c.PreviousVersion},
		{"digest", c.Digest},
		{"title", c.Title},
		{"reversible.reason", c.Reversible.Reason},
	} {
		k.text(f.name, f.value, MaxText)
	}
	k.text("url", c.URL, MaxURL)
	k.text("actor", c.Actor, MaxURL)
	k.count("undoes", len(c.Undoes), MaxRefs)
	k.count("reverted_by", len(c.RevertedBy), MaxRefs)
	k.labels(c.Labels)
	return k.err()
}

// year keeps times inside what RFC 3339 and the journal can hold.
func (k *checker) year(field string, t time.Time) {
	if !t.IsZero() && (t.Year() < 1990 || t.Year() > 2200) {
		k.add(field, t.UTC().Format(time.RFC3339), "must lie between the years 1990 and 2200; check seconds against milliseconds")
	}
}

// Validate checks an Anomaly; every problem is a FieldError under prefix.
func (a Anomaly) Validate(prefix string) error {
	k := checker{prefix: prefix}
	if a.Signal == "" {
		k.add("signal", "", "is required; use one of "+joinEnum(Signals()))
	} else {
		_, err := ParseSignal(string(a.Signal))
		k.enum(err)
	}
	if a.Unit != "" {
		_, err := parseEnum("unit", string(a.Unit), Units())
		k.enum(err)
	}
	k.scope(a.Scope)
	if a.Service == "" && !a.Global {
		k.add("service", "", "is required")
	}
	if a.Series == "" {
		k.add("series", "", "is required: the metric name or expression that was measured")
	}
	if a.Onset.Best.IsZero() {
		k.add("onset.best", "", "is required; use RFC 3339 with a zone")
	} else if a.Onset.Earliest.After(a.Onset.Best) || (!a.Onset.Latest.IsZero() && a.Onset.Latest.Before(a.Onset.Best)) {
		k.add("onset", a.Onset.Best.Format(time.RFC3339), "must satisfy earliest ≤ best ≤ latest")
	}
	k.year("onset.earliest", a.Onset.Earliest)
	k.year("onset.best", a.Onset.Best)
	k.year("onset.latest", a.Onset.Latest)
	k.year("ended_at", a.EndedAt)
	k.year("observed_at", a.ObservedAt)
	k.text("id", string(a.ID), MaxText)
	k.text("source", a.Source, MaxText)
	k.text("series", a.Series, MaxURL)
	k.labels(a.Labels)
	return k.err()
}
