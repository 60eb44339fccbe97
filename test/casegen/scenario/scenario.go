package scenario

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"time"

	"github.com/triaged-dev/triaged/triage"
)

// Metric names of the generated series: recording rules as many teams have them, one per signal.
var metricNames = map[triage.Signal]string{
	triage.SignalTraffic:    "service:requests:rate1m",
	triage.SignalErrors:     "service:request_errors:ratio_rate1m",
	triage.SignalLatency:    "service:request_duration_seconds:p99_1m",
	triage.SignalSaturation: "service:cpu_utilisation:ratio",
}

// Scenario describes one incident. Times are absolute.
type Scenario struct {
	ID        string
	Source    *triage.CaseSource
	Synthetic []string
	From, To  time.Time     // of the series
	Step      time.Duration // default 15 s
	Edges     [][2]string
	Services  map[string]triage.Service
	Healthy   []Healthy
	Faults    []Fault
	Gaps      []Gap
	NoSeries  bool // no metrics at all, as where nobody wired Prometheus
	Changes   []triage.Change
	Alerts    []triage.Alert
	Coverage  []triage.Coverage
	History   []triage.Outcome
	Events    []triage.CaseEvent
	ReportAt  time.Time
	Expect    triage.Expect

	// What follows may be left out.
	Style     *Style          // how the team measures; nil: recording rules, one per signal
	Digits    int             // significant digits of a sample, with a Style; 0: 4
	Season    float64         // how much traffic swings over the day, as a share; with a Style
	Seed      string          // default ID
	Lives     []Life          // with a Style
	Resets    []Reset         // with a Style
	Symptom   *triage.Symptom // what is known of the alert's rule
	SymptomOf SymptomOf       // with a Style: which series is the alert's own
}

// SymptomOf names the alert's own series: it stands in the case once more, marked as the symptom.
type SymptomOf struct {
	Service string
	Signal  triage.Signal
	Where   map[string]string
}

// Healthy is a service on a quiet day. Splits multiplies each series over further labels, such as region or version.
type Healthy struct {
	Service  string
	Requests float64 // per second
	Errors   float64 // ratio
	Latency  float64 // seconds, p99
	CPU      float64 // ratio; 0: no such series
	Splits   []map[string]string
	Step     time.Duration // with a Style: another scrape interval than the scenario's; 0: the same
}

// Fault moves one signal of one service from From on. Level is the new value of an errors or saturation series and the factor
// of a latency or traffic one.
type Fault struct {
	Service string
	Signal  triage.Signal
	Where   map[string]string // only the series with these labels; empty: all
	From    time.Time
	To      time.Time     // zero: lasts
	Ramp    time.Duration // from nothing to Level; zero: a step within one sample
	Level   float64
}

// Gap removes the samples of a service, as a failed scrape does.
type Gap struct {
	Service  string
	From, To time.Time
}

// File is a case with its right answer, as it stands in the file.
type File struct {
	triage.Case
	Expect triage.Expect `json:"expect"`
}

// Build makes the case. The same Scenario gives the same bytes.
func (s Scenario) Build() File {
	if s.Step == 0 {
		s.Step = 15 * time.Second
	}
	f := File{
		Case: triage.Case{
			Schema: triage.CaseSchema, ID: s.ID, Source: s.Source, Synthetic: s.Synthetic,
			Window: triage.CaseWindow{From: s.From, To: s.To}, ReportAt: s.ReportAt, Services: s.Services,
			Changes: slices.Clone(s.Changes), Alerts: s.Alerts, Symptom: s.Symptom, Series: []triage.Series{}, Coverage: s.Coverage, History: s.History, Events: s.Events,
		},
		Expect: s.Expect,
	}
	slices.SortStableFunc(f.Changes, func(a, b triage.Change) int {
		return cmp.Or(a.OccurredAt().Compare(b.OccurredAt()), cmp.Compare(a.ID, b.ID))
	})
	edges := make([]triage.Edge, len(s.Edges))
	for i, e := range s.Edges {
		edges[i] = triage.Edge{From: e[0], To: e[1]}
	}
	f.Topology = triage.NewTopology(edges)
	if s.NoSeries {
		return f
	}
	for _, h := range s.Healthy {
		splits := h.Splits
		if len(splits) == 0 {
			splits = []map[string]string{nil}
		}
		for i, split := range splits {
			for _, q := range []struct {
				signal triage.Signal
				base   float64
			}{
				{triage.SignalTraffic, h.Requests / float64(len(splits))},
				{triage.SignalErrors, h.Errors},
				{triage.SignalLatency, h.Latency},
				{triage.SignalSaturation, h.CPU},
			} {
				switch {
				case q.base <= 0:
				case s.Style != nil:
					part := h
					part.Requests = h.Requests / float64(len(splits))
					if one, ok := s.styled(part, q.signal, split, i); ok {
						f.Series = s.add(f.Series, one)
					}
				default:
					f.Series = append(f.Series, s.series(h.Service, q.signal, q.base, split, i))
				}
			}
		}
	}
	return f
}

