package webhook

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/prometheus/common/config"

	"github.com/triaged-dev/triaged/alerting/outbox"
	"github.com/triaged-dev/triaged/triage"
)

// sent posts the sample through an entry and returns the request, with its body.
func sent(t *testing.T, c Config, nt outbox.Notification) (*http.Request, string, outbox.Receipt, error) {
	t.Helper()
	var got *http.Request
	var body []byte
	n, err := New(Options{Config: c, Transport: transport(func(r *http.Request) (*http.Response, error) {
		got = r
		body, _ = io.ReadAll(r.Body)
		return &http.Response{StatusCode: http.StatusOK, Body: http.NoBody, Header: http.Header{}}, nil
	})})
	if err != nil {
		t.Fatal(err)
	}
	receipt, err := n.Notify(t.Context(), nt)
	return got, string(body), receipt, err
}

type transport func(*http.Request) (*http.Response, error)

func (f transport) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func entry(format Format, body string) Config {
	c := DefaultConfig()
	c.URL, c.Format, c.Body = "https://chat.example.com/hook/abc?thread=1", format, body
	return c
}

// Each service gets what it takes: the whole card, within its limit, without anything in it being markup or a mention.
func TestFormats(t *testing.T) {
	nt := sample()
	nt.Card.Lines[0].Text += " @everyone <!here> ``` **x** " + strings.Repeat("long ", 6000)
	for format, tc := range map[Format]struct {
		field string
		limit int
	}{
		FormatDiscord: {"content", 2000}, FormatGoogleChat: {"text", 4096}, FormatMattermost: {"text", 16383}, FormatOpsgenie: {"note", 25000},
	} {
		_, body, _, err := sent(t, entry(format, ""), nt)
		var v map[string]any
		if err != nil || json.Unmarshal([]byte(body), &v) != nil {
			t.Fatalf("%s: %v %.200s", format, err, body)
		}
		text, _ := v[tc.field].(string)
		if n := len([]rune(text)); n > tc.limit || n < tc.limit/2 || !strings.Contains(text, "checkout 5xx") {
			t.Errorf("%s: %d characters of at most %d: %.200s", format, n, tc.limit, text)
		}
		if format != FormatOpsgenie && (!strings.HasPrefix(text, "```\n") || strings.Count(text, "```") != 2) {
			t.Errorf("%s: want the text fenced once, got %.300s", format, text)
		}
		if format == FormatDiscord && !strings.Contains(body, `"allowed_mentions":{"parse":[]}`) {
			t.Errorf("a title could call everybody: %.300s", body)
		}
	}
}

func TestNtfyAndOpsgenie(t *testing.T) {
	r, body, _, err := sent(t, entry(FormatNtfy, ""), sample())
	if err != nil || r.Header.Get("X-Click") == "" || !strings.HasPrefix(r.Header.Get("X-Title"), "=?utf-8?q?") || !strings.Contains(body, "LIKELY: flag") || r.URL.RawQuery != "thread=1" {
		t.Errorf("%v %v %s", err, r.Header, body)
	}
	c := entry(FormatOpsgenie, "")
	c.URL = "https://api.atlassian.com/jsm/ops/integration"
	c.HTTPConfig.Authorization = &config.Authorization{Type: "GenieKey", Credentials: "k"}
	r, _, _, err = sent(t, c, sample())
	// echo -n '{}:{alertname="HighErrorRate"}' | sha256sum
	want := "https://api.atlassian.com/jsm/ops/integration/v2/alerts/" + sampleAlias + "/notes?identifierType=alias"
	if err != nil || r.URL.String() != want {
		t.Errorf("want a note at\n%s, got\n%s (%v)", want, r.URL, err)
	}
	nt := sample()
	nt.Incident.Alerts = []triage.Alert{{Labels: map[string]string{"a": "b"}}}
	if _, _, _, err := sent(t, c, nt); err == nil || !strings.Contains(err.Error(), "group key") {
		t.Errorf("want to be told why there is no note, got %v", err)
	}
}

const sampleAlias = "cbc7a356b874c7d0332c73753d5082204bea3c18a5cb2a9a50e75f6687ffb86b"

// A template is the team's own words. It is tried before it is taken, and what it cannot make at night is posted as ever.
func TestTemplates(t *testing.T) {
	good := entry("", `{"room": {{json .Service}}, "text": {{json (clip 40 .Text)}}, "lines": {{len .Lines}}{{range .Lines}}{{if eq .Word "DO"}}, "do": {{json .Text}}{{end}}{{end}}}`)
	_, body, receipt, err := sent(t, good, sample())
	var v map[string]any
	if err != nil || json.Unmarshal([]byte(body), &v) != nil || v["room"] != "checkout" || v["do"] != "set new-pricing back to 0 %" || receipt.Detail != "" {
		t.Errorf("%v %s", err, body)
	}
	if preview, err := good.Preview(); err != nil || preview != body {
		t.Errorf("want the preview to be what is posted, got %v %s", err, preview)
	}
	for name, c := range map[string]Config{
		"unknown field":    entry("", `{{json .Reporter}}`),
		"does not parse":   entry("", `{{if}}`),
		"no JSON":          entry("", `{"text": "{{.Text}}"}`),
		"no JSON if empty": entry("", `{{with .Service}}{}{{end}}`),
		"without end":      entry("", `{{define "x"}}{{template "x" .}}.{{end}}{{template "x" .}}`),
		"much":             entry("", strings.Repeat(" ", maxTemplate+1)),
		"with a format":    entry(FormatDiscord, `{}`),
		"unknown format":   entry("msn", ""),
	} {
		if err := c.Validate(); err == nil {
			t.Errorf("%s: want it refused", name)
		}
	}
	// Sound on both samples, and not on what comes at night.
	c := entry("", `{"first": {{if gt (len .Lines) 2}}{{index .Lines 9}}{{else}}1{{end}}}`)
	nt := sample()
	nt.Card.Lines = append(nt.Card.Lines, nt.Card.Lines...)
	_, body, receipt, err = sent(t, c, nt)
	var e Envelope
	if err != nil || json.Unmarshal([]byte(body), &e) != nil || e.Incident.ID != nt.Incident.ID || !strings.Contains(receipt.Detail, "template failed") {
		t.Errorf("want triaged's own body in its place, and to be told: %v %q %.200s", err, receipt.Detail, body)
	}
}
