package pagerduty

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/triaged-dev/triaged/alerting/notifytest"
	"github.com/triaged-dev/triaged/alerting/outbox"
	"github.com/triaged-dev/triaged/triage"
)

// fakePager keeps notes and change events as PagerDuty would.
type fakePager struct {
	t        *testing.T
	open     map[string]string // dedup key → incident id
	notes    map[string][]string
	events   []map[string]any
	requests []string
	lose     int // the answer to this request, counted from 1, never arrives
}

func answer(status int, v any) *http.Response {
	b, _ := json.Marshal(v)
	return notifytest.Respond(status, http.Header{"Content-Type": {"application/json"}}, string(b))
}

func (f *fakePager) RoundTrip(r *http.Request) (*http.Response, error) {
	return notifytest.Transport(f.serve).RoundTrip(r)
}

func (f *fakePager) serve(r *http.Request) (*http.Response, error) {
	f.requests = append(f.requests, r.Method+" "+r.URL.Path)
	resp := f.do(r)
	if f.lose == len(f.requests) {
		return nil, io.ErrUnexpectedEOF
	}
	return resp, nil
}

func (f *fakePager) do(r *http.Request) *http.Response {
	if r.URL.Host == "api.pagerduty.com" && (r.Header.Get("Authorization") != "Token token=tok-"+notifytest.Secret || !strings.Contains(r.Header.Get("Accept"), "version=2")) {
		f.t.Errorf("headers: %v", r.Header)
	}
	path := strings.TrimPrefix(r.URL.Path, "/incidents")
	switch {
	case r.URL.Path == "/v2/change/enqueue":
		var ev map[string]any
		if err := json.NewDecoder(r.Body).Decode(&ev); err != nil {
			f.t.Error(err)
		}
		f.events = append(f.events, ev)
		return answer(202, map[string]string{"status": "success", "message": "Change event processed"})
	case path == "":
		if got := r.URL.Query()["statuses[]"]; !slices.Equal(got, []string{"triggered", "acknowledged"}) {
			f.t.Errorf("statuses: %v", got)
		}
		list := []map[string]string{}
		if id, ok := f.open[r.URL.Query().Get("incident_key")]; ok {
			list = append(list, map[string]string{"id": id})
		}
		return answer(200, map[string]any{"incidents": list})
	}
	id := strings.Split(path, "/")[1]
	if r.Method == http.MethodGet {
		notes := []map[string]string{}
		for _, n := range f.notes[id] {
			notes = append(notes, map[string]string{"content": n})
		}
		return answer(200, map[string]any{"notes": notes})
	}
	if r.Header.Get("From") != "triaged@example.com" {
		f.t.Errorf("From: %q", r.Header.Get("From"))
	}
	var body struct{ Note struct{ Content string } }
	if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
		f.t.Error(err)
	}
	f.notes[id] = append(f.notes[id], body.Note.Content)
	return answer(201, map[string]any{"note": map[string]string{"id": fmt.Sprint("N", len(f.notes[id])), "content": body.Note.Content}})
}

func newNotifier(t *testing.T, tr http.RoundTripper, tune func(*Options)) *Notifier {
	t.Helper()
	cfg := DefaultConfig()
	cfg.Token, cfg.From, cfg.RoutingKey = "tok-"+notifytest.Secret, "triaged@example.com", "key-"+notifytest.Secret
	o := Options{Config: cfg, Transport: tr, Now: func() time.Time { return notifytest.At }}
	if tune != nil {
		tune(&o)
	}
	n, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func newPager(t *testing.T) *fakePager {
	nt := notifytest.Notification()
	return &fakePager{t: t, open: map[string]string{DedupKey(nt.Incident.GroupKey): "PT4KHLK"}, notes: map[string][]string{}}
}

func TestConformance(t *testing.T) {
	for name, tune := range map[string]func(*Options){
		"note": nil,
		"change event": func(o *Options) {
			o.Config.Token, o.Config.From = "", ""
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := newPager(t)
			notifytest.Run(t, notifytest.Subject{
				New: func(t *testing.T, tr http.RoundTripper) outbox.Notifier { return newNotifier(t, tr, tune) },
				OK:  f.do,
			})
		})
	}
}

// The key is what Alertmanager computes: sha256 of the group key, in hex.
func TestDedupKey(t *testing.T) {
	const want = "cbc7a356b874c7d0332c73753d5082204bea3c18a5cb2a9a50e75f6687ffb86b"
	if got := DedupKey(`{}:{alertname="HighErrorRate"}`); got != want {
		t.Errorf("want %s, got %s", want, got)
	}
}

