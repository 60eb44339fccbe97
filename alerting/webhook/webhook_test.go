package webhook

import (
	"crypto/hmac"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/config"
	"go.yaml.in/yaml/v3"

	"github.com/triaged-dev/triaged/alerting/digest"
	"github.com/triaged-dev/triaged/alerting/notifytest"
	"github.com/triaged-dev/triaged/alerting/outbox"
)

func newNotifier(t *testing.T, tr http.RoundTripper) outbox.Notifier {
	t.Helper()
	cfg := DefaultConfig()
	cfg.URL = "https://hooks.example.com/" + notifytest.Secret
	cfg.Secret = notifytest.Secret
	n, err := New(Options{Config: cfg, Transport: tr})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestConformance(t *testing.T) {
	notifytest.Run(t, notifytest.Subject{
		New: newNotifier,
		OK:  func(*http.Request) *http.Response { return notifytest.Respond(202, nil, "") },
	})
}

// A receiver must be able to check the signature over the very bytes it got, and to know a repeat by its id.
func TestEnvelopeIsSigned(t *testing.T) {
	var body []byte
	var header http.Header
	n := newNotifier(t, notifytest.Transport(func(r *http.Request) (*http.Response, error) {
		body, _ = io.ReadAll(r.Body)
		header = r.Header
		return notifytest.Respond(200, nil, ""), nil
	}))
	nt := notifytest.Notification()
	if _, err := n.Notify(t.Context(), nt); err != nil {
		t.Fatal(err)
	}
	if want, got := Sign([]byte(notifytest.Secret), body), header.Get(HeaderSignature); !hmac.Equal([]byte(want), []byte(got)) {
		t.Errorf("signature: want %s, got %s", want, got)
	}
	if got := header.Get(HeaderDelivery); got != nt.Delivery.ID {
		t.Errorf("delivery header: want %s, got %s", nt.Delivery.ID, got)
	}
	var env Envelope
	if err := json.Unmarshal(body, &env); err != nil {
		t.Fatal(err)
	}
	if env.Schema != Schema || env.DeliveryID != nt.Delivery.ID || env.Report.Number != 1 || env.Incident.ID != nt.Incident.ID || env.Card != nt.Card.Text() || env.Links.Page != nt.Links.Page {
		t.Errorf("envelope does not carry the report whole: %+v", env)
	}
}

// A rotated secret counts at the next post; a missing file is retried and names the key, not the path.
func TestSecretFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "secret")
	cfg := DefaultConfig()
	cfg.URL, cfg.SecretFile = "http://hooks.example.com", file
	var got string
	n, err := New(Options{Config: cfg, Transport: notifytest.Transport(func(r *http.Request) (*http.Response, error) {
		b, _ := io.ReadAll(r.Body)
		got = r.Header.Get(HeaderSignature)
		if got != Sign([]byte("second"), b) && got != Sign([]byte("first"), b) {
			t.Errorf("signature fits neither secret: %s", got)
		}
		return notifytest.Respond(204, nil, ""), nil
	})})
	if err != nil {
		t.Fatal(err)
	}
	_, err = n.Notify(t.Context(), notifytest.Notification())
	if err == nil || !strings.Contains(err.Error(), "secret_file") || strings.Contains(err.Error(), file) {
		t.Errorf("want an error that names secret_file and not its path, got %v", err)
	}
	var before string
	for _, s := range []string{"first", "second"} {
		if err := os.WriteFile(file, []byte(s+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := n.Notify(t.Context(), notifytest.Notification()); err != nil {
			t.Fatal(err)
		}
		if got == before {
			t.Error("want another signature after the secret was rotated")
		}
		before = got
	}
}

func TestConfig(t *testing.T) {
	for name, tc := range map[string]struct{ yaml, want string }{
		"url":          {"url: https://hooks.example.com/x", ""},
		"nothing":      {"{}", "give either url or url_file"},
		"both secrets": {"url: https://a.example\nsecret: x\nsecret_file: y", "not both"},
		"no address":   {"url: hooks", "must be an http or https address"},
		"unknown key":  {"url: https://a.example\nurll: x", "field urll not found"},
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
	out, err := yaml.Marshal(Config{URL: config.Secret(notifytest.Secret), Secret: config.Secret(notifytest.Secret)})
	if err != nil || strings.Contains(string(out), notifytest.Secret) {
		t.Errorf("want the secrets hidden, got %s (%v)", out, err)
	}
}

// A digest is signed like a report and has an id of its own, the same on every attempt.
func TestDigest(t *testing.T) {
	var ids []string
	n := newNotifier(t, notifytest.Transport(func(r *http.Request) (*http.Response, error) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Fatal(err)
		}
		var got DigestEnvelope
		if err := json.Unmarshal(body, &got); err != nil {
			t.Fatal(err)
		}
		if got.DeliveryID != r.Header.Get(HeaderDelivery) || got.Digest.Posts != 3 || !strings.Contains(got.Text, "3 posts") || r.Header.Get(HeaderSignature) == "" {
			t.Errorf("got %s with %v", body, r.Header)
		}
		ids = append(ids, got.DeliveryID)
		return notifytest.Respond(200, nil, ""), nil
	}))
	d := digest.Digest{From: notifytest.At, To: notifytest.At.Add(time.Hour), Posts: 3}
	for range 2 {
		if _, err := n.(digest.Digester).Digest(t.Context(), d); err != nil {
			t.Fatal(err)
		}
	}
	if ids[0] != ids[1] || ids[0] == "" {
		t.Errorf("ids: %q", ids)
	}
}
