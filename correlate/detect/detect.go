// Package detect finds when a metric left its expected range.
//
// It reads CSV or JSON and prints JSON lines: onsets are those of the correlator's change point detector, scores those of a
// Scorer, which asks how new the latest samples are to their own series. It decides nothing about causes, and neither looks
// ahead.
package detect

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/triaged-dev/triaged/correlate"
	"github.com/triaged-dev/triaged/triage"
)

// Options say what to read and print.
type Options struct {
	Name   string // of the input, for messages and output; .json reads JSON, anything else is looked at
	Scores bool   // print a score in [0,1] per sample instead of onsets, using only the past
}

// maxInput bounds one input: 256 MiB.
const maxInput = 256 << 20

// maxStep is the longest distance between samples that is read, in seconds: a year.
const maxStep = 365 * 86400

// maxGrid bounds the gaps that are filled in: a series of at most this many steps.
const maxGrid = 10_000_000

// Run reads the series of one input and prints a JSON line per onset, or per sample with Scores. A line of onsets says
// which series, when it began (as an interval), from what to what, and when it ended.
func Run(ctx context.Context, opts Options, r io.Reader, w io.Writer) error {
	data, err := io.ReadAll(io.LimitReader(r, maxInput+1))
	if err != nil {
		return fmt.Errorf("read %s: %w", opts.Name, err)
	}
	if len(data) > maxInput {
		return fmt.Errorf("read %s: larger than %d MiB", opts.Name, maxInput>>20)
	}
	series, err := decode(data, opts.Name)
	if err != nil {
		return fmt.Errorf("read %s: %w", opts.Name, err)
	}
	out := bufio.NewWriter(w)
	enc := json.NewEncoder(out)
	enc.SetEscapeHTML(false)
	for _, s := range series {
		printer := printOnsets
		if opts.Scores {
			printer = printScores
		}
		if err := printer(ctx, enc, s); err != nil {
			return err
		}
	}
	return out.Flush()
}

// sampled is a series on its grid, and the samples it was made of. Where they come faster than the usual step, several fall
// on one place of the grid, which keeps the last.
type sampled struct {
	triage.Series
	samples []sample // by time
}

type sample struct {
	at time.Time
	v  float64 // NaN is a gap
}

// onsetLine is one line of output.
type onsetLine struct {
	Series string            `json:"series"`
	Labels map[string]string `json:"labels,omitempty"`
	correlate.Shift
}

// scoreLine is one line of output with Scores.
type scoreLine struct {
	Series    string   `json:"series,omitempty"`
	Timestamp string   `json:"timestamp"`
	Value     *float64 `json:"value"`
	Score     float64  `json:"score"`
}

// printScores prints every sample of the input.
func printScores(ctx context.Context, enc *json.Encoder, s sampled) error {
	scorer := NewScorer()
	for i, x := range s.samples {
		if i%1024 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		score := scorer.Add(x.at, x.v)
		line := scoreLine{Series: s.Metric, Timestamp: x.at.UTC().Format(time.RFC3339Nano), Score: math.Round(score*1e6) / 1e6}
		if !math.IsNaN(x.v) && !math.IsInf(x.v, 0) {
			line.Value = &x.v
		}
		if err := enc.Encode(line); err != nil {
			return err
		}
	}
	return nil
}

func printOnsets(ctx context.Context, enc *json.Encoder, s sampled) error {
	d := correlate.NewDetector(s.Series)
	var open *correlate.Shift
	emit := func(sh *correlate.Shift) error {
		return enc.Encode(onsetLine{Series: s.Metric, Labels: s.Labels, Shift: *sh})
	}
	for i, v := range s.Values {
		if i%1024 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		_, found := d.Add(v)
		if found == nil {
			continue
		}
		if found.EndedAt.IsZero() {
			open = found
			continue
		}
		open = nil
		if err := emit(found); err != nil {
			return err
		}
	}
	if open != nil {
		return emit(open)
	}
	return nil
}

// decode reads JSON (a series, a list of them, or anything with a "series" list, such as a case file) or CSV.
func decode(data []byte, name string) ([]sampled, error) {
	text := bytes.TrimSpace(bytes.TrimPrefix(data, []byte("\ufeff")))
	if len(text) == 0 {
		return nil, errors.New("is empty")
	}
	if text[0] == '{' || text[0] == '[' {
		return decodeJSON(text)
	}
	s, err := decodeCSV(text, name)
	if err != nil {
		return nil, err
	}
	return []sampled{s}, nil
}

