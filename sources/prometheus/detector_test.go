package prometheus

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/triaged-dev/triaged/triage"
)

var detectStart = time.Date(2026, 3, 1, 2, 0, 0, 0, time.UTC)

// feed runs the detector over values, one a minute, in pieces of the size given, and returns the anomalies as last handed over.
func feed(t *testing.T, sig triage.Signal, values []float64, piece int) map[triage.AnomalyID]triage.Anomaly {
	t.Helper()
	s := newSource(t, "http://p.example", nil, func(o *Options) {
		o.Transport = roundTrip(func(*http.Request) (*http.Response, error) { return nil, errors.New("not asked here") })
		o.Now = func() time.Time { return detectStart }
	})
	w := newWatch(s)
	c := &collect{}
	for i := 0; i < len(values); i += piece {
		part := values[i:min(i+piece, len(values))]
		g := grid{from: detectStart.Add(time.Duration(i) * time.Minute), step: time.Minute}
		g.to = g.from.Add(time.Duration(len(part)-1) * time.Minute)
		sr := g.series(part)
		sr.Metric, sr.Signal, sr.Labels = "m", sig, map[string]string{"service": "cart"}
		w.take([]triage.Series{sr}, g)
		if err := w.emit(t.Context(), c.emit); err != nil {
			t.Fatal(err)
		}
	}
	out := make(map[triage.AnomalyID]triage.Anomaly)
	for _, e := range c.events {
		out[e.Anomaly.ID] = *e.Anomaly
	}
	return out
}

func TestDetector(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	noise := func(n int, centre, sd float64) []float64 {
		out := make([]float64, n)
		for i := range out {
			out[i] = max(0, centre+sd*rng.NormFloat64())
		}
		return out
	}
	join := func(parts ...[]float64) (out []float64) {
		for _, p := range parts {
			out = append(out, p...)
		}
		return out
	}
	ramp := func(n int, from, to float64) []float64 {
		out := make([]float64, n)
		for i := range out {
			out[i] = from + (to-from)*float64(i)/float64(n-1)
		}
		return out
	}
	gaps := func(n int) []float64 { return noise(n, math.NaN(), 0) }
	for _, tt := range []struct {
		name   string
		signal triage.Signal
		values []float64
		want   int // anomalies
		onset  int // minute, of the first
		ended  bool
	}{
		{"quiet errors", triage.SignalErrors, noise(180, .002, .001), 0, 0, false},
		{"noisy latency", triage.SignalLatency, noise(180, .2, .03), 0, 0, false},
		{"no errors at all", triage.SignalErrors, noise(180, 0, 0), 0, 0, false},
		{"errors step up", triage.SignalErrors, join(noise(90, .002, .001), noise(30, .14, .02)), 1, 90, false},
		{"first errors ever", triage.SignalErrors, join(noise(90, 0, 0), noise(30, .05, .01)), 1, 90, false},
		{"errors come and go", triage.SignalErrors, join(noise(90, .002, .001), noise(20, .14, .02), noise(40, .002, .001)), 1, 90, true},
		{"one bad minute", triage.SignalErrors, join(noise(90, .002, .001), noise(1, .5, 0), noise(40, .002, .001)), 0, 0, false},
		{"half a point more", triage.SignalErrors, join(noise(90, .002, .0001), noise(30, .007, .0001)), 0, 0, false},
		{"errors fall", triage.SignalErrors, join(noise(90, .3, .01), noise(30, 0, 0)), 0, 0, false},
		{"latency doubles", triage.SignalLatency, join(noise(90, .2, .02), noise(30, .5, .02)), 1, 90, false},
		{"latency a little up", triage.SignalLatency, join(noise(90, .2, .001), noise(30, .22, .001)), 0, 0, false},
		{"traffic surges", triage.SignalTraffic, join(noise(90, 100, 5), noise(30, 300, 5)), 1, 90, false},
		{"traffic vanishes", triage.SignalTraffic, join(noise(90, 100, 5), noise(30, 0, 0)), 1, 90, false},
		{"nobody at night", triage.SignalTraffic, join(noise(90, .05, .02), noise(30, .3, .02)), 0, 0, false},
		{"warm-up", triage.SignalErrors, join(noise(10, 0, 0), noise(8, .5, 0)), 0, 0, false},
		{"gaps are not values", triage.SignalErrors, join(noise(60, 0, 0), gaps(10), noise(20, 0, 0), noise(20, .2, .01)), 1, 90, false},
		{"slow ramp", triage.SignalLatency, join(noise(60, .1, .001), ramp(60, .1, 1)), 1, 62, false},
		{"new level becomes usual", triage.SignalTraffic, join(noise(90, 100, 5), noise(150, 300, 5)), 1, 90, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := feed(t, tt.signal, tt.values, 1)
			if len(got) != tt.want {
				t.Fatalf("want %d anomalies, got %v", tt.want, got)
			}
			for _, a := range got {
				at := detectStart.Add(time.Duration(tt.onset) * time.Minute)
				if d := a.Onset.Latest.Sub(at); d < 0 || d > 3*time.Minute {
					t.Errorf("onset %s, want %s", a.Onset.Latest, at)
				}
				if a.EndedAt.IsZero() == tt.ended {
					t.Errorf("ended at %s, want ended: %v", a.EndedAt, tt.ended)
				}
				if (a.To > a.From) != (a.Effect > 0) {
					t.Errorf("from %g to %g, effect %g", a.From, a.To, a.Effect)
				}
			}
			// After a restart the same samples come in one piece, and are the same anomalies.
			for id, a := range feed(t, tt.signal, tt.values, len(tt.values)) {
				if b, ok := got[id]; ok && (!a.Onset.Best.Equal(b.Onset.Best) || a.From != b.From) {
					t.Errorf("one by one %+v, at once %+v", b, a)
				} else if !ok {
					t.Errorf("only at once: %+v", a)
				}
			}
		})
	}
}

