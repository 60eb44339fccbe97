package triage

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"
)

// DecodeChange reads one Change strictly: unknown fields, wrong types and values out of bounds are FieldErrors,
// all of them at once, each path beginning with prefix. The result is Validate-d.
func DecodeChange(data []byte, prefix string) (Change, error) {
	c, err := ReadChange(data, prefix)
	if err != nil {
		return Change{}, err
	}
	return c, c.Validate(prefix)
}

// ReadChange is DecodeChange without Validate: for whoever fills in first what a sender may leave open, and validates then.
func ReadChange(data []byte, prefix string) (Change, error) {
	if key := twice(data); key != "" {
		return Change{}, givenTwice(prefix, key)
	}
	return decodeStrict[Change](data, prefix)
}

// ReadAnomaly is ReadChange for an Anomaly.
func ReadAnomaly(data []byte, prefix string) (Anomaly, error) {
	if key := twice(data); key != "" {
		return Anomaly{}, givenTwice(prefix, key)
	}
	return decodeStrict[Anomaly](data, prefix)
}

// DecodeAnomaly is DecodeChange for an Anomaly.
func DecodeAnomaly(data []byte, prefix string) (Anomaly, error) {
	a, err := ReadAnomaly(data, prefix)
	if err != nil {
		return Anomaly{}, err
	}
	return a, a.Validate(prefix)
}

// DecodeEvent reads the envelope of the triaged format: {"change":…} or {"anomaly":…}.
func DecodeEvent(data []byte) (Event, error) {
	if key := twice(data); key != "" {
		return Event{}, givenTwice("event", key)
	}
	// Nearly all events are well-formed, and those are read in one pass; what is wrong with the others is found part by part.
	if e, err := decodeWhole[Event](data); err == nil && (e.Change == nil) != (e.Anomaly == nil) {
		if e.Change != nil {
			return e, e.Change.Validate("change")
		}
		return e, e.Anomaly.Validate("anomaly")
	}
	var env struct {
		Change  json.RawMessage `json:"change"`
		Anomaly json.RawMessage `json:"anomaly"`
	}
	const remedy = `send {"change":{…}} or {"anomaly":{…}}`
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&env); err != nil {
		return Event{}, &FieldError{Field: "event", Value: clip(data), Remedy: remedy}
	}
	switch {
	case len(env.Change) > 0 && len(env.Anomaly) == 0:
		c, err := DecodeChange(env.Change, "change")
		return Event{Change: &c}, err
	case len(env.Anomaly) > 0 && len(env.Change) == 0:
		a, err := DecodeAnomaly(env.Anomaly, "anomaly")
		return Event{Anomaly: &a}, err
	}
	return Event{}, &FieldError{Field: "event", Value: clip(data), Remedy: remedy}
}

func givenTwice(field, key string) error {
	return &FieldError{Field: field, Value: key, Remedy: "this key stands twice in one object; give each once"}
}

var errTrailing = errors.New("something follows the value")

// decodeWhole reads exactly one value without unknown fields.
func decodeWhole[T any](data []byte) (v T, err error) {
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&v); err != nil {
		return v, err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return v, errTrailing
	}
	return v, nil
}

// maxComplaints bounds what is said about one record: the answer must not be larger than the question.
const maxComplaints = 50

// decodeStrict tries the whole value at once, and only if that fails goes field by field to say what is wrong with each.
func decodeStrict[T any](data []byte, prefix string) (T, error) {
	v, err := decodeWhole[T](data)
	if errors.Is(err, errTrailing) {
		return v, &FieldError{Field: prefix, Value: clip(data), Remedy: "send one JSON object with nothing after it"}
	}
	if err == nil {
		if bytes.Equal(bytes.TrimSpace(data), []byte("null")) {
			return v, &FieldError{Field: prefix, Value: "null", Remedy: "send a JSON object"}
		}
		return v, nil
	}
	var fields map[string]json.RawMessage
	if json.Unmarshal(data, &fields) != nil {
		return v, &FieldError{Field: prefix, Value: clip(data), Remedy: "send a JSON object: " + jsonProblem(err)}
	}
	known := fieldsByName(reflect.TypeFor[T]())
	var problems []error
	for i, name := range slices.Sorted(maps.Keys(fields)) {
		if len(problems) == maxComplaints {
			problems = append(problems, &FieldError{Field: prefix, Remedy: fmt.Sprintf("has %d further fields that were not looked at; these are the first %d problems", len(fields)-i, maxComplaints)})
			break
		}
		path := join(prefix, name)
		typ, ok := known[name]
		if !ok {
			problems = append(problems, &FieldError{Field: path, Remedy: "is not a known field; the known ones are " + strings.Join(slices.Sorted(maps.Keys(known)), ", ")})
			continue
		}
		dec := json.NewDecoder(bytes.NewReader(fields[name]))
		dec.DisallowUnknownFields()
		if err := dec.Decode(reflect.New(typ).Interface()); err != nil {
			problems = append(problems, typedProblem(path, typ, fields[name], err))
		}
	}
	if len(problems) == 0 {
		problems = []error{&FieldError{Field: prefix, Value: clip(data), Remedy: jsonProblem(err)}}
	}
	return v, errors.Join(problems...)
}

func typedProblem(path string, typ reflect.Type, raw json.RawMessage, err error) error {
	if typ == reflect.TypeFor[time.Time]() {
		return &FieldError{Field: path, Value: unquote(raw), Remedy: "use RFC 3339 with a zone, like 2026-03-01T03:02:10Z"}
	}
	if fe, ok := errors.AsType[*FieldError](err); ok {
		return &FieldError{Field: path, Value: fe.Value, Remedy: fe.Remedy}
	}
	if te, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		if te.Field != "" {
			path += "." + te.Field
		}
		return &FieldError{Field: path, Value: unquote(raw), Remedy: "must be " + jsonTypeName(te.Type) + ", not " + te.Value}
	}
	if te, ok := errors.AsType[*time.ParseError](err); ok {
		return &FieldError{Field: path, Value: strings.Trim(te.Value, `"`), Remedy: "use RFC 3339 with a zone, like 2026-03-01T03:02:10Z"}
	}
	return &FieldError{Field: path, Value: unquote(raw), Remedy: jsonProblem(err)}
}

func jsonTypeName(t reflect.Type) string {
	switch t.Kind() {
	case reflect.String:
		return "a string"
	case reflect.Bool:
		return "true or false"
	case reflect.Slice, reflect.Array:
		return "a list"
	case reflect.Map, reflect.Struct:
		return "an object"
	case reflect.Pointer:
		return jsonTypeName(t.Elem())
	default:
		return "a number"
	}
}

// jsonProblem says what encoding/json found without its package prefix.
func jsonProblem(err error) string {
	return strings.TrimPrefix(err.Error(), "json: ")
}

// fieldsByName lists the JSON fields of a struct, those of embedded structs included.
func fieldsByName(t reflect.Type) map[string]reflect.Type {
	out := make(map[string]reflect.Type)
	for f := range t.Fields() {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case f.Anonymous && name == "":
			maps.Copy(out, fieldsByName(f.Type))
		case name != "" && name != "-":
			out[name] = f.Type
		}
	}
	return out
}

func unquote(raw json.RawMessage) string {
	var s string
	if json.Unmarshal(raw, &s) == nil {
		return s
	}
	return clip(raw)
}

func clip(data []byte) string {
	if len(data) > 2*maxErrorValue {
		data = data[:2*maxErrorValue]
	}
	return strings.ToValidUTF8(string(data), "�")
}

func join(prefix, name string) string {
	if prefix == "" {
		return name
	}
	return prefix + "." + name
}

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
