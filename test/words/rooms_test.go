package words

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/triaged-dev/triaged/alerting/card"
	"github.com/triaged-dev/triaged/alerting/digest"
	"github.com/triaged-dev/triaged/alerting/grafana"
	"github.com/triaged-dev/triaged/alerting/log"
	"github.com/triaged-dev/triaged/alerting/notifytest"
	"github.com/triaged-dev/triaged/alerting/outbox"
	"github.com/triaged-dev/triaged/alerting/slack"
	"github.com/triaged-dev/triaged/alerting/teams"
	"github.com/triaged-dev/triaged/alerting/webhook"
	"github.com/triaged-dev/triaged/api"
	"github.com/triaged-dev/triaged/triage"
	"github.com/triaged-dev/triaged/web"
)

// kept is a journal that holds one incident, with one report and what it was made from.
type kept struct {
	web.Store
	api.AnomalyReader
	inc triage.Incident
	r   triage.Report
	c   triage.Case
}

var errUnknown = errors.New("no such thing")

func (k *kept) ResolveChange(_ context.Context, id triage.ChangeID) (triage.ChangeID, error) {
	return id, nil
}

func (k *kept) Changes(_ context.Context, ids []triage.ChangeID) ([]triage.Change, error) {
	var out []triage.Change
	for _, id := range ids {
		for _, c := range k.c.Changes {
			if c.ID == id {
				out = append(out, c)
			}
		}
	}
	return out, nil
}

func (k *kept) FindChanges(context.Context, triage.ChangeQuery) ([]triage.Change, string, error) {
	return nil, "", nil
}

func (k *kept) Incident(context.Context, string) (triage.Incident, error) { return k.inc, nil }
func (k *kept) Incidents(context.Context, triage.IncidentQuery) ([]triage.Incident, string, error) {
	return []triage.Incident{k.inc}, "", nil
}
func (k *kept) Report(context.Context, string, int) (triage.Report, error) { return k.r, nil }
func (k *kept) Reports(context.Context, string) ([]triage.Report, error) {
	return []triage.Report{k.r}, nil
}

func (k *kept) ReportInput(context.Context, string, int) (triage.Case, error) { return k.c, nil }
func (k *kept) Feedback(context.Context, string) ([]triage.Feedback, error)   { return nil, nil }
func (k *kept) Outcomes(context.Context) ([]triage.Outcome, error)            { return nil, nil }
func (k *kept) Delivery(context.Context, string) (triage.Delivery, error) {
	return triage.Delivery{}, errUnknown
}
func (k *kept) State(context.Context, string) ([]byte, error)  { return nil, nil }
func (k *kept) SetState(context.Context, string, []byte) error { return nil }
func (k *kept) Deliveries(_ context.Context, q triage.DeliveryQuery) ([]triage.Delivery, string, error) {
	return []triage.Delivery{{ID: "d", IncidentID: k.inc.ID, ReportNumber: 1, Receiver: "oncall/chat", State: triage.DeliveryShadow, CreatedAt: k.r.CreatedAt}}, "", nil
}

// quiet is a collector, and all else that pages and API ask for, with nothing to say.
type quiet struct{}

func (quiet) Emit(context.Context, []triage.Event) error             { return nil }
func (quiet) Quarantine(context.Context, triage.Quarantined)         {}
func (quiet) Sources() []triage.SourceStatus                         { return nil }
func (quiet) Coverage(_, _ time.Time) []triage.Coverage              { return nil }
func (quiet) Retry(context.Context, string) (int, error)             { return 0, nil }
func (quiet) Resend(context.Context, string) error                   { return nil }
func (quiet) AcceptWebhook(context.Context, []byte) ([]error, error) { return nil, nil }
func (quiet) AcceptAlerts(context.Context, []byte) ([]error, error)  { return nil, nil }
func (quiet) Triage(context.Context, triage.Request) (triage.Answer, error) {
	return triage.Answer{}, nil
}

// said is a report in the words of every room.
type said struct {
	card  card.Card
	rooms map[string]string // plain text by room; markup of the room's own taken off
}

// house is pages and API around one kept report after another.
type house struct {
	kept *kept
	web  http.Handler
	api  http.Handler
	sent bytes.Buffer
	now  time.Time
	told map[string]outbox.Notifier
	sum  *digest.Sender
}

