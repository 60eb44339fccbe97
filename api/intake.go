package api

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/triaged-dev/triaged/triage"
)

// pushSource is the source of events that name none.
const pushSource = "push"

// futureTolerance is how far ahead of ours a sender's clock may be before we say so. The collector clamps what is later.
const futureTolerance = 5 * time.Minute

// historyAfter is how old an event may be before we say that it comes too late for any alert: a week is far more than any sender lags,
// and more than a ranking looks back.
const historyAfter = 7 * 24 * time.Hour

// received is the answer to pushed events. Ids are those to ask for later: what was folded into another Change answers to
// its old id too.
type received struct {
	Accepted []string   `json:"accepted"`
	Rejected []rejected `json:"rejected"`
	Warnings []string   `json:"warnings"`
}

// rejected is one record that was not taken, with what is wrong with it.
type rejected struct {
	Index  *int           `json:"index"` // from 0
	Errors []FieldProblem `json:"errors"`
}

func (a *API) postChanges(r *request) (any, error)   { return a.postEvents(r, "change") }
func (a *API) postAnomalies(r *request) (any, error) { return a.postEvents(r, "anomaly") }

// postEvents stores the good records of a body and names the bad ones. Only when there is no good one is the whole refused.
func (a *API) postEvents(r *request, bare string) (any, error) {
	records, single, err := a.recordsOf(r, bare)
	if err != nil {
		if len(r.body) > 0 {
			a.setAside(r, []record{{raw: r.body, err: err}})
		}
		return nil, err
	}
	key, err := idempotencyKey(r)
	if err != nil {
		return nil, err
	}
	out := received{Accepted: []string{}, Rejected: []rejected{}, Warnings: []string{}}
	if len(records) == 0 {
		out.Warnings = append(out.Warnings, "the list is empty; nothing was stored")
	}
	var events []triage.Event
	var bad []record
	var old history
	for _, rec := range records {
		warn := func(text string) {
			if !single {
				text = fmt.Sprintf("record %d: %s", rec.index, text)
			}
			out.Warnings = append(out.Warnings, text)
		}
		if reason, ok := triage.IsIgnored(rec.err); ok {
			warn("not stored: " + reason)
			continue
		}
		if rec.err != nil {
			bad = append(bad, rec)
			out.Rejected = append(out.Rejected, rejected{&rec.index, fieldProblems(rec.err)})
			continue
		}
		for i, ev := range rec.events {
			ev, claimed := r.caller.own(ev)
			if claimed != "" {
				warn(claimed)
			}
			ev, warning := a.complete(ev, partKey(key, single, rec.index, i))
			if warning != "" {
				warn(warning)
			}
			old.note(ev, a.now().UTC())
			events = append(events, ev)
			out.Accepted = append(out.Accepted, eventID(ev))
		}
	}
	out.Warnings = append(out.Warnings, old.warnings()...)
	a.metrics.records.WithLabelValues("rejected").Add(float64(len(bad)))
	if len(events) == 0 && len(bad) > 0 {
		a.setAside(r, bad)
		return nil, refuse(out.Rejected, single)
	}
	if len(events) > 0 {
		if err := a.opts.Collector.Emit(r.Context(), events); err != nil {
			return nil, unstored("The events are not stored; send them again.", err)
		}
		a.metrics.records.WithLabelValues("accepted").Add(float64(len(events)))
	}
	a.setAside(r, bad)
	return out, nil
}

// setAside keeps for the operator what was refused: the sender may be a script that looks at no answer, and what it meant to say is
// read again once the sender, or what reads it here, is mended.
func (a *API) setAside(r *request, bad []record) {
	ctx, cancel := keepContext(r.Context())
	defer cancel()
	as := ""
	if len(r.caller.sources) > 0 {
		as = r.caller.sources[0]
	}
	for _, rec := range bad[:min(len(bad), maxKept)] {
		q := a.refused(pushSource, fmt.Sprintf("caller=%s record=%d", r.caller.name, rec.index), rec.err, rec.raw)
		q.Caller, q.As = r.caller.name, as
		a.opts.Collector.Quarantine(ctx, q)
	}
}

