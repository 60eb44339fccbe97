package web

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/triaged-dev/triaged/triage"
	"github.com/triaged-dev/triaged/triage/say"
)

// posted says where a report went, where it waits, and where it would have gone were its route not in shadow mode.
func (w *Web) posted(ctx context.Context, r triage.Report) ([]string, error) {
	ds, _, err := w.opts.Store.Deliveries(ctx, triage.DeliveryQuery{IncidentID: r.IncidentID, Limit: pageSize})
	if err != nil {
		return nil, fmt.Errorf("read the posts of the incident: %w", err)
	}
	words := []struct {
		state triage.DeliveryState
		text  string
	}{
		{triage.DeliveryDelivered, "Posted to "},
		{triage.DeliveryPending, "Waits to be posted to "},
		{triage.DeliveryHeld, "Held back, its outcome unknown: "},
		{triage.DeliveryDead, "Given up: "},
		{triage.DeliveryShadow, "Shadow mode: would have been posted to "},
	}
	var out []string
	for _, word := range words {
		var to []string
		for _, d := range ds {
			if d.ReportNumber == r.Number && d.State == word.state {
				to = append(to, say.Clean(d.Receiver, say.MaxName))
			}
		}
		if len(to) > 0 {
			slices.Sort(to)
			out = append(out, word.text+strings.Join(to, ", "))
		}
	}
	return out, nil
}
