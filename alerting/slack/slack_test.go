package slack

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

	"github.com/triaged-dev/triaged/alerting/card"
	"github.com/triaged-dev/triaged/alerting/notifytest"
	"github.com/triaged-dev/triaged/alerting/outbox"
	"github.com/triaged-dev/triaged/triage"
)

func newBot(t *testing.T, tr http.RoundTripper) outbox.Notifier {
	t.Helper()
	cfg := DefaultConfig()
	cfg.Token, cfg.Channel = "xoxb-"+notifytest.Secret, fakeChannel
	n, err := New(Options{Config: cfg, Transport: tr, Settle: -1})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func newHook(t *testing.T, tr http.RoundTripper) outbox.Notifier {
	t.Helper()
	cfg := DefaultConfig()
	cfg.WebhookURL = "https://hooks.slack.example.com/services/T0/B0/" + notifytest.Secret
	n, err := New(Options{Config: cfg, Transport: tr})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestConformance(t *testing.T) {
	t.Run("bot", func(t *testing.T) {
		notifytest.Run(t, notifytest.Subject{New: newBot, OK: func(*http.Request) *http.Response {
			return ok(map[string]any{"channel": "C1H9RESGL", "ts": "1503435956.000247", "message": map[string]any{"type": "message"}})
		}})
	})
	t.Run("webhook", func(t *testing.T) {
		notifytest.Run(t, notifytest.Subject{New: newHook, OK: func(*http.Request) *http.Response { return notifytest.Respond(200, nil, "ok") }})
	})
}

// next is the notification after what the receipts tell.
func next(number int, material, uncertain bool, receipts ...outbox.Receipt) outbox.Notification {
	nt := notifytest.Notification()
	prev := nt.Report
	for i, r := range receipts {
		nt.Earlier = append(nt.Earlier, triage.Delivery{ID: fmt.Sprint("e", i), ReportNumber: i + 1, RemoteID: r.RemoteID})
	}
	nt.Report.Number, nt.Delivery.ReportNumber = number, number
	nt.Delivery.ID = fmt.Sprint("delivery-", number)
	nt.Material, nt.Uncertain = material, uncertain
	if number > 1 {
		nt.Previous = &prev
		if material {
			nt.Report.Suspects, nt.Report.None.Probability = nil, 1
			nt.Report.Recommendation = triage.Recommendation{Verdict: triage.VerdictCannotTell, Action: triage.ActionInvestigate, Reason: "nothing fits any more"}
		}
	}
	nt.Card = card.New(card.Input{Incident: nt.Incident, Report: nt.Report, Previous: nt.Previous, Links: nt.Links})
	return nt
}

func TestOneMessagePerIncident(t *testing.T) {
	f := &fakeSlack{t: t}
	n := newBot(t, f)
	first, err := n.Notify(t.Context(), next(1, true, false))
	if err != nil || first.RemoteID != fakeChannel+"/"+f.messages[0].TS {
		t.Fatalf("want the message's place, got %+v (%v)", first, err)
	}
	if f.messages[0].Metadata["event_type"] != metadataType {
		t.Errorf("want metadata on the message, got %v", f.messages[0].Metadata)
	}
	for _, want := range []string{"*LIKELY*", "flag new-pricing 0 → 100 %", `"url":"https://triaged.example.com/incidents/`} {
		if !strings.Contains(f.messages[0].Blocks, want) {
			t.Errorf("want %q in the blocks, got %s", want, f.messages[0].Blocks)
		}
	}
	// Only numbers moved: edited in place, silently.
	if _, err := n.Notify(t.Context(), next(2, false, false, first)); err != nil {
		t.Fatal(err)
	}
	if len(f.messages) != 1 || f.messages[0].Edits != 1 {
		t.Fatalf("want the message edited, got %+v", f.messages)
	}
	// The verdict changed: said in the thread, and the old statement struck through in the message.
	third, err := n.Notify(t.Context(), next(3, true, false, first, first))
	if err != nil || third.RemoteID != first.RemoteID {
		t.Fatalf("want the incident's message as receipt, got %+v (%v)", third, err)
	}
	if len(f.messages) != 2 || f.messages[1].Thread != f.messages[0].TS || f.messages[0].Edits != 2 {
		t.Fatalf("want one reply in the thread, got %+v", f.messages)
	}
	if got := f.messages[0].Blocks; !strings.Contains(got, "~report 1 · LIKELY: flag new-pricing") || !strings.Contains(got, "NO CHANGE I SAW FITS") {
		t.Errorf("want the old statement struck through above the new one, got %s", got)
	}
	if want := []string{"chat.postMessage", "chat.update", "chat.postMessage", "chat.update"}; !slices.Equal(f.calls, want) {
		t.Errorf("calls: want %v, got %v", want, f.calls)
	}
}

// Killed after any call, before or after Slack acted on it, the next attempt leaves one message and one reply.
func TestKillBetweenAnyTwoSteps(t *testing.T) {
	for _, stage := range []struct {
		name     string
		number   int
		messages int
		steps    int
	}{{"first post", 1, 1, 1}, {"changed verdict", 2, 2, 2}} {
		for step := 1; step <= stage.steps; step++ {
			for _, arrived := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s, call %d, arrived %t", stage.name, step, arrived), func(t *testing.T) {
					f := &fakeSlack{t: t}
					n := newBot(t, f)
					var receipts []outbox.Receipt
					for i := 1; i < stage.number; i++ {
						r, err := n.Notify(t.Context(), next(i, true, false, receipts...))
						if err != nil {
							t.Fatal(err)
						}
						receipts = append(receipts, r)
					}
					at := len(f.calls) + step
					if arrived {
						f.lose = at
					} else {
						f.fail = func(call int, _ string) *http.Response {
							if call == at {
								return notifytest.Respond(503, nil, "")
							}
							return nil
						}
					}
					if _, err := n.Notify(t.Context(), next(stage.number, true, false, receipts...)); err == nil {
						t.Fatal("want the attempt to fail")
					}
					r, err := newBot(t, f).Notify(t.Context(), next(stage.number, true, true, receipts...))
					if err != nil || r.RemoteID != fakeChannel+"/"+f.messages[0].TS {
						t.Fatalf("want the second attempt to end well, got %+v (%v)", r, err)
					}
					if len(f.messages) != stage.messages {
						t.Errorf("messages: want %d, got %d after %v", stage.messages, len(f.messages), f.calls)
					}
				})
			}
		}
	}
}

