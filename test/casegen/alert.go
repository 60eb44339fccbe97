package main

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/triaged-dev/triaged/test/casegen/scenario"
	"github.com/triaged-dev/triaged/triage"
)

// symptomSignal is what the alert looks at: the first of the fault's signals that its service shows.
func (w *world) symptomSignal() triage.Signal {
	signals := w.f.Play.Signals
	if w.root != w.symptom && len(signals) > 1 && signals[0] == 's' {
		signals = signals[1:] // saturation at the root shows as something else elsewhere
	}
	switch signals[0] {
	case 'l':
		return triage.SignalLatency
	case 's':
		return triage.SignalSaturation
	case 't':
		return triage.SignalTraffic
	}
	return triage.SignalErrors
}

var alertNames = map[triage.Signal][]string{
	triage.SignalErrors:     {"ErrorRatioHigh", "HighErrorRate", "AvailabilityBudgetBurn", "ServerErrors"},
	triage.SignalLatency:    {"LatencyHigh", "SlowRequests", "P99TooHigh"},
	triage.SignalSaturation: {"SaturationHigh", "NearlyFull", "BacklogGrowing"},
	triage.SignalTraffic:    {"TrafficDropped", "RequestsMissing", "NothingArrives"},
}

// alert makes the page: a rule with its pending time where monitoring saw it, a declared incident where people did.
func (w *world) alert() {
	rng := w.rand("alert")
	signal := w.symptomSignal()
	labels := map[string]string{"alertname": pick(rng, alertNames[signal]), "service": w.symptom, "severity": "page", "environment": "production"}
	a := triage.Alert{Labels: labels, Status: triage.AlertFiring, StartsAt: w.report}
	switch {
	case w.declared:
		labels["alertname"], labels["opened_by"] = "IncidentDeclared", w.f.AlertSource
		a.Annotations = map[string]string{"summary": w.symptom + ": trouble reported"}
	default:
		a.Annotations = map[string]string{"summary": fmt.Sprintf("%s: %s outside the usual range", w.symptom, signal)}
		w.pending(&a)
		if w.f.Play.Region != "" && rng.Float64() < 0.6 && !w.mute[w.symptom] {
			labels["region"] = w.f.Play.Region
		}
		if expr := w.style.expr[signal]; expr != "" {
			a.Expr = expr
			if strings.Contains(expr, "%") {
				a.Expr = fmt.Sprintf(expr, w.symptom)
			}
			w.sc.SymptomOf = scenario.SymptomOf{Service: w.symptom, Signal: signal}
			if r := labels["region"]; r != "" {
				w.sc.SymptomOf.Where = map[string]string{"region": r}
			}
			if rng.Float64() < 0.6 { // Prometheus was asked for the rule
				metric := w.style.Metrics[signal]
				w.sc.Symptom = &triage.Symptom{
					RuleFound: true, Expr: a.Expr, ForS: a.ForS, EvalIntervalS: a.EvalIntervalS, ScrapeIntervalS: w.sc.Step.Seconds(),
					LongestRangeS: max(metric.Range, time.Minute).Seconds(), ActiveAt: a.ActiveAt,
				}
			}
		}
	}
	w.sc.Alerts = append(w.sc.Alerts, a)
	w.sc.ReportAt = time.Time{}
	// A second alert in the same minute, on who calls the symptom: paged later, so not the one that is triaged.
	if rng.Float64() < 0.3 && !w.declared {
		second := a
		second.Labels = map[string]string{"alertname": labels["alertname"], "service": w.others[0], "severity": "ticket", "environment": "production"}
		second.Annotations, second.Expr = map[string]string{"summary": w.others[0] + ": follows"}, ""
		second.StartsAt, second.ActiveAt = w.report.Add(seconds(rng, 15, 50)), time.Time{}
		w.sc.Events = append(w.sc.Events, triage.CaseEvent{At: second.StartsAt, Alert: &second})
	}
}

// pending chooses the rule's pending time so that it fits between onset and page, as far as anybody would set it.
func (w *world) pending(a *triage.Alert) {
	rng := w.rand("pending")
	room := w.report.Sub(w.onset) - 25*time.Second
	var fit []time.Duration
	for _, d := range []time.Duration{0, minute, 2 * minute, 3 * minute, 5 * minute, 10 * minute} {
		if d <= room {
			fit = append(fit, d)
		}
	}
	if len(fit) == 0 {
		return
	}
	wait := pick(rng, fit[max(0, len(fit)-2):])
	a.ForS, a.EvalIntervalS = wait.Seconds(), pick(rng, []float64{15, 30, 60})
	if rng.Float64() < 0.6 {
		a.ActiveAt = w.report.Add(-wait)
	}
}

// coverage says how well the sources of the case could be heard. One that has nothing to do with the trigger may be blind.
func (w *world) coverage() {
	rng := w.rand("coverage")
	heard := map[string]time.Time{}
	for _, c := range w.sc.Changes {
		if !c.ObservedAt.After(w.report) && c.ObservedAt.After(heard[c.Source]) {
			heard[c.Source] = c.ObservedAt
		}
	}
	var names []string
	for name := range heard {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		w.sc.Coverage = append(w.sc.Coverage, triage.Coverage{
			Source: name, State: triage.SourceOK, From: w.sc.From, To: w.report, LagS: float64(1 + rng.IntN(15)), LastEvent: heard[name],
		})
	}
	switch {
	case w.f.Play.Blind:
		w.blind(w.truth.Source, "connection refused since before the onset")
	case rng.Float64() < 0.2:
		if w.truth == nil || w.truth.Source != "terraform" {
			w.blind("terraform", "no event for longer than usual")
		}
	}
	for _, name := range w.busy {
		if rng.Float64() < 0.5 {
			w.sc.History = append(w.sc.History, triage.Outcome{Service: name, Kind: triage.KindDeploy, Outcome: "harmless", N: float64(3 + rng.IntN(40))})
		}
	}
}

// blind marks a source as not heard; what it would have said before that stays.
func (w *world) blind(source, why string) {
	for i := range w.sc.Coverage {
		if w.sc.Coverage[i].Source == source {
			w.sc.Coverage[i].State, w.sc.Coverage[i].Detail = triage.SourceDown, why
			return
		}
	}
	w.sc.Coverage = append(w.sc.Coverage, triage.Coverage{Source: source, State: triage.SourceDown, From: w.sc.From, To: w.report, Detail: why})
}
