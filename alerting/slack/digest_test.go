package slack

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/triaged-dev/triaged/alerting/digest"
	"github.com/triaged-dev/triaged/alerting/notifytest"
)

// keptBack is a digest of so many incidents.
func keptBack(incidents int) digest.Digest {
	d := digest.Digest{From: notifytest.At.AddDate(0, 0, -1), To: notifytest.At, Promote: "To be told at once, set mode: live on the route."}
	for i := range incidents {
		d.Posts++
		d.Incidents = append(d.Incidents, digest.Item{
			IncidentID: fmt.Sprint("inc-", i), OpenedAt: notifytest.At, Receivers: []string{"oncall/slack"}, Posts: 1, Mark: "🔴",
			Headline: "checkout 5xx 0.2 % → 14 % " + strings.Repeat("x", 100), Statement: "LIKELY: flag new-pricing <@U123> *bold*", Page: "https://triaged.example.com/incidents/1",
		})
	}
	return d
}

// A digest is one message within Slack's limits, however much was kept back, and calls nobody.
func TestDigest(t *testing.T) {
	for _, n := range []int{1, 20, 200} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			f := &fakeSlack{t: t}
			if _, err := newBot(t, f).(digest.Digester).Digest(t.Context(), keptBack(n)); err != nil {
				t.Fatal(err)
			}
			if len(f.messages) != 1 {
				t.Fatalf("want one message, got %d", len(f.messages))
			}
			m := f.messages[0]
			if !strings.Contains(m.Blocks, "LIKELY: flag new-pricing") || strings.Contains(m.Blocks+m.Text, "<@U123>") || strings.Contains(m.Blocks, "*bold*") {
				t.Errorf("blocks: %s", m.Blocks)
			}
			if !strings.Contains(m.Blocks, "mode: live") {
				t.Errorf("the way out of shadow mode is not said: %s", m.Blocks)
			}
		})
	}
}

func TestDigestRefused(t *testing.T) {
	f := &fakeSlack{t: t, fail: func(int, string) *http.Response { return no("not_in_channel") }}
	_, err := newBot(t, f).(digest.Digester).Digest(t.Context(), keptBack(1))
	if err == nil || strings.Contains(err.Error(), notifytest.Secret) {
		t.Errorf("want an error without the token, got %v", err)
	}
}
