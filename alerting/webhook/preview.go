package webhook

import (
	"time"

	"github.com/triaged-dev/triaged/alerting/card"
	"github.com/triaged-dev/triaged/alerting/outbox"
	"github.com/triaged-dev/triaged/triage"
)

// Preview is what would be posted of a made-up report, where the entry has a format or a template of its own; empty where not.
func (c *Config) Preview() (string, error) {
	if c.Format == FormatOwn && c.Body == "" {
		return "", nil
	}
	m, err := c.compose(sample())
	return string(m.body), err
}

// sample is a made-up report with everything in it, quotes and markup among its words.
func sample() outbox.Notification {
	at := time.Date(2026, 3, 1, 3, 7, 9, 0, time.UTC)
	inc := triage.Incident{
		ID: "20260301-030700-5a3b11c2", State: triage.IncidentOpen, Title: "HighErrorRate", Scope: triage.Scope{Service: "checkout", Environment: "production"},
		Alerts: []triage.Alert{{Labels: map[string]string{"alertname": "HighErrorRate"}, GroupKey: `{}:{alertname="HighErrorRate"}`, StartsAt: at.Add(-time.Minute)}},
	}
	report := triage.Report{IncidentID: inc.ID, Number: 1, Kind: triage.ReportRanked, CreatedAt: at}
	c := card.Card{
		Mark: "🔴", Headline: "checkout 5xx 0.2 % → 14 % since 03:02:10 UTC (paged 03:06)", Stamp: "report 1 · 03:07:09 UTC",
		Lines: []card.Line{
			{Word: "LIKELY", Text: `flag "new-pricing" 0 → 100 % at 03:01:30, 40 s before the errors`, Sub: []string{"for: only requests with the flag on fail", "against: nothing found"}},
			{Word: "DO", Text: "set new-pricing back to 0 %", URL: "https://flags.example.com/new-pricing?env=production&tab=1"},
		},
		Links: card.Links{Page: "https://triaged.example.com/incidents/" + inc.ID, Yes: "https://triaged.example.com/feedback/yes", No: "https://triaged.example.com/feedback/no"},
	}
	return outbox.Notification{Delivery: triage.Delivery{ID: "4f2a91c07d1be883aa01bb02"}, Incident: inc, Report: report, Card: c, Material: true}
}
