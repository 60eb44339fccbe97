package scenario

import (
	"maps"
	"math"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/triaged-dev/triaged/triage"
)

// Style is how a team measures: which metric stands for which signal. A Scenario without one has recording rules per signal.
type Style struct {
	Name    string
	Metrics map[triage.Signal]Metric
}

// Metric is one metric of a Style.
type Metric struct {
	Name    string
	Labels  map[string]string // besides service and the split
	Counter bool              // a running total, with resets; needs traffic or errors
	Counts  bool              // errors as a number per second and not as a ratio
	Success bool              // errors as the ratio of what went well: higher is better
	Unit    float64           // factor of the value: 1000 for milliseconds, 60 for counts per minute; 0: 1
	Range   time.Duration     // averaged over this long, as rate[5m] does; at least one step
	Stamp   triage.Stamp      // default end
}

// Life limits the series of a service with these labels to a time: what a version's pods leave behind.
type Life struct {
	Service  string
	Where    map[string]string
	From, To time.Time // zero: open
}

// Reset sets the counters of a service back to zero, as a restart does.
type Reset struct {
	Service string
	At      time.Time
}

// styled makes one series in the scenario's Style, ok only where the style has a metric for the signal.
func (s Scenario) styled(h Healthy, signal triage.Signal, split map[string]string, n int) (triage.Series, bool) {
	m, ok := s.Style.Metrics[signal]
	if !ok {
		return triage.Series{}, false
	}
	step := s.Step
	if h.Step > 0 {
		step = h.Step
	}
	labels := map[string]string{"service": h.Service}
	for _, from := range []map[string]string{m.Labels, split} {
		maps.Copy(labels, from)
	}
	out := triage.Series{
		Metric: m.Name, Labels: labels, Signal: signal, Kind: "gauge", Stamp: m.Stamp, StepS: step.Seconds(), Start: s.From,
	}
	if out.Stamp == "" {
		out.Stamp = triage.StampEnd
	}
	switch {
	case m.Success:
		out.Better = triage.BetterHigher
	case signal != triage.SignalTraffic:
		out.Better = triage.BetterLower
	}
	if m.Counter {
		out.Kind = "counter"
	}
	w := walk{s: s, h: h, m: m, signal: signal, labels: labels, step: step, stamp: out.Stamp}
	w.rng = rand.New(rand.NewPCG(seed(s.seedID(), h.Service, string(signal), strconv.Itoa(n)), 2))
	if m.Counter {
		w.total = math.Floor(1e5 + 9e5*w.rng.Float64())
	}
	for t := s.From; !t.After(s.To); t = t.Add(step) {
		out.Values = append(out.Values, w.at(t))
	}
	return out, true
}

// walk makes the samples of one series, in order of time.
type walk struct {
	s      Scenario
	h      Healthy
	m      Metric
	signal triage.Signal
	labels map[string]string
	step   time.Duration
	stamp  triage.Stamp
	rng    *rand.Rand
	slow   float64 // a slow wander, so that noise is not white
	total  float64 // of a counter
}

// at is the sample with time stamp t. The random numbers drawn do not depend on faults, gaps or lives.
func (w *walk) at(t time.Time) float64 {
	from, to := t.Add(-max(w.m.Range, w.step)), t
	if w.stamp == triage.StampStart {
		from, to = t, t.Add(max(w.m.Range, w.step))
	}
	w.slow = 0.95*w.slow + 0.05*w.rng.NormFloat64()
	wobble, jitter, jitterFault := w.rng.NormFloat64(), w.rng.NormFloat64(), w.rng.NormFloat64()
	traffic := w.moved(triage.SignalTraffic, w.h.Requests*w.crowd(t)*w.season(t)*math.Exp(noise(triage.SignalTraffic)*jitter+0.2*w.slow), from, to, 0)
	v := 0.0
	switch w.signal {
	case triage.SignalTraffic:
		v = traffic
	case triage.SignalErrors:
		v = w.moved(w.signal, w.h.Errors*math.Exp(noise(w.signal)*wobble+0.3*w.slow), from, to, jitterFault)
	case triage.SignalLatency:
		v = w.moved(w.signal, w.h.Latency*math.Exp(noise(w.signal)*wobble+0.3*w.slow), from, to, jitterFault)
	default:
		busy := w.h.CPU * (1 + 0.5*(w.season(t)-1))
		v = w.moved(w.signal, busy*math.Exp(noise(w.signal)*wobble+0.3*w.slow), from, to, jitterFault)
	}
	v = w.expressed(v, traffic)
	if w.m.Counter {
		for _, r := range w.s.Resets {
			if r.Service == w.h.Service && r.At.After(t.Add(-w.step)) && !r.At.After(t) {
				w.total = 0
			}
		}
		w.total += math.Round(v * w.step.Seconds())
		v = w.total
	} else {
		digits := w.s.Digits
		if w.m.Success && digits > 0 {
			digits += 2 // 0.998 and 0.9987 are worlds apart
		}
		v = rounded(v, digits)
	}
	if w.missing(t) {
		return math.NaN()
	}
	return v
}

