package cloudevents

import (
	"fmt"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/cloudevents/sdk-go/v2/event"

	"github.com/triaged-dev/triaged/triage"
)

type mode int

const (
	modeBare mode = iota // no header says CloudEvents
	modeBinary
	modeStructured
	modeBatch
	modeUnreadable // a CloudEvents format other than JSON
)

// attributes are the CloudEvents attributes found in headers, by name without prefix and in lower case.
type attributes struct {
	contentType string
	values      map[string]string
}

// mode follows the order the specification gives: the content type decides first, then the presence of specversion.
func (a attributes) mode() mode {
	ct := strings.ToLower(strings.TrimSpace(a.contentType))
	if strings.HasPrefix(ct, "application/cloudevents") {
		media, _, _ := strings.Cut(ct, ";")
		switch strings.TrimSpace(media) {
		case "application/cloudevents", "application/cloudevents+json":
			return modeStructured
		case "application/cloudevents-batch", "application/cloudevents-batch+json":
			return modeBatch
		}
		return modeUnreadable
	}
	if a.values["specversion"] != "" {
		return modeBinary
	}
	return modeBare
}

// event builds the CloudEvent of binary mode. The SDK keeps the first setter error and reports it from Validate.
func (a attributes) event(body []byte) (event.Event, error) {
	version := a.values["specversion"]
	if version != event.CloudEventsVersionV1 {
		return event.Event{}, &triage.FieldError{Field: "ce-specversion", Value: version, Remedy: "only version 1.0 is read"}
	}
	ev := event.New(version)
	ev.SetID(a.values["id"])
	ev.SetSource(a.values["source"])
	ev.SetType(a.values["type"])
	if s := a.values["subject"]; s != "" {
		ev.SetSubject(s)
	}
	if t := a.values["time"]; t != "" {
		switch at, err := triage.ParseTime(t); {
		case err != nil:
			ev.SetExtension(timeUnread, true)
		case !at.IsZero():
			ev.SetTime(at)
		}
	}
	ct := a.contentType
	if ct == "" {
		ct = a.values["datacontenttype"] // not where it belongs, but met
	}
	if ct != "" {
		ev.SetDataContentType(ct)
	}
	ev.DataEncoded = body
	if err := ev.Validate(); err != nil {
		return ev, fmt.Errorf("read CloudEvent from headers: %w", err)
	}
	return ev, nil
}

// attributeName strips either spelling of the prefix, ce- of HTTP or ce_ of Kafka.
func attributeName(key string) (string, bool) {
	key = strings.ToLower(key)
	if len(key) > 3 && (strings.HasPrefix(key, "ce-") || strings.HasPrefix(key, "ce_")) {
		return key[3:], true
	}
	return "", false
}

func httpAttributes(header http.Header) attributes {
	a := attributes{values: make(map[string]string)}
	for key, values := range header {
		if len(values) == 0 {
			continue
		}
		if strings.EqualFold(key, "content-type") {
			a.contentType = values[0]
		}
		name, ok := attributeName(key)
		if !ok {
			continue
		}
		v := values[0]
		if decoded, err := url.PathUnescape(v); err == nil { // values are percent-encoded on HTTP only
			v = decoded
		}
		a.values[name] = strings.Trim(v, `"`)
	}
	return a
}

func recordAttributes(headers []Header) attributes {
	a := attributes{values: make(map[string]string)}
	// The last of repeated headers wins, as Kafka clients read them; walking backwards, that is the first met.
	for _, h := range slices.Backward(headers) {
		key := strings.ToLower(h.Key)
		if (key == "content-type" || key == "content_type") && a.contentType == "" {
			a.contentType = string(h.Value)
		}
		if name, ok := attributeName(key); ok {
			if _, taken := a.values[name]; !taken {
				a.values[name] = string(h.Value)
			}
		}
	}
	return a
}

// isJSONType reports whether data of this media type is JSON. No type at all means JSON.
func isJSONType(media string) bool {
	if media == "" {
		return true
	}
	if m, _, err := mime.ParseMediaType(media); err == nil {
		media = m
	}
	media = strings.ToLower(media)
	return media == "application/json" || media == "text/json" || strings.HasSuffix(media, "+json")
}
