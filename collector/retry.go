package collector

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/triaged-dev/triaged/triage"
)

// Redecoder is a Source that can read a record again that it once could not read: its mapping may have been mended since.
type Redecoder interface {
	Redecode(q triage.Quarantined) ([]triage.Event, error)
}

// Outcomes of a retry: the values of the outcome label.
const (
	retryTaken   = "taken"   // its events are stored; the record has left the quarantine
	retryIgnored = "ignored" // it reads as something that is no change; it has left too
	retryRefused = "refused" // it stays
	retryFailed  = "failed"  // the store did not take the events; it stays
)

// Elsewhere says who reads the records of a source that are no events: alerts are taken in by another room, and kept here all the same.
// take says how many it took; a *triage.FieldError means that the record still cannot be read. Call it before Run.
func (c *Collector) Elsewhere(source string, take func(ctx context.Context, q triage.Quarantined) (int, error)) {
	c.elsewhere[source] = take
}

// Retry reads a quarantined record again, as its source reads records now, stores the events in it, says how many, and takes the
// record out of the quarantine. A record that still cannot be read stays; the error is then a *triage.FieldError.
// A second retry of the same record does no harm: the events make the same changes.
func (c *Collector) Retry(ctx context.Context, id string) (events int, err error) {
	q, err := c.journal.QuarantinedRecord(ctx, id)
	if err != nil {
		return 0, fmt.Errorf("retry: %w", err)
	}
	outcome := retryRefused
	defer func() { c.metrics.retried.WithLabelValues(c.sourceLabel("", q.Source), outcome).Inc() }()
	if take := c.elsewhere[q.Source]; take != nil {
		n, err := c.takeElsewhere(ctx, q, take)
		if _, bad := errors.AsType[*triage.FieldError](err); !bad {
			outcome = map[bool]string{true: retryTaken, false: retryFailed}[err == nil]
		}
		return n, err
	}
	found, err := c.redecode(q)
	if _, ignored := triage.IsIgnored(err); ignored {
		found, err = nil, nil
	}
	if err == nil {
		err = c.takable(q.Source, found)
	}
	if err != nil {
		return 0, &triage.FieldError{Field: "record", Value: q.ID, Remedy: "still cannot be read: " + err.Error()}
	}
	if err := c.emit(ctx, q.Source, found); err != nil {
		outcome = retryFailed
		return 0, fmt.Errorf("retry: store %d events: %w", len(found), err)
	}
	if err := c.journal.Release(ctx, q.ID); err != nil {
		outcome = retryFailed
		return 0, fmt.Errorf("retry: the events are stored, but the record stays in the quarantine: %w", err)
	}
	if outcome = retryTaken; len(found) == 0 {
		outcome = retryIgnored
	}
	c.log.Info("quarantined record taken", "source", q.Source, "origin", q.Origin, "events", len(found))
	return len(found), nil
}

func (c *Collector) takeElsewhere(ctx context.Context, q triage.Quarantined, take func(context.Context, triage.Quarantined) (int, error)) (int, error) {
	if err := whole(q); err != nil {
		return 0, &triage.FieldError{Field: "record", Value: q.ID, Remedy: "still cannot be read: " + err.Error()}
	}
	n, err := take(ctx, q)
	if err != nil {
		return 0, fmt.Errorf("retry: %w", err)
	}
	if err := c.journal.Release(ctx, q.ID); err != nil {
		return 0, fmt.Errorf("retry: it is taken, but the record stays in the quarantine: %w", err)
	}
	return n, nil
}

// whole says why there is nothing to read.
func whole(q triage.Quarantined) error {
	switch {
	case q.Cut:
		return fmt.Errorf("only its first %d bytes are kept; have the sender send it again", len(q.Body))
	case len(q.Body) == 0:
		return errors.New("its body is no longer kept; have the sender send it again")
	}
	return nil
}

// redecode asks the record's source. What was pushed, and what a source that is gone has left, is read in our own format.
func (c *Collector) redecode(q triage.Quarantined) (events []triage.Event, err error) {
	defer func() {
		if p := recover(); p != nil { // a decoder that panics has met a bad record
			events, err = nil, fmt.Errorf("decoder gave up: %v", p)
		}
	}()
	if err := whole(q); err != nil {
		return nil, err
	}
	src := c.sup.source(q.Source)
	if src == nil || q.Origin == eventOrigin {
		return readOwn(q)
	}
	r, ok := src.(Redecoder)
	if !ok {
		return nil, fmt.Errorf("%s sources read what they missed by themselves, not from the quarantine", src.Type())
	}
	return r.Redecode(q)
}

// readOwn reads our own format: the envelope, or what is within.
func readOwn(q triage.Quarantined) ([]triage.Event, error) {
	var keys map[string]json.RawMessage
	if err := json.Unmarshal(q.Body, &keys); err != nil {
		return nil, fmt.Errorf("it is no JSON object: %w", err)
	}
	var ev triage.Event
	var err error
	switch {
	case keys["change"] != nil || keys["anomaly"] != nil:
		ev, err = triage.DecodeEvent(q.Body)
	case keys["signal"] != nil || keys["onset"] != nil:
		var a triage.Anomaly
		a, err = triage.DecodeAnomaly(q.Body, "")
		ev.Anomaly = &a
	default:
		var ch triage.Change
		ch, err = triage.DecodeChange(q.Body, "")
		ev.Change = &ch
	}
	if err == nil && q.As != "" {
		own(&ev, q)
	}
	return []triage.Event{ev}, err
}

// own stores what was pushed as what its token may say: reading it again gives its sender no more than sending it did.
func own(ev *triage.Event, q triage.Quarantined) {
	if a := ev.Anomaly; a != nil {
		a.Source, a.ID = q.As, triage.AnomalyID(triage.OwnID(q.As, string(a.ID)))
	}
	if ch := ev.Change; ch != nil {
		ch.Source, ch.ID = q.As, triage.ChangeID(triage.OwnID(q.As, string(ch.ID)))
		ch.Labels = with(ch.Labels, triage.LabelPushedBy, q.Caller)
	}
}

// takable says why an event could never be stored; Emit would only set it aside again.
func (c *Collector) takable(source string, events []triage.Event) error {
	for i, e := range events {
		var err error
		switch {
		case e.Change != nil && e.Anomaly == nil:
			_, _, err = normalise(*e.Change, source, c.dir.Load(), c.now())
		case e.Anomaly != nil && e.Change == nil:
			_, _, err = normaliseAnomaly(*e.Anomaly, source, c.dir.Load(), c.now())
		default:
			err = fmt.Errorf("event %d must hold a change or an anomaly, exactly one of them", i)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
