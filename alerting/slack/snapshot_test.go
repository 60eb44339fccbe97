package slack

import (
	"testing"

	"github.com/triaged-dev/triaged/alerting/notifytest"
)

// What goes to Slack, to the byte: the message, the reply when the statement changed, and the edit of the message.
func TestRequestsAreAsReviewed(t *testing.T) {
	rec := notifytest.Record(t, &fakeSlack{t: t})
	n := newBot(t, rec)
	first, err := n.Notify(t.Context(), next(1, true, false))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := n.Notify(t.Context(), next(2, true, false, first)); err != nil {
		t.Fatal(err)
	}
	rec.Compare("requests.txt")
}

func TestWebhookRequestIsAsReviewed(t *testing.T) {
	rec := notifytest.Record(t, notifytest.Answering(200, "ok"))
	if _, err := newHook(t, rec).Notify(t.Context(), next(1, true, false)); err != nil {
		t.Fatal(err)
	}
	rec.Compare("webhook.txt")
}
