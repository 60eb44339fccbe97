package cloudevents

import (
	"encoding/base64"
	"net/http"
	"testing"
)

// data_base64 may stand before or after the content type, and the content type may be anything or nothing: what the bytes are decides.
func TestDataInBase64(t *testing.T) {
	data := base64.StdEncoding.EncodeToString([]byte(`{"kind":"deploy","service":"checkout","version":"v2","started_at":"2026-03-02T14:21:07Z"}`))
	const head = `"specversion":"1.0","id":"1","source":"/ci","type":"dev.triaged.change.v1"`
	for name, body := range map[string]string{
		"after the type":   `{` + head + `,"datacontenttype":"application/json","data_base64":"` + data + `"}`,
		"before the type":  `{"data_base64":"` + data + `","datacontenttype":"application/json",` + head + `}`,
		"first of all":     `{"data_base64":"` + data + `",` + head + `}`,
		"no type":          `{` + head + `,"data_base64":"` + data + `"}`,
		"octet stream":     `{` + head + `,"datacontenttype":"application/octet-stream","data_base64":"` + data + `"}`,
		"stream, before":   `{"data_base64":"` + data + `",` + head + `,"datacontenttype":"application/octet-stream"}`,
		"text":             `{"datacontenttype":"text/plain",` + head + `,"data_base64":"` + data + `"}`,
		"byte order mark":  "\xef\xbb\xbf" + `{` + head + `,"data_base64":"` + data + `"}`,
		"other attributes": `{"data_base64":"` + data + `","anumber":7,"abool":true,` + head + `}`,
	} {
		t.Run(name, func(t *testing.T) {
			events, err := DecodeHTTP(http.Header{"Content-Type": {"application/cloudevents+json"}}, []byte(body))
			if err != nil || len(events) != 1 || events[0].Change == nil || events[0].Change.Service != "checkout" {
				t.Errorf("got %+v, %v", events, err)
			}
		})
	}
}
