package api

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/triaged-dev/triaged/triage"
)

// pushSource is the source of events that name none.
const pushSource = "push"

// futureTolerance is how far ahead of ours a sender's clock may be before we say so. The collector clamps what is later.
const futureTolerance = 5 * time.Minute

// received is the answer to pushed events. Ids are those to ask for later: what was folded into another Change answers to
// its old id too.
type received struct {
	Accepted []string   `json:"accepted"`
	Rejected []rejected `json:"rejected"`
	Warnings []string   `json:"warnings"`
}

// rejected is one record that was not taken, with what is wrong with it. Index is absent where the place is not known.
type rejected struct {
	Index  *int           `json:"index,omitempty"`
	Errors []FieldProblem `json:"errors"`
}

func (a *API) postChanges(r *request) (any, error)   { return a.postEvents(r, "change") }
func (a *API) postAnomalies(r *request) (any, error) { return a.postEvents(r, "anomaly") }

// postEvents stores the good records of a body and names the bad ones. Only when there is no good one is the whole refused.
func (a *API) postEvents(r *request, bare string) (any, error) {
	records, single, err := a.recordsOf(r, bare)
	if err != nil {
		return nil, err
	}
	key, err := idempotencyKey(r)
	if err != nil {
		return nil, err
	}
	out := received{Accepted: []string{}, Rejected: []rejected{}, Warnings: []string{}}
	var events []triage.Event
	var bad []record
	for _, rec := range records {
		if rec.err != nil {
			bad = append(bad, rec)
			out.Rejected = append(out.Rejected, reject(rec))
			continue
		}
		k := key
		if key != "" && !single {
			k += "/" + strconv.Itoa(rec.index)
		}
		ev, warning := a.complete(rec.event, k)
		if warning != "" {
			if !single {
				warning = fmt.Sprintf("record %d: %s", rec.index, warning)
			}
			out.Warnings = append(out.Warnings, warning)
		}
		events = append(events, ev)
		out.Accepted = append(out.Accepted, eventID(ev))
	}
	a.metrics.records.WithLabelValues("rejected").Add(float64(len(bad)))
	if len(events) == 0 {
		if len(bad) == 0 {
			out.Warnings = append(out.Warnings, "the body holds no event that tells of a change or an anomaly; nothing was stored")
			return out, nil
		}
		return nil, refuse(out.Rejected, single)
	}
	if err := a.opts.Collector.Emit(r.Context(), events); err != nil {
		return nil, unstored("The events are not stored; send them again.", err)
	}
	a.metrics.records.WithLabelValues("accepted").Add(float64(len(events)))
	// The sender sees a 2xx and may never look at what was refused: keep it for the operator.
	for _, rec := range bad {
		a.quarantine(r.Context(), pushSource, fmt.Sprintf("caller=%s record=%d", r.caller.name, rec.index), rec.err, rec.raw)
	}
	return out, nil
}

// recordsOf reads the body into records, good and bad, in their order.
func (a *API) recordsOf(r *request, bare string) (records []record, single bool, err error) {
	f, err := formOf(r.Header)
	if err != nil {
		return nil, false, err
	}
	limits := r.settings.limits
	switch f {
	case formCloudEvents:
		records, err = a.cloudEvents(r)
		return records, false, err
	case formLines:
		records, err = splitLines(r.body, limits.BatchRecords)
		if len(records) == 0 && err == nil {
			err = malformed(nil)
		}
	default:
		records, single, err = splitJSON(r.body, limits.BatchRecords)
	}
	if err != nil {
		return nil, false, err
	}
	if single && int64(len(r.body)) > limits.RecordBytes {
		return nil, false, problem(kindTooLarge, "One record may have %d bytes.", limits.RecordBytes)
	}
	for i := range records {
		rec := &records[i]
		switch {
		case rec.err != nil:
		case int64(len(rec.raw)) > limits.RecordBytes:
			rec.err = &triage.FieldError{Remedy: fmt.Sprintf("is %d bytes; one record may have %d", len(rec.raw), limits.RecordBytes)}
		default:
			rec.event, rec.err = decode(rec.raw, bare)
		}
	}
	return records, single, nil
}

