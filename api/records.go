package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"strconv"
	"strings"

	"github.com/triaged-dev/triaged/triage"
)

// form is how a body of events is written.
type form int

const (
	formJSON       form = iota // one object or a list
	formLines                  // newline-delimited JSON
	formCloudEvent             // one, structured or binary
	formCloudBatch
)

// formOf reads the content type. A missing one is read as JSON: many senders forget it.
func formOf(h http.Header) (form, error) {
	if enc := h.Get("Content-Encoding"); enc != "" && !strings.EqualFold(enc, "identity") {
		return 0, problem(kindMediaType, "Send the body uncompressed; Content-Encoding %q is not understood.", cutText(enc, maxErrorValue))
	}
	media := "application/json"
	if ct := h.Get("Content-Type"); ct != "" {
		m, _, err := mime.ParseMediaType(ct)
		if err != nil {
			return 0, problem(kindMediaType, "The content type %q cannot be read; send application/json.", cutText(ct, maxErrorValue))
		}
		media = m
	}
	switch media {
	case "application/cloudevents+json", "application/cloudevents":
		return formCloudEvent, nil
	case "application/cloudevents-batch+json":
		return formCloudBatch, nil
	}
	if h.Get("Ce-Specversion") != "" && !strings.HasPrefix(media, "application/cloudevents") {
		return formCloudEvent, nil
	}
	switch media {
	case "application/json":
		return formJSON, nil
	case "application/x-ndjson", "application/ndjson", "application/jsonl":
		return formLines, nil
	}
	return 0, problem(kindMediaType,
		"Send application/json, application/x-ndjson or CloudEvents as JSON, not %q. With curl: -H 'Content-Type: application/json'.", cutText(media, maxErrorValue))
}

// record is one thing of a body, in its place.
type record struct {
	index  int
	raw    []byte
	events []triage.Event // usually one
	err    error          // the sender's fault; joins *triage.FieldError where the field is known
}

// splitJSON takes a body apart without reading its records: an object is one record, a list one for each element. JSON
// that is malformed anywhere is refused whole, since nothing after the fault can be trusted to be what it seems.
func splitJSON(body []byte, maxRecords int) (records []record, single bool, err error) {
	body = bytes.TrimSpace(body)
	if err := checkJSON(body); err != nil {
		return nil, false, err
	}
	if body[0] != '[' {
		return []record{{raw: body}}, true, nil
	}
	dec := json.NewDecoder(bytes.NewReader(body))
	if _, err := dec.Token(); err != nil {
		return nil, false, malformed(body)
	}
	for dec.More() {
		if len(records) == maxRecords {
			return nil, false, tooMany(maxRecords)
		}
		var raw json.RawMessage
		if err := dec.Decode(&raw); err != nil {
			return nil, false, malformed(body)
		}
		records = append(records, record{index: len(records), raw: raw})
	}
	return records, false, nil
}

// splitLines takes newline-delimited JSON apart. A line that is not JSON is a bad record among the others.
func splitLines(body []byte, maxRecords int) ([]record, error) {
	var records []record
	for line := range bytes.Lines(body) {
		line = bytes.TrimSpace(line)
		if len(line) == 0 {
			continue
		}
		if len(records) == maxRecords {
			return nil, tooMany(maxRecords)
		}
		rec := record{index: len(records), raw: line}
		if !json.Valid(line) {
			rec.err = &triage.FieldError{Value: clip(line), Remedy: "is not JSON: " + jsonFault(line)}
		}
		records = append(records, rec)
	}
	if len(records) == 0 {
		return nil, malformed(nil)
	}
	return records, nil
}

func tooMany(limit int) *Problem {
	return problem(kindTooLarge, "One body may have %d records; send it in smaller parts.", limit)
}

// checkJSON refuses what is not JSON, whole.
func checkJSON(body []byte) error {
	if !json.Valid(body) {
		return malformed(bytes.TrimSpace(body))
	}
	return nil
}

// malformed says where the JSON stops being JSON.
func malformed(body []byte) *Problem {
	if len(body) == 0 {
		return problem(kindMalformed, "The body is empty; send a JSON object or a list of them.")
	}
	return problem(kindMalformed, "The body is not JSON: %s.", jsonFault(body))
}

func jsonFault(data []byte) string {
	var v json.RawMessage
	err := json.Unmarshal(data, &v)
	if se, ok := errors.AsType[*json.SyntaxError](err); ok {
		line := 1 + bytes.Count(data[:min(int(se.Offset), len(data))], []byte("\n"))
		return strings.TrimPrefix(se.Error(), "json: ") + " at byte " + strconv.Itoa(int(se.Offset)) + ", line " + strconv.Itoa(line)
	}
	if err == nil || errors.Is(err, io.EOF) {
		return "it is empty"
	}
	return strings.TrimPrefix(err.Error(), "json: ")
}

// decode reads one record: an envelope, a bare Change or Anomaly, whichever bare says, or an event that cloud reads.
func decode(raw []byte, bare string, cloud CloudEvents) ([]triage.Event, error) {
	var probe struct {
		Change      json.RawMessage `json:"change"`
		Anomaly     json.RawMessage `json:"anomaly"`
		SpecVersion string          `json:"specversion"` // of a CloudEvent
		Context     struct {
			Type string `json:"type"`
		} `json:"context"` // of a CDEvent
	}
	if json.Unmarshal(raw, &probe) == nil {
		switch {
		case probe.Change != nil || probe.Anomaly != nil:
			return listed(triage.DecodeEvent(raw))
		case cloud != nil && (probe.SpecVersion != "" || probe.Context.Type != ""):
			return cloud(http.Header{"Content-Type": {"application/json"}}, raw)
		}
	}
	if bare == "anomaly" {
		an, err := triage.DecodeAnomaly(raw, "")
		return listed(triage.Event{Anomaly: &an}, err)
	}
	c, err := triage.DecodeChange(raw, "")
	return listed(triage.Event{Change: &c}, err)
}

func listed(ev triage.Event, err error) ([]triage.Event, error) {
	if err != nil {
		return nil, err
	}
	return []triage.Event{ev}, nil
}

func clip(data []byte) string {
	return cutText(strings.ToValidUTF8(string(data[:min(len(data), 4*maxErrorValue)]), "�"), maxErrorValue)
}
