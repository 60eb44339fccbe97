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