// What could not be handed over is handed over later, not lost.
func TestAnomaliesAreHandedOverAgain(t *testing.T) {
	s := newSource(t, "http://p.example", nil, nil)
	w := newWatch(s)
	g := grid{from: detectStart, to: detectStart.Add(99 * time.Minute), step: time.Minute}
	v := make(triage.Values, 100)
	for i := 90; i < 100; i++ {
		v[i] = .5
	}
	sr := g.series(v)
	sr.Metric, sr.Signal, sr.Labels = "m", triage.SignalErrors, map[string]string{"service": "cart"}
	w.take([]triage.Series{sr}, g)
	c := &collect{err: errors.New("store is full")}
	if err := w.emit(t.Context(), c.emit); err == nil || len(c.events) > 0 {
		t.Fatal("want the error of emit")
	}
	c.err = nil
	for range 2 {
		if err := w.emit(t.Context(), c.emit); err != nil {
			t.Fatal(err)
		}
	}
	if len(c.events) != 1 {
		t.Errorf("want it once, got %d", len(c.events))
	}
}

// The number of series is bounded; what does not fit is counted.
func TestWatchIsBounded(t *testing.T) {
	s := newSource(t, "http://p.example", nil, func(o *Options) { o.Config.Anomalies.MaxSeries = 10 })
	w := newWatch(s)
	g := grid{from: detectStart, to: detectStart, step: time.Minute}
	var got []triage.Series
	for i := range 30 {
		sr := g.series(triage.Values{1})
		sr.Metric, sr.Signal, sr.Labels = "m", triage.SignalTraffic, map[string]string{"service": fmt.Sprint("s", i)}
		got = append(got, sr)
	}
	w.take(got, g)
	if len(w.series) != 10 {
		t.Errorf("keeps %d series", len(w.series))
	}
}

func TestChunksAndQuoting(t *testing.T) {
	var names []string
	for i := range 1000 {
		names = append(names, fmt.Sprintf(`svc"%d\|.*`, i))
	}
	total := 0
	for _, c := range chunks(names, maxAlternation) {
		total += len(c)
		expr := `x{s=~"` + promEscape(alternatives(c)) + `"}`
		if len(alternatives(c)) > maxAlternation {
			t.Errorf("%d bytes", len(alternatives(c)))
		}
		e, err := parseExpr(expr)
		if err != nil {
			t.Fatal(err)
		}
		m := selectors(e)[0].LabelMatchers[0]
		if !m.Matches(c[0]) || m.Matches("anything") || m.Matches(strings.TrimSuffix(c[0], "*")) {
			t.Errorf("matcher %s", m)
		}
	}
	if total != len(names) {
		t.Errorf("%d of %d names", total, len(names))
	}
}
