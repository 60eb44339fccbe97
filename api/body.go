package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"time"
)

// decodeBody reads a JSON object that is not an event, strictly: unknown fields and wrong types are named.
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
	if !json.Valid(body) {
		return v, malformed(body)
	}
	if body[0] != '{' {
		return v, problem(kindRecord, "The body is not an object.").with(fieldProblem("", clip(body), "send a JSON object"))
	}
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&v); err != nil {
		return v, problem(kindRecord, "The body breaks the schema.").with(bodyProblem(err, fieldNames(reflect.TypeFor[T]())))
	}
	return v, nil
}

func bodyProblem(err error, known []string) FieldProblem {
	if te, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		return fieldProblem(te.Field, "", fmt.Sprintf("must be a JSON %s, not %s", jsonKind(te.Type), te.Value))
	}
	if te, ok := errors.AsType[*time.ParseError](err); ok {
		return fieldProblem("", strings.Trim(te.Value, `"`), "use RFC 3339 with a zone, like 2026-03-01T03:02:10Z")
	}
	text := strings.TrimPrefix(err.Error(), "json: ")
	if name, ok := strings.CutPrefix(text, "unknown field "); ok {
		return fieldProblem(strings.Trim(name, `"`), "", "is not a known field; the known ones are "+strings.Join(known, ", "))
	}
	return fieldProblem("", "", text)
}

func jsonKind(t reflect.Type) string {
	switch t.Kind() {
	case reflect.String:
		return "string"
	case reflect.Struct:
		return "string with a time in RFC 3339"
	default:
		return "number"
	}
}

func fieldNames(t reflect.Type) []string {
	var names []string
	for f := range t.Fields() {
		names = append(names, f.Tag.Get("json"))
	}
	return names
}
