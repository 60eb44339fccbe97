package triage

import (
	"fmt"
	"slices"
	"strings"
)

// Kind says what sort of thing a Change did to the running system.
type Kind string

// The kinds of Change. Other tools' words are mapped onto these by the sources.
const (
	KindDeploy    Kind = "deploy"
	KindRollback  Kind = "rollback"
	KindConfig    Kind = "config"
	KindFlag      Kind = "flag"
	KindMigration Kind = "migration"
	KindInfra     Kind = "infra"
	KindScale     Kind = "scale"
	KindCommand   Kind = "command"
	KindOther     Kind = "other"
)

// Kinds lists every Kind, in the order they are documented.
func Kinds() []Kind {
	return []Kind{KindDeploy, KindRollback, KindConfig, KindFlag, KindMigration, KindInfra, KindScale, KindCommand, KindOther}
}

func (k Kind) String() string { return string(k) }

// ParseKind reads a Kind; the error lists the kinds there are.
func ParseKind(s string) (Kind, error) { return parseEnum("kind", s, Kinds()) }

// Status says how far a Change has got.
type Status string

// The states of a Change. Started may become any other; the others are terminal.
const (
	StatusStarted    Status = "started"
	StatusSucceeded  Status = "succeeded"
	StatusFailed     Status = "failed"
	StatusCancelled  Status = "cancelled"
	StatusSuperseded Status = "superseded"
)

// Statuses lists every Status.
func Statuses() []Status {
	return []Status{StatusStarted, StatusSucceeded, StatusFailed, StatusCancelled, StatusSuperseded}
}

func (s Status) String() string { return string(s) }

// Terminal reports whether the Change has come to an end, good or bad.
func (s Status) Terminal() bool { return s != "" && s != StatusStarted }

// ParseStatus reads a Status; the error lists the states there are.
func ParseStatus(s string) (Status, error) { return parseEnum("status", s, Statuses()) }

// Signal is the aspect of a service that a series measures.
type Signal string

// The signals. Custom is anything whose bad direction is unknown unless the series says so.
const (
	SignalErrors     Signal = "errors"
	SignalLatency    Signal = "latency"
	SignalTraffic    Signal = "traffic"
	SignalSaturation Signal = "saturation"
	SignalCustom     Signal = "custom"
)

// Signals lists every Signal.
func Signals() []Signal {
	return []Signal{SignalErrors, SignalLatency, SignalTraffic, SignalSaturation, SignalCustom}
}

func (s Signal) String() string { return string(s) }

// ParseSignal reads a Signal; the error lists the signals there are.
func ParseSignal(s string) (Signal, error) { return parseEnum("signal", s, Signals()) }

func parseEnum[T ~string](field, s string, all []T) (T, error) {
	if slices.Contains(all, T(s)) {
		return T(s), nil
	}
	return "", &FieldError{Field: field, Value: s, Remedy: "use one of " + joinEnum(all)}
}

func joinEnum[T ~string](all []T) string {
	var b strings.Builder
	for i, v := range all {
		if i > 0 {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "%s", string(v))
	}
	return b.String()
}
