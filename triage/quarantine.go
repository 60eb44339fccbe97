package triage

import (
	"strings"
	"time"
)

// Quarantined is a record that could not be taken, kept with its reason and with what reading it again needs.
type Quarantined struct {
	ID     string    `json:"id"`
	Source string    `json:"source"`
	Origin string    `json:"origin,omitempty"` // "topic=deploys partition=3 offset=42"
	Reason string    `json:"reason"`
	Body   []byte    `json:"body,omitempty"` // bounded; base64 in JSON
	Size   int       `json:"size,omitempty"` // bytes that are kept; in a list, Body may be their beginning
	Cut    bool      `json:"cut,omitempty"`  // what is kept is only the beginning of the record
	At     time.Time `json:"at"`

	RecordTime time.Time         `json:"record_time,omitzero"` // when it was made or first came, as its carrier says
	Headers    map[string]string `json:"headers,omitempty"`    // what KeepHeader lets through
	Scope      Scope             `json:"scope,omitzero"`       // what the sender speaks of where the record does not say
	Caller     string            `json:"caller,omitempty"`     // whose token pushed it
	As         string            `json:"as,omitempty"`         // the source under which that token's events are stored; empty: as they say
}

// MaxQuarantineBody is the most bytes of one record that are kept: as much as a hook's body may have by default. What is larger than
// that could not be read again anyway.
const MaxQuarantineBody = 5 << 20

// SetBody keeps body, or its beginning.
func (q *Quarantined) SetBody(body []byte) {
	q.Body, q.Cut = body[:min(len(body), MaxQuarantineBody)], len(body) > MaxQuarantineBody
}

// Bounds on the headers that are kept with a record.
const (
	maxHeaders     = 32
	maxHeaderValue = 512 // bytes
)

// secretive are parts of the names of headers that prove who sends, or may.
var secretive = [...]string{"auth", "cookie", "token", "secret", "sig", "password", "key", "hmac", "digest", "jwt", "credential", "session"}

// KeepHeader adds a header to those kept with the record, under its name in lower case. What may be a secret by its name is left
// out, and so is what is beyond 32 headers or 512 bytes.
func (q *Quarantined) KeepHeader(name, value string) {
	name = strings.ToLower(name)
	for _, part := range secretive {
		if strings.Contains(name, part) {
			return
		}
	}
	if len(value) > maxHeaderValue || len(name) > maxHeaderValue || len(q.Headers) >= maxHeaders {
		return
	}
	if q.Headers == nil {
		q.Headers = make(map[string]string)
	}
	q.Headers[name] = value
}
