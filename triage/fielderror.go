package triage

import (
	"fmt"
	"strings"
)

// FieldError is bad input told to somebody who can mend it: which field, which value, what to do.
type FieldError struct {
	Field  string // path within the input, as in "changes[3].started_at"
	Value  string // what was given, shortened; empty when nothing was given
	Remedy string // what would be accepted, as in "use RFC 3339 with a zone, like 2026-03-01T03:02:10Z"
}

const maxErrorValue = 80 // bytes of a rejected value that are repeated to the sender

func (e *FieldError) Error() string {
	v := e.Value
	if len(v) > maxErrorValue {
		v = strings.ToValidUTF8(v[:maxErrorValue], "") + "…"
	}
	if v == "" {
		return fmt.Sprintf("%s: %s", e.Field, e.Remedy)
	}
	return fmt.Sprintf("%s: %q: %s", e.Field, v, e.Remedy)
}
