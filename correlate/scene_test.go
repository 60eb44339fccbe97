package correlate

import (
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/triaged-dev/triaged/triage"
)

// t0 is when the alerts of the scenes fire.
var t0 = time.Date(2026, 3, 1, 3, 7, 0, 0, time.UTC)

// before is a time so long before t0.
func before(d string) time.Time {
	dur, err := time.ParseDuration(d)
	if err != nil {
		panic(err)
	}
	return t0.Add(-dur)
}

// change makes a finished change of a minute.
func change(id string, kind triage.Kind, service, ago string) triage.Change {
	return triage.Change{
		ID: triage.ChangeID(id), Kind: kind, Scope: triage.Scope{Service: service}, StartedAt: before(ago),
		FinishedAt: before(ago).Add(time.Minute), ObservedAt: before(ago).Add(2 * time.Second), Status: triage.StatusSucceeded,
	}
}

// series makes an hour of samples every 15 s, as Prometheus gives them, with seeded noise; effect is added from onset on.
func series(service string, signal triage.Signal, base, noise, effect float64, onset time.Time) triage.Series {
	s := triage.Series{
		Metric: string(signal), Labels: map[string]string{"service": service}, Signal: signal, Better: triage.BetterLower,
		Stamp: triage.StampEnd, StepS: 15, Start: t0.Add(-time.Hour),
	}
	if signal == triage.SignalErrors {
		s.Unit = triage.UnitRatio
	}
	rng := rand.New(rand.NewPCG(uint64(len(service))*7919+uint64(len(signal)), uint64(base*1e6)))
	for i := range 241 {
		v := base + noise*math.Abs(rng.NormFloat64())
		if at := s.Start.Add(time.Duration(i) * 15 * time.Second); at.After(onset) && !onset.IsZero() {
			v += effect
		}
		s.Values = append(s.Values, v)
	}
	return s
}

// flagScene: checkout calls pricing calls db; the flag new-pricing on pricing broke both at 03:01:30, for: 5m.
func flagScene() Input {
	flag := change("flag-1", triage.KindFlag, "pricing", "5m30s")
	flag.Labels = map[string]string{"flag": "new-pricing"}
	flag.Version, flag.PreviousVersion = "100 %", "0 %"
	onset := before("4m50s")
	return Input{
		IncidentID: "inc-1", At: t0,
		Alerts: []triage.Alert{{
			Labels: map[string]string{"alertname": "CheckoutErrors", "service": "checkout"}, StartsAt: t0,
			ActiveAt: before("4m"), ForS: 240, EvalIntervalS: 15,
		}},
		Changes: []triage.Change{
			flag,
			change("dep-1", triage.KindDeploy, "checkout", "24m"),
			change("dep-2", triage.KindDeploy, "search", "7m"),
			change("dep-3", triage.KindDeploy, "checkout", "1m"),
			change("cfg-1", triage.KindConfig, "db", "17m"),
		},
		Topology: triage.NewTopology([]triage.Edge{{From: "checkout", To: "pricing"}, {From: "pricing", To: "db"}, {From: "web", To: "checkout"}, {From: "web", To: "search"}}),
		Series: []triage.Series{
			series("checkout", triage.SignalErrors, 0.002, 0.001, 0.14, onset),
			series("checkout", triage.SignalLatency, 0.2, 0.02, 0.1, onset),
			series("pricing", triage.SignalErrors, 0.001, 0.001, 0.3, onset),
			series("pricing", triage.SignalLatency, 0.1, 0.01, 0, time.Time{}),
			series("db", triage.SignalErrors, 0, 0.0005, 0, time.Time{}),
			series("db", triage.SignalLatency, 0.01, 0.001, 0, time.Time{}),
			series("search", triage.SignalErrors, 0.001, 0.001, 0, time.Time{}),
		},
		Symptom: &triage.Symptom{
			RuleFound: true, ForS: 240, EvalIntervalS: 15, ScrapeIntervalS: 15, LongestRangeS: 300, BadDirection: "higher",
			Series: []triage.Series{series("checkout", triage.SignalErrors, 0.002, 0.001, 0.14, onset)},
		},
		Services: map[string]triage.Service{"pricing": {Owner: "team-pricing", Channel: "#pricing-oncall"}},
		Coverage: []triage.Coverage{{Source: "kafka", State: triage.SourceOK}},
	}
}

func bytesOf(t *testing.T, r triage.Report) string {
	t.Helper()
	b, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// find is the suspect with the id, nil when it is not listed.
func find(r triage.Report, id string) *triage.Suspect {
	for i := range r.Suspects {
		if r.Suspects[i].ID() == id {
			return &r.Suspects[i]
		}
	}
	return nil
}

// evidenceFor is the contribution of a factor to a suspect and its sentence.
func evidenceFor(s *triage.Suspect, factor string) (triage.MilliNats, string) {
	if s == nil {
		return 0, ""
	}
	for _, e := range append(append([]triage.Evidence{}, s.For...), s.Against...) {
		if e.Factor == factor {
			return e.Contribution, e.Sentence
		}
	}
	return 0, ""
}

// checkSums fails when probabilities or contributions do not add up exactly.
func checkSums(t *testing.T, r triage.Report) {
	t.Helper()
	micros := int64(math.Round((r.None.Probability + r.Unlisted.Probability) * million))
	for _, s := range r.Suspects {
		micros += int64(math.Round(s.Probability * million))
		sum := triage.MilliNats(0)
		for _, e := range append(append([]triage.Evidence{}, s.For...), s.Against...) {
			sum += e.Contribution
			if e.Sentence == "" {
				t.Errorf("%s: factor %s has no sentence", s.ID(), e.Factor)
			}
		}
		if sum != s.LogOdds {
			t.Errorf("%s: contributions sum to %d, log-odds are %d", s.ID(), sum, s.LogOdds)
		}
	}
	if micros != million {
		t.Errorf("probabilities sum to %d millionths", micros)
	}
	sum := triage.MilliNats(0)
	for _, e := range r.None.Evidence {
		sum += e.Contribution
	}
	if sum != r.None.LogOdds {
		t.Errorf("none: contributions sum to %d, log-odds are %d", sum, r.None.LogOdds)
	}
}

func dump(r triage.Report) string {
	var out strings.Builder
	fmt.Fprintf(&out, "%s\nonset %s – %s – %s %s %s\n", r.Symptom.Sentence, clock(r.Onset.Earliest), clock(r.Onset.Best), clock(r.Onset.Latest), r.Onset.Shape, r.Onset.Basis)
	for _, s := range r.Suspects {
		fmt.Fprintf(&out, "%d. %.3f %s %d\n", s.Rank, s.Probability, s.ID(), s.LogOdds)
		for _, e := range append(append([]triage.Evidence{}, s.For...), s.Against...) {
			fmt.Fprintf(&out, "     %+d %s: %s\n", e.Contribution, e.Factor, e.Sentence)
		}
	}
	fmt.Fprintf(&out, "none %.3f\n", r.None.Probability)
	for _, e := range r.None.Evidence {
		fmt.Fprintf(&out, "     %+d %s: %s\n", e.Contribution, e.Factor, e.Sentence)
	}
	rec := r.Recommendation
	return out.String() + fmt.Sprintf("%s %s: %s\nsteps %q\ncheck %q\navoid %v\nalso %v\nnotes %q\n", rec.Verdict, rec.Action, rec.Reason, rec.Steps, rec.Check, rec.Avoid, rec.AlsoUndoes, r.Notes)
}
