package slack

import (
	"context"
	"strings"

	slackapi "github.com/slack-go/slack"

	"github.com/triaged-dev/triaged/alerting/digest"
	"github.com/triaged-dev/triaged/alerting/outbox"
)

// composeDigest is a digest in blocks: a section per incident, as many as fit.
func composeDigest(d digest.Digest) message {
	b := builder{}
	b.section("*" + escape(d.Title()) + "*")
	if lines := d.TruthLines(); len(lines) > 0 {
		b.section(escape(strings.Join(lines, "\n")))
		return message{text: clip(escape(d.Text()), maxText), blocks: b.blocks}
	}
	for _, i := range d.Incidents {
		if b.total > maxTotal-1500 { // room for what ends the message
			break
		}
		page := i.Page
		i.Page = ""
		text := escape(i.Text())
		if page != "" && len(page) <= maxURL {
			text += "  <" + escape(page) + "|open>"
		}
		b.section(text)
	}
	var small []string
	if n := len(d.Incidents) + d.More - (len(b.blocks) - 1); n > 0 {
		small = append(small, escape("and more: see the incidents page"))
	}
	if d.Promote != "" {
		small = append(small, escape(d.Promote))
	}
	b.context([]string{strings.Join(small, "\n")})
	return message{text: clip(escape(d.Text()), maxText), blocks: b.blocks}
}

// Digest posts a digest, as a message of its own.
func (n *Notifier) Digest(ctx context.Context, d digest.Digest) (outbox.Receipt, error) {
	m := composeDigest(d)
	if !n.cfg.bot() {
		return n.send(ctx, m)
	}
	token, err := outbox.Secret(n.cfg.Token, n.cfg.TokenFile, "token_file")
	if err != nil {
		return outbox.Receipt{}, &outbox.DeliveryError{Reason: outbox.ReasonOther, Retryable: true, Err: err}
	}
	api := slackapi.New(token, slackapi.OptionHTTPClient(n.client), slackapi.OptionAPIURL(n.cfg.APIURL))
	channel, ts, err := api.PostMessageContext(ctx, n.cfg.Channel, slackapi.MsgOptionText(m.text, false), slackapi.MsgOptionBlocks(m.blocks...),
		slackapi.MsgOptionDisableLinkUnfurl(), slackapi.MsgOptionDisableMediaUnfurl())
	if err != nil {
		return outbox.Receipt{}, classify("post digest", err)
	}
	return outbox.Receipt{RemoteID: place{channel, ts}.String()}, nil
}
