package alerting

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/triaged-dev/triaged/alerting/card"
	"github.com/triaged-dev/triaged/triage"
)

// storeRetry is how long a report waits for the journal to take writes again.
const storeRetry = 5 * time.Second

// Reconsider asks for a new triage of an open incident, soon: at once, or when incidents.min_interval since the last one is
// over. It does not wait for it. ErrNotOpen if there is no such incident.
func (a *Alerting) Reconsider(ctx context.Context, incidentID, cause string) error {
	select {
	case <-a.loaded:
	case <-ctx.Done():
		return ctx.Err()
	}
	a.mu.Lock()
	e := a.entries[incidentID]
	a.mu.Unlock()
	if e == nil {
		return fmt.Errorf("reconsider %s: %w", incidentID, ErrNotOpen)
	}
	a.enqueue(e, cause, a.now())
	return nil
}

// enqueue queues e for triage, or remembers that it wants to be when the queue is full.
func (a *Alerting) enqueue(e *entry, cause string, now time.Time) {
	a.mu.Lock()
	due := now
	if e.lastTriage.IsZero() {
		due = now.Add(time.Duration(a.cfg.Settle))
	} else if next := e.lastTriage.Add(time.Duration(a.cfg.MinInterval)); next.After(now) && cause != CauseAlert {
		due = next
	}
	id := e.inc.ID
	a.mu.Unlock()
	if a.queue.add(id, cause, due) {
		return
	}
	a.metrics.queueOverflow.Inc()
	a.mu.Lock()
	first := e.wanted == ""
	if first || causeWeight(cause) > causeWeight(e.wanted) {
		e.wanted = cause
	}
	a.mu.Unlock()
	if first {
		a.log.Warn("triage queue is full; the incident waits for room", "incident", id, "cause", cause)
	}
}

// work triages incidents until ctx ends.
func (a *Alerting) work(ctx context.Context) {
	for {
		j, ok := a.queue.next(ctx, a.now)
		if !ok {
			return
		}
		a.triageOne(ctx, j)
		a.queue.done(j.id)
	}
}

// triageOne asks for one report and stores it with what is to be posted.
func (a *Alerting) triageOne(ctx context.Context, j job) {
	began := a.now()
	a.mu.Lock()
	e := a.entries[j.id]
	if e == nil || e.inc.Reports >= a.cfg.MaxReports || (e.inc.State == triage.IncidentRecovered && e.inc.Reports > 0) {
		a.mu.Unlock()
		return // closed, over its limit, or recovered: the note on that comes from the sweeper
	}
	e.lastTriage = began
	inc, checked := e.snapshot(), e.checks()
	a.mu.Unlock()

	answer := a.ask(ctx, triage.Request{Incident: inc, At: began, Cause: j.cause, Number: inc.Reports + 1, Checked: checked})
	if ctx.Err() != nil {
		return // the next start finds the incident without this report
	}
	if err := a.record(ctx, e, answer); err != nil {
		a.log.Error("store report; it will be made again", "incident", j.id, "err", err)
		a.metrics.storeFailed.WithLabelValues("report").Inc()
		a.queue.add(j.id, j.cause, a.now().Add(storeRetry))
		return
	}
	a.metrics.triageDuration.Observe(a.now().Sub(began).Seconds())
}

// ask calls the Triager under the deadline. Whatever goes wrong there, a report comes out.
func (a *Alerting) ask(ctx context.Context, req triage.Request) (answer triage.Answer) {
	ctx, cancel := context.WithTimeout(ctx, time.Duration(a.cfg.Deadline))
	defer cancel()
	defer func() {
		if p := recover(); p != nil {
			a.log.Error("triage panicked; a report without ranking is made instead", "incident", req.Incident.ID, "panic", fmt.Sprint(p))
			answer = a.thin(req)
		}
	}()
	got, err := a.triager.Triage(ctx, req)
	if err != nil {
		a.log.Error("triage gave no answer; a report without ranking is made instead", "incident", req.Incident.ID, "err", err)
		return a.thin(req)
	}
	got.Report.IncidentID, got.Report.Number, got.Report.Cause = req.Incident.ID, req.Number, req.Cause
	if got.Report.CreatedAt.IsZero() {
		got.Report.CreatedAt = req.At
	}
	if req.Incident.State == triage.IncidentRecovered {
		got.Report.State = triage.IncidentRecovered // it had stopped before the first report on it was made
	}
	return got
}

