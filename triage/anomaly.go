package triage

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"time"
)

// AnomalyID names an Anomaly: series and onset make it, so that a repeated detection is the same Anomaly.
type AnomalyID string

// Anomaly is a metric that left its expected range. Mostly it is evidence; a traffic surge or a failing dependency
// with no change behind it may itself be the trigger.
type Anomaly struct {
	ID     AnomalyID `json:"id,omitempty"`
	Source string    `json:"source,omitempty"`
	Scope
	Signal     Signal            `json:"signal"`
	Series     string            `json:"series"`            // what was measured, as a person would write it: metric name or expression
	Onset      Interval          `json:"onset"`             // when it left its range
	EndedAt    time.Time         `json:"ended_at,omitzero"` // zero while it lasts
	ObservedAt time.Time         `json:"observed_at,omitzero"`
	Unit       Unit              `json:"unit,omitempty"` // of from and to; absent: as the name in series has it
	From       float64           `json:"from"`           // typical value before, in the series' own unit
	To         float64           `json:"to"`             // typical value since
	Effect     float64           `json:"effect"`         // robust shift: (to − from) / MAD-based spread; dimensionless, signed
	Labels     map[string]string `json:"labels,omitempty"`
}

// Measured is the unit of From and To.
func (a Anomaly) Measured() Unit {
	return Series{Metric: a.Series, Unit: a.Unit}.Measured()
}

// Interval is a time known only to lie between Earliest and Latest; Best is the likeliest point. All three may be equal.
type Interval struct {
	Earliest time.Time `json:"earliest"`
	Best     time.Time `json:"best"`
	Latest   time.Time `json:"latest"`
}

// IsZero reports whether the interval is unset.
func (i Interval) IsZero() bool { return i.Earliest.IsZero() && i.Best.IsZero() && i.Latest.IsZero() }

// Event is a Change or an Anomaly: exactly one of the two is set.
type Event struct {
	Change  *Change  `json:"change,omitempty"`
	Anomaly *Anomaly `json:"anomaly,omitempty"`
}

// DeriveID makes the id of an Anomaly that has none: what was measured, and the second it left its range.
func (a Anomaly) DeriveID() AnomalyID {
	h := sha256.New()
	for _, f := range [...]string{
		a.Source, a.Service, a.Environment, a.Region, a.Cluster, a.Namespace, string(a.Signal), a.Series,
		a.Onset.Best.UTC().Format(time.RFC3339),
	} {
		fmt.Fprintf(h, "%d:%s", len(f), f)
	}
	return AnomalyID(a.Source + ":" + hex.EncodeToString(h.Sum(nil))[:16])
}