func decodeJSON(text []byte) ([]sampled, error) {
	var list []triage.Series
	if text[0] == '[' {
		if err := json.Unmarshal(text, &list); err != nil {
			return nil, err
		}
	} else {
		var file struct {
			Series []triage.Series `json:"series"`
		}
		if err := json.Unmarshal(text, &file); err != nil {
			return nil, err
		}
		if list = file.Series; file.Series == nil {
			var one triage.Series
			if err := json.Unmarshal(text, &one); err != nil {
				return nil, err
			}
			list = []triage.Series{one}
		}
	}
	out := make([]sampled, 0, len(list))
	for i, s := range list {
		if s.StepS < 0.001 || s.StepS > maxStep || s.Start.IsZero() {
			return nil, &triage.FieldError{Field: fmt.Sprintf("series[%d]", i), Remedy: "needs start, and step_s between 0.001 and a year"}
		}
		samples := make([]sample, len(s.Values))
		for j, v := range s.Values {
			samples[j] = sample{s.Start.Add(time.Duration(j) * s.Step()), v}
		}
		out = append(out, sampled{s, samples})
	}
	return out, nil
}

// decodeCSV reads "timestamp,value" lines: RFC 3339, "2006-01-02 15:04:05" (UTC), or Unix seconds or milliseconds. A first
// line that is no sample is a header; an empty value is a gap. The step is the usual distance between samples.
func decodeCSV(text []byte, name string) (sampled, error) {
	r := csv.NewReader(bytes.NewReader(text))
	r.FieldsPerRecord, r.ReuseRecord, r.TrimLeadingSpace = -1, true, true
	var samples []sample
	for line := 1; ; line++ {
		rec, err := r.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return sampled{}, err
		}
		if len(rec) < 2 {
			return sampled{}, fmt.Errorf("line %d: needs timestamp,value", line)
		}
		at, err := parseTime(strings.TrimSpace(rec[0]))
		if err != nil {
			if line == 1 {
				continue
			}
			return sampled{}, fmt.Errorf("line %d: %w", line, err)
		}
		v := math.NaN()
		if f := strings.TrimSpace(rec[1]); f != "" {
			if v, err = strconv.ParseFloat(f, 64); err != nil {
				return sampled{}, fmt.Errorf("line %d: value %q: must be a number, or empty for a gap", line, f)
			}
		}
		samples = append(samples, sample{at, v})
	}
	if len(samples) < 2 {
		return sampled{}, errors.New("needs at least two samples")
	}
	slices.SortStableFunc(samples, func(a, b sample) int { return a.at.Compare(b.at) })
	gaps := make([]time.Duration, 0, len(samples)-1)
	for i := 1; i < len(samples); i++ {
		if d := samples[i].at.Sub(samples[i-1].at); d > 0 {
			gaps = append(gaps, d)
		}
	}
	if len(gaps) == 0 {
		return sampled{}, errors.New("all samples have the same time")
	}
	slices.SortFunc(gaps, func(a, b time.Duration) int { return cmp.Compare(a, b) })
	step := gaps[len(gaps)/2]
	first := samples[0].at
	span := samples[len(samples)-1].at.Sub(first)
	n := int(span/step) + 2
	if n > maxGrid || span > 100*365*24*time.Hour {
		return sampled{}, fmt.Errorf("%d steps of %s from first to last sample; at most %d are read", n, step, maxGrid)
	}
	s := sampled{Series: triage.Series{
		Metric: metricName(name), Signal: triage.SignalCustom, Stamp: triage.StampStart,
		StepS: step.Seconds(), Start: first, Values: make(triage.Values, n),
	}, samples: samples}
	for i := range s.Values {
		s.Values[i] = math.NaN()
	}
	used := 0
	for _, p := range samples {
		i := int((p.at.Sub(first) + step/2) / step)
		s.Values[i] = p.v
		used = max(used, i+1)
	}
	s.Values = s.Values[:used]
	return s, nil
}

func metricName(name string) string {
	return strings.TrimSuffix(filepath.Base(name), filepath.Ext(name))
}

func parseTime(s string) (time.Time, error) {
	if n, err := strconv.ParseFloat(s, 64); err == nil {
		if math.Abs(n) > 1e11 { // milliseconds: seconds would lie past the year 5000
			return time.UnixMilli(int64(n)).UTC(), nil
		}
		return time.Unix(0, int64(n*1e9)).UTC(), nil
	}
	for _, layout := range [...]string{time.RFC3339Nano, "2006-01-02 15:04:05.999999999", "2006-01-02T15:04:05.999999999", "2006-01-02 15:04:05 -0700", "2006-01-02 15:04"} {
		if t, err := time.Parse(layout, s); err == nil {
			return t.UTC(), nil
		}
	}
	return time.Time{}, fmt.Errorf("timestamp %q: use RFC 3339 with a zone, or Unix seconds", s)
}
