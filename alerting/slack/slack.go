// Package slack posts reports to Slack: with a bot token one message per incident, kept up to date and answered in its
// thread when the statement changes; with an incoming-webhook URL one message per report. It neither retries nor queues.
//
// Every message of the bot carries its delivery id as metadata. When an earlier attempt may have arrived, the channel or the
// thread is read back first, so that a kill at any moment leaves one visible message.
package slack

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	slackapi "github.com/slack-go/slack"

	"github.com/triaged-dev/triaged/alerting/card"
	"github.com/triaged-dev/triaged/alerting/outbox"
	"github.com/triaged-dev/triaged/triage"
)

// metadataType names our metadata on a message.
const metadataType = "triaged_report"

// readBack is how far before a delivery was made its message is looked for: clocks differ. Pages of 100 messages.
const (
	readBack      = time.Minute
	readBackPages = 5
)

// Notifier posts to one channel.
type Notifier struct {
	cfg    Config
	client *http.Client
	now    func() time.Time
	settle time.Duration
}

// Options are what a Notifier is made from.
type Options struct {
	Config    Config
	Transport http.RoundTripper // nil: made from Config.HTTPConfig
	Now       func() time.Time  // nil: time.Now
	Settle    time.Duration     // 0: settle; below 0: none
}

// New checks the configuration and makes a Notifier. It contacts nobody.
func New(o Options) (*Notifier, error) {
	if err := o.Config.Validate(); err != nil {
		return nil, err
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	client, err := outbox.Client("slack", o.Config.HTTPConfig, o.Transport)
	if err != nil {
		return nil, err
	}
	client.Transport = outbox.StrictTransport(client.Transport, "post to Slack", o.Now)
	return &Notifier{cfg: o.Config, client: client, now: o.Now, settle: cmp.Or(o.Settle, settle)}, nil
}

// EditsInPlace is true for the bot: it renews its message when only numbers moved.
func (n *Notifier) EditsInPlace() bool { return n.cfg.bot() }

// Rechecks is true for the bot, which looks for its earlier attempt. A webhook cannot look.
func (n *Notifier) Rechecks() bool { return n.cfg.bot() }

// Notify posts one report. RemoteID is "<channel>/<ts>" of the incident's message.
func (n *Notifier) Notify(ctx context.Context, nt outbox.Notification) (outbox.Receipt, error) {
	if !n.cfg.bot() {
		return n.send(ctx, compose(nt.Card, ""))
	}
	b, err := n.bot()
	if err != nil {
		return outbox.Receipt{}, err
	}
	root := rootOf(nt.Earlier)
	if root.ts == "" {
		return b.first(ctx, nt)
	}
	return b.later(ctx, nt, root)
}

// bot speaks with the token as it is now.
func (n *Notifier) bot() (bot, error) {
	token, err := outbox.Secret(n.cfg.Token, n.cfg.TokenFile, "token_file")
	if err != nil {
		return bot{}, &outbox.DeliveryError{Reason: outbox.ReasonOther, Retryable: true, Err: err}
	}
	return bot{slackapi.New(token, slackapi.OptionHTTPClient(n.client), slackapi.OptionAPIURL(n.cfg.APIURL)), n.cfg.Channel, n.cfg.Picture, n.settle}, nil
}

// place is where a message is.
type place struct{ channel, ts string }

func (p place) String() string { return p.channel + "/" + p.ts }

// rootOf is the incident's message, from what was delivered before.
func rootOf(earlier []triage.Delivery) place {
	for _, d := range earlier {
		if channel, ts, ok := strings.Cut(d.RemoteID, "/"); ok && channel != "" && ts != "" {
			return place{channel, ts}
		}
	}
	return place{}
}

type bot struct {
	api      *slackapi.Client
	channel  string
	pictures bool
	settle   time.Duration
}

// first posts the incident's message.
func (b bot) first(ctx context.Context, nt outbox.Notification) (outbox.Receipt, error) {
	detail := ""
	if nt.Uncertain {
		at, err := b.look(ctx, nt, place{})
		switch {
		case err == nil && at.ts != "":
			return outbox.Receipt{RemoteID: at.String(), Detail: "found in the channel from an earlier attempt"}, nil
		case blindTo(err):
			detail = "posted without looking for an earlier attempt: the token lacks the history scope"
		case err != nil:
			return outbox.Receipt{}, classify("look for an earlier message", err)
		}
	}
	at, err := b.post(ctx, nt, place{}, compose(nt.Card, ""))
	if err != nil {
		return outbox.Receipt{}, err
	}
	if !nt.Uncertain {
		detail = b.picture(ctx, nt, at)
	}
	return outbox.Receipt{RemoteID: at.String(), Detail: detail}, nil
}

// later brings an incident's message up to date. A changed statement is first said in the thread, so that nobody misses it;
// then the message itself is edited, with the old statement struck through. Editing twice does no harm.
func (b bot) later(ctx context.Context, nt outbox.Notification, root place) (outbox.Receipt, error) {
	struck, detail := "", ""
	if nt.Material {
		struck = oldStatement(nt)
		said := false
		if nt.Uncertain {
			at, err := b.look(ctx, nt, root)
			if err != nil && !blindTo(err) {
				return outbox.Receipt{}, classify("look for an earlier reply", err)
			}
			said = at.ts != ""
		}
		if !said {
			if _, err := b.post(ctx, nt, root, compose(nt.Card, "")); err != nil {
				return outbox.Receipt{}, err
			}
		}
	}
	m := compose(nt.Card, struck)
	_, _, _, err := b.api.UpdateMessageContext(ctx, root.channel, root.ts, options(m, nt)...)
	if refused(err, "invalid_blocks", "msg_blocks_too_long", "msg_too_long") {
		_, _, _, err = b.api.UpdateMessageContext(ctx, root.channel, root.ts, options(plain(nt.Card), nt)...)
	}
	switch {
	case err == nil:
	case refused(err, "message_not_found", "cant_update_message", "edit_window_closed", "is_inactive"):
		detail = "the message itself could not be edited any more"
	default:
		// What was said in the thread must not be said again: the next attempt looks for it.
		de := classify("edit message", err)
		de.Uncertain = de.Uncertain || nt.Material
		return outbox.Receipt{}, de
	}
	return outbox.Receipt{RemoteID: root.String(), Detail: detail}, nil
}

// oldStatement is what the report told before claimed.
func oldStatement(nt outbox.Notification) string {
	if nt.Previous == nil {
		return ""
	}
	c := card.New(card.Input{Incident: nt.Incident, Report: *nt.Previous})
	for _, l := range c.Lines {
		if l.Word != "CHANGED" {
			return fmt.Sprintf("report %d · %s: %s", nt.Previous.Number, l.Word, l.Text)
		}
	}
	return ""
}

func options(m message, nt outbox.Notification) []slackapi.MsgOption {
	out := []slackapi.MsgOption{
		slackapi.MsgOptionText(m.text, false),
		slackapi.MsgOptionDisableLinkUnfurl(), slackapi.MsgOptionDisableMediaUnfurl(),
		slackapi.MsgOptionMetadata(slackapi.SlackMetadata{EventType: metadataType, EventPayload: map[string]any{
			"delivery_id": nt.Delivery.ID, "incident_id": nt.Incident.ID, "report": strconv.Itoa(nt.Report.Number),
		}}),
	}
	if len(m.blocks) > 0 {
		out = append(out, slackapi.MsgOptionBlocks(m.blocks...))
	}
	return out
}

// post adds a message to the channel, or to the thread of root. If Slack refuses the blocks, the text is posted without them.
func (b bot) post(ctx context.Context, nt outbox.Notification, root place, m message) (place, error) {
	channel := b.channel
	send := func(m message) (place, error) {
		opts := options(m, nt)
		if root.ts != "" {
			channel = root.channel
			opts = append(opts, slackapi.MsgOptionTS(root.ts))
		}
		ch, ts, err := b.api.PostMessageContext(ctx, channel, opts...)
		return place{ch, ts}, err
	}
	at, err := send(m)
	if refused(err, "invalid_blocks", "msg_blocks_too_long", "msg_too_long") {
		at, err = send(plain(nt.Card))
	}
	if err != nil {
		return place{}, classify("post message", err)
	}
	if at.ts == "" || at.channel == "" {
		return place{}, &outbox.DeliveryError{Reason: outbox.ReasonServerError, Retryable: true, Uncertain: true, Err: errors.New("post message: Slack answered without saying where it is")}
	}
	return at, nil
}

// find looks for the message of this very delivery in the channel, or in the thread of root.
func (b bot) find(ctx context.Context, nt outbox.Notification, root place) (place, error) {
	found, err := b.copies(ctx, nt, root)
	if err != nil || len(found) == 0 {
		return place{}, err
	}
	return place{b.channel, found[0].Timestamp}, nil
}

// copies are the messages of this very delivery in the channel, or in the thread of root.
func (b bot) copies(ctx context.Context, nt outbox.Notification, root place) ([]slackapi.Message, error) {
	var found []slackapi.Message
	oldest := fmt.Sprintf("%d.000000", nt.Delivery.CreatedAt.Add(-readBack).Unix())
	cursor := ""
	for range readBackPages {
		var msgs []slackapi.Message
		var err error
		if root.ts == "" {
			var h *slackapi.GetConversationHistoryResponse
			h, err = b.api.GetConversationHistoryContext(ctx, &slackapi.GetConversationHistoryParameters{
				ChannelID: b.channel, Oldest: oldest, Limit: 100, Cursor: cursor, IncludeAllMetadata: true,
			})
			if err == nil {
				msgs, cursor = h.Messages, h.ResponseMetaData.NextCursor
			}
		} else {
			msgs, _, cursor, err = b.api.GetConversationRepliesContext(ctx, &slackapi.GetConversationRepliesParameters{
				ChannelID: root.channel, Timestamp: root.ts, Oldest: oldest, Limit: 100, Cursor: cursor, IncludeAllMetadata: true,
			})
		}
		if err != nil {
			return nil, err
		}
		for _, m := range msgs {
			// The root carries the id of what it was edited to last; only a reply counts in a thread.
			if m.Metadata.EventPayload["delivery_id"] == nt.Delivery.ID && (root.ts == "" || m.Timestamp != root.ts) {
				found = append(found, m)
			}
		}
		if cursor == "" {
			break
		}
	}
	return found, nil
}

// send posts by incoming webhook.
func (n *Notifier) send(ctx context.Context, m message) (outbox.Receipt, error) {
	address, err := outbox.Secret(n.cfg.WebhookURL, n.cfg.WebhookURLFile, "webhook_url_file")
	if err != nil {
		return outbox.Receipt{}, &outbox.DeliveryError{Reason: outbox.ReasonOther, Retryable: true, Err: err}
	}
	no := false
	body, err := json.Marshal(slackapi.WebhookMessage{Text: m.text, Blocks: &slackapi.Blocks{BlockSet: m.blocks}, UnfurlLinks: &no, UnfurlMedia: &no})
	if err != nil {
		return outbox.Receipt{}, &outbox.DeliveryError{Reason: outbox.ReasonOther, Err: fmt.Errorf("encode message: %w", err)}
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, address, bytes.NewReader(body))
	if err != nil {
		return outbox.Receipt{}, &outbox.DeliveryError{Reason: outbox.ReasonOther, Err: errors.New("the webhook address cannot be used for a request")}
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := n.client.Do(req)
	if err != nil {
		return outbox.Receipt{}, classify("post to webhook", err)
	}
	defer outbox.Drain(resp.Body)
	if e := outbox.StatusError("post to webhook", resp, n.now()); e != nil {
		return outbox.Receipt{}, e
	}
	return outbox.Receipt{}, nil
}
