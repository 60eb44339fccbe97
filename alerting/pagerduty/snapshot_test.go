package pagerduty

import (
	"testing"

	"github.com/triaged-dev/triaged/alerting/notifytest"
)

// What goes to PagerDuty, to the byte: the search, the note, and the change event where there is no incident.
func TestRequestsAreAsReviewed(t *testing.T) {
	f := newPager(t)
	rec := notifytest.Record(t, f)
	if _, err := newNotifier(t, rec, nil).Notify(t.Context(), notifytest.Notification()); err != nil {
		t.Fatal(err)
	}
	events := func(o *Options) { o.Config.Token, o.Config.From = "", "" }
	if _, err := newNotifier(t, rec, events).Notify(t.Context(), notifytest.Notification()); err != nil {
		t.Fatal(err)
	}
	rec.Compare("requests.txt")
}
