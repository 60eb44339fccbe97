package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"
)

// decodeBody reads a JSON object that is not an event, strictly: every unknown field and wrong type is named. T is a flat
// struct of strings, numbers and times.
func decodeBody[T any](r *request) (T, error) {
	var v T
	f, err := formOf(r.Header)
	if err != nil {
		return v, err
	}
	if f != formJSON {
		return v, problem(kindMediaType, "Send application/json.")
	}
	body := bytes.TrimSpace(r.body)
	if err := checkJSON(body); err != nil {
		return v, err
	}
	var given map[string]json.RawMessage
	if body[0] != '{' || json.Unmarshal(body, &given) != nil {
		return v, problem(kindRecord, "The body is not an object.").with(fieldProblem("", clip(body), "send a JSON object"))
	}
	into := reflect.ValueOf(&v).Elem()
	fields := make(map[string]reflect.Value)
	for i, name := range fieldNames(into.Type()) {
		fields[name] = into.Field(i)
	}
	var problems []FieldProblem
	for _, name := range slices.Sorted(maps.Keys(given)) {
		field, ok := fields[name]
		if !ok {
			problems = append(problems, fieldProblem(name, "", "is not a known field; the known ones are "+strings.Join(fieldNames(into.Type()), ", ")))
			continue
		}
		if err := json.Unmarshal(given[name], field.Addr().Interface()); err != nil {
			problems = append(problems, fieldProblem(name, strings.Trim(clip(given[name]), `"`), wanted(field.Type(), err)))
		}
	}
	if len(problems) > 0 {
		return v, problem(kindRecord, "The body breaks the schema.").with(problems...)
	}
	return v, nil
}

// wanted says what a field takes.
func wanted(t reflect.Type, err error) string {
	if t == reflect.TypeFor[time.Time]() {
		return "use RFC 3339 with a zone, like 2026-03-01T03:02:10Z"
	}
	want := "must be a number"
	if t.Kind() == reflect.String {
		want = "must be a string"
	}
	if te, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		want += ", not " + te.Value
	}
	return want
}

func fieldNames(t reflect.Type) []string {
	var names []string
	for f := range t.Fields() {
		names = append(names, f.Tag.Get("json"))
	}
	return names
}