// cloudEvents reads the body with the decoder we were given.
func (a *API) cloudEvents(r *request) ([]record, error) {
	if a.opts.CloudEvents == nil {
		return nil, problem(kindMediaType, "CloudEvents are not configured here; send application/json.")
	}
	events, err := a.opts.CloudEvents(r.Header, r.body)
	if err != nil && !isInput(err) && len(events) == 0 {
		return nil, problem(kindMalformed, "The CloudEvents cannot be read.").with(FieldProblem{Remedy: err.Error()}).because(err)
	}
	if len(events) > r.settings.limits.BatchRecords {
		return nil, tooMany(r.settings.limits.BatchRecords)
	}
	var records []record
	for i, ev := range events {
		rec := record{index: i, event: ev}
		switch {
		case ev.Change != nil:
			rec.err = ev.Change.Validate("change")
		case ev.Anomaly != nil:
			rec.err = ev.Anomaly.Validate("anomaly")
		default:
			continue
		}
		records = append(records, rec)
	}
	if err != nil {
		records = append(records, record{index: -1, raw: r.body, err: err})
	}
	return records, nil
}

func reject(rec record) rejected {
	out := rejected{Errors: fieldProblems(rec.err)}
	if rec.index >= 0 {
		out.Index = &rec.index
	}
	return out
}

// maxProblems bounds the errors of one answer, so that a bad batch is not answered with a larger one.
const maxProblems = 1000

// refuse is the answer when no record could be taken.
func refuse(bad []rejected, single bool) *Problem {
	p := problem(kindRecord, "No record could be taken; nothing was stored.")
	if single {
		p.Detail = "The record cannot be taken; nothing was stored."
	}
	for _, rej := range bad {
		for _, e := range rej.Errors {
			if len(p.Errors) == maxProblems {
				p.Detail += fmt.Sprintf(" These are the first %d errors.", maxProblems)
				return p
			}
			if !single {
				e.Index = rej.Index
			}
			p.Errors = append(p.Errors, e)
		}
	}
	return p
}

// unstored is the answer when the store did not take what was good. Sending it again is safe.
func unstored(detail string, err error) *Problem {
	return problem(kindUnavailable, "%s", detail).retryAfter(5 * time.Second).because(err)
}

// complete fills in what a sender may leave out: source, id, and the ends of an onset. Times become UTC.
func (a *API) complete(ev triage.Event, key string) (out triage.Event, warning string) {
	if ev.Change != nil {
		c := *ev.Change
		c.StartedAt, c.FinishedAt, c.ObservedAt = utc(c.StartedAt), utc(c.FinishedAt), utc(c.ObservedAt)
		steps := make([]triage.Step, 0, len(c.Steps))
		for _, s := range c.Steps {
			s.At = utc(s.At)
			steps = append(steps, s)
		}
		if len(steps) > 0 {
			c.Steps = steps
		}
		if c.Source == "" {
			c.Source = pushSource
		}
		if c.ID == "" && key != "" {
			c.ID = triage.ChangeID(c.Source + ":" + key)
		}
		if c.ID == "" {
			c.ID = c.DeriveID()
		}
		return triage.Event{Change: &c}, a.future("started_at", c.OccurredAt())
	}
	an := *ev.Anomaly
	on := &an.Onset
	if on.Earliest.IsZero() {
		on.Earliest = on.Best
	}
	if on.Latest.IsZero() {
		on.Latest = on.Best
	}
	on.Earliest, on.Best, on.Latest = utc(on.Earliest), utc(on.Best), utc(on.Latest)
	an.EndedAt, an.ObservedAt = utc(an.EndedAt), utc(an.ObservedAt)
	if an.Source == "" {
		an.Source = pushSource
	}
	if an.ID == "" && key != "" {
		an.ID = triage.AnomalyID(an.Source + ":" + key)
	}
	if an.ID == "" {
		an.ID = anomalyID(an)
	}
	return triage.Event{Anomaly: &an}, a.future("onset.best", on.Best)
}