// A failed edit after a posted reply must not make a second reply: the error says that something arrived.
func TestEditFailureAfterReplyIsUncertain(t *testing.T) {
	f := &fakeSlack{t: t}
	n := newBot(t, f)
	first, err := n.Notify(t.Context(), next(1, true, false))
	if err != nil {
		t.Fatal(err)
	}
	f.fail = func(_ int, method string) *http.Response {
		if method == "chat.update" {
			return no("ratelimited")
		}
		return nil
	}
	_, err = n.Notify(t.Context(), next(2, true, false, first))
	de, isDE := errors.AsType[*outbox.DeliveryError](err)
	if !isDE || !de.Uncertain || !de.Retryable || de.Reason != outbox.ReasonRateLimited {
		t.Errorf("want an uncertain, retryable rateLimited, got %+v", err)
	}
}

func TestOKFalse(t *testing.T) {
	for word, want := range map[string]outbox.DeliveryError{
		"invalid_auth":      {Reason: outbox.ReasonAuthError},
		"missing_scope":     {Reason: outbox.ReasonAuthError},
		"not_in_channel":    {Reason: outbox.ReasonClientError},
		"channel_not_found": {Reason: outbox.ReasonClientError},
		"is_archived":       {Reason: outbox.ReasonClientError},
		"something_new":     {Reason: outbox.ReasonClientError},
		"ratelimited":       {Reason: outbox.ReasonRateLimited, Retryable: true},
		"internal_error":    {Reason: outbox.ReasonServerError, Retryable: true},
		"xoxb token leaked": {Reason: outbox.ReasonServerError, Retryable: true},
	} {
		t.Run(word, func(t *testing.T) {
			n := newBot(t, notifytest.Transport(func(*http.Request) (*http.Response, error) { return no(word), nil }))
			_, err := n.Notify(t.Context(), next(1, true, false))
			de, isDE := errors.AsType[*outbox.DeliveryError](err)
			if !isDE || de.Reason != want.Reason || de.Retryable != want.Retryable {
				t.Errorf("want %s, retryable %t, got %+v", want.Reason, want.Retryable, err)
			}
			if err != nil && strings.Contains(err.Error(), "xoxb") {
				t.Errorf("the error repeats what Slack sent: %v", err)
			}
		})
	}
}

// Lying peers: 200 with no JSON, wrong types, an answer without a place.
func TestLies(t *testing.T) {
	for name, body := range map[string]string{"html": "<html>", "wrong types": `{"ok":"yes","ts":7}`, "no place": `{"ok":true}`, "empty": ""} {
		t.Run(name, func(t *testing.T) {
			n := newBot(t, notifytest.Transport(func(*http.Request) (*http.Response, error) { return notifytest.Respond(200, nil, body), nil }))
			_, err := n.Notify(t.Context(), next(1, true, false))
			if de, isDE := errors.AsType[*outbox.DeliveryError](err); !isDE || !de.Retryable || !de.Uncertain {
				t.Errorf("want an uncertain, retryable error, got %+v", err)
			}
		})
	}
}

