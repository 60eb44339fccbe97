package triage

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"time"
)

// AlertStatus is firing or resolved.
type AlertStatus string

// The states of an Alert as senders report them.
const (
	AlertFiring   AlertStatus = "firing"
	AlertResolved AlertStatus = "resolved"
)

// Alert is one alert as Alertmanager, Grafana or Prometheus sent it.
type Alert struct {
	Labels        map[string]string `json:"labels"`
	Annotations   map[string]string `json:"annotations,omitempty"`
	Status        AlertStatus       `json:"status,omitempty"`
	StartsAt      time.Time         `json:"starts_at"`          // when it fired: after the pending time `for`
	ActiveAt      time.Time         `json:"active_at,omitzero"` // when the expression first held; from Prometheus
	EndsAt        time.Time         `json:"ends_at,omitzero"`   // zero while it fires
	ForS          float64           `json:"for_s,omitzero"`     // pending time of the rule, seconds
	EvalIntervalS float64           `json:"eval_interval_s,omitzero"`
	Expr          string            `json:"expr,omitempty"`
	GeneratorURL  string            `json:"generator_url,omitempty"`
	Fingerprint   string            `json:"fingerprint,omitempty"` // of the labels, kept so that it is made once
	GroupKey      string            `json:"group_key,omitempty"`   // of the receiver that sent it to us
	ReceivedAt    time.Time         `json:"received_at,omitzero"`
}

// Name is the alert's alertname label.
func (a Alert) Name() string { return a.Labels["alertname"] }

// Key identifies one firing of one alert: repeats, HA pairs and re-sends share it.
func (a Alert) Key() string {
	return a.LabelFingerprint() + "@" + a.StartsAt.UTC().Format(time.RFC3339Nano)
}

// LabelFingerprint identifies the alert: a hash of its labels. Fingerprint, where set, is that hash kept; what a sender calls an alert
// is never put there, for two of its alerts may share a name.
func (a Alert) LabelFingerprint() string {
	if a.Fingerprint != "" {
		return a.Fingerprint
	}
	return LabelsFingerprint(a.Labels)
}

// LabelsFingerprint is the hash of a set of labels.
func LabelsFingerprint(labels map[string]string) string {
	h := sha256.New()
	for _, k := range slices.Sorted(maps.Keys(labels)) {
		fmt.Fprintf(h, "%d:%s%d:%s", len(k), k, len(labels[k]), labels[k])
	}
	return hex.EncodeToString(h.Sum(nil))[:16]
}