// future warns of a time that cannot be right.
func (a *API) future(field string, t time.Time) string {
	now := a.now().UTC()
	if !t.After(now.Add(futureTolerance)) {
		return ""
	}
	return fmt.Sprintf("%s %s lies %s ahead of our clock (%s); it is taken as happening now. Check the sender's clock and zone",
		field, t.Format(time.RFC3339), t.Sub(now).Round(time.Second), now.Format(time.RFC3339))
}

// anomalyID makes the id of an Anomaly that has none: what was measured and when it left its range.
func anomalyID(an triage.Anomaly) triage.AnomalyID {
	h := sha256.New()
	for _, f := range [...]string{
		an.Source, an.Service, an.Environment, an.Region, an.Cluster, an.Namespace, string(an.Signal), an.Series,
		an.Onset.Best.UTC().Format(time.RFC3339),
	} {
		fmt.Fprintf(h, "%d:%s", len(f), f)
	}
	return triage.AnomalyID(an.Source + ":" + hex.EncodeToString(h.Sum(nil))[:16])
}

func eventID(ev triage.Event) string {
	if ev.Change != nil {
		return string(ev.Change.ID)
	}
	return string(ev.Anomaly.ID)
}

// idempotencyKey reads the header by which a sender names what it sends: the same key is the same Change.
func idempotencyKey(r *request) (string, error) {
	key := r.Header.Get("Idempotency-Key")
	if len(key) > 200 {
		return "", badParameter("Idempotency-Key", key, "use at most 200 bytes")
	}
	return key, nil
}

// maxQuarantined is how many bytes of a bad record are kept.
const maxQuarantined = 64 << 10

// quarantine keeps what was refused. The id is made of the content, so that a sender that repeats itself fills nothing.
func (a *API) quarantine(ctx context.Context, source, origin string, reason error, body []byte) {
	h := sha256.New()
	fmt.Fprintf(h, "%d:%s", len(source), source)
	h.Write(body)
	// The verdict is in; a sender that hangs up now must not lose us the record.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	a.opts.Collector.Quarantine(ctx, triage.Quarantined{
		ID: source + ":" + hex.EncodeToString(h.Sum(nil))[:16], Source: source, Origin: origin,
		Reason: cutText(reason.Error(), triage.MaxText), Body: append([]byte(nil), body[:min(len(body), maxQuarantined)]...), At: a.now().UTC(),
	})
}

func utc(t time.Time) time.Time {
	if t.IsZero() {
		return t
	}
	return t.UTC()
}

func itoa(n int) string { return strconv.Itoa(n) }

// postAlertWebhook takes a webhook of Alertmanager or Grafana.
func (a *API) postAlertWebhook(r *request) (any, error) {
	return a.acceptAlerts(r, a.opts.Alerts.AcceptWebhook)
}

// postAlerts takes what Prometheus sends to Alertmanager.
func (a *API) postAlerts(r *request) (any, error) {
	return a.acceptAlerts(r, a.opts.Alerts.AcceptAlerts)
}

// acceptAlerts hands the body over. Senders drop what is answered with 4xx, so a body that is refused is kept.
func (a *API) acceptAlerts(r *request, accept func(context.Context, []byte) error) (any, error) {
	f, err := formOf(r.Header)
	if err != nil {
		return nil, err
	}
	if f != formJSON {
		return nil, problem(kindMediaType, "Alerts are taken as application/json.")
	}
	if _, _, err := splitJSON(r.body, r.settings.limits.BatchRecords); err != nil {
		if p, ok := errors.AsType[*Problem](err); ok && p.kind == kindMalformed {
			a.quarantine(r.Context(), "alerts", "caller="+r.caller.name, err, r.body)
		}
		return nil, err
	}
	if err := accept(r.Context(), r.body); err != nil {
		if !isInput(err) {
			return nil, unstored("The alerts are not stored; send them again.", err)
		}
		a.quarantine(r.Context(), "alerts", "caller="+r.caller.name, err, r.body)
		return nil, problem(kindRecord, "The alerts cannot be read; the body is kept in the quarantine.").with(fieldProblems(err)...).because(err)
	}
	return map[string]string{"status": "accepted"}, nil
}