// When Slack refuses the blocks, the words go out without them.
func TestPlainTextWhenBlocksAreRefused(t *testing.T) {
	f := &fakeSlack{t: t}
	f.fail = func(call int, _ string) *http.Response {
		if call == 1 {
			return no("invalid_blocks")
		}
		return nil
	}
	if _, err := newBot(t, f).Notify(t.Context(), next(1, true, false)); err != nil {
		t.Fatal(err)
	}
	if len(f.messages) != 1 || f.messages[0].Blocks != "" || !strings.Contains(f.messages[0].Text, "LIKELY: flag new-pricing") {
		t.Errorf("want the card as text, got %+v", f.messages)
	}
}

func TestWithoutHistoryScope(t *testing.T) {
	f := &fakeSlack{t: t}
	f.fail = func(_ int, method string) *http.Response {
		if method == "conversations.history" {
			return no("missing_scope")
		}
		return nil
	}
	r, err := newBot(t, f).Notify(t.Context(), next(1, true, true))
	if err != nil || len(f.messages) != 1 || !strings.Contains(r.Detail, "history scope") {
		t.Errorf("want it posted, and said that nobody looked, got %+v (%v)", r, err)
	}
}

func TestHook(t *testing.T) {
	var body map[string]json.RawMessage
	n := newHook(t, notifytest.Transport(func(r *http.Request) (*http.Response, error) {
		b, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, err
		}
		return notifytest.Respond(200, nil, "ok"), json.Unmarshal(b, &body)
	}))
	if _, err := n.Notify(t.Context(), next(1, true, false)); err != nil {
		t.Fatal(err)
	}
	checkBlocks(t, string(body["blocks"]))
	if len(body["text"]) == 0 || string(body["unfurl_links"]) != "false" {
		t.Errorf("want text and no unfurling, got %v", body)
	}
	if n.(*Notifier).EditsInPlace() || n.(*Notifier).Rechecks() {
		t.Error("a webhook can neither edit nor look back")
	}
}

// Limits hold for cards far beyond what a report can be, and nothing from outside becomes a mention or a link.
func TestComposeBounds(t *testing.T) {
	long := strings.Repeat("<!channel> & <https://evil.invalid|x> ", 400)
	c := card.Card{Mark: "🔴", Headline: long, Stamp: "report 1", Links: card.Links{Page: "https://a.example/" + strings.Repeat("x", 4000), Yes: "https://a.example/y"}}
	for i := range 80 {
		c.Lines = append(c.Lines, card.Line{Word: fmt.Sprint("W", i), Text: long, Sub: []string{long}, URL: "https://a.example/" + fmt.Sprint(i)})
	}
	m := compose(c, long)
	raw, err := json.Marshal(m.blocks)
	if err != nil {
		t.Fatal(err)
	}
	var blocks []struct{ Text struct{ Text string } }
	if err := json.Unmarshal(raw, &blocks); err != nil {
		t.Fatal(err)
	}
	total := 0
	for _, b := range blocks {
		total += len([]rune(b.Text.Text))
		if strings.Contains(b.Text.Text, "<!") || strings.Contains(b.Text.Text, "<https://evil") {
			t.Errorf("markup got through: %.80s", b.Text.Text)
		}
	}
	if total > maxTotal || len(blocks) > maxBlocks || len([]rune(m.text)) > maxText {
		t.Errorf("want bounds kept, got %d characters, %d blocks, text of %d", total, len(blocks), len([]rune(m.text)))
	}
}

func TestConfig(t *testing.T) {
	for name, tc := range map[string]struct{ yaml, want string }{
		"bot":           {"token: xoxb-1\nchannel: C0123456789", ""},
		"webhook":       {"webhook_url: https://hooks.slack.com/services/x", ""},
		"nothing":       {"{}", "give either a bot token"},
		"both":          {"token: x\nchannel: C0123456789\nwebhook_url: https://a.example", "give either a bot token"},
		"channel name":  {"token: x\nchannel: '#oncall'", "channel's id"},
		"unknown key":   {"token: x\nchannel: C0123456789\nchanel: x", "field chanel not found"},
		"api_url slash": {"token: x\nchannel: C0123456789\napi_url: https://a.example/api", "ends with /"},
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
	if DefaultConfig().APIURL != defaultAPIURL || readBack < time.Second {
		t.Error("defaults changed")
	}
}
