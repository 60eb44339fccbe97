package cloudevents

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"

	"github.com/triaged-dev/triaged/triage"
)

// Our own event types.
const (
	TypeChange  = "dev.triaged.change.v1"
	TypeAnomaly = "dev.triaged.anomaly.v1"
)

// maxBatch bounds a batch; a Change at every bound is 64 KiB, so a batch in memory stays below 64 MiB.
const maxBatch = 1000

// ErrNotCloudEvent says that the input is neither a CloudEvent nor a CDEvent: let a mapping read it, or the plain schema.
var ErrNotCloudEvent = errors.New("is neither a CloudEvent nor a CDEvent")

// Header is one record header. It is an alias of a plain struct so that every package that reads records shares the type
// without importing one another.
type Header = struct {
	Key   string
	Value []byte
}

// Decoder reads events. The zero value is ready to use; a Decoder is read-only once in use.
type Decoder struct {
	// Pipelines are the names of the pipelines (and tasks) whose runs are deploys. CDEvents of all others are ignored.
	Pipelines map[string]Pipeline
	// Now tells the time at which an HTTP request without any time of its own was seen; nil: time.Now.
	Now func() time.Time
	// Complete fills in what the sender left open, before anything is validated; nil: nothing is. It returns a copy.
	Complete func(triage.Event) triage.Event
}

// bom is the byte order mark that some senders put in front of UTF-8; it says nothing.
var bom = []byte("\xef\xbb\xbf")

// Pipeline says what a run of a deploy pipeline changes.
type Pipeline struct {
	Service     string `yaml:"service"`
	Environment string `yaml:"environment,omitempty"`
}

// DecodeHTTP reads one request with a zero Decoder.
func DecodeHTTP(header http.Header, body []byte) ([]triage.Event, error) {
	return new(Decoder).DecodeHTTP(header, body)
}

// DecodeRecord reads one Kafka record with a zero Decoder.
func DecodeRecord(headers []Header, value []byte, recordTime time.Time) ([]triage.Event, error) {
	return new(Decoder).DecodeRecord(headers, value, recordTime)
}

// IsCloudEvent reports whether the headers of a request announce a CloudEvent or a batch of them.
func IsCloudEvent(header http.Header) bool {
	a := httpAttributes(header)
	return a.mode() != modeBare
}

// DecodeHTTP reads a request in any of the three modes, or a bare CDEvent. Of a batch in which some events are ignored, the
// others come back; when every one is, the error is a *triage.Ignored. One bad event fails the whole batch.
func (d *Decoder) DecodeHTTP(header http.Header, body []byte) ([]triage.Event, error) {
	now := time.Now
	if d.Now != nil {
		now = d.Now
	}
	return d.decode(httpAttributes(header), body, now())
}

// DecodeRecord is DecodeHTTP for a Kafka record. recordTime stands in for an event without a time.
func (d *Decoder) DecodeRecord(headers []Header, value []byte, recordTime time.Time) ([]triage.Event, error) {
	return d.decode(recordAttributes(headers), value, recordTime)
}

func (d *Decoder) decode(a attributes, body []byte, seen time.Time) ([]triage.Event, error) {
	body = bytes.TrimPrefix(body, bom)
	switch a.mode() {
	case modeUnreadable:
		return nil, &triage.Ignored{Reason: fmt.Sprintf("content type %q is a CloudEvents format this does not read; send application/cloudevents+json", clip(a.contentType))}
	case modeBinary:
		ev, err := a.event(body)
		if err != nil {
			return nil, err
		}
		return one(d.event(ev, seen))
	case modeStructured:
		ev, err := parseStructured(body)
		if err != nil {
			return nil, err
		}
		return one(d.event(ev, seen))
	case modeBatch:
		return d.batch(body, seen)
	default:
		return d.bare(body, seen)
	}
}

// bare reads what no header announced: a CDEvent, or an envelope whose sender forgot the content type.
func (d *Decoder) bare(body []byte, seen time.Time) ([]triage.Event, error) {
	var probe struct {
		SpecVersion string `json:"specversion"`
		Type        string `json:"type"`
		Context     struct {
			Type string `json:"type"`
		} `json:"context"`
	}
	if err := json.Unmarshal(body, &probe); err != nil {
		if _, isType := errors.AsType[*json.UnmarshalTypeError](err); isType {
			return nil, ErrNotCloudEvent
		}
		return nil, fmt.Errorf("read event: is not JSON: %w", err)
	}
	switch {
	case isCDEvent(probe.Context.Type):
		return one(d.cdevent(body, seen))
	case probe.SpecVersion != "" && probe.Type != "":
		ev, err := parseStructured(body)
		if err != nil {
			return nil, err
		}
		return one(d.event(ev, seen))
	}
	return nil, ErrNotCloudEvent
}

func (d *Decoder) batch(body []byte, seen time.Time) ([]triage.Event, error) {
	var raws []json.RawMessage
	if err := json.Unmarshal(body, &raws); err != nil {
		return nil, fmt.Errorf("read CloudEvents batch: want a JSON list: %w", err)
	}
	if len(raws) > maxBatch {
		return nil, &triage.FieldError{Field: "batch", Remedy: fmt.Sprintf("has %d events; at most %d are taken at once", len(raws), maxBatch)}
	}
	if len(raws) == 0 {
		return nil, &triage.Ignored{Reason: "an empty batch"}
	}
	var out []triage.Event
	var ignored error
	for i, raw := range raws {
		ev, err := parseStructured(raw)
		if err != nil {
			return nil, fmt.Errorf("batch[%d]: %w", i, err)
		}
		e, err := d.event(ev, seen)
		if _, skip := triage.IsIgnored(err); skip {
			ignored = err
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("batch[%d]: %w", i, err)
		}
		out = append(out, e)
	}
	if len(out) == 0 {
		return nil, ignored
	}
	return out, nil
}

