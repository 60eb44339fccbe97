package teams

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/triaged-dev/triaged/alerting/card"
	"github.com/triaged-dev/triaged/alerting/digest"
	"github.com/triaged-dev/triaged/alerting/notifytest"
	"github.com/triaged-dev/triaged/alerting/outbox"
)

func newNotifier(t *testing.T, tr http.RoundTripper) outbox.Notifier {
	t.Helper()
	cfg := DefaultConfig()
	cfg.WebhookURL = "https://prod-01.westeurope.logic.azure.example/workflows/x/triggers/manual/paths/invoke?sig=" + notifytest.Secret
	n, err := New(Options{Config: cfg, Transport: tr})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestConformance(t *testing.T) {
	notifytest.Run(t, notifytest.Subject{New: newNotifier, OK: func(*http.Request) *http.Response { return notifytest.Respond(202, nil, "") }})
}

func TestRequestIsAsReviewed(t *testing.T) {
	rec := notifytest.Record(t, notifytest.Answering(202, ""))
	if _, err := newNotifier(t, rec).Notify(t.Context(), notifytest.Notification()); err != nil {
		t.Fatal(err)
	}
	rec.Compare("request.txt")
}

// However long the words, the body stays below what Teams takes, and keeps the headline and the link.
func TestBounds(t *testing.T) {
	var sent []byte
	n := newNotifier(t, notifytest.Transport(func(r *http.Request) (*http.Response, error) {
		var err error
		sent, err = io.ReadAll(r.Body)
		return notifytest.Respond(202, nil, ""), err
	}))
	nt := notifytest.Notification()
	for range 100 {
		nt.Card.Lines = append(nt.Card.Lines, card.Line{Word: "NEXT", Text: strings.Repeat("näxt ", 200), URL: "https://example.com"})
	}
	if _, err := n.Notify(t.Context(), nt); err != nil {
		t.Fatal(err)
	}
	var m message
	if err := json.Unmarshal(sent, &m); err != nil {
		t.Fatal(err)
	}
	c := m.Attachments[0].Content
	if len(sent) > maxBody || len(c.Actions) == 0 || c.Actions[0].URL != nt.Card.Links.Page || !strings.Contains(c.Body[0].Inlines[0].Text, nt.Card.Headline) {
		t.Errorf("%d bytes, actions %+v", len(sent), c.Actions)
	}
	d := digest.Digest{From: notifytest.At, To: notifytest.At, Posts: 1, Promote: "set mode: live", Incidents: []digest.Item{{Headline: "checkout"}}}
	if _, err := n.(digest.Digester).Digest(t.Context(), d); err != nil || !strings.Contains(string(sent), "1 post about 1 incident") {
		t.Errorf("digest: %v: %s", err, sent)
	}
}

func TestConfig(t *testing.T) {
	for name, tc := range map[string]struct{ yaml, want string }{
		"good":        {"webhook_url: https://example.com/x", ""},
		"file":        {"webhook_url_file: x", ""},
		"nothing":     {"{}", "exactly one of"},
		"both":        {"webhook_url: https://example.com/x\nwebhook_url_file: x", "exactly one of"},
		"no address":  {"webhook_url: example.com", "http or https"},
		"unknown key": {"webhook_url: https://example.com/x\nchannel: y", "field channel not found"},
	} {
		t.Run(name, func(t *testing.T) {
			var c Config
			dec := yaml.NewDecoder(strings.NewReader(tc.yaml))
			dec.KnownFields(true)
			err := dec.Decode(&c)
			if (tc.want == "") != (err == nil) || (err != nil && !strings.Contains(err.Error(), tc.want)) {
				t.Errorf("want error %q, got %v", tc.want, err)
			}
		})
	}
}
