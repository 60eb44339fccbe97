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
	Fingerprint   string            `json:"fingerprint,omitempty"`
	GroupKey      string            `json:"group_key,omitempty"` // of the receiver that sent it to us
	ReceivedAt    time.Time         `json:"received_at,omitzero"`
}

// Name is the alert's alertname label.
func (a Alert) Name() string { return a.Labels["alertname"] }

// Key identifies one firing of one alert: repeats, HA pairs and re-sends share it.
func (a Alert) Key() string {
	return a.LabelFingerprint() + "@" + a.StartsAt.UTC().Format(time.RFC3339Nano)
}

// LabelFingerprint is the sender's fingerprint, or a hash of the labels where it sent none.
func (a Alert) LabelFingerprint() string {
	if a.Fingerprint != "" {
		return a.Fingerprint
	}
	h := sha256.New()
	for _, k := range slices.Sorted(maps.Keys(a.Labels)) {
		fmt.Fprintf(h, "%d:%s%d:%s", len(k), k, len(a.Labels[k]), a.Labels[k])
	}
	return hex.EncodeToString(h.Sum(nil))[:16]
}
