package alerting

import (
	"context"
	"slices"

	"github.com/triaged-dev/triaged/alerting/card"
	"github.com/triaged-dev/triaged/triage"
)

// Whisper is what a shadow route kept back: the card, and where it would have been posted. Who tries the daemon out sees at once what
// it would have said, not in a digest the next day.
type Whisper struct {
	Incident  triage.Incident
	Report    triage.Report
	Card      card.Card
	Receivers []string // those in shadow, sorted
}

// whisper shows what was kept back of a report, once, whatever the number of receivers. previous is what would have been posted before.
func (a *Alerting) whisper(ctx context.Context, inc triage.Incident, r triage.Report, previous *triage.Report, ds []triage.Delivery) {
	if a.opts.Shadow == nil {
		return
	}
	w := Whisper{Incident: inc, Report: r}
	for _, del := range ds {
		if del.State == triage.DeliveryShadow {
			w.Receivers = append(w.Receivers, del.Receiver)
		}
	}
	if len(w.Receivers) == 0 {
		return
	}
	slices.Sort(w.Receivers)
	w.Card = card.New(card.Input{
		Incident: inc.As(r), Report: r, Previous: previous, Links: a.opts.Links(inc, r.Number), Percentages: a.opts.Percentages(ctx),
	})
	a.opts.Shadow(w)
}
