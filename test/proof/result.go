package main

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"time"
)

// line is one measurement beside its limit. Where Less is true, a smaller value is better.
type line struct {
	Name   string  `json:"name"` // as benchstat wants it: Words/key=value
	Ours   float64 `json:"ours"`
	Unit   string  `json:"unit"`
	Limit  float64 `json:"limit,omitempty"` // measured in the same run; 0: there is none
	By     string  `json:"by,omitempty"`    // what the limit is
	Ratio  float64 `json:"ratio,omitempty"` // of the limit reached; 1 is all of it
	Budget float64 `json:"budget,omitempty"`
	Less   bool    `json:"less,omitempty"`
	Note   string  `json:"note,omitempty"`
}

func (l line) held() bool {
	switch {
	case l.Budget == 0:
		return true
	case l.Less:
		return l.Ours <= l.Budget
	}
	return l.Ours >= l.Budget
}

// results prints lines as they come, in a form that benchstat reads and people do too, or gathers them for JSON.
type results struct {
	out   io.Writer
	json  bool
	lines []line
}

func (r *results) add(l line) {
	if l.Limit > 0 && l.Ours > 0 {
		l.Ratio = l.Ours / l.Limit
		if l.Less {
			l.Ratio = l.Limit / l.Ours
		}
	}
	r.lines = append(r.lines, l)
	if r.json {
		return
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%-58s 1 %12s %s", "Benchmark"+l.Name, figure(l.Ours), l.Unit)
	if l.Limit > 0 {
		fmt.Fprintf(&b, " %12s limit-%s %6.2f ratio", figure(l.Limit), l.Unit, l.Ratio)
	}
	if l.Budget > 0 {
		fmt.Fprintf(&b, " %12s budget-%s", figure(l.Budget), l.Unit)
	}
	fmt.Fprintln(r.out, b.String())
	if l.By != "" || l.Note != "" || !l.held() {
		fmt.Fprintf(r.out, "# %s", strings.Join(slices.DeleteFunc([]string{prefixed("limit: ", l.By), l.Note, missed(l)}, func(s string) bool { return s == "" }), "; "))
		fmt.Fprintln(r.out)
	}
}

func prefixed(prefix, s string) string {
	if s == "" {
		return ""
	}
	return prefix + s
}

func missed(l line) string {
	if l.held() {
		return ""
	}
	return "OVER BUDGET"
}

func (r *results) finish(machine map[string]string) error {
	if !r.json {
		return nil
	}
	enc := json.NewEncoder(r.out)
	enc.SetIndent("", " ")
	return enc.Encode(struct {
		Machine map[string]string `json:"machine"`
		Lines   []line            `json:"lines"`
	}{machine, r.lines})
}

// figure prints four digits that matter, without exponents.
func figure(v float64) string {
	switch a := math.Abs(v); {
	case a >= 1000:
		return fmt.Sprintf("%.0f", v)
	case a >= 10:
		return fmt.Sprintf("%.1f", v)
	case a >= 0.1:
		return fmt.Sprintf("%.3f", v)
	}
	return fmt.Sprintf("%.5f", v)
}

// quantile of sorted values, by the nearest rank.
func quantile(sorted []time.Duration, q float64) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[min(len(sorted)-1, max(0, int(math.Ceil(q*float64(len(sorted))))-1))]
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// slope is the least-squares slope of log y over log x: 1 is linear, 0 is flat.
func slope(x, y []float64) float64 {
	var sx, sy, sxx, sxy float64
	n := float64(len(x))
	for i := range x {
		a, b := math.Log(x[i]), math.Log(y[i])
		sx, sy, sxx, sxy = sx+a, sy+b, sxx+a*a, sxy+a*b
	}
	return (n*sxy - sx*sy) / (n*sxx - sx*sx)
}
