package triage

import "errors"

// Ignored is the outcome of decoding something sound that is no Change and no Anomaly: a build, a merge, a ping.
// It is counted and acknowledged, never quarantined and never shown to the sender as a failure.
type Ignored struct {
	Reason string // one clause without a full stop, as in "a merge: nothing runs yet"
}

func (e *Ignored) Error() string { return "ignored: " + e.Reason }

// IsIgnored reports whether err is an Ignored, and its reason.
func IsIgnored(err error) (reason string, ok bool) {
	if e, is := errors.AsType[*Ignored](err); is {
		return e.Reason, true
	}
	return "", false
}