func TestNoteOnTheExistingIncident(t *testing.T) {
	f := newPager(t)
	n := newNotifier(t, f, nil)
	nt := notifytest.Notification()
	r, err := n.Notify(t.Context(), nt)
	if err != nil || r.RemoteID != "incident/PT4KHLK" {
		t.Fatalf("want a note on the incident, got %+v (%v)", r, err)
	}
	if notes := f.notes["PT4KHLK"]; len(notes) != 1 || !strings.Contains(notes[0], "LIKELY: flag new-pricing") {
		t.Fatalf("want the card as note, got %q", notes)
	}
	// Later reports go where the first went, even when the incident is no longer open.
	f.open = nil
	nt.Delivery.ID, nt.Earlier = "d2", []triage.Delivery{{RemoteID: r.RemoteID}}
	if _, err := n.Notify(t.Context(), nt); err != nil || len(f.notes["PT4KHLK"]) != 2 {
		t.Errorf("want a second note, got %d (%v)", len(f.notes["PT4KHLK"]), err)
	}
	if len(f.events) != 0 {
		t.Errorf("want no change event beside the notes, got %v", f.events)
	}
}

// Killed or cut off at any request, the next attempt leaves one note.
func TestOneNoteWhateverHappens(t *testing.T) {
	for lose := 1; lose <= 2; lose++ {
		t.Run(fmt.Sprint("answer lost: ", lose), func(t *testing.T) {
			f := newPager(t)
			f.lose = lose
			nt := notifytest.Notification()
			_, err := newNotifier(t, f, nil).Notify(t.Context(), nt)
			if de, ok := errors.AsType[*outbox.DeliveryError](err); !ok || !de.Retryable {
				t.Fatalf("want a retryable error, got %v", err)
			}
			nt.Uncertain = true
			if _, err := newNotifier(t, f, nil).Notify(t.Context(), nt); err != nil {
				t.Fatal(err)
			}
			if n := len(f.notes["PT4KHLK"]); n != 1 {
				t.Errorf("notes: want 1, got %d after %v", n, f.requests)
			}
		})
	}
}

// Alertmanager may reach PagerDuty after we do: first we wait, then we fall back and say why.
func TestFallback(t *testing.T) {
	f := newPager(t)
	f.open = nil
	now := notifytest.At.Add(30 * time.Second)
	n := newNotifier(t, f, func(o *Options) { o.Now = func() time.Time { return now } })
	nt := notifytest.Notification()
	_, err := n.Notify(t.Context(), nt)
	if de, ok := errors.AsType[*outbox.DeliveryError](err); !ok || !de.Retryable || de.Uncertain {
		t.Fatalf("want to wait for the incident, got %v", err)
	}
	now = notifytest.At.Add(3 * time.Minute)
	r, err := n.Notify(t.Context(), nt)
	if err != nil || r.RemoteID != "change-event" || !strings.Contains(r.Detail, "no open incident has the alert group's key") {
		t.Fatalf("want the fallback with its reason, got %+v (%v)", r, err)
	}
	payload, _ := f.events[0]["payload"].(map[string]any)
	summary, _ := payload["summary"].(string)
	if f.events[0]["routing_key"] != "key-"+notifytest.Secret || !strings.Contains(summary, "LIKELY: flag new-pricing") || len([]rune(summary)) > maxSummary || payload["timestamp"] != "2026-03-01T03:07:09Z" {
		t.Errorf("change event: %v", f.events[0])
	}
	without := newNotifier(t, f, func(o *Options) {
		o.Config.RoutingKey = ""
		o.Now = func() time.Time { return now }
	})
	_, err = without.Notify(t.Context(), nt)
	if de, ok := errors.AsType[*outbox.DeliveryError](err); !ok || de.Retryable || !strings.Contains(err.Error(), "routing_key") {
		t.Errorf("want a final error that names the remedy, got %v", err)
	}
}

func TestConfig(t *testing.T) {
	for name, tc := range map[string]struct{ yaml, want string }{
		"notes":       {"token: x\nfrom: a@example.com", ""},
		"events":      {"routing_key: x", ""},
		"nothing":     {"{}", "give an API token"},
		"no from":     {"token: x", "e-mail address"},
		"bad url":     {"routing_key: x\napi_url: https://api.eu.pagerduty.com/", "without a slash"},
		"unknown key": {"routing_key: x\nservice: y", "field service not found"},
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
