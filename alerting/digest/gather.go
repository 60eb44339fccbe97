package digest

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/triaged-dev/triaged/alerting/card"
	"github.com/triaged-dev/triaged/triage"
	"github.com/triaged-dev/triaged/triage/say"
)

const (
	stateKey   = "alerting/digest"
	maxItems   = 20          // incidents listed; the rest is counted
	maxReads   = 20_000      // deliveries looked at
	firstRetry = time.Minute // after a failure; it doubles
	lastRetry  = time.Hour   // and is no longer than this
)

// Digest gathers what was kept back in [from, to).
func (s *Sender) Digest(ctx context.Context, from, to time.Time) (Digest, error) {
	d := Digest{From: from, To: to, Promote: "To be told at once, set mode: live on the route."}
	type kept struct {
		first     int // report number
		posts     map[string]int
		receivers []string
	}
	found := make(map[string]*kept)
	q := triage.DeliveryQuery{States: []triage.DeliveryState{triage.DeliveryShadow}, Limit: 500}
	for read := 0; read < maxReads; {
		ds, next, err := s.o.Store.Deliveries(ctx, q)
		if err != nil {
			return d, fmt.Errorf("gather digest: %w", err)
		}
		for _, del := range ds {
			if del.CreatedAt.Before(from) || !del.CreatedAt.Before(to) {
				continue
			}
			d.Posts++
			k := found[del.IncidentID]
			if k == nil {
				k = &kept{first: del.ReportNumber, posts: make(map[string]int)}
				found[del.IncidentID] = k
			}
			k.first = min(k.first, del.ReportNumber)
			if k.posts[del.Receiver]++; k.posts[del.Receiver] == 1 {
				k.receivers = append(k.receivers, del.Receiver)
			}
		}
		read += len(ds)
		// Newest first: what follows is older still.
		if next == "" || len(ds) == 0 || ds[len(ds)-1].CreatedAt.Before(from) {
			break
		}
		q.After = next
	}
	for id, k := range found {
		inc, err := s.o.Incident(ctx, id)
		if err != nil {
			return d, fmt.Errorf("gather digest: incident %s: %w", id, err)
		}
		slices.Sort(k.receivers)
		item := Item{IncidentID: id, OpenedAt: inc.OpenedAt, Receivers: k.receivers, Page: s.o.Links(inc, k.first).Page}
		for _, n := range k.posts {
			item.Posts = max(item.Posts, n)
		}
		if item, err = s.item(ctx, item, inc, k.first); err != nil {
			return d, err
		}
		d.Incidents = append(d.Incidents, item)
	}
	slices.SortFunc(d.Incidents, func(x, y Item) int {
		return cmp.Or(x.OpenedAt.Compare(y.OpenedAt), cmp.Compare(x.IncidentID, y.IncidentID))
	})
	if n := len(d.Incidents) - maxItems; n > 0 {
		d.Incidents, d.More = d.Incidents[n:], n // the latest are remembered best
	}
	return d, nil
}

// item words the first report kept back, and what came of the incident.
func (s *Sender) item(ctx context.Context, item Item, inc triage.Incident, number int) (Item, error) {
	r, err := s.o.Store.Report(ctx, inc.ID, number)
	if err != nil {
		return item, fmt.Errorf("gather digest: report %d of incident %s: %w", number, inc.ID, err)
	}
	c := card.New(card.Input{Incident: inc.As(r), Report: r, Percentages: s.o.Percentages(ctx)})
	item.Mark, item.Headline = c.Mark, c.Headline
	item.Statement = say.Statement(r.Standing())
	if !inc.RecoveredAt.IsZero() {
		item.Outcome = "recovered " + say.Minute(inc.RecoveredAt)
	}
	return item, nil
}
