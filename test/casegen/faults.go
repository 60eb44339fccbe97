package main

import (
	"math"
	"slices"
	"strings"
	"time"

	"github.com/triaged-dev/triaged/test/casegen/scenario"
	"github.com/triaged-dev/triaged/triage"
)

// faults move the signals of the services on the path: at the root first, then along it, and faintly at who calls them.
func (w *world) faults() {
	rng := w.rand("faults")
	n := len(w.f.Services)
	gap := w.report.Sub(w.onset)
	ramp := time.Duration(0)
	switch {
	case w.f.Play.Shape == "ramp":
		ramp = time.Duration(within(rng, 0.7, 1.1) * float64(gap))
	case gap > 12*minute && w.f.Play.SpreadMin == 0 && !w.declared:
		ramp = time.Duration(0.5 * float64(gap))
	}
	loud := slices.Contains(w.f.Types, "loud-victim")
	level := within(rng, 0.25, 0.9)
	if w.f.Play.Small {
		level = within(rng, 0.03, 0.07)
	}
	at := w.onset
	for i, name := range w.path[:n] {
		share := math.Pow(within(rng, 0.65, 0.95), float64(i))
		if loud {
			share = []float64{0.25, 0.6, 0.9, 1, 1}[min(i, 4)]
		}
		if i > 0 {
			at = at.Add(seconds(rng, 1, 12))
		}
		if i == n-1 && w.f.Play.SpreadMin > 0 {
			at = w.onset.Add(time.Duration(w.f.Play.SpreadMin * 0.8 * float64(minute)))
		}
		w.hurt(name, w.f.Play.Signals, at, ramp, level*share)
	}
	for _, name := range w.path[n:] {
		w.hurt(name, w.f.Play.Signals, at.Add(seconds(rng, 2, 15)), ramp, level*0.4)
	}
	felt := callersFeel(w.f.Play.Signals)
	for _, name := range w.others { // callers feel it, those with fallbacks less
		for j, hurt := range w.path[:n] {
			if w.calls(name, hurt) && (j == n-1 || rng.Float64() < 0.5) {
				w.hurt(name, felt, at.Add(seconds(rng, 3, 30)), ramp, level*within(rng, 0.05, 0.35))
				break
			}
		}
		if w.truth != nil && w.truth.Global && rng.Float64() < 0.6 { // it reached everything, and most of it minded
			w.hurt(name, felt, w.onset.Add(seconds(rng, 0, 40)), ramp, level*within(rng, 0.1, 0.5))
		}
	}
	if w.f.Play.FlapMin > 0 { // it did so before, and cleared by itself
		for k := 1; k <= 6; k++ {
			past := w.onset.Add(-time.Duration(float64(k) * w.f.Play.FlapMin * float64(minute)))
			for _, f := range slices.Clone(w.sc.Faults) {
				if f.From.Equal(w.onset) {
					f.From, f.To = past, past.Add(100*time.Second)
					w.sc.Faults = append(w.sc.Faults, f)
				}
			}
		}
	}
	if s := w.f.Play.Surge; s != nil {
		w.sc.Faults = append(w.sc.Faults, scenario.Fault{
			Service: s.Service, Signal: triage.SignalTraffic, Level: s.Factor, Ramp: seconds(rng, 30, 150), To: w.end(),
			From: w.onset.Add(time.Duration(s.MinFromOnset * float64(minute))).Add(-seconds(rng, 20, 80)),
		})
	}
}

// callersFeel are the signals that reach a caller: errors and slowness, not a full disk.
func callersFeel(signals string) string {
	felt := strings.Map(func(r rune) rune {
		if r == 'e' || r == 'l' {
			return r
		}
		return -1
	}, signals)
	if felt == "" && strings.Contains(signals, "s") {
		return "l"
	}
	return felt
}

// hurt adds the faults of one service. Level is the error share; the other signals follow it.
func (w *world) hurt(name, signals string, at time.Time, ramp time.Duration, level float64) {
	rng := w.rand("hurt " + name)
	var where map[string]string
	if w.f.Play.Region != "" && slices.Contains(w.path, name) {
		where = map[string]string{"region": w.f.Play.Region}
	}
	if w.f.Play.Versions && name == w.on {
		where = map[string]string{"version": w.truth.Version}
	}
	for _, s := range signals {
		f := scenario.Fault{Service: name, Where: where, From: at, Ramp: ramp, To: w.end(), Level: level}
		switch s {
		case 'e':
			f.Signal = triage.SignalErrors
		case 'l':
			f.Signal, f.Level = triage.SignalLatency, 1+within(rng, 4, 14)*level
		case 's':
			f.Signal, f.Level = triage.SignalSaturation, min(0.5, 0.15+0.5*level)
		case 't':
			f.Signal, f.Level = triage.SignalTraffic, max(0.05, 1-1.1*level)
		}
		w.sc.Faults = append(w.sc.Faults, w.waves(f)...)
	}
}

// waves cuts a fault that comes and goes into its bad times.
func (w *world) waves(f scenario.Fault) []scenario.Fault {
	if w.f.Play.WaveS == 0 {
		return []scenario.Fault{f}
	}
	var out []scenario.Fault
	wave := time.Duration(w.f.Play.WaveS * float64(time.Second))
	for t := f.From; t.Before(f.To) && len(out) < 12; t = t.Add(2 * wave) {
		one := f
		one.From, one.To = t, t.Add(wave)
		out = append(out, one)
	}
	return out
}

// end is when the faults are over.
func (w *world) end() time.Time {
	if w.f.Play.PulseS > 0 {
		return w.onset.Add(time.Duration(w.f.Play.PulseS * float64(time.Second)))
	}
	if w.f.Play.NotUndone {
		return time.Time{}
	}
	return w.mitigated
}