// thin is the answer when there is none: it says so, and blames nothing.
func (a *Alerting) thin(req triage.Request) triage.Answer {
	a.metrics.triageFailed.Inc()
	return triage.Answer{
		Report: triage.Report{
			IncidentID: req.Incident.ID, Number: req.Number, Kind: triage.ReportUnranked, CreatedAt: req.At, Cause: req.Cause,
			Symptom:  triage.SymptomSummary{Service: req.Incident.Service},
			None:     triage.None{Probability: 1},
			Deadline: true,
			Notes:    []string{"the ranking did not finish: nothing was weighed"},
			Recommendation: triage.Recommendation{
				Verdict: triage.VerdictCannotTell, Action: triage.ActionInvestigate,
				Reason: "the ranking itself did not finish; look at the changes by hand",
			},
		},
		Input: inputOf(req.Incident, req.At),
	}
}

// inputOf is the case of a report that weighed nothing.
func inputOf(inc triage.Incident, at time.Time) triage.Case {
	return triage.Case{
		Schema: triage.CaseSchema, ID: inc.ID, ReportAt: at, Alerts: inc.Alerts,
		Window: triage.CaseWindow{From: inc.OpenedAt, To: at},
	}
}

// record stores a report, if it says anything new, together with the deliveries it calls for.
func (a *Alerting) record(ctx context.Context, e *entry, answer triage.Answer) error {
	select {
	case e.writing <- struct{}{}:
		defer func() { <-e.writing }()
	case <-ctx.Done():
		return ctx.Err()
	}
	a.mu.Lock()
	inc, seq := e.snapshot(), e.seq
	prev, posted, postedAs := e.report, e.posted, e.postedAs
	route, dir := a.route, a.directory
	a.mu.Unlock()

	a.annotate(e, &answer)
	report := answer.Report
	recovered := report.Kind == triage.ReportRecovered
	inc.Reports, inc.UpdatedAt = report.Number, a.now()
	var deliveries []triage.Delivery
	shaky := card.TakenBack(posted, postedAs, prev, report, inc)
	if shaky { // said once more before it is posted
		a.enqueue(e, CauseSecondLook, a.now())
	}
	if !shaky && (posted != nil || !recovered) { // who was not told that it fires is not told that it stopped
		to, err := a.destinations(ctx, planning{inc, report, route, dir})
		if err != nil {
			return err
		}
		deliveries = a.out.Plan(inc, report, to, card.Compare(posted, postedAs, report, inc))
	}
	if len(deliveries) == 0 && prev != nil && !recovered && card.Compare(prev, inc.State, report, inc) == card.Same {
		a.afterReport(e, nil, answer.Input, seq, false) // nothing new to say, so nothing to keep
		return nil
	}
	if err := a.store.SaveReport(ctx, inc, answer, deliveries); err != nil {
		return fmt.Errorf("journal report %d of incident %s: %w", report.Number, inc.ID, err)
	}
	a.metrics.reports.WithLabelValues(strconv.FormatBool(len(deliveries) > 0)).Inc()
	a.mu.Lock()
	e.inc.Reports, e.inc.UpdatedAt = inc.Reports, inc.UpdatedAt
	if slices.ContainsFunc(deliveries, func(del triage.Delivery) bool { return del.Muted == "" }) { // who was told nothing is told it anew
		e.posted, e.postedAs = &report, inc.State
	}
	a.mu.Unlock()
	a.afterReport(e, &report, answer.Input, seq, true)
	a.subs.publish(Update{Incident: inc, Report: &report})
	a.out.Added(deliveries)
	a.whisper(ctx, inc, report, posted, deliveries)
	return nil
}

// afterReport notes what a finished triage leaves behind: which services matter, when to look again.
func (a *Alerting) afterReport(e *entry, report *triage.Report, input triage.Case, seq uint64, stored bool) {
	reach := a.reach(e, input.Topology)
	now := a.now()
	a.mu.Lock()
	defer a.mu.Unlock()
	a.setReach(e, reach)
	if stored {
		e.saved = max(e.saved, seq)
	}
	if report == nil {
		return
	}
	if e.report == nil {
		e.looks = a.looksAfter(report.CreatedAt, now)
	}
	e.report = report
}

// looksAfter are the second looks due after the time from and not over yet.
func (a *Alerting) looksAfter(from, now time.Time) []time.Time {
	var out []time.Time
	for _, d := range a.cfg.SecondLooks {
		if at := from.Add(time.Duration(d)); at.After(now) {
			out = append(out, at)
		}
	}
	return out
}
