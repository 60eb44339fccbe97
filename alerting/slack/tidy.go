package slack

import (
	"context"
	"errors"
	"strings"
	"time"

	slackapi "github.com/slack-go/slack"

	"github.com/triaged-dev/triaged/alerting/outbox"
)

// settle is how long is waited for an earlier attempt to appear before the same is posted again: Slack may carry out a post seconds
// after it was given up.
const settle = 3 * time.Second

// look is find, twice with a pause between, as long as there is nothing.
func (b bot) look(ctx context.Context, nt outbox.Notification, root place) (place, error) {
	at, err := b.find(ctx, nt, root)
	if err != nil || at.ts != "" || b.settle <= 0 {
		return at, err
	}
	wait := b.settle
	if end, ok := ctx.Deadline(); ok { // a short timeout leaves room for the look and the post
		wait = min(wait, time.Until(end)/3)
	}
	t := time.NewTimer(wait)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return place{}, ctx.Err()
	case <-t.C:
	}
	return b.find(ctx, nt, root)
}

// Tidy deletes the copies of a delivery that Slack made of attempts which were given up: in the channel all but the message that was
// recorded, in its thread all but the first reply.
func (n *Notifier) Tidy(ctx context.Context, nt outbox.Notification) (removed int, err error) {
	channel, ts, ok := strings.Cut(nt.Delivery.RemoteID, "/")
	if !n.cfg.bot() || !ok {
		return 0, nil
	}
	b, err := n.bot()
	if err != nil {
		return 0, err
	}
	root := place{channel, ts}
	var errs []error
	drop := func(m slackapi.Message) {
		_, _, err := b.api.DeleteMessageContext(ctx, channel, m.Timestamp)
		switch {
		case err == nil:
			removed++
		case !refused(err, "message_not_found"):
			errs = append(errs, classify("delete a surplus message", err))
		}
	}
	copies, err := b.copies(ctx, nt, place{})
	if err != nil {
		return 0, classify("look for surplus messages", err)
	}
	for _, m := range copies {
		if m.Timestamp != ts {
			drop(m)
		}
	}
	replies, err := b.copies(ctx, nt, root)
	if err != nil {
		return removed, errors.Join(append(errs, classify("look for surplus replies", err))...)
	}
	first := ""
	for _, m := range replies {
		if first == "" || m.Timestamp < first {
			first = m.Timestamp
		}
	}
	for _, m := range replies {
		if m.Timestamp != first {
			drop(m)
		}
	}
	return removed, errors.Join(errs...)
}