// add appends a series, and once more as the alert's own where it is.
func (s Scenario) add(all []triage.Series, one triage.Series) []triage.Series {
	of := s.SymptomOf
	if of.Service != "" && one.Labels["service"] == of.Service && one.Signal == of.Signal && labelled(one.Labels, of.Where) {
		own := one
		own.Role = triage.RoleSymptom
		return append(all, one, own)
	}
	return append(all, one)
}

func (s Scenario) series(service string, signal triage.Signal, base float64, split map[string]string, n int) triage.Series {
	labels := map[string]string{"service": service}
	maps.Copy(labels, split)
	out := triage.Series{
		Metric: metricNames[signal], Labels: labels, Signal: signal, Kind: "gauge", Stamp: triage.StampEnd,
		StepS: s.Step.Seconds(), Start: s.From,
	}
	if signal != triage.SignalTraffic {
		out.Better = triage.BetterLower
	}
	rng := rand.New(rand.NewPCG(seed(s.ID, service, string(signal), strconv.Itoa(n)), 1))
	slow := 0.0 // a slow wander, so that noise is not white
	for t := s.From; !t.After(s.To); t = t.Add(s.Step) {
		slow = 0.95*slow + 0.05*rng.NormFloat64()
		v := base * math.Exp(noise(signal)*rng.NormFloat64()+0.3*slow)
		for _, f := range s.Faults {
			if f.Service == service && f.Signal == signal && labelled(labels, f.Where) {
				v = f.apply(v, t, rng)
			}
		}
		if (signal == triage.SignalErrors || signal == triage.SignalSaturation) && v > 1 {
			v = 1
		}
		for _, g := range s.Gaps {
			if g.Service == service && !t.Before(g.From) && t.Before(g.To) {
				v = math.NaN()
			}
		}
		out.Values = append(out.Values, round(v))
	}
	return out
}

// apply moves a healthy value by the fault as it stands at t.
func (f Fault) apply(v float64, t time.Time, rng *rand.Rand) float64 {
	if t.Before(f.From) || (!f.To.IsZero() && !t.Before(f.To)) {
		return v
	}
	share := 1.0
	if f.Ramp > 0 {
		share = min(1, t.Sub(f.From).Seconds()/f.Ramp.Seconds())
	}
	switch f.Signal {
	case triage.SignalErrors, triage.SignalSaturation:
		return v + share*f.Level*math.Exp(0.08*rng.NormFloat64())
	default:
		return v * (1 + share*(f.Level-1))
	}
}

// noise is the spread (σ of the logarithm) of one sample.
func noise(s triage.Signal) float64 {
	switch s {
	case triage.SignalErrors:
		return 0.35
	case triage.SignalLatency:
		return 0.10
	default:
		return 0.05
	}
}

func labelled(labels, want map[string]string) bool {
	for k, v := range want {
		if labels[k] != v {
			return false
		}
	}
	return true
}

func seed(parts ...string) uint64 {
	h := fnv.New64a()
	for _, p := range parts {
		fmt.Fprintf(h, "%d:%s", len(p), p)
	}
	return h.Sum64()
}

// round keeps four significant digits: files stay small and readable.
func round(v float64) float64 { return rounded(v, 4) }

// rounded keeps so many significant digits; 0 means four.
func rounded(v float64, digits int) float64 {
	if v == 0 || math.IsNaN(v) || math.IsInf(v, 0) {
		return v
	}
	if digits <= 0 {
		digits = 4
	}
	r, err := strconv.ParseFloat(strconv.FormatFloat(v, 'g', digits, 64), 64)
	if err != nil {
		return v
	}
	return r
}

// Encode writes the file as gzipped JSON. The same File gives the same bytes.
func (f File) Encode() ([]byte, error) {
	var b bytes.Buffer
	zw, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	if err != nil {
		return nil, fmt.Errorf("encode case %s: %w", f.ID, err)
	}
	if err := json.NewEncoder(zw).Encode(f); err != nil {
		return nil, fmt.Errorf("encode case %s: %w", f.ID, err)
	}
	if err := zw.Close(); err != nil {
		return nil, fmt.Errorf("encode case %s: %w", f.ID, err)
	}
	return b.Bytes(), nil
}