func parseStructured(body []byte) (event.Event, error) {
	var ev event.Event
	// The SDK's reader stops at the closing brace and is lenient about what it skips, so soundness is checked first.
	if !json.Valid(body) || len(bytes.TrimSpace(body)) == 0 || bytes.TrimSpace(body)[0] != '{' {
		return ev, fmt.Errorf("read CloudEvent: want one JSON object, got %q", clip(string(body)))
	}
	err := json.Unmarshal(body, &ev)
	if err == nil {
		return ev, nil
	}
	// The SDK refuses an event for its time. The event is sound but for that: it is read without one, as of its arrival.
	if fields, odd := withoutTime(body); odd && json.Unmarshal(fields, &ev) == nil {
		ev.SetExtension(timeUnread, true)
		return ev, nil
	}
	return ev, fmt.Errorf("read CloudEvent: %w", err)
}

// timeUnread is the extension under which it is remembered that an event's time could not be read.
const timeUnread = "triagedtimeunread"

// withoutTime is the envelope without a time that cannot be read; odd is false where the time is not what is wrong.
func withoutTime(body []byte) (rest []byte, odd bool) {
	var fields map[string]json.RawMessage
	if json.Unmarshal(body, &fields) != nil || fields["time"] == nil {
		return nil, false
	}
	delete(fields, "time")
	rest, err := json.Marshal(fields)
	return rest, err == nil
}

// event turns one CloudEvent of whatever mode into an Event.
func (d *Decoder) event(ev event.Event, seen time.Time) (triage.Event, error) {
	if err := ev.Validate(); err != nil {
		return triage.Event{}, fmt.Errorf("read CloudEvent: %w", err)
	}
	if t := ev.Time(); !t.IsZero() {
		seen = t.UTC()
	}
	typ := ev.Type()
	if typ != TypeChange && typ != TypeAnomaly && !isCDEvent(typ) {
		return triage.Event{}, &triage.Ignored{Reason: fmt.Sprintf("CloudEvents type %q is not one this reads; use a mapping for it", clip(typ))}
	}
	// What the bytes are decides: data_base64 comes under any content type, and a type is often wrong where the data is right.
	data := bytes.TrimPrefix(ev.Data(), bom)
	if mt := ev.DataMediaType(); !isJSONType(mt) && !json.Valid(data) {
		return triage.Event{}, &triage.Ignored{Reason: fmt.Sprintf("data is %q, not JSON", clip(mt))}
	}
	if len(data) == 0 {
		return triage.Event{}, &triage.FieldError{Field: "data", Remedy: "is required for type " + typ}
	}
	id := triage.ChangeID(ev.Source() + "#" + ev.ID())
	switch typ {
	case TypeChange:
		return d.ownChange(data, id, seen, ev.Extensions()[timeUnread] != nil)
	case TypeAnomaly:
		return d.ownAnomaly(data, id)
	}
	return d.cdevent(data, seen)
}

// ownChange reads dev.triaged.change.v1. What the envelope already says, id and time, need not be said twice.
func (d *Decoder) ownChange(data []byte, id triage.ChangeID, seen time.Time, uncertain bool) (triage.Event, error) {
	var has struct {
		Started  json.RawMessage `json:"started_at"`
		Finished json.RawMessage `json:"finished_at"`
		Observed json.RawMessage `json:"observed_at"`
	}
	var fields map[string]json.RawMessage
	timed := true
	if json.Unmarshal(data, &has) == nil && has.Started == nil && has.Finished == nil && has.Observed == nil &&
		json.Unmarshal(data, &fields) == nil && fields != nil {
		timed = false
		fields["finished_at"], _ = json.Marshal(seen)
		data, _ = json.Marshal(fields)
	}
	c, err := triage.ReadChange(data, "data")
	if err != nil {
		return triage.Event{}, err
	}
	if c.ID == "" {
		c.ID = id
	}
	if !timed && uncertain {
		c = unsure(c)
	}
	return d.checked(c)
}

// unreadTime is how far off a Change's time may be that is taken from its arrival: senders queue and try again for minutes.
const unreadTime = 5 * time.Minute

// unsure marks a Change whose time is that of its arrival.
func unsure(c triage.Change) triage.Change {
	c.TimeUncertaintyS = max(c.TimeUncertaintyS, unreadTime.Seconds())
	labels := maps.Clone(c.Labels)
	if labels == nil {
		labels = make(map[string]string)
	}
	labels["time_from"] = "arrival"
	c.Labels = labels
	return c
}

func (d *Decoder) ownAnomaly(data []byte, id triage.ChangeID) (triage.Event, error) {
	a, err := triage.ReadAnomaly(data, "data")
	if err != nil {
		return triage.Event{}, err
	}
	if a.ID == "" {
		a.ID = triage.AnomalyID(id)
	}
	e := d.complete(triage.Event{Anomaly: &a})
	return e, e.Anomaly.Validate("data")
}

func (d *Decoder) complete(e triage.Event) triage.Event {
	if d.Complete == nil {
		return e
	}
	return d.Complete(e)
}

// checked validates a Change that was put together here.
func (d *Decoder) checked(c triage.Change) (triage.Event, error) {
	e := d.complete(triage.Event{Change: &c})
	if err := e.Change.Validate("data"); err != nil {
		return triage.Event{}, err
	}
	return e, nil
}

func one(e triage.Event, err error) ([]triage.Event, error) {
	if err != nil {
		return nil, err
	}
	return []triage.Event{e}, nil
}

// clip shortens what is repeated in a message.
func clip(s string) string {
	const most = 80
	if len(s) > most {
		return s[:most] + "…"
	}
	return s
}
