// Package teams posts reports to Microsoft Teams, as Adaptive Cards to a workflow's webhook: one message per report, since a
// webhook can neither edit nor answer. It neither retries nor queues.
//
// Text stands in rich text blocks, which know no markup: what comes from outside can make no link and mention nobody.
package teams

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/triaged-dev/triaged/alerting/card"
	"github.com/triaged-dev/triaged/alerting/digest"
	"github.com/triaged-dev/triaged/alerting/outbox"
)

// maxBody is below what Teams takes, 28 KB, with room for what the workflow wraps around it.
const maxBody = 24 << 10

// Notifier posts to one workflow.
type Notifier struct {
	cfg    Config
	client *http.Client
	now    func() time.Time
}

// Options are what a Notifier is made from.
type Options struct {
	Config    Config
	Transport http.RoundTripper // nil: made from Config.HTTPConfig
	Now       func() time.Time  // nil: time.Now
}

// New checks the configuration and makes a Notifier. It contacts nobody.
func New(o Options) (*Notifier, error) {
	if err := o.Config.Validate(); err != nil {
		return nil, err
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	client, err := outbox.Client("teams", o.Config.HTTPConfig, o.Transport)
	if err != nil {
		return nil, err
	}
	return &Notifier{cfg: o.Config, client: client, now: o.Now}, nil
}

// The parts of an Adaptive Card that are used.
type (
	message struct {
		Type        string       `json:"type"`
		Attachments []attachment `json:"attachments"`
	}
	attachment struct {
		ContentType string   `json:"contentType"`
		Content     adaptive `json:"content"`
	}
	adaptive struct {
		Schema  string            `json:"$schema"`
		Type    string            `json:"type"`
		Version string            `json:"version"`
		Body    []block           `json:"body"`
		Actions []action          `json:"actions,omitempty"`
		Teams   map[string]string `json:"msteams"`
	}
	block struct {
		Type    string `json:"type"`
		Spacing string `json:"spacing,omitempty"`
		Inlines []run  `json:"inlines"`
	}
	run struct {
		Type   string `json:"type"`
		Text   string `json:"text"`
		Weight string `json:"weight,omitempty"`
		Size   string `json:"size,omitempty"`
		Subtle bool   `json:"isSubtle,omitempty"`
	}
	action struct {
		Type  string `json:"type"`
		Title string `json:"title"`
		URL   string `json:"url"`
	}
)

func text(spacing string, runs ...run) block {
	for i := range runs {
		runs[i].Type = "TextRun"
	}
	return block{Type: "RichTextBlock", Spacing: spacing, Inlines: runs}
}

// compose dresses a card. Buttons are links only.
func compose(c card.Card) message {
	body := []block{text("", run{Text: c.Mark + " " + c.Headline, Weight: "Bolder", Size: "Medium"})}
	var actions []action
	open := func(title, url string) {
		if url != "" && len(actions) < 6 { // more are folded away
			actions = append(actions, action{"Action.OpenUrl", title, url})
		}
	}
	open("Open", c.Links.Page)
	open("It was this", c.Links.Yes)
	open("Not it", c.Links.No)
	for _, l := range c.Lines {
		body = append(body, text("Small", run{Text: l.Word + "  ", Weight: "Bolder"}, run{Text: l.Text}))
		for _, sub := range l.Sub {
			body = append(body, text("None", run{Text: "    " + sub, Subtle: true}))
		}
		open(l.Word, l.URL)
	}
	return wrap(append(body, text("Small", run{Text: c.Stamp, Subtle: true})), actions)
}

func wrap(body []block, actions []action) message {
	return message{Type: "message", Attachments: []attachment{{
		ContentType: "application/vnd.microsoft.card.adaptive",
		Content: adaptive{
			Schema: "http://adaptivecards.io/schemas/adaptive-card.json", Type: "AdaptiveCard", Version: "1.4", Body: body, Actions: actions,
			Teams: map[string]string{"width": "Full"},
		},
	}}}
}

// encode writes a message within Teams' bound: what is too much goes from the end, but never the first line and the links.
func encode(m message) ([]byte, error) {
	for {
		out, err := json.Marshal(m)
		blocks := m.Attachments[0].Content.Body
		if err != nil || len(out) <= maxBody || len(blocks) <= 1 {
			return out, err
		}
		m.Attachments[0].Content.Body = blocks[:len(blocks)-1]
	}
}

// Notify posts one report. Teams gives its messages no name.
func (n *Notifier) Notify(ctx context.Context, nt outbox.Notification) (outbox.Receipt, error) {
	return n.post(ctx, compose(nt.Card))
}

// Digest posts a digest.
func (n *Notifier) Digest(ctx context.Context, d digest.Digest) (outbox.Receipt, error) {
	body := []block{text("", run{Text: d.Title(), Weight: "Bolder", Size: "Medium"})}
	for _, l := range d.TruthLines() {
		body = append(body, text("", run{Text: l}))
	}
	for _, i := range d.Incidents {
		body = append(body, text("Small", run{Text: i.Text()}))
	}
	return n.post(ctx, wrap(append(body, text("Small", run{Text: d.Promote, Subtle: true})), nil))
}

func (n *Notifier) post(ctx context.Context, m message) (outbox.Receipt, error) {
	body, err := encode(m)
	if err != nil {
		return outbox.Receipt{}, &outbox.DeliveryError{Reason: outbox.ReasonOther, Err: fmt.Errorf("encode card: %w", err)}
	}
	address, err := outbox.Secret(n.cfg.WebhookURL, n.cfg.WebhookURLFile, "webhook_url_file")
	if err != nil {
		return outbox.Receipt{}, &outbox.DeliveryError{Reason: outbox.ReasonOther, Retryable: true, Err: err}
	}
	_, wrong := outbox.Address(address)
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, address, bytes.NewReader(body))
	if err != nil || wrong != nil {
		return outbox.Receipt{}, &outbox.DeliveryError{Reason: outbox.ReasonOther, Err: errors.New("the webhook address cannot be used for a request")}
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := n.client.Do(req)
	if err != nil {
		return outbox.Receipt{}, outbox.TransportError("post to Teams", err)
	}
	defer outbox.Drain(resp.Body)
	if e := outbox.StatusError("post to Teams", resp, n.now()); e != nil {
		return outbox.Receipt{}, e
	}
	return outbox.Receipt{}, nil
}