// expressed turns the plain value into what the metric shows.
func (w *walk) expressed(v, traffic float64) float64 {
	if w.signal == triage.SignalErrors || w.signal == triage.SignalSaturation {
		v = min(1, v)
	}
	if w.signal == triage.SignalErrors {
		switch {
		case w.m.Success:
			v = 1 - v
		case w.m.Counts || w.m.Counter:
			v *= traffic
		}
	}
	if w.m.Unit > 0 {
		v *= w.m.Unit
	}
	return v
}

// moved applies the faults of one signal to a healthy value averaged over [from, to].
func (w *walk) moved(signal triage.Signal, v float64, from, to time.Time, jitter float64) float64 {
	for _, f := range w.s.Faults {
		if f.Service != w.h.Service || f.Signal != signal || !labelled(w.labels, f.Where) {
			continue
		}
		share := f.share(from, to)
		if share == 0 {
			continue
		}
		switch signal {
		case triage.SignalErrors, triage.SignalSaturation:
			v += share * f.Level * math.Exp(0.08*jitter)
		default:
			v *= 1 + share*(f.Level-1)
		}
	}
	return v
}

// share is how much of the fault [from, to] saw, ramp included: 1 when it was there in full all the time.
func (f Fault) share(from, to time.Time) float64 {
	a, b := from, to
	if a.Before(f.From) {
		a = f.From
	}
	if !f.To.IsZero() && b.After(f.To) {
		b = f.To
	}
	if !b.After(a) {
		return 0
	}
	part := b.Sub(a).Seconds() / to.Sub(from).Seconds()
	if f.Ramp > 0 {
		mid := a.Add(b.Sub(a) / 2)
		part *= min(1, mid.Sub(f.From).Seconds()/f.Ramp.Seconds())
	}
	return part
}

// season is the factor of traffic at this time of day: least at 2 and most at 14 UTC.
func (w *walk) season(t time.Time) float64 {
	hour := float64(t.Unix()%86400) / 3600
	return 1 + w.s.Season*math.Cos(2*math.Pi*(hour-14)/24)
}

func (w *walk) missing(t time.Time) bool {
	for _, g := range w.s.Gaps {
		if g.Service == w.h.Service && !t.Before(g.From) && t.Before(g.To) {
			return true
		}
	}
	return !w.alive(w.labels, t)
}

// alive reports whether a series of the service with these labels lives at t.
func (w *walk) alive(labels map[string]string, t time.Time) bool {
	for _, l := range w.s.Lives {
		if l.Service == w.h.Service && len(l.Where) > 0 && labelled(labels, l.Where) &&
			(t.Before(l.From) || (!l.To.IsZero() && !t.Before(l.To))) {
			return false
		}
	}
	return true
}

// crowd is how much more traffic each split gets while others are not there: what comes in does not change with a rollout.
func (w *walk) crowd(t time.Time) float64 {
	n := 0
	for _, split := range w.h.Splits {
		if w.alive(split, t) {
			n++
		}
	}
	if n == 0 {
		return 1
	}
	return float64(len(w.h.Splits)) / float64(n)
}

// seedID is what the noise hangs on: variants of one incident share it, and so their metrics.
func (s Scenario) seedID() string {
	if s.Seed != "" {
		return s.Seed
	}
	return s.ID
}