// recordsOf reads the body into records, good and bad, in their order.
func (a *API) recordsOf(r *request, bare string) (records []record, single bool, err error) {
	f, err := formOf(r.Header)
	if err != nil {
		return nil, false, err
	}
	limits, cloud := r.settings.limits, a.opts.CloudEvents
	if cloud == nil && (f == formCloudEvent || f == formCloudBatch) {
		return nil, false, problem(kindMediaType, "CloudEvents are not read here; send application/json.")
	}
	read := func(raw []byte) ([]triage.Event, error) { return decode(raw, bare, cloud) }
	switch f {
	case formCloudEvent:
		records, single = []record{{raw: r.body}}, true
		read = func(raw []byte) ([]triage.Event, error) { return cloud(r.Header, raw) }
	case formCloudBatch:
		records, single, err = splitJSON(r.body, limits.BatchRecords)
		structured := http.Header{"Content-Type": {"application/cloudevents+json"}}
		read = func(raw []byte) ([]triage.Event, error) { return cloud(structured, raw) }
	case formLines:
		records, err = splitLines(r.body, limits.BatchRecords)
	case formJSON:
		records, single, err = splitJSON(r.body, limits.BatchRecords)
	}
	if err != nil {
		return nil, false, err
	}
	if single && int64(len(r.body)) > limits.RecordBytes {
		return nil, false, problem(kindTooLarge, "One record may have %d bytes (auth.limits.record_bytes); shorten its labels and paths, or link to what is long.", limits.RecordBytes)
	}
	for i := range records {
		rec := &records[i]
		switch {
		case rec.err != nil:
		case int64(len(rec.raw)) > limits.RecordBytes:
			rec.err = &triage.FieldError{Remedy: fmt.Sprintf("is %d bytes; one record may have %d", len(rec.raw), limits.RecordBytes)}
		default:
			rec.events, rec.err = read(rec.raw)
			if rec.err == nil {
				rec.err = validate(rec.events)
			}
		}
	}
	return records, single, nil
}

// validate checks what a decoder that is not ours returned.
func validate(events []triage.Event) error {
	var problems []error
	for _, ev := range events {
		switch {
		case ev.Change != nil:
			problems = append(problems, ev.Change.Validate("change"))
		case ev.Anomaly != nil:
			problems = append(problems, ev.Anomaly.Validate("anomaly"))
		}
	}
	return errors.Join(problems...)
}

// partKey is the idempotency key of one event of a body: a key names the body, and its parts by their place.
func partKey(key string, single bool, record, event int) string {
	if key == "" {
		return ""
	}
	if !single {
		key += "/" + strconv.Itoa(record)
	}
	if event > 0 {
		key += "." + strconv.Itoa(event)
	}
	return key
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
		an.ID = an.DeriveID()
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

// history counts what happened so long ago that it is kept and weighed in no alert: right for a record of the past, and a wrong year
// or zone otherwise. One warning for a body: a past is sent in thousands.
type history struct {
	n     int
	first time.Time
	age   time.Duration
}

func (h *history) note(ev triage.Event, now time.Time) {
	at := now
	if c := ev.Change; c != nil {
		at = c.OccurredAt()
		if c.FinishedAt.After(at) {
			at = c.FinishedAt
		}
	} else {
		at = ev.Anomaly.Onset.Best
	}
	if age := now.Sub(at); !at.IsZero() && age > historyAfter {
		if h.n == 0 {
			h.first, h.age = at, age
		}
		h.n++
	}
}

func (h *history) warnings() []string {
	if h.n == 0 {
		return nil
	}
	return []string{fmt.Sprintf("%d happened more than %d days ago, the first at %s, %d days back: kept as history, and weighed in no alert from now on. If it happened just now, check the sender's date and zone",
		h.n, int(historyAfter.Hours()/24), h.first.Format(time.RFC3339), int(h.age.Hours()/24))}
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

// Bounds on what is kept of bad input. The answer names every bad record; a few of a kind are enough to mend the sender.
const (
	maxKept     = 100 // records of one body
	keepTimeout = 5 * time.Second
)

// keepContext is for keeping what was refused: the verdict is in, and a sender that hangs up now must not lose us the record.
func keepContext(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), keepTimeout)
}

// refused is what is kept of a body or record. The id is made of the content, so that a sender that repeats itself fills nothing.
func (a *API) refused(source, origin string, reason error, body []byte) triage.Quarantined {
	h := sha256.New()
	fmt.Fprintf(h, "%d:%s", len(source), source)
	h.Write(body)
	now := a.now().UTC()
	q := triage.Quarantined{
		ID: source + ":" + hex.EncodeToString(h.Sum(nil))[:16], Source: source, Origin: origin,
		Reason: cutText(reason.Error(), triage.MaxText), At: now, RecordTime: now,
	}
	q.SetBody(slices.Clone(body))
	return q
}

func utc(t time.Time) time.Time {
	if t.IsZero() {
		return t
	}
	return t.UTC()
}
