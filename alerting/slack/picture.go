package slack

import (
	"bytes"
	"context"
	"time"

	slackapi "github.com/slack-go/slack"

	"github.com/triaged-dev/triaged/alerting/outbox"
)

// pictureTimeout bounds painting and the three calls of an upload together: the message itself is out by then.
const pictureTimeout = 5 * time.Second

// picture puts the first report's time axis into the incident's thread. It is a courtesy. What goes wrong is a sentence kept with
// the delivery, and nothing is tried again: after a kill there may be no picture, but never two.
func (b bot) picture(ctx context.Context, nt outbox.Notification, root place) string {
	if !b.pictures || nt.Picture == nil {
		return ""
	}
	ctx, cancel := context.WithTimeout(ctx, pictureTimeout)
	defer cancel()
	png, err := nt.Picture(ctx)
	if err != nil || len(png) == 0 {
		return "without its picture: it could not be painted"
	}
	_, err = b.api.UploadFileContext(ctx, slackapi.UploadFileParameters{
		Reader: bytes.NewReader(png), FileSize: len(png), Filename: "timeline.png", Title: "Timeline, " + nt.Card.Stamp,
		AltTxt: "The alert's signal and what changed, on one time axis: " + nt.Card.Headline, Channel: root.channel, ThreadTimestamp: root.ts,
	})
	switch {
	case err == nil:
		return ""
	case refused(err, "missing_scope", "not_allowed_token_type"):
		return "without its picture: the token lacks the scope files:write; grant it, or set picture: false"
	}
	return "without its picture: " + classify("upload it", err).Err.Error()
}