func newHouse(t *testing.T) *house {
	t.Helper()
	h := &house{kept: &kept{}}
	now := func() time.Time { return h.now }
	notFound := func(err error) bool { return errors.Is(err, errUnknown) }
	pages, err := web.New(web.Options{Store: h.kept, Collector: quiet{}, Resender: quiet{}, NotFound: notFound, Now: now})
	if err != nil {
		t.Fatal(err)
	}
	cfg := api.DefaultConfig()
	cfg.Anonymous = []api.Scope{api.ScopeRead}
	answers, err := api.New(api.Options{
		Config: cfg, ListenAddresses: []string{"127.0.0.1:9792"}, Store: h.kept, Collector: quiet{}, Alerts: quiet{}, Resender: quiet{}, Triager: quiet{}, NotFound: notFound, Now: now,
	})
	if err != nil {
		t.Fatal(err)
	}
	h.web, h.api = pages.Handler(), answers.Handler()
	transport := notifytest.Transport(func(r *http.Request) (*http.Response, error) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, err
		}
		h.sent.Write(body)
		return notifytest.Respond(200, http.Header{"Content-Type": {"application/json"}}, `{"ok":true,"id":7,"ts":"1.1","channel":"C0123456789"}`), nil
	})
	add := func(name string, n outbox.Notifier, err error) {
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		h.told[name] = n
	}
	h.told = make(map[string]outbox.Notifier)
	sc := slack.DefaultConfig()
	sc.WebhookURL = "https://chat.example.com/hook"
	s, err := slack.New(slack.Options{Config: sc, Transport: transport, Now: now})
	add("slack", s, err)
	tc := teams.DefaultConfig()
	tc.WebhookURL = "https://teams.example.com/hook"
	tn, err := teams.New(teams.Options{Config: tc, Transport: transport, Now: now})
	add("teams", tn, err)
	wc := webhook.DefaultConfig()
	wc.URL = "https://hooks.example.com/triaged"
	wn, err := webhook.New(webhook.Options{Config: wc, Transport: transport, Now: now})
	add("webhook", wn, err)
	gc := grafana.DefaultConfig()
	gc.URL, gc.Token = "https://grafana.example.com", "t"
	g, err := grafana.New(grafana.Options{Config: gc, Transport: transport, Now: now})
	add("grafana", g, err)
	l, err := log.New(log.DefaultConfig(), slog.New(slog.DiscardHandler), &h.sent)
	add("log", l, err)
	h.sum = digest.New(digest.Options{
		Store: h.kept, State: h.kept, Incident: h.kept.Incident, Links: func(triage.Incident, int) card.Links { return card.Links{} },
		Percentages: func(context.Context) bool { return false },
	})
	return h
}

// say has every room say the report.
func (h *house) say(t *testing.T, inc triage.Incident, r triage.Report, c triage.Case) said {
	t.Helper()
	h.kept.inc, h.kept.r, h.kept.c, h.now = inc, r, c, r.CreatedAt.Add(time.Minute)
	out := said{card: card.New(card.Input{Incident: inc, Report: r}), rooms: make(map[string]string)}
	out.rooms["card"] = out.card.Text()
	out.rooms["page"] = h.get(t, h.web, "/incidents/"+inc.ID)
	out.rooms["list"] = h.get(t, h.web, "/incidents")
	out.rooms["timeline"] = h.get(t, h.api, "/api/v1/incidents/"+inc.ID+"/timeline")
	out.rooms["postmortem"] = h.get(t, h.api, "/api/v1/incidents/"+inc.ID+"/postmortem")
	nt := notifytest.Notification()
	nt.Incident, nt.Report, nt.Card = inc, r, out.card
	for name, n := range h.told {
		h.sent.Reset()
		if _, err := n.Notify(t.Context(), nt); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		out.rooms[name] = plain(h.sent.String())
	}
	d, err := h.sum.Digest(t.Context(), r.CreatedAt.Add(-time.Hour), r.CreatedAt.Add(time.Hour))
	if err != nil {
		t.Error(err)
	}
	out.rooms["digest"] = d.Text()
	return out
}

func (h *house) get(t *testing.T, from http.Handler, path string) string {
	t.Helper()
	req := httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil)
	req.RemoteAddr = "127.0.0.1:4711"
	rec := httptest.NewRecorder()
	from.ServeHTTP(rec, req)
	if rec.Code != http.StatusOK {
		t.Errorf("%s: status %d: %s", path, rec.Code, rec.Body)
	}
	return plain(rec.Body.String())
}

var (
	unseen = regexp.MustCompile(`(?s)<(script|style|head|svg|title)\b.*?</(script|style|head|svg|title)>|<!--.*?-->`)
	tags   = regexp.MustCompile(`<[^>]*>`)
	spaces = regexp.MustCompile(`\s+`)
)

// plain takes off what a room wraps its words in: JSON strings, HTML, Slack's and Markdown's escapes.
func plain(s string) string {
	var v any
	if json.Unmarshal([]byte(s), &v) == nil {
		var b strings.Builder
		strs(v, &b)
		s = b.String()
	} else if strings.Contains(s, "<html") {
		s = tags.ReplaceAllString(unseen.ReplaceAllString(s, " "), " ")
	}
	s = html.UnescapeString(html.UnescapeString(s))
	s = strings.NewReplacer(`\_`, "_", `\*`, "*", `\~`, "~", "\u2060", "", "\u200b", "").Replace(s)
	return strings.TrimSpace(spaces.ReplaceAllString(s, " "))
}

// strs are the strings in a JSON value, a space apart.
func strs(v any, into *strings.Builder) {
	switch v := v.(type) {
	case string:
		fmt.Fprint(into, v, " ")
	case []any:
		for _, e := range v {
			strs(e, into)
		}
	case map[string]any:
		for _, e := range v {
			strs(e, into)
		}
	}
}
