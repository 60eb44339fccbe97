package triage

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"time"
)

// Values are the samples of a Series; NaN is a gap and is written as null. Infinities are read and written as gaps too.
type Values []float64

// MarshalJSON writes gaps as null.
func (v Values) MarshalJSON() ([]byte, error) {
	if v == nil {
		return []byte("null"), nil
	}
	b := make([]byte, 0, 8*len(v)+2)
	b = append(b, '[')
	for i, f := range v {
		if i > 0 {
			b = append(b, ',')
		}
		if math.IsNaN(f) || math.IsInf(f, 0) {
			b = append(b, "null"...)
			continue
		}
		b = strconv.AppendFloat(b, f, 'g', -1, 64)
	}
	return append(b, ']'), nil
}

// UnmarshalJSON reads null as a gap.
func (v *Values) UnmarshalJSON(data []byte) error {
	if bytes.Equal(bytes.TrimSpace(data), []byte("null")) {
		*v = nil
		return nil
	}
	var raw []*float64
	if err := json.Unmarshal(data, &raw); err != nil {
		return fmt.Errorf("values: %w", err)
	}
	out := make(Values, len(raw))
	for i, p := range raw {
		if p == nil {
			out[i] = math.NaN()
			continue
		}
		out[i] = *p
	}
	*v = out
	return nil
}

// Stamp says which end of its interval a sample's time names.
type Stamp string

// The stamps. With start, the value at t covers [t, t+step); with end, (t−step, t], as Prometheus range queries give.
const (
	StampStart Stamp = "start"
	StampEnd   Stamp = "end"
)

// Better says in which direction a Series is healthy.
type Better string

// The directions. Empty means neither: a shift either way is only a shift.
const (
	BetterHigher Better = "higher"
	BetterLower  Better = "lower"
)

// Series is one metric series on a regular grid.
type Series struct {
	Metric    string            `json:"metric"`
	Labels    map[string]string `json:"labels"` // service, and where split: version, pod, region, instance, variant; or source and destination: see Edge
	Signal    Signal            `json:"signal"`
	Better    Better            `json:"better,omitempty"`
	Unit      Unit              `json:"unit,omitempty"` // of the values; absent: as the metric's name has it
	Kind      string            `json:"kind,omitempty"` // gauge (default) or counter
	Role      string            `json:"role,omitempty"` // "symptom" for the alert's own series
	Stamp     Stamp             `json:"stamp"`
	StepS     float64           `json:"step_s"` // seconds between samples
	Start     time.Time         `json:"start"`  // time of the first sample
	Values    Values            `json:"values"`
	Counts    Values            `json:"counts,omitempty"`  // requests behind each sample, where the values are a share of them or a quantile
	RangeS    float64           `json:"range_s,omitempty"` // seconds over which each sample averages; absent: its step
	Reference *Reference        `json:"reference,omitempty"`
}

// Edge returns caller and callee of a series that says what the caller sees of the callee, measured at the caller's end: errors,
// latency, traffic, or waiting for a connection. Such a series has no service: it is not the callee's own behaviour, and shows the
// network between them too.
func (s Series) Edge() (caller, callee string, ok bool) {
	caller, callee = s.Labels["source"], s.Labels["destination"]
	return caller, callee, caller != "" && callee != "" && s.Labels["service"] == ""
}

// RoleSymptom marks the alert's own series.
const RoleSymptom = "symptom"

// Reference holds quantiles of the same series on quiet days: history at this hour.
type Reference struct {
	N   int     `json:"n"`
	P01 float64 `json:"p01"`
	P25 float64 `json:"p25"`
	P50 float64 `json:"p50"`
	P75 float64 `json:"p75"`
	P99 float64 `json:"p99"`
}

// Step is the time between two samples.
func (s Series) Step() time.Duration { return time.Duration(s.StepS * float64(time.Second)) }

// Covers returns the interval [from, to) whose behaviour sample i describes, whichever end it is stamped with.
func (s Series) Covers(i int) (from, to time.Time) {
	step := s.Step()
	t := s.Start.Add(time.Duration(i) * step)
	if s.Stamp == StampStart {
		return t, t.Add(step)
	}
	return t.Add(-step), t
}

// Until returns the series cut to the samples that were complete at the time given. The values are shared, not copied.
func (s Series) Until(at time.Time) Series {
	n := len(s.Values)
	for n > 0 {
		if _, to := s.Covers(n - 1); !to.After(at) {
			break
		}
		n--
	}
	s.Values = s.Values[:n]
	if len(s.Counts) > n {
		s.Counts = s.Counts[:n]
	}
	return s
}
